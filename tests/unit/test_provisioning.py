"""Steps of an image's build: what they depend on, and what is no step."""

from __future__ import annotations

import functools
import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit import Call, Put, Run
from vboxkit.errors import SettingsError, StorageError
from vboxkit.lab import Step
from vboxkit.lab.provisioning import as_steps

if TYPE_CHECKING:
    from collections.abc import Callable


def install(vm: Any) -> None:
    """Do nothing; a function with a source text."""


def made(text: str, folder: Path) -> Callable[[Any], object]:
    """Return the function ``provision`` of a module with this text."""
    file = folder / "module.py"
    file.write_text(text)
    scope: dict[str, Any] = {}
    import linecache

    linecache.checkcache(str(file))
    exec(compile(text, str(file), "exec"), scope)  # noqa: S102 - a module of this test's
    return scope["provision"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "other",
    [
        Run("make"),
        Run(["make", "all"]),
        Run("make all", env={"A": "1"}),
        Run("make all", cwd="/srv"),
        Run("make all", input="y"),
    ],
    ids=repr,
)
def test_a_command_is_all_that_it_gets(other: Run) -> None:
    """Command, variables, folder and input count; a list is not a line of the same words."""
    assert Run("make all").digest() == Run("make all").digest()
    assert other.digest() != Run("make all").digest()


def test_a_commands_timeout_does_not_count() -> None:
    """More patience is no other image; the order of variables and the kind of text are none."""
    assert Run("make", timeout=5).digest() == Run("make").digest()
    one = Run("make", env={"A": "1", "B": "2"}, input="y")
    assert one.digest() == Run("make", env={"B": "2", "A": "1"}, input=b"y").digest()


@pytest.mark.parametrize("command", ["", "  ", []])
def test_an_empty_command(command: str | list[str]) -> None:
    """Nothing to run is an error when the step is made."""
    with pytest.raises(SettingsError, match="empty"):
        Run(command)


def test_steps_are_values() -> None:
    """They are equal by what they are, hashable, pickled, and have a title of one line."""
    run = Run(["echo", "two words"], env={"A": "1"})
    assert run == Run(["echo", "two words"], env={"A": "1"})
    assert len({run, Run(["echo", "two words"], env={"A": "1"})}) == 1
    assert pickle.loads(pickle.dumps(run)) == run  # noqa: S301 - just made
    assert run.title == "run echo 'two words'"
    title = Run("set -e\n" + "echo long; " * 20).title
    assert "\n" not in title
    assert len(title) <= 60
    assert isinstance(run, Step)
    assert (Put("/a/b.py", "/srv/").title, Call(install).title) == (
        "put b.py to /srv/",
        "call install",
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder with a file, a script, a link and a folder."""
    folder = tmp_path / "tree"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("a")
    (folder / "sub/run").write_text("#!/bin/sh")
    (folder / "sub/run").chmod(0o755)
    (folder / "link").symlink_to("a")
    return folder


def append(folder: Path) -> None:
    """Change a content."""
    (folder / "a").write_text("b")


def rename(folder: Path) -> None:
    """Change a name."""
    (folder / "a").rename(folder / "b")


def permit(folder: Path) -> None:
    """Change a permission."""
    (folder / "sub/run").chmod(0o700)


def redirect(folder: Path) -> None:
    """Change where a link leads to."""
    (folder / "link").unlink()
    (folder / "link").symlink_to("sub")


def add(folder: Path) -> None:
    """Add an empty folder."""
    (folder / "new").mkdir()


@pytest.mark.parametrize("change", [append, rename, permit, redirect, add])
def test_each_change_in_a_folder_counts(tree: Path, change: Callable[[Path], None]) -> None:
    """Contents, names, permissions, links and folders make a folder what it is."""
    before = Put(tree, "/srv").digest()
    change(tree)
    assert Put(tree, "/srv").digest() != before


def test_times_and_places_do_not_count(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that was copied or touched is the same; so is a relative path."""
    before = Put(tree, "/srv").digest()
    os.utime(tree / "a", (1, 1))
    moved = tree.rename(tree.with_name("moved"))
    assert Put(moved, "/srv").digest() == before
    monkeypatch.chdir(tree.parent)
    put = Put("moved", "/srv")
    monkeypatch.chdir("/")
    assert put.digest() == before


def test_where_a_file_goes_counts(tree: Path) -> None:
    """Target, permissions and owner count; a folder as a target is completed by the name."""
    file = tree / "a"
    digests = {
        Put(file, "/srv/a").digest(),
        Put(file, "/srv/b").digest(),
        Put(file, "/srv/a", mode=0o600).digest(),
        Put(file, "/srv/a", owner="www").digest(),
    }
    assert len(digests) == 4
    assert Put(file, "/srv/").digest() == Put(file, "/srv/a").digest()


def test_what_cannot_be_put(tree: Path) -> None:
    """A missing source, a pipe, an empty target, permissions of a folder: typed errors."""
    with pytest.raises(StorageError, match="nowhere") as caught:
        Put(tree / "nowhere", "/srv").digest()
    assert str(tree / "nowhere") in str(caught.value)
    os.mkfifo(tree / "pipe")
    with pytest.raises(StorageError, match="pipe is no file"):
        Put(tree, "/srv").digest()
    with pytest.raises(SettingsError, match="target is empty"):
        Put(tree, "")
    (tree / "pipe").unlink()
    with pytest.raises(SettingsError, match="leave out mode="):
        Put(tree, "/srv", mode=0o755).digest()


def test_a_functions_text_counts(tmp_path: Path) -> None:
    """Another source text or another version is another step; another module is not."""
    (tmp_path / "x").mkdir()
    one = Call(made("def provision(vm):\n    vm.a()\n", tmp_path)).digest()
    assert Call(made("def provision(vm):\n    vm.a()\n", tmp_path / "x")).digest() == one
    assert Call(made("def provision(vm):\n    vm.b()\n", tmp_path)).digest() != one
    assert Call(install, version=1).digest() != Call(install).digest()
    assert Call(install, version=1).digest() == Call(install, version="1").digest()


def test_a_function_without_a_text() -> None:
    """Nobody could tell when it changes: it needs a version, and the error says so."""
    partial = functools.partial(install, None)
    with pytest.raises(SettingsError, match="cannot be read") as caught:
        Call(partial).digest()
    assert "version=1" in str(caught.value)
    assert Call(partial, version=1).digest() != Call(partial, version=2).digest()


def test_what_stands_for_a_step(tree: Path) -> None:
    """A text is a command, a function a call; all else is an error that says what is right."""
    put = Put(tree, "/srv")
    assert as_steps(["echo", put, install]) == (Run("echo"), put, Call(install))
    with pytest.raises(SettingsError, match=r"a step cannot be 3") as caught:
        as_steps([3])  # type: ignore[list-item]
    assert "Run(command)" in str(caught.value)
    for single in ("echo", Run("echo")):
        with pytest.raises(SettingsError, match="are a list"):
            as_steps(single)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="no function"):
        Call("echo")  # type: ignore[arg-type]

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vboxkit.core.resources import resource
from vboxkit.core.steps import Step, subscribe
from vboxkit.errors import SetupError
from vboxkit.host import apt, sandbox_build, sandbox_entry
from vboxkit.host.sandbox import Sandbox, inside_sandbox
from vboxkit.host.sandbox_build import Marker

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend to be outside of any sandbox, with an empty cache."""
    monkeypatch.delenv("VBOXKIT_SANDBOX", raising=False)
    monkeypatch.setattr(sandbox_entry, "cache_dir", lambda: tmp_path / "cache")
    return tmp_path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a root with the folders that a distribution has."""
    for name in ("usr/lib/python3", "etc/apt", "root", "home", "opt/vboxkit/bin", "mnt", "usr/src"):
        (tmp_path / "root" / name).mkdir(parents=True)
    (tmp_path / "root/root/.profile").write_text("x")
    return tmp_path / "root"


def test_requirements_are_vboxkits_own_without_vboxapi() -> None:
    """The dependencies and the recipe's tools, but no extras and no second vboxapi."""
    found = sandbox_build.requirements()
    assert any(line.startswith("paramiko") for line in found)
    assert any(line.startswith("pytest-xdist") for line in found)
    assert not any("vbox" in line or "extra" in line for line in found)


def test_digest_follows_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same recipe gives the same digest, another one another; enter.sh does not count."""
    folder = tmp_path / "sandbox"
    shutil.copytree(resource("sandbox"), folder)
    monkeypatch.setattr(sandbox_build, "resource", lambda name: tmp_path / name)
    before = sandbox_build.recipe_digest()
    (folder / "enter.sh").write_text("other")
    assert sandbox_build.recipe_digest() == before
    (folder / "packages.txt").write_text("other")
    assert sandbox_build.recipe_digest() != before


def test_environment_inside() -> None:
    """What only fits the host is dropped, the rest is kept, changes win."""
    base = {
        "PATH": "/host/bin",
        "LC_ALL": "de_DE.UTF-8",
        "LD_PRELOAD": "x.so",
        "VBOX_INSTALL_PATH": "/opt/VirtualBox",
        "TERM": "xterm",
    }
    inside = sandbox_entry.inside_environment(Path("/r"), base, {"TERM": "dumb"})
    assert inside.pop("PATH").startswith("/opt/vboxkit/bin:")
    assert inside == {
        "TERM": "dumb",
        "LANG": "C.UTF-8",
        "VIRTUAL_ENV": "/opt/vboxkit",
        "VBOXKIT_SANDBOX": "/r",
    }


def test_visible_folders_hide_nothing(outside: Path, root: Path) -> None:
    """Folders of the root stay as they are, whatever the current folder is."""
    for cwd in ("/", "/usr", "/usr/lib/python3/x", "/etc/apt", "/opt/vboxkit"):
        found = sandbox_entry.visible_folders(root, {"HOME": "/"}, cwd=Path(cwd))
        own = [Path("/"), Path("/usr"), Path("/etc"), Path("/usr/lib"), Path("/opt")]
        assert not set(found) & set(own)


def test_top_folder_of_a_project() -> None:
    """The widest folder is bound that is not the root's; below system folders a narrow one."""
    here = Path("/")
    assert sandbox_entry._top(here / "nowhere", Path("/data/a/b")) == here


@pytest.mark.parametrize(
    ("cwd", "top"),
    [("/data/a/b", "/data"), ("/usr/src/app/sub", "/usr/src"), ("/opt/x/y", "/opt/x")],
)
def test_widest_folder(root: Path, cwd: str, top: str) -> None:
    """A project is seen with its neighbours, as far as the root has nothing there itself."""
    (root / "boot").mkdir()
    assert str(sandbox_entry._top(root, Path(cwd))) == top


def test_home_is_visible_and_nested_folders_are_left_out(outside: Path, root: Path) -> None:
    """A folder inside another visible one needs no mount of its own; /tmp is visible anyway."""
    found = sandbox_entry.visible_folders(
        root, {"HOME": "/root", "XDG_CACHE_HOME": "/root/.cache", "TMPDIR": "/tmp"}, cwd=outside
    )
    assert Path("/root/.cache") not in found
    assert Path("/tmp") not in found


def test_pips_folders_are_found(tmp_path: Path) -> None:
    """Local indexes and wheel folders in the environment and in the user's pip.conf."""
    config = tmp_path / ".config/pip"
    config.mkdir(parents=True)
    (config / "pip.conf").write_text("[global]\nextra-index-url = file:///a%20b/simple\n  /c\n")
    found = sandbox_entry._pip_folders({"PIP_FIND_LINKS": "/wheels https://x.example/"}, tmp_path)
    assert {Path("/wheels"), Path("/a b"), Path("/c")} <= set(found)


def test_what_holds_the_root_is_bound_first(
    outside: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder that the root is in comes before all other mounts, lest it carry them along."""
    monkeypatch.setattr(sandbox_entry, "_ALWAYS", ("/proc",))
    home, work = outside, Path(sys.prefix)
    line = sandbox_entry.entry_command(root, ["true"], cwd=work, base={"HOME": str(home)})
    binds = [line[i + 1] for i, word in enumerate(line) if word == "bind"]
    assert root.is_relative_to(binds[0])
    assert line[-2:] == ["--", "true"]


def test_namespaces_need_newuidmap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root and without newuidmap the error names the package."""
    monkeypatch.setattr("vboxkit.host.sandbox_entry.os.geteuid", lambda: 1000)
    monkeypatch.setattr("vboxkit.host.sandbox_entry.shutil.which", lambda _: None)
    with pytest.raises(SetupError, match="apt-get install uidmap"):
        sandbox_entry.check_namespaces()


def test_namespaces_refused_by_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's refusal is passed on with what would change it."""
    monkeypatch.setattr("vboxkit.host.sandbox_entry.os.geteuid", lambda: 1000)
    monkeypatch.setattr("vboxkit.host.sandbox_entry.shutil.which", lambda _: "/usr/bin/newuidmap")
    monkeypatch.setattr(sandbox_entry, "_has_range", lambda *_: True)
    refusing = ("sh", "-c", "echo unshare failed: Operation not permitted >&2; exit 1")
    monkeypatch.setattr(sandbox_entry, "_USER_NAMESPACE", refusing)
    with pytest.raises(SetupError, match="Operation not permitted") as caught:
        sandbox_entry.check_namespaces()
    assert caught.value.hint


def test_status_without_a_sandbox(outside: Path) -> None:
    """Nothing there, a broken marker, a marker of another recipe."""
    sandbox = Sandbox(outside / "sandbox")
    assert not sandbox.status().exists
    sandbox.folder.mkdir()
    (sandbox.folder / sandbox_build.MARKER).write_text("{")
    assert not sandbox.status().exists
    Marker("other", 1.0, "7.2.22", "3.14.0", 600).write(sandbox.folder)
    assert sandbox.status().stale
    Marker(sandbox_build.recipe_digest(), 1.0, "7.2.22", "3.14.0", 600).write(sandbox.folder)
    assert not sandbox.status().stale


def test_run_without_a_sandbox(outside: Path) -> None:
    """The error says how to make one."""
    with pytest.raises(SetupError, match="vboxkit sandbox create"):
        Sandbox(outside / "sandbox").run(["true"])


def test_inside_a_sandbox_commands_run_directly(
    outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nested run enters nothing."""
    monkeypatch.setenv("VBOXKIT_SANDBOX", "/somewhere")
    assert inside_sandbox()
    assert Sandbox(outside / "sandbox").run(["sh", "-c", "exit 3"], cwd=outside) == 3


@pytest.fixture
def tools(outside: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Replace the two scripts: the root is made by a script of the test."""
    monkeypatch.setattr(apt, "install_builder", lambda: None)
    monkeypatch.setattr(apt, "source_lines", list)
    monkeypatch.setattr(sandbox_build, "check_namespaces", lambda: None)
    monkeypatch.setattr(sandbox_build, "namespace", tuple)
    monkeypatch.setattr(sandbox_build, "_FAMILY", ())
    monkeypatch.setattr(sandbox_build, "_NEEDED_MB", 1)

    def entry(root: Path, command: list[str], **_: object) -> list[str]:
        return command

    monkeypatch.setattr(sandbox_build, "entry_command", entry)
    recipe = outside / "recipe"
    shutil.copytree(resource("sandbox"), recipe / "sandbox")
    monkeypatch.setattr(sandbox_build, "resource", lambda name: recipe / name)
    # Commands of the tools are the host's here.
    monkeypatch.setattr(sandbox_build, "inside_environment", lambda _, base: dict(base))

    def write(build: str, setup: str = "echo virtualbox=7.2.22; echo python=3.14.1") -> None:
        (recipe / "sandbox/build.sh").write_text(build)
        (recipe / "sandbox/setup.sh").write_text(setup)

    return write


def test_create_makes_and_replaces(outside: Path, tools: Callable[..., None]) -> None:
    """A create makes it, the next does nothing, a forced one replaces it; steps are told."""
    sandbox = Sandbox(outside / "sandbox")
    notes: list[str] = []

    def listen(step: Step) -> None:
        notes.append(step.note)

    tools('mkdir "$1"; echo "I: downloading packages with apt..."; date +%N >"$1/file"')
    with subscribe(listen):
        assert sandbox.create().virtualbox == "7.2.22"
    assert "download the base system" in notes
    first = (sandbox.folder / "file").read_text()
    sandbox.create()
    assert (sandbox.folder / "file").read_text() == first
    sandbox.create(force=True)
    assert (sandbox.folder / "file").read_text() != first
    assert not sandbox_build.leftovers(sandbox.folder)


def test_failed_create_leaves_nothing(outside: Path, tools: Callable[..., None]) -> None:
    """The tool's last words are in the error, and what it made is gone; the old one stays."""
    sandbox = Sandbox(outside / "sandbox")
    tools('mkdir "$1"; echo "E: no space on the moon"; exit 5')
    with pytest.raises(SetupError, match="no space on the moon"):
        sandbox.create()
    assert not sandbox_build.leftovers(sandbox.folder)
    assert not sandbox.folder.exists()
    tools('mkdir "$1"')
    sandbox.create()
    tools('mkdir "$1"; exit 5')
    with pytest.raises(SetupError):
        sandbox.create(force=True)
    assert sandbox.status().exists


def test_leftovers_of_a_killed_create_go(outside: Path, tools: Callable[..., None]) -> None:
    """What a killed create left is removed by the next one, and by remove."""
    sandbox = Sandbox(outside / "sandbox")
    left = outside / "sandbox.partial-1/deep"
    left.mkdir(parents=True)
    tools('mkdir "$1"')
    sandbox.create()
    assert not left.exists()
    left.mkdir(parents=True)
    sandbox.remove()
    assert not left.exists()
    assert not sandbox.folder.exists()


def test_little_space_is_said_first(
    outside: Path, tools: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room nothing is begun."""
    monkeypatch.setattr(sandbox_build, "_NEEDED_MB", 2**40)
    tools('mkdir "$1"')
    with pytest.raises(SetupError, match="MB free"):
        Sandbox(outside / "sandbox").create()


def test_users_of_a_root(outside: Path) -> None:
    """An empty folder is nobody's root, and neither is one that is not there."""
    assert Sandbox(outside).users() == []
    assert Sandbox(outside / "none").users() == []

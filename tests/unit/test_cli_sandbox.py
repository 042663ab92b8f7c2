"""The command where only the sandbox has VirtualBox, or nothing has: what goes on in it."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

import pytest

from vboxkit.cli.__main__ import main
from vboxkit.com import installation, xpcom
from vboxkit.errors import SetupError
from vboxkit.host import sandbox, sandbox_entry

pytestmark = pytest.mark.usefixtures("plain_command")


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for VirtualBox in no place at all."""
    monkeypatch.setattr(installation, "_candidates", lambda _: iter(()))
    # Tests that ran before, in this process, may have found one.
    monkeypatch.delitem(sys.modules, "vboxapi", raising=False)
    monkeypatch.setattr(xpcom, "_open", None)


class _Box:
    """A sandbox that notes what it is asked for, and becomes nothing."""

    now = sandbox.SandboxStatus(Path("/cache/sandbox"))
    asked: list[tuple[str, Any]]

    def __init__(self) -> None:
        type(self).asked = []

    def status(self) -> sandbox.SandboxStatus:
        return self.now

    def create(self, *, force: bool = False) -> sandbox.SandboxStatus:
        self.asked.append(("create", force))
        return _there()

    def replace_process(self, command: list[str], **more: Any) -> NoReturn:
        self.asked.append(("run", (command, more)))
        raise SystemExit(7)

    def shell(self) -> int:
        return 5


def _there(**more: Any) -> sandbox.SandboxStatus:
    return sandbox.SandboxStatus(
        Path("/cache/sandbox"), exists=True, virtualbox="7.2.22", python="3.13.1", **more
    )


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> type[_Box]:
    """Put a double in the sandbox's place."""
    kind = type("Box", (_Box,), {"asked": []})
    monkeypatch.setattr(sandbox, "Sandbox", kind)
    return kind


def test_without_virtualbox_and_sandbox(
    monkeypatch: pytest.MonkeyPatch,
    box: type[_Box],
    nowhere: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The error ends with the command that mends it, and JSON's place stays empty."""
    for words in (["ls", "--json"], ["gc", "--json"], ["images", "ls", "--json"], ["ssh", "x"]):
        assert main(words) == 3
        shown = capsys.readouterr()
        assert "error: there is no VirtualBox: looked in " in shown.err
        assert ", and there is no sandbox\n" in shown.err
        assert "  try: vboxkit sandbox create\n" in shown.err
        assert not shown.out
    assert box.asked == []


def test_command_goes_on_in_the_sandbox(
    monkeypatch: pytest.MonkeyPatch, box: type[_Box], nowhere: None, tmp_path: Path
) -> None:
    """Where only the sandbox has VirtualBox, the same command starts again inside."""
    monkeypatch.setattr(box, "now", _there())
    appliance = tmp_path / "box.ova"
    appliance.touch()
    words = ["--home", "h", "run", str(appliance), "--", "sh", "-c", "exit 3"]
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 7
    [(what, (command, more))] = box.asked
    assert (what, command) == ("run", ["python", "-m", "vboxkit", *words])
    assert set(more["binds"]) == {tmp_path / "h", appliance}
    assert (tmp_path / "h").is_dir()


def test_stale_sandbox_is_not_entered(
    monkeypatch: pytest.MonkeyPatch,
    box: type[_Box],
    nowhere: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A sandbox of another version is an error with its remedy."""
    monkeypatch.setattr(box, "now", _there(stale=True))
    assert main(["ls"]) == 3
    assert "  try: vboxkit sandbox create\n" in capsys.readouterr().err
    assert box.asked == []


def test_demo_makes_the_sandbox(
    monkeypatch: pytest.MonkeyPatch, box: type[_Box], nowhere: None
) -> None:
    """The first command of a newcomer needs nothing before it."""
    boxes: list[tuple[str, Any]] = []
    monkeypatch.setattr(box, "__init__", lambda self: setattr(self, "asked", boxes))
    with pytest.raises(SystemExit):
        main(["demo"])
    assert [what for what, _ in boxes] == ["create", "run"]


def test_inside_the_sandbox_there_is_no_way_further_in(
    monkeypatch: pytest.MonkeyPatch,
    box: type[_Box],
    nowhere: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A sandbox whose VirtualBox is broken does not enter itself for ever."""
    monkeypatch.setattr(box, "now", _there())
    monkeypatch.setenv("VBOXKIT_SANDBOX", "/cache/sandbox")
    assert main(["ls"]) == 3
    said = capsys.readouterr().err
    assert "error: there is no VirtualBox: looked in " in said
    assert "no sandbox" not in said
    assert box.asked == []


def test_hint_with_a_path_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a space in its name stays one word."""
    monkeypatch.setattr(sandbox_entry, "__file__", "/my code/vboxkit/host/sandbox_entry.py")

    def distribution(name: str) -> NoReturn:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", distribution)
    with pytest.raises(SetupError) as caught:
        sandbox_entry.Package.running()
    assert caught.value.hint == "python -m pip install -e '/my code'"


def test_sandbox_run_leaves_arguments_alone(box: type[_Box]) -> None:
    """What looks like an option belongs to the command, before and after ``--``."""
    tail = ["python", "-m", "pytest", "-x", "--", "--help"]
    for words in (["--", *tail], tail):
        with pytest.raises(SystemExit) as end:
            main(["sandbox", "run", *words])
        assert end.value.code == 7
        assert box.asked == [("run", (tail, {}))]


def test_sandbox_status(
    monkeypatch: pytest.MonkeyPatch, box: type[_Box], capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code says whether it can be used; JSON has all that is known."""
    assert main(["sandbox", "status"]) == 1
    assert "vboxkit sandbox create makes one" in capsys.readouterr().out
    monkeypatch.setattr(box, "now", _there(created=1.0))
    assert main(["sandbox", "status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["virtualbox"] == "7.2.22"
    assert found["folder"] == "/cache/sandbox"
    assert main(["sandbox", "shell"]) == 5

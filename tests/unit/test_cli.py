"""The command without VirtualBox: help, usage, exit codes, errors as users see them, JSON."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import warnings
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
import pytest

import vboxkit
from vboxkit.cli import output, run, streams
from vboxkit.cli.__main__ import COMMANDS, ELSEWHERE, cli, main
from vboxkit.cli.live import _Lines, _Tree, showing
from vboxkit.cli.state import State
from vboxkit.cli.tour import _process
from vboxkit.com import installation, xpcom
from vboxkit.core.steps import step, subscribe
from vboxkit.errors import (
    EmulatedWarning,
    NotFoundError,
    SetupError,
    WaitTimeoutError,
)
from vboxkit.host import doctor, sandbox, sandbox_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

_GROUPS = {"images": ["ls", "build", "rm", "prune"], "ovf": ["inspect", "verify", "build"]}
_GROUPS["audit"] = ["show", "verify"]
_GROUPS["config"] = ["show"]
_GROUPS["snapshot"] = ["take", "restore", "tree", "rm"]
_GROUPS["net"] = ["show", "forward", "unforward", "policy"]
_GROUPS["media"] = ["ls", "tree", "create", "rm"]
_GROUPS["sandbox"] = ["create", "status", "run", "shell", "remove"]
_ALL = [[name] for name in COMMANDS] + [[g, sub] for g, subs in _GROUPS.items() for sub in subs]


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run each test in a folder and a home of its own, with consoles of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VBOXKIT_HOME", str(tmp_path / "home"))
    for name in ("VBOXKIT_DEBUG", "VBOXKIT_SANDBOX", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    output._console.cache_clear()
    yield
    output._console.cache_clear()


def _failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let ``vboxkit doctor`` end with an error."""

    def examine() -> NoReturn:
        raise error

    monkeypatch.setattr(doctor, "examine", examine)


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


@pytest.mark.parametrize("words", _ALL, ids=" ".join)
def test_help_has_an_example(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every command's help shows how it is used."""
    assert main([*words, "--help"]) == 0
    said = capsys.readouterr().out
    assert "Example" in said
    assert f"vboxkit {' '.join(words)}" in said.partition("Example")[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_summaries_are_the_commands_own(name: str) -> None:
    """The list of commands, which loads none of them, says what they say themselves."""
    function = name.replace("-", "_")
    module, function = ELSEWHERE.get(name, (function, function))
    command = getattr(import_module(f"vboxkit.cli.{module}"), function)
    assert command.help.strip().splitlines()[0] == COMMANDS[name]
    assert cli.get_command(click.Context(cli), name) is command


def test_help_loads_nothing_heavy() -> None:
    """``--help`` stays fast because it loads neither rich nor paramiko nor VirtualBox."""
    code = (
        "import sys; from vboxkit.cli.__main__ import main; main(['--help']);"
        "print([m for m in ('rich', 'paramiko', 'vboxapi', 'psutil', 'msgspec', 'vboxkit.lab')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("module", ["vboxkit", "vboxkit.cli"])
def test_module_is_the_command(module: str) -> None:
    """``python -m`` works with the package and with its command part."""
    done = subprocess.run(
        [sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"vboxkit {vboxkit.__version__}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rnu"], "did you mean 'run'?"),
        (["frobnicate"], "there are demo, ls, top"),
        (["run", "tiny"], "Missing argument 'COMMAND...'"),
        (["run"], "Missing argument 'IMAGE'"),
        (["run", "tiny", "uname", "-a"], "write -- before the command"),
        (["run", "tiny", "--env", "oops", "--", "true"], "'oops' is not NAME=VALUE"),
        (["run", "tiny", "--env", "a-b=1", "--", "true"], "'a-b=1' is not NAME=VALUE"),
        (["run", "tiny", "--timeout", "0", "--", "true"], "Invalid value for '--timeout'"),
        (["demo", "--forks", "0"], "Invalid value for '--forks'"),
        (["ls", "--jsno"], "--json"),
        (["images", "rm"], "Missing argument 'NAMES...'"),
        (["images", "build", "x.ova", "--key", "/nowhere/key"], "/nowhere/key"),
        (["ssh"], "Missing argument 'NAME'"),
        (["sandbox", "run"], "Missing argument 'COMMAND...'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage is exit code 2, with what is right."""
    assert main(words) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert not shown.out


def test_error_has_its_hint_on_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error is two lines: what happened, and what to try; no traceback."""
    _failing(monkeypatch, NotFoundError("there is no image 'x'", hint="vboxkit images ls"))
    assert main(["doctor"]) == 1
    shown = capsys.readouterr()
    assert shown.err == "error: there is no image 'x'\n  try: vboxkit images ls\n"
    assert not shown.out


def test_evidence_comes_after_the_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What helps to see why a wait was in vain is shown."""
    error = WaitTimeoutError("SSH", waited=3, last_seen="refused", evidence="serial: panic")
    _failing(monkeypatch, error)
    assert main(["doctor"]) == 1
    assert capsys.readouterr().err.endswith("(last seen: refused)\nserial: panic\n")


def test_host_that_is_not_ready_is_exit_code_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is missing on this machine is told apart from what failed."""
    _failing(monkeypatch, SetupError("VBoxSVC did not start", hint="read its log"))
    assert main(["doctor"]) == 3
    assert "  try: read its log\n" in capsys.readouterr().err


def test_debug_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """VBOXKIT_DEBUG=1 shows where an error comes from; the exit code is the same."""
    _failing(monkeypatch, NotFoundError("nothing"))
    monkeypatch.setenv("VBOXKIT_DEBUG", "1")
    assert main(["doctor"]) == 1
    said = capsys.readouterr().err
    assert "Traceback (most recent call last)" in said
    assert said.endswith("error: nothing\n")


def test_interrupt_is_exit_code_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C ends the command without a traceback."""
    _failing(monkeypatch, KeyboardInterrupt())
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err.split() == ["interrupted"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("place", ["mine", "xpcom.client"])
def test_signals_end_the_command(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """SIGTERM ends the command by an exception, but not inside of XPCOM, which would drop it."""
    inside: list[str] = []
    namespace: dict[str, Any] = {"__name__": place, "os": os, "signal": signal, "inside": inside}
    exec(  # noqa: S102 - a function of a module with that name
        "def call():\n os.kill(os.getpid(), signal.SIGTERM)\n inside.append('done')", namespace
    )

    def examine() -> NoReturn:
        namespace["call"]()
        signal.sigtimedwait([], 10)  # waits; ended by a signal that is handled
        raise AssertionError("it did not come")

    monkeypatch.setattr(doctor, "examine", examine)
    handlers = [signal.getsignal(it) for it in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(SystemExit) as end:
        main(["doctor"])
    assert end.value.code == 128 + signal.SIGTERM
    assert inside == (["done"] if place == "xpcom.client" else [])
    after = [signal.getsignal(it) for it in (signal.SIGINT, signal.SIGTERM)]
    assert after == handlers


def test_operating_system_errors_are_no_tracebacks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that may not be written to is an error, not a bug of ours."""
    _failing(monkeypatch, PermissionError(13, "Permission denied", "/forbidden"))
    assert main(["doctor"]) == 1
    assert capsys.readouterr().err == "error: Permission denied: /forbidden\n"


def test_bugs_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no user's mistake explains is not hidden."""
    _failing(monkeypatch, TypeError("a bug"))
    with pytest.raises(TypeError, match="a bug"):
        main(["doctor"])


def test_wrong_setting_names_the_right_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typo in pyproject.toml is an error with the nearest right name."""
    (tmp_path / "pyproject.toml").write_text("[tool.vboxkit]\nboot-timeuot = 3\n")
    assert main(["ls"]) == 2
    assert "  try: 'boot_timeout'\n" in capsys.readouterr().err


def test_home_option_is_the_strongest(tmp_path: Path) -> None:
    """``--home`` wins over the environment, and is made absolute."""
    state = State([])
    assert state.settings.home == tmp_path / "home"
    state = State([])
    state.home = "other"
    assert state.settings.home == tmp_path / "other"


# VirtualBox and the sandbox


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


def test_doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A problem is exit code 1; a warning is not; the remedy is shown."""
    findings = [doctor.Finding("driver", "warning", "absent", None)]
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    assert main(["doctor"]) == 0
    findings.append(doctor.Finding("disk", "problem", "full", "vboxkit gc"))
    assert main(["doctor"]) == 1
    assert "vboxkit gc" in capsys.readouterr().out
    assert main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[1] == {
        "name": "disk",
        "status": "problem",
        "detail": "full",
        "remedy": "vboxkit gc",
    }


# What is shown


def test_emulation_is_told_once_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The warning is a line of ours, without file and line number, and comes once."""

    def examine() -> list[doctor.Finding]:
        for _ in range(3):
            warnings.warn("machines are emulated", EmulatedWarning, stacklevel=1)
        return []

    monkeypatch.setattr(doctor, "examine", examine)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().err == "machines are emulated\n"


def test_steps_as_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal each step is a line, a failed one with its reason."""
    with subscribe(_Lines(output.err())):
        with pytest.raises(ValueError, match="bad"), step("outer"):
            with step("inner"):
                pass
            raise ValueError("bad")
        with step("noted") as noted:
            noted.update(note="half")
            noted.update(note="half")
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(" (")[0] for line in said] == [
        "outer ...",
        "  ok: inner",
        "FAILED: outer",
        "noted ...",
        "  ... half",
        "ok: noted",
    ]
    assert said[2].endswith("ValueError: bad")


def test_steps_as_a_tree() -> None:
    """In a terminal what runs is drawn, and what has ended stays above."""
    from rich.console import Console

    screen = io.StringIO()
    console = Console(file=screen, width=60, markup=False, highlight=False)
    tree = _Tree(console, keep=True)
    with subscribe(tree):
        with step("outer") as outer:
            with step("inner"):
                pass
            outer.update(percent=40, note="forty")
            console.print(tree)
        console.print(tree)
    lines = [line.strip() for line in screen.getvalue().splitlines() if line.strip()]
    assert "outer  40 %" in lines[0]
    assert "forty" in lines[0]
    assert "inner" in lines[1]
    assert lines[2].split()[1] == "outer"
    assert len(lines) == 4


def test_quiet_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Commands whose standard error belongs to a guest show no steps in a pipe."""
    with showing(plain=False), step("secret"):
        pass
    assert capsys.readouterr().err == ""


def test_numbers_for_people(tmp_path: Path) -> None:
    """Times and sizes are short; disk use counts blocks, as sparse files are short as well."""
    assert [output.duration(it) for it in (0.251, 61.0, 600, 86_400, 864_000)] == [
        "0.25 s",
        "61.0 s",
        "10 min",
        "24 h",
        "10 days",
    ]
    assert output.age(None) == ""
    assert output.size(5_816_320) == "5.8 MB"
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    assert 100_000 <= output.disk_use(tmp_path) < 200_000


def test_tables_in_narrow_terminals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table that does not fit becomes a list; one that fits, or has some room, stays."""
    rows = [["a-rather-long-name", "Running", "", 1234]]
    columns = ["name", "state", "image", "port>"]
    for width, lines in (
        ("30", ["a-rather-long-name", "  state: Running", "  port: 1234"]),
        ("50", [" name                 state     image   port "]),
    ):
        monkeypatch.setenv("COLUMNS", width)
        output._console.cache_clear()
        output.table("", columns, rows)
        said = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
        assert said[: len(lines)] == lines


def test_words_of_a_command() -> None:
    """One word is a shell line, several are arguments that no shell interprets."""
    assert streams.command_line(["ls | wc"]) == "ls | wc"
    assert streams.command_line(["sh", "-c", "exit 3"]) == ["sh", "-c", "exit 3"]


def test_variables_for_the_command() -> None:
    """A value may hold equals signs, and may be empty."""
    param: Any = None
    assert run._variables(param, param, ("A=b=c", "D=")) == {"A": "b=c", "D": ""}


def test_processes_of_a_guest() -> None:
    """Processes are told by pid and start; names may hold anything; kernel threads are not told."""
    fields = "S {} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 433 0"
    assert _process(f"42 (a ) b) {fields.format(1)}") == (42, 433)
    assert _process(f"2 (kthreadd) {fields.format(0)}") is None
    assert _process(f"9 (kworker) {fields.format(2)}") is None
    assert _process("garbage") is None

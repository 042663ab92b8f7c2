"""The command without VirtualBox: help, usage, exit codes, errors as users see them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click
import pytest

import vboxkit
from vboxkit.cli.__main__ import COMMANDS, ELSEWHERE, cli, main
from vboxkit.cli.state import State
from vboxkit.errors import NotFoundError, SetupError, WaitTimeoutError
from vboxkit.host import doctor

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("plain_command")

_GROUPS = {"images": ["ls", "build", "rm", "prune"], "ovf": ["inspect", "verify", "build"]}
_GROUPS["audit"] = ["show", "verify"]
_GROUPS["config"] = ["show"]
_GROUPS["snapshot"] = ["take", "restore", "tree", "rm"]
_GROUPS["net"] = ["show", "forward", "unforward", "policy"]
_GROUPS["media"] = ["ls", "tree", "create", "rm"]
_GROUPS["sandbox"] = ["create", "status", "run", "shell", "remove"]
_ALL = [[name] for name in COMMANDS] + [[g, sub] for g, subs in _GROUPS.items() for sub in subs]


def _failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let ``vboxkit doctor`` end with an error."""

    def examine() -> NoReturn:
        raise error

    monkeypatch.setattr(doctor, "examine", examine)


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

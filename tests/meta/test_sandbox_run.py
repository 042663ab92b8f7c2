from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import vboxkit
from vboxkit.core.waiting import wait_until
from vboxkit.host.sandbox import Sandbox, inside_sandbox

RUN = "import sys; from vboxkit.host.sandbox import Sandbox; "
#: The two ways in.
REPLACE = RUN + "Sandbox().replace_process(sys.argv[1:])"
WAIT = RUN + "sys.exit(Sandbox().run(sys.argv[1:]))"


@pytest.fixture(autouse=True, scope="module")
def sandbox() -> Sandbox:
    """Return the sandbox of this machine, if there is one."""
    if inside_sandbox():
        pytest.skip("runs inside a sandbox")
    if not Sandbox().status().exists:
        pytest.skip("there is no sandbox: vboxkit sandbox create")
    return Sandbox()


def start(*command: str, code: str = REPLACE, **options: object) -> subprocess.Popen[str]:
    """Start a command inside, with pipes."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # options are passed on
        [sys.executable, "-c", code, *command], text=True, **{**pipes, **options}
    )


def say(*command: str, code: str = REPLACE, given: str = "", **options: object) -> str:
    """Run a command inside that must succeed, and return what it prints."""
    with start(*command, code=code, **options) as process:
        out, err = process.communicate(given, timeout=60)
    assert process.returncode == 0, err
    return out.strip()


@pytest.mark.parametrize("code", [REPLACE, WAIT], ids=["replace", "wait"])
@pytest.mark.parametrize("number", [0, 7, 127])
def test_exit_code(code: str, number: int) -> None:
    """The command's exit code is ours."""
    with start("sh", "-c", f"exit {number}", code=code) as process:
        process.communicate(timeout=60)
    assert process.returncode == number


@pytest.mark.parametrize("code", [REPLACE, WAIT], ids=["replace", "wait"])
def test_streams(code: str) -> None:
    """Input reaches the command, its output and errors are apart."""
    with start("sh", "-c", "cat; echo wrong >&2", code=code) as process:
        out, err = process.communicate("over\n", timeout=60)
    assert (out, err) == ("over\n", "wrong\n")


def test_arguments_are_passed_as_they_are() -> None:
    """Spaces, quotes, empty words and dashes survive."""
    odd = ["a b", "", "'\"$HOME", "--", "-x"]
    assert say("printf", "[%s]", *odd) == "".join(f"[{word}]" for word in odd)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables go in; the mark, the path and the locale are the sandbox's."""
    monkeypatch.setenv("VBOXKIT_PROBE", "x y")
    monkeypatch.setenv("LC_ALL", "xx_XX.UTF-8")
    text = 'echo "$VBOXKIT_PROBE|$VBOXKIT_SANDBOX|${PATH%%:*}|$LC_ALL|$LANG"'
    assert say("sh", "-c", text) == f"x y|{Sandbox().folder}|/opt/vboxkit/bin||C.UTF-8"


def test_current_folder(tmp_path: Path) -> None:
    """The command starts where we are, and what it writes is there afterwards."""
    assert say("sh", "-c", "pwd; echo made >file", cwd=tmp_path) == str(tmp_path)
    assert (tmp_path / "file").read_text() == "made\n"


@pytest.mark.parametrize("folder", ["/", "/usr", "/etc"])
def test_system_folders_stay_the_sandboxs(folder: str) -> None:
    """Started in a system folder, a command still has the sandbox's programs."""
    assert say("sh", "-c", "pwd; ls /usr/lib/virtualbox/VBoxSVC", cwd=folder).startswith(folder)


def test_home_and_project_are_visible() -> None:
    """The home folder and the folder of the tests are at their own paths."""
    say("ls", "-d", str(Path.home()), cwd="/")
    say("ls", __file__, cwd=Path(__file__).parent)


def test_vboxkit_inside_is_the_one_outside() -> None:
    """The same version, the same files, its data, its command and its plugin."""
    code = (
        "import vboxkit, vboxapi, importlib.metadata as m;"
        "from vboxkit.core.resources import resource; resource('sandbox/enter.sh');"
        "print(vboxkit.__version__, m.version('vboxkit'),"
        " [e.value for e in m.entry_points(group='pytest11') if e.name == 'vboxkit'])"
    )
    plugin = "['vboxkit.pytest_plugin.plugin']"
    expected = f"{vboxkit.__version__} {vboxkit.__version__} {plugin}"
    assert say("python", "-c", code, cwd="/") == expected
    assert "pytest" in say("python", "-m", "pytest", "--version", cwd="/")
    assert vboxkit.__version__ in say("vboxkit", "--version", cwd="/")


def test_nothing_stays_mounted() -> None:
    """The mounts of this process are the same before, during and after a run."""
    table = Path("/proc/self/mountinfo")
    before = table.read_text()
    with start("sh", "-c", "echo in; cat") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        assert table.read_text() == before
        process.communicate("", timeout=60)
    assert table.read_text() == before


def test_runs_at_once() -> None:
    """Several commands at a time do not disturb each other."""
    with ThreadPoolExecutor(4) as pool:
        words = [f"word-{number}" for number in range(8)]
        assert list(pool.map(lambda word: say("cat", given=word), words)) == words


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_command(number: signal.Signals) -> None:
    """The process that was started has become the command: nothing is left in between."""
    # Not Python: a signal just before it sleeps would be noticed only afterwards.
    with start("sh", "-c", "echo in; exec sleep 50") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == -number


def test_users_are_seen_and_gone(sandbox: Sandbox) -> None:
    """A running command counts as a user of the sandbox, an ended one does not."""
    with start("sh", "-c", "echo in; cat") as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert process.pid in sandbox.users()
        process.communicate("", timeout=60)
    wait_until(
        lambda: None if process.pid in sandbox.users() else True,
        what="the command to be gone",
        timeout=5,
    )


def test_an_unknown_command_is_127() -> None:
    """As in a shell."""
    with start("no-such-command-anywhere") as process:
        process.communicate(timeout=60)
    assert process.returncode == 127

"""Completion in real shells, of a home that is laid out as VirtualBox does."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vboxkit.cli.__main__ import COMMANDS, main
from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="shells of POSIX")

_SHELLS = ("bash", "zsh", "fish")
#: How each shell is started without its user's files, and told the script.
_START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
_LOAD = {
    "bash": 'eval "$(vboxkit completion bash)"',
    "zsh": 'autoload -Uz compinit; compinit -u -D; eval "$(vboxkit completion zsh)"',
    "fish": "vboxkit completion fish | source",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay out a home with three machines, one with two snapshots, and an image."""
    place = tmp_path / "home"
    entries = []
    for name, snapshots in (("web", ("fresh", "tls &amp; more")), ("web two", ()), ("db", ())):
        file = place / "machines" / name / f"{name}.vbox"
        file.parent.mkdir(parents=True)
        inside = "".join(f'<Snapshot uuid="{{1}}" name="{one}"/>' for one in snapshots)
        file.write_text(f'<VirtualBox><Machine uuid="{{1}}" name="{name}">{inside}</Machine>')
        # VirtualBox writes both kinds of path.
        source = file if name == "db" else file.relative_to(place)
        entries.append(f'<MachineEntry uuid="{{1}}" src="{source}"/>')
    (place / "VirtualBox.xml").write_text(f"<VirtualBox>{''.join(entries)}</VirtualBox>")
    names = place / "images/1234/names"
    names.mkdir(parents=True)
    (names / "nginx").touch()
    monkeypatch.setenv("VBOXKIT_HOME", str(place))
    return place


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a `vboxkit` on the PATH that is this one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "vboxkit"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m vboxkit "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{environment()['PATH']}")
    package = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", package)


def ask(*words: str) -> tuple[list[str], str]:
    """Ask as bash does; the last word is not finished. Return the answers, and standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "vboxkit"],
        env={
            **environment(),
            "_VBOXKIT_COMPLETE": "bash_complete",
            "COMP_WORDS": "\n".join(["vboxkit", *words]),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    lines = [line.partition(",") for line in done.stdout.splitlines() if line]
    return [value if kind == "plain" else f"<{kind}>" for kind, _, value in lines], done.stderr


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["sto"], ["stop"]),
        (["snapshot", "re"], ["restore"]),
        (["info", ""], ["db", "web", r"web\ two"]),
        (["info", r"web\ t"], [r"web\ two"]),
        (["stop", "web", ""], ["db", r"web\ two"]),
        (["snapshot", "restore", "web", ""], ["fresh", r"tls\ \&\ more"]),
        (["snapshot", "restore", "db", ""], []),
        (["snapshot", "take", "web", "f"], []),
        (["run", ""], ["debian", "nginx", "tiny"]),
        (["run", "./x"], ["<file>"]),
        (["fork", "w"], ["web", r"web\ two"]),
        (["cp", "we"], [r"web\ two:", "web:"]),
        (["cp", "./f"], ["<file>"]),
        (["net", "policy", "web", "iso"], ["isolated"]),
        (["ls", "--js"], ["--json"]),
        (["completion", "f"], ["fish"]),
        (["import", "--rep"], ["--repair"]),
        (["no-such-command", ""], []),
    ],
    ids=" ".join,
)
def test_what_is_completed(home: Path, words: list[str], wanted: list[str]) -> None:
    """Commands, options, machines, snapshots, images, files; nothing where nothing fits."""
    assert ask(*words) == (wanted, "")


def test_every_command_is_completed(home: Path) -> None:
    """All that --help lists."""
    found, said = ask("")
    assert ([name for name in found if not name.startswith("-")], said) == (list(COMMANDS), "")


def test_another_home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--home and --user lead to other machines."""
    monkeypatch.setenv("VBOXKIT_HOME", str(tmp_path / "empty"))
    assert ask("info", "") == ([], "")
    assert ask("--home", str(home), "info", "d") == (["db"], "")
    monkeypatch.setenv("VBOX_USER_HOME", str(home))
    assert ask("info", "--user", "d") == (["db"], "")


@pytest.mark.parametrize("what", ["garbage", "no rights", "settings", "a folder"])
def test_never_an_error(home: Path, what: str) -> None:
    """Files that cannot be read, wrong settings: nothing is completed, and nothing is said."""
    file = home / "VirtualBox.xml"
    if what == "garbage":
        file.write_bytes(b'\xff\xfe<MachineEntry src="')
    elif what == "no rights":
        for one in (home / "machines").rglob("*.vbox"):
            one.unlink()
    elif what == "settings":
        os.environ["VBOXKIT_BOOT_TIMEOUT"] = "soon"
    else:
        file.unlink()
        file.mkdir()
    try:
        assert ask("info", "") == ([], "")
    finally:
        os.environ.pop("VBOXKIT_BOOT_TIMEOUT", None)


def _cpu_seconds() -> float:
    """Return what the processes have taken that this one has started and waited for."""
    times = os.times()
    return times.children_user + times.children_system


def test_it_is_quick_and_starts_nothing(home: Path) -> None:
    """It takes below 300 ms of CPU time, and loads nothing of VirtualBox, paramiko or rich."""
    took = []
    for _ in range(5):
        # Not the clock's time: that of a busy machine is other programs'.
        before = _cpu_seconds()
        ask("info", "")
        took.append(_cpu_seconds() - before)
    assert min(took) < 0.3
    code = (
        "import sys; from vboxkit.cli.__main__ import main; main(); sys.stderr.write(str([m for m"
        " in ('rich', 'paramiko', 'vboxapi', 'vboxkit.machines', 'vboxkit.lab.lab')"
        " if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **environment(),
            "_VBOXKIT_COMPLETE": "bash_complete",
            "COMP_WORDS": "vboxkit info w",
            "COMP_CWORD": "2",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout.split("\n")[0], done.stderr) == ("plain,web", "[]")


@pytest.mark.parametrize("shell", _SHELLS)
def test_the_script_is_printed(shell: str, capfd: pytest.CaptureFixture[str]) -> None:
    """It is the script alone; a shell that is there takes it."""
    assert main(["completion", shell]) == 0
    said = capfd.readouterr()
    assert ("_vboxkit_completion" in said.out, said.err) == (True, "")
    if shutil.which(shell):
        done = subprocess.run(
            [shell, "-n"], input=said.out, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_unknown_shell(capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the right ones."""
    assert main(["completion", "tcsh"]) == 2
    assert "'bash', 'zsh', 'fish'" in capsys.readouterr().err


#: What moves, colours and rings.
_CONTROL = re.compile(r"\x07|\x1b\[[0-9;?<>=]*[A-Za-z]|\x1b[=>]|\r")
#: Becomes a command whose terminal is its standard input: shells want to own theirs.
_OWN = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    " os.execvp(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """An interactive shell in a terminal."""

    def __init__(self, words: list[str], folder: Path) -> None:
        self.master, slave = os.openpty()
        self.seen = ""
        self._process = subprocess.Popen(
            [sys.executable, "-c", _OWN, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            start_new_session=True,
            env={
                **environment(),
                "HOME": str(folder),
                "TERM": "xterm",
                "PS1": "> ",
                "LC_ALL": "C.UTF-8",
                "fish_features": "no-query-term",
            },
        )
        os.close(slave)

    def type(self, text: str) -> None:
        """Type on its keyboard."""
        os.write(self.master, text.encode())

    def wait_for(self, pattern: str, *, timeout: float = 30) -> str:
        """Wait until it shows a text that was not seen yet, and return all that was new."""
        new, end = "", time.monotonic() + timeout
        while not re.search(pattern, _CONTROL.sub("", new)):
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {pattern!r} in {new!r}"
            new += os.read(self.master, 65536).decode(errors="replace")
        return new

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        os.close(self.master)


@pytest.fixture
def terminal(home: Path, programs: None, tmp_path: Path) -> Iterator[Callable[[str], Terminal]]:
    """Open shells that know the script."""
    opened = []

    def start(shell: str) -> Terminal:
        if not shutil.which(shell):
            pytest.skip(f"{shell} is not installed")
        opened.append(Terminal(_START[shell], tmp_path))
        opened[-1].type(f"{_LOAD[shell]}; echo load''ed\n")
        opened[-1].wait_for("loaded")
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.mark.parametrize("shell", _SHELLS)
def test_in_the_shell(terminal: Callable[[str], Terminal], shell: str) -> None:
    """A command, a machine, a snapshot with blanks: each by the tabulator, in one line."""
    it = terminal(shell)
    it.type("echo vboxkit; vboxkit snapsh\t")
    it.wait_for("snapshot")
    it.type("rest\t")
    it.wait_for("restore")
    it.type("we\t")
    it.wait_for("web")
    # There are two: "web" is as far as it comes.
    it.type(" tl\t")
    shown = it.wait_for(r"more")
    assert "rror" not in shown
    assert "Traceback" not in shown

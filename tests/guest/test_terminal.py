"""The command's terminal: raw and back again, sizes, exit codes, hanging up; and its streams."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.guest.terminals import set_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODE = """
import sys
from vboxkit.cli import guest_shell, streams
from vboxkit.guest import SSH, Address, Credentials
from vboxkit.settings import Settings

how, port, key = sys.argv[1], int(sys.argv[2]), sys.argv[3]
settings = Settings(command_timeout=30)
with SSH(Address("127.0.0.1", port), Credentials("root", key_file=key), settings=settings) as ssh:
    if how == "shell":
        sys.exit(guest_shell.interact(ssh))
    sys.exit(streams.execute(ssh, sys.argv[4:], stdin=streams.live_input()))
"""


class Window:
    """A terminal with a shell of the guest in it."""

    def __init__(self, guest: Any, key: Path) -> None:
        self.master, self.slave = os.openpty()
        set_size(self.master, 90, 30)
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", CODE, "shell", str(guest.port), str(key)],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env={**os.environ, "TERM": "vt100"},
        )

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())

    def until(self, text: str) -> None:
        """Wait until this is shown; what came before is forgotten."""
        import select

        end = time.monotonic() + 30
        while text.encode() not in self.seen:
            assert select.select([self.master], [], [], max(0, end - time.monotonic()))[0], (
                self.seen
            )
            self.seen += os.read(self.master, 4096)
        self.seen = self.seen.partition(text.encode())[2]

    def restored(self) -> bool:
        """Tell whether the terminal is as it was."""
        return termios.tcgetattr(self.slave) == self.before


@pytest.fixture
def window(guest: Any, keys: dict[str, Path]) -> Iterator[Window]:
    """Open a window with a shell in it that has shown its prompt."""
    it = Window(guest, keys["user"])
    try:
        it.until("prompt> ")
        yield it
    finally:
        it.process.kill()
        it.process.wait(30)
        os.close(it.master)
        os.close(it.slave)


def test_a_session(window: Window) -> None:
    """Keys go to the guest, Ctrl-C too; the exit code is the shell's, the terminal is restored."""
    assert not window.restored()
    window.type("echo 4$((1+1))~.\r")
    window.until("42~.")
    # Not before it runs: a shell that is just about to start it may take Ctrl-C for its own.
    window.type("sh -c 'echo asle\"\"ep; exec sleep 300'\r")
    window.until("asleep")
    window.type("\x03")
    window.until("prompt> ")
    window.type("~~ exit 7\r")
    window.until("~ exit 7")
    window.until("prompt> ")
    window.type("exit 7\r")
    assert window.process.wait(30) == 7
    assert window.restored()


def test_the_size_follows(window: Window) -> None:
    """The shell has the size of the window, and gets each new one."""
    window.type("stty size\r")
    window.until("30 90")
    set_size(window.master, 120, 44)
    window.process.send_signal(signal.SIGWINCH)
    window.type("stty size; stty size\r")
    window.until("44 120")


def test_hanging_up(window: Window, guest: Any) -> None:
    """``~.`` after Enter ends it at once, also if the guest does not answer."""
    guest.sockets[0].trip("hang")
    window.type("\r~.")
    assert window.process.wait(30) == 255
    assert window.restored()


def test_a_guest_that_dies(window: Window, guest: Any) -> None:
    """The terminal is restored, and the error is one of vboxkit."""
    guest.disconnect()
    window.until("GuestConnectionError")
    assert window.process.wait(30) == 1
    assert window.restored()


def execute(guest: Any, key: Path, *words: str, **options: Any) -> subprocess.Popen[bytes]:
    """Run a command of the guest with this process's streams."""
    return subprocess.Popen(
        [sys.executable, "-c", CODE, "run", str(guest.port), str(key), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def test_streams_come_live(guest: Any, keys: dict[str, Path]) -> None:
    """Output comes while the command runs, input goes as it is typed, the exit code at last."""
    with execute(
        guest, keys["user"], "echo begun; read x; echo got $x >&2; exit 9", stdin=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"begun\n"
        process.stdin.write(b"word\n")
        process.stdin.flush()
        assert process.stderr.readline() == b"got word\n"
        assert process.wait(30) == 9  # although its input is still open


def test_a_reader_that_goes_away(guest: Any, keys: dict[str, Path]) -> None:
    """Like any program whose pipe breaks it ends, without a word, and so does the command."""
    with execute(guest, keys["user"], "yes", stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"y\n"
        process.stdout.close()
        assert process.wait(30) == 141
        assert process.stderr.read() == b""

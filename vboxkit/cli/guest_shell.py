"""A shell in the guest whose terminal is this one."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from vboxkit.cli import streams
from vboxkit.cli.keys import raw
from vboxkit.errors import GuestConnectionError, VBoxKitError
from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.guest.shell import GuestShell
    from vboxkit.guest.ssh import SSH

__all__ = ["interact"]

#: Seconds: nobody has to type.
_FOR_EVER = 1e6
_RESIZE, _QUIT = b"r", b"q"


def interact(ssh: SSH) -> int:
    """
    Open a shell in the guest in this terminal until it ends, and return its exit code.

    Keys go to the guest as they are, Ctrl-C too; ``~.`` at the beginning of a line hangs up, for a
    guest that does not answer any more. The terminal is as it was afterwards, whatever happens.

    Raises:
        GuestConnectionError: The connection broke.
    """
    columns, rows = _size(sys.stdin.fileno())
    kind = environment().get("TERM", "vt100")
    with ssh.shell(terminal=kind, columns=columns, rows=rows) as shell, raw(sys.stdin.fileno()):
        keyboard = _Keyboard(shell, sys.stdin.fileno())
        with keyboard.read():
            try:
                while data := shell.read_bytes(timeout=_FOR_EVER):
                    sys.stdout.buffer.write(data)
                    sys.stdout.buffer.flush()
            except GuestConnectionError:
                if not keyboard.hung_up:
                    raise
    return streams.UNKNOWN if shell.exit_code is None else shell.exit_code


def _size(fd: int) -> tuple[int, int]:
    """Return columns and rows: those of the terminal, whatever COLUMNS and LINES say."""
    try:
        columns, rows = os.get_terminal_size(fd)
    except OSError:
        columns = rows = 0
    return columns or 80, rows or 24


class _Keyboard:
    """Passes on what is typed, and the size of the terminal, from a thread of its own."""

    def __init__(self, shell: GuestShell, fd: int) -> None:
        self.hung_up = False
        self._shell = shell
        self._fd = fd
        self._before = b"\r"

    @contextmanager
    def read(self) -> Iterator[None]:
        """Do so during the block."""
        out, into = os.pipe()

        # A handler may interrupt whatever holds paramiko's locks, so the thread does the work.
        def resized(*_: object) -> None:
            os.write(into, _RESIZE)

        thread = threading.Thread(target=self._loop, args=(out,), name="vboxkit-keyboard")
        usual = signal.signal(signal.SIGWINCH, resized)
        thread.start()
        try:
            yield
        finally:
            signal.signal(signal.SIGWINCH, usual)
            os.write(into, _QUIT)
            thread.join()
            os.close(out)
            os.close(into)

    def _loop(self, orders: int) -> None:
        # What goes wrong here, the reader of the shell sees as well.
        with suppress(VBoxKitError, OSError):
            while True:
                ready, _, _ = select.select([self._fd, orders], [], [])
                if orders in ready:
                    if _QUIT in os.read(orders, 100):
                        return
                    self._shell.resize(*_size(self._fd))
                elif self._typed(os.read(self._fd, 1 << 12)):
                    return

    def _typed(self, keys: bytes) -> bool:
        """Pass on what was typed, and tell whether it was the last."""
        if not keys:
            self._shell.close_stdin()
            return True
        send = b""
        for key in (keys[i : i + 1] for i in range(len(keys))):
            if self._before == b"~" and key == b".":
                self.hung_up = True
                self._shell.close()
                return True
            if self._before == b"~" and key != b"~":
                send += b"~"  # it was held back
            begins = self._before in {b"\r", b"\n"}
            self._before = key if key != b"~" or begins else b"x"
            if self._before != b"~":
                send += key
        if send:
            self._shell.send(send)
        return False

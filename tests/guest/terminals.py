"""The part of the server in this process that gives terminals and their sizes."""

# ruff: noqa: D102 - most methods are paramiko's

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import termios
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import paramiko

if TYPE_CHECKING:
    from collections.abc import Callable


def set_size(fd: int, columns: int, rows: int) -> None:
    """Give a terminal its size in characters."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Terminals(paramiko.ServerInterface):
    """Runs commands in a terminal of this machine."""

    guest: Any
    finish: Callable[[paramiko.Channel, int], None]

    def __init__(self) -> None:
        super().__init__()
        #: By channel: both ends.
        self.terminals: dict[int, tuple[int, int]] = {}

    def check_channel_pty_request(  # noqa: PLR0917 - paramiko's signature
        self,
        channel: paramiko.Channel,
        term: bytes,
        width: int,
        height: int,
        pixelwidth: int,
        pixelheight: int,
        modes: bytes,
    ) -> bool:
        if not self.guest.terminals:
            return False
        ends = os.openpty()
        set_size(ends[0], width, height)
        self.terminals[channel.chanid] = ends
        return True

    def check_channel_window_change_request(
        self, channel: paramiko.Channel, width: int, height: int, pixelwidth: int, pixelheight: int
    ) -> bool:
        set_size(self.terminals[channel.chanid][0], width, height)
        return True

    def in_terminal(self, channel: paramiko.Channel, text: str) -> None:
        """Run a shell line in the terminal of a channel, and pass everything on."""
        master, slave = self.terminals[channel.chanid]
        name = os.ttyname(slave)
        (self.guest.folder / ".profile").write_text("PS1='prompt> '\n")
        process = subprocess.Popen(
            # The first terminal that a new session opens is the one that controls it.
            ["/bin/sh", "-c", f"exec < {name} > {name} 2>&1; {text}"],
            cwd=self.guest.folder,
            env={**os.environ, "HOME": str(self.guest.folder), "SHELL": "/bin/sh"},
            start_new_session=True,
        )
        self.guest.processes.append(process)
        codes: list[int] = []

        def end() -> None:
            codes.append(process.wait())
            # Not before: a terminal that nobody has open is at its end.
            os.close(slave)

        def feed() -> None:
            with suppress(OSError):
                while block := channel.recv(1 << 16):
                    os.write(master, block)
            with suppress(ProcessLookupError):  # hung up
                os.killpg(process.pid, signal.SIGHUP)

        helpers = [threading.Thread(target=work, daemon=True) for work in (feed, end)]
        for helper in helpers:
            helper.start()
        with suppress(OSError, EOFError):
            while block := os.read(master, 1 << 16):
                channel.sendall(block)
        helpers[1].join(5)
        with suppress(OSError, EOFError):
            self.finish(channel, codes[0])
        helpers[0].join(5)
        os.close(master)

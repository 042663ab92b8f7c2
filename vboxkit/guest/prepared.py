"""A shell that was started in the guest before there is something for it to run."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from vboxkit.guest import commands, stopping

if TYPE_CHECKING:
    import paramiko

    from vboxkit.guest.transport import Ending, Transport

__all__ = ["PreparedShell"]

#: The same shell as for any command, so what holds of those holds of this one. `read` takes one
#: byte at a time, and so nothing of what the command is to read.
_WAIT = 'echo; IFS= read -r VBOXKIT_LINE && eval "$VBOXKIT_LINE"'
#: Bytes. A tiny emulated guest reads 5 of them in a millisecond; longer ones are faster by a new
#: shell, which costs it 55 ms.
_MOST = 250


class PreparedShell:
    """
    A shell in the guest that waits for its one command; a context manager that ends it.

    Args:
        transport: The connection.
        timeout: Seconds that the shell may take to start.

    Attributes:
        transport: What was given.
        channel: Where it runs.
        ending: What is known of its end.
        mark: The mark of the command that it will run.

    Raises:
        EOFError: It did not start.
    """

    def __init__(self, transport: Transport, *, timeout: float) -> None:
        self.transport = transport
        self.mark = stopping.new_mark()
        self._stack = ExitStack()
        done = False
        try:
            with transport.watch.limit(timeout):
                self.channel, self.ending = self._stack.enter_context(
                    commands.open_channel(transport, timeout)
                )
                self._exec = commands.Exec(
                    transport,
                    self.channel,
                    self.ending,
                    commands.shell_line(_WAIT, mark=self.mark, cwd=None, env=None),
                )
                self.channel.settimeout(timeout)
                if self.channel.recv(1) != b"\n":
                    raise EOFError("the shell did not start")
                self.channel.settimeout(None)
            done = True
        finally:
            if not done:
                self.close()

    @property
    def usable(self) -> bool:
        """Whether it still waits, as far as is known here."""
        return self.transport.is_active() and not (
            self.channel.closed or self.channel.eof_received or self._exec.ended
        )

    def run(self, line: str) -> commands.Exec:
        """Have it run a line that `fits`; return what runs now."""
        # Each byte costs; the mark has been there since it started.
        line = line.replace(f"export {commands.MARK}={self.mark}; ", "", 1)
        self.channel.sendall(f"{line}\n".encode())
        return self._exec

    @staticmethod
    def fits(line: str) -> bool:
        """Whether a line is short enough to be worth it, and a line."""
        return len(line) <= _MOST and "\n" not in line

    def __enter__(self) -> tuple[Transport, paramiko.Channel, Ending]:
        return self.transport, self.channel, self.ending

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it; doing it twice does no harm."""
        self._stack.close()

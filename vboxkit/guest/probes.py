"""Conditions that are looked at from this host."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vboxkit.core.waiting import Deadline
from vboxkit.guest.readiness import HostLook

if TYPE_CHECKING:
    from collections.abc import Generator

    from vboxkit.guest.waiting import Surroundings

__all__ = ["Address", "ConsoleText", "HostPort"]

#: Seconds. VirtualBox's NAT accepts a connection before it asks the guest, and closes it when the
#: guest refuses; a server that says nothing is taken to be there if it was not closed for so long.
_QUIET = 1.0
#: Seconds to wait for the answer to what was sent; then a new connection is tried.
_ANSWER = 5.0


@dataclass(frozen=True)
class ConsoleText(HostLook):
    """See `console_text`; its value is the match."""

    pattern: re.Pattern[str]
    start: int = 0

    @property
    def what(self) -> str:
        """See `Condition`."""
        return f"{self.pattern.pattern!r} on the serial console"

    def looks(self, around: Surroundings) -> Generator[re.Match[str] | None, None, None]:
        """See `HostLook`."""
        seen = -1
        while True:
            size = around.console.mark()
            found = None
            if size != seen:  # else reading and searching again would find nothing new
                # Taken before reading: what is written in between is read again next time.
                seen = size
                found = self.pattern.search(around.console.text(self.start))
            yield found

    def seen(self, around: Surroundings) -> str:
        """See `HostLook`."""
        return f"last line {around.console.tail(1)!r}"


@dataclass(frozen=True)
class Address(HostLook):
    """See `ip`; its value is the address."""

    #: A look takes 4 ms, in three processes.
    poll: ClassVar[float] = 0.04

    @property
    def what(self) -> str:
        """See `Condition`."""
        return "the guest's address"

    def looks(self, around: Surroundings) -> Generator[str | None, None, None]:
        """See `HostLook`."""
        while True:
            yield around.address()


@dataclass(frozen=True)
class HostPort(HostLook):
    """See `port`; its value is what the server said first."""

    number: int
    send: bytes | None = None

    @property
    def what(self) -> str:
        """See `Condition`."""
        return f"port {self.number} through its forward"

    def looks(self, around: Surroundings) -> Generator[bytes | None, None, None]:
        """See `HostLook`; of one connection at a time."""
        while True:
            with suppress(OSError):
                yield from self._visit(around.forward(self.number))
            yield None

    def _visit(self, where: tuple[str, int]) -> Generator[bytes | None, None, None]:
        """Look at a new connection until something is known of it."""
        patience = Deadline(_QUIET if self.send is None else _ANSWER)
        with socket.create_connection(where, _ANSWER) as sock:
            if self.send:
                sock.sendall(self.send)
            sock.setblocking(False)
            while not patience.expired:
                try:
                    data = sock.recv(4096)
                except BlockingIOError:
                    yield None
                    continue
                if data:
                    yield data
                return  # closed: nobody is there
            # Nobody closed it: somebody waits to be spoken to. If so, but silent, not yet.
            if self.send is None:
                yield b""

    def seen(self, around: Surroundings) -> str:
        """See `HostLook`."""
        host, number = around.forward(self.number)
        return f"nobody who speaks behind {host}:{number}"

"""Conditions that are looked at from this host."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vboxkit.core.waiting import Deadline
from vboxkit.guest.readiness import HostLook

if TYPE_CHECKING:
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

    def look(self, around: Surroundings) -> re.Match[str] | None:
        """See `HostLook`."""
        return self.pattern.search(around.console.text(self.start))

    def seen(self, around: Surroundings) -> str:
        """See `HostLook`."""
        return f"last line {around.console.tail(1)!r}"


@dataclass(frozen=True)
class Address(HostLook):
    """See `ip`; its value is the address."""

    poll: ClassVar[float] = 0.25

    @property
    def what(self) -> str:
        """See `Condition`."""
        return "the guest's address"

    def look(self, around: Surroundings) -> str | None:
        """See `HostLook`."""
        return around.address()


@dataclass(frozen=True)
class HostPort(HostLook):
    """See `port`; its value is what the server said first."""

    number: int
    send: bytes | None = None
    poll: ClassVar[float] = 0.05

    @property
    def what(self) -> str:
        """See `Condition`."""
        return f"port {self.number} through its forward"

    def look(self, around: Surroundings) -> bytes | None:
        """See `HostLook`."""
        patience = Deadline(_QUIET if self.send is None else _ANSWER)
        try:
            with socket.create_connection(around.forward(self.number), _ANSWER) as sock:
                if self.send:
                    sock.sendall(self.send)
                sock.settimeout(max(0.01, patience.remaining))
                try:
                    return sock.recv(4096) or None
                except TimeoutError:
                    # Nobody closed it: somebody waits to be spoken to. If so, but silent, not yet.
                    return b"" if self.send is None else None
        except OSError:
            return None

    def seen(self, around: Surroundings) -> str:
        """See `HostLook`."""
        host, number = around.forward(self.number)
        return f"nobody who speaks behind {host}:{number}"

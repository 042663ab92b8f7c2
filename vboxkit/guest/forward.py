"""What all tunnels have: their connections, their error, their end."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from vboxkit.core.waiting import Deadline
from vboxkit.guest.relay import BrokenError, Relay

if TYPE_CHECKING:
    import paramiko
    from typing_extensions import Self

    from vboxkit.errors import VBoxKitError
    from vboxkit.guest.transport import Transport
    from vboxkit.guest.tunnels import Tunnels

__all__ = ["JOIN", "Forward", "checked_port"]

#: Seconds. How long `close` waits for its threads.
JOIN = 10.0


def checked_port(port: int, *, lowest: int = 1) -> int:
    """
    Return a port number.

    Raises:
        ValueError: It is none.
    """
    if type(port) is not int or not lowest <= port <= 65_535:
        raise ValueError(f"a TCP port is a number from {lowest} to 65535, not {port!r}")
    return port


class Forward:
    """
    A tunnel; a context manager.

    Attributes:
        error: Why the last connection through it that failed did so: `TunnelError` if its target
            refused it, `GuestConnectionError` if the SSH connection broke or could not be made.
        closed: Whether it was closed.
    """

    def __init__(self, ssh: Tunnels) -> None:
        self.error: VBoxKitError | None = None
        self._ssh = ssh
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._relays: dict[threading.Thread, Relay | socket.socket | None] = {}

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closing.is_set()

    @property
    def connections(self) -> int:
        """How many connections there are through it now, those being made among them."""
        with self._lock:
            return len(self._relays)

    def close(self) -> None:
        """
        Free the port and reset all connections; doing it twice does no harm.

        Waits for the threads, up to 10 s each: one that is just connecting to a guest that does
        not answer ends when `Settings.ssh_timeout` is over.
        """
        if self._closing.is_set():
            return
        self._closing.set()
        with suppress(ValueError):
            self._ssh._tunnels.remove(self)  # noqa: SLF001 - its keeper
        self._stop()
        with self._lock:
            going = dict(self._relays)
        for relay in going.values():
            if isinstance(relay, Relay):
                relay.cut()
            elif relay is not None:
                with suppress(OSError):
                    relay.shutdown(socket.SHUT_RDWR)
        deadline = Deadline(JOIN)
        for thread in going:
            if thread is not threading.current_thread():
                thread.join(deadline.remaining)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stop(self) -> None:
        """Take no more connections."""
        raise NotImplementedError

    def _carry(self, sock: socket.socket, channel: paramiko.Channel, transport: Transport) -> None:
        me = threading.current_thread()
        relay = Relay(sock, channel, transport, name=f"{me.name}-up")
        with self._lock:
            self._relays[me] = relay
        if self._closing.is_set():
            relay.cut()
        try:
            relay.run()
        except BrokenError as error:
            self.error = self._ssh._broken(error, f"in the middle of {self!r}")  # noqa: SLF001
            self.error.__cause__ = error

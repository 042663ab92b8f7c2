"""A tunnel that begins at a port in the guest, and leads to this host."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import paramiko

from vboxkit.errors import GuestConnectionError, TunnelError
from vboxkit.guest import commands
from vboxkit.guest.forward import Forward, checked_port

if TYPE_CHECKING:
    from vboxkit.guest.transport import Transport
    from vboxkit.guest.tunnels import Tunnels

__all__ = ["RemoteForward"]

#: Seconds. How long a service of this host may take to accept.
_SERVICE = 30.0


class RemoteForward(Forward):
    """
    A port in the guest that leads to this host; see `SSH.forward_remote`.

    A dropbear in the guest frees the port only when its connection ends: `close` ends an idle one,
    and leaves one that is in use, which `error` tells then.

    Attributes:
        guest_host: The address in the guest.
        guest_port: The port in the guest.
        host: Where it leads to, as this host sees it.
        port: The port there.
    """

    def __init__(
        self, ssh: Tunnels, port: int, *, local_host: str, guest_host: str, guest_port: int
    ) -> None:
        super().__init__(ssh)
        self.guest_host = guest_host
        self.guest_port = checked_port(guest_port, lowest=0)
        self.host = local_host
        self.port = port
        self._transport: Transport | None = None

    @property
    def active(self) -> bool:
        """Whether the guest listens now; after a break, the next use of the `SSH` sees to it."""
        transport = self._transport
        return not self.closed and transport is not None and transport.is_active()

    def is_for(self, transport: Transport, port: int) -> bool:
        """Tell whether a connection that the guest hands on is this one's."""
        return self._transport is transport and self.guest_port == port

    def listen(self, transport: Transport) -> None:
        """
        Have the guest listen.

        Raises:
            TunnelError: It does not.
            GuestConnectionError: The connection broke.
        """
        where = f"{self.guest_host}:{self.guest_port}"
        try:
            port = self._ssh._ask_to_listen(transport, self.guest_host, self.guest_port)  # noqa: SLF001
        except (EOFError, OSError) as error:
            raise self._ssh._broken(error, f"listening on {where} in the guest") from error  # noqa: SLF001
        if port is None:
            raise TunnelError(
                f"{self._ssh.name}: the guest does not listen on {where} for us",
                hint="is that port taken in the guest, or below 1024 and the user not root? Leave "
                "guest_port out to get a free one. Or the SSH server does not allow forwards",
            )
        self.guest_port = port
        self._transport = transport

    def renew(self, transport: Transport) -> None:
        """Have the guest listen again if it was over another connection; see `error` if not."""
        with self._ssh._listening:  # noqa: SLF001
            if self._transport is transport or self.closed:
                return
            try:
                self.listen(transport)
            except (TunnelError, GuestConnectionError) as error:
                self.error = error

    def serve_channel(self, channel: paramiko.Channel, transport: Transport) -> None:
        """Connect a connection from the guest to the service."""
        me = threading.current_thread()
        me.name = f"vboxkit-tunnel-guest-{self.guest_port}"
        sock = None
        with self._lock:
            self._relays[me] = None
        try:
            try:
                sock = socket.create_connection((self.host, self.port), timeout=_SERVICE)
            except OSError as error:
                self.error = TunnelError(
                    f"no connection from this host to {self.host}:{self.port}, asked for by "
                    f"{self._ssh.name}: {error}",
                    hint="is the service up on this host?",
                )
                self.error.__cause__ = error
                transport.endings.pop(channel.chanid, None)
                with transport.watch.limit(commands.MARGIN):
                    channel.close()
                return
            sock.settimeout(None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._carry(sock, channel, transport)
        finally:
            if sock is not None:
                sock.close()
            with self._lock:
                self._relays.pop(me, None)

    def _stop(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None and transport.is_active():
            stopped = True
            with suppress(OSError, EOFError, paramiko.SSHException):
                stopped = self._ssh._ask_to_stop(transport, self.guest_host, self.guest_port)  # noqa: SLF001
            if not stopped:
                self.error = TunnelError(
                    f"{self._ssh.name}: the guest's SSH server goes on listening on "
                    f"{self.guest_host}:{self.guest_port} until its connection ends",
                    hint="nothing is connected by that any more; disconnect() ends the connection",
                )

    def __repr__(self) -> str:
        there = f"{self.guest_host}:{self.guest_port} of {self._ssh.name}"
        return f"<RemoteForward {there} to {self.host}:{self.port}>"

"""Tunnels over the guest's SSH connection: ports from here into the guest, and back."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import paramiko

from vboxkit.core.waiting import Deadline
from vboxkit.guest import commands
from vboxkit.guest.connection import Connection
from vboxkit.guest.forward import checked_port
from vboxkit.guest.forwards import LocalForward, SocksProxy
from vboxkit.guest.remote_forward import RemoteForward
from vboxkit.guest.transport import Ending

if TYPE_CHECKING:
    from vboxkit.guest.forward import Forward
    from vboxkit.guest.transport import Transport

__all__ = ["Tunnels"]


class Tunnels(Connection):
    """
    The tunnel methods of `SSH`.

    A tunnel is open when its method returns, takes any number of connections at once, and is
    closed by `Forward.close`, by the end of a ``with``, and together with the `SSH`. When the
    guest's SSH connection breaks, the connections through it are reset, and the next one makes a
    new SSH connection.
    """

    def forward_local(
        self,
        guest_port: int | str,
        *,
        host: str = "127.0.0.1",
        local_port: int = 0,
        local_host: str = "127.0.0.1",
    ) -> LocalForward:
        """
        Make a port of this host lead to a port that the guest can reach.

        The guest is not contacted until somebody connects.

        Args:
            guest_port: The port, or the path of a Unix socket in the guest.
            host: Where that port is, as the guest sees it: itself, or a machine in its network.
            local_port: The port here; a free one if left out.
            local_host: The address here; others than this host's own programs can only connect if
                it is one of its addresses in a network.

        Raises:
            PortInUseError: The port here is taken, or the address is none of this host.
            ValueError: A port is out of range.

        Example:
            >>> with vm.ssh.forward_local(5432) as tunnel:                  # doctest: +SKIP
            ...     psycopg.connect(host=tunnel.host, port=tunnel.port)
        """
        forward = LocalForward(
            self, guest_port, guest_host=host, local_host=local_host, local_port=local_port
        )
        return forward.opened()

    def forward_remote(
        self,
        local_port: int,
        *,
        host: str = "127.0.0.1",
        guest_port: int = 0,
        guest_host: str = "127.0.0.1",
    ) -> RemoteForward:
        """
        Make a port in the guest lead to a service that this host can reach.

        Connects to the guest if not connected. After a break of the SSH connection the guest
        listens again as soon as anything uses the `SSH`; see `RemoteForward.active`.

        Args:
            local_port: The service's port.
            host: Where the service is, as this host sees it.
            guest_port: The port in the guest; one that the guest chooses if left out.
            guest_host: The address in the guest. Others than its own programs can only connect if
                it is one of its addresses in a network and the SSH server allows it.

        Raises:
            TunnelError: The guest does not listen there: the port is taken, or not allowed.
            GuestConnectionError: The guest cannot be reached.
            ValueError: A port is out of range.

        Example:
            >>> with vm.ssh.forward_remote(8000) as tunnel:                 # doctest: +SKIP
            ...     vm.ssh.succeed(f"wget -qO- http://127.0.0.1:{tunnel.guest_port}/")
        """
        forward = RemoteForward(
            self,
            checked_port(local_port),
            local_host=host,
            guest_host=guest_host,
            guest_port=guest_port,
        )
        with self._listening:
            forward.listen(self._live(Deadline(self.settings.ssh_timeout)))
            self._tunnels.append(forward)
        return forward

    def socks(self, *, local_port: int = 0, local_host: str = "127.0.0.1") -> SocksProxy:
        """
        Open a SOCKS5 proxy on this host that connects from within the guest.

        It knows CONNECT without a login, for IPv4, IPv6 and names, which the guest resolves.

        Args:
            local_port: The port here; a free one if left out.
            local_host: The address here.

        Raises:
            PortInUseError: The port here is taken, or the address is none of this host.

        Example:
            >>> with vm.ssh.socks() as proxy:                               # doctest: +SKIP
            ...     subprocess.run(["curl", "--proxy", proxy.url, "http://intern/"])
        """
        return SocksProxy(self, local_host=local_host, local_port=local_port).opened()

    @property
    def tunnels(self) -> tuple[Forward, ...]:
        """The tunnels that are open."""
        return tuple(self._tunnels)

    def close(self) -> None:
        """Close the tunnels and the connection; the next use connects anew."""
        for tunnel in self.tunnels:
            tunnel.close()
        super().close()

    def disconnect(self) -> None:
        """Close the connection, but no tunnel: whoever connects through one connects anew."""
        Connection.close(self)

    def _live(self, deadline: Deadline, *, patience: float | None = None) -> Transport:
        transport = super()._live(deadline, patience=patience)
        for tunnel in self.tunnels:
            if isinstance(tunnel, RemoteForward):
                tunnel.renew(transport)
        return transport

    def _ask_to_listen(self, transport: Transport, host: str, port: int) -> int | None:
        """Return the port on which the guest listens, or `None` if it refuses."""
        # One at a time: paramiko has one place for the answer. `_incoming` needs the lock as well,
        # so no connection overtakes the port's entry.
        with self._listening, transport.watch.limit(self.settings.ssh_timeout):
            try:
                return transport.request_port_forward(host, port, self._incoming)
            except paramiko.SSHException:
                if not transport.is_active():
                    raise EOFError from None
                return None

    def _ask_to_stop(self, transport: Transport, host: str, port: int) -> bool:
        """Return whether the guest does not listen any more."""
        with self._listening:
            with transport.watch.limit(commands.MARGIN):
                # Not its cancel_port_forward, which ends the other ones as well.
                reply = transport.global_request("cancel-tcpip-forward", (host, port), wait=True)
            if reply is not None or not transport.is_active():
                return True
            # dropbear (2022.83) knows how to listen, but not how to stop: only the end of the
            # connection frees the port. If nobody needs that one, the next use makes another.
            others = any(isinstance(it, RemoteForward) and it.active for it in self.tunnels)
            if others or transport.watch.busy:
                return False
            self._forget(transport)
            return True

    def _incoming(
        self, channel: paramiko.Channel, _: tuple[str, int], server: tuple[str, int]
    ) -> None:
        # In paramiko's thread, which must not wait.
        transport: Transport = channel.transport  # type: ignore[assignment]  # ours is made so
        transport.endings[channel.chanid] = Ending()
        threading.Thread(
            target=self._serve, args=(channel, server[1]), name="vboxkit-tunnel", daemon=True
        ).start()

    def _serve(self, channel: paramiko.Channel, port: int) -> None:
        transport: Transport = channel.transport  # type: ignore[assignment]
        with self._listening:
            found = [
                tunnel
                for tunnel in self.tunnels
                if isinstance(tunnel, RemoteForward) and tunnel.is_for(transport, port)
            ]
        if found:
            found[0].serve_channel(channel, transport)
        else:
            transport.endings.pop(channel.chanid, None)
            with transport.watch.limit(commands.MARGIN):
                channel.close()

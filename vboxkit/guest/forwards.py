"""Tunnels that begin at a port of this host, and lead into the guest."""

from __future__ import annotations

import selectors
import socket
import threading
from typing import TYPE_CHECKING

import paramiko

from vboxkit.core.ports import lease_port
from vboxkit.core.waiting import Deadline
from vboxkit.errors import GuestConnectionError, PortInUseError, TunnelError
from vboxkit.guest import commands, socks
from vboxkit.guest.forward import JOIN, Forward, checked_port
from vboxkit.guest.relay import open_channel, reset

if TYPE_CHECKING:
    from typing_extensions import Self

    from vboxkit.guest.transport import Transport
    from vboxkit.guest.tunnels import Tunnels

__all__ = ["LocalForward", "SocksProxy"]

#: Seconds. How long a client of the proxy may take to say where it wants to go.
_GREETING = 30.0

_UNIX = "direct-streamlocal@openssh.com"
#: The reasons of a channel that was not opened (RFC 4254, 5.1), in words.
_REASONS = {
    1: "it does not allow this kind of tunnel",
    2: "the connection was refused, or there is no way there",
    3: "its SSH server does not know this kind of tunnel",
    4: "it is short of resources",
}
_HINTS = {
    1: "see AllowTcpForwarding, AllowStreamLocalForwarding and PermitOpen in its sshd_config",
    3: "Unix sockets are led to by OpenSSH's server, not by dropbear; give a TCP port",
}


class _Listening(Forward):
    """A tunnel that begins at a port of this host: `host` and `port`."""

    def __init__(self, ssh: Tunnels, *, local_host: str, local_port: int) -> None:
        super().__init__(ssh)
        checked_port(local_port, lowest=0)
        self._lease = lease_port(local_port or None, host_ip=local_host)
        self.host = local_host
        self.port = self._lease.port
        self._wake, self._waker = socket.socketpair()
        self._socket = socket.socket(socket.AF_INET6 if ":" in local_host else socket.AF_INET)
        self._name = f"vboxkit-tunnel-{self.port}"
        self._acceptor = threading.Thread(target=self._accept, name=self._name, daemon=True)

    def opened(self) -> Self:
        """Begin to listen."""
        done = False
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((self.host, self.port))
            self._socket.listen(128)
            self._socket.setblocking(False)
            done = True
        except OSError as error:
            raise PortInUseError(
                f"cannot listen on {self.host}, tcp port {self.port}: {error.strerror}",
                host_ip=self.host,
                port=self.port,
                hint="leave the port out to get a free one",
            ) from error
        finally:
            if not done:
                self._release()
        self._ssh._tunnels.append(self)  # noqa: SLF001 - its keeper
        self._acceptor.start()
        return self

    def _stop(self) -> None:
        self._waker.close()
        if self._acceptor is not threading.current_thread():
            self._acceptor.join(JOIN)
        self._release()

    def _release(self) -> None:
        for sock in (self._socket, self._wake, self._waker):
            sock.close()
        self._lease.release()

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            number = 0
            while not self._closing.is_set():
                selector.select()
                try:
                    client, _ = self._socket.accept()
                except (BlockingIOError, ConnectionAbortedError):
                    continue  # gone again, or it was the other socket
                except OSError as error:  # this process has no descriptors left
                    self.error = TunnelError(f"{self!r} cannot accept a connection: {error}")
                    self._closing.wait(0.1)
                    continue
                client.setblocking(True)
                number += 1
                thread = threading.Thread(
                    target=self._serve, args=(client,), name=f"{self._name}-{number}", daemon=True
                )
                with self._lock:
                    self._relays[thread] = client
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            channel, transport = self._connect(client)
            self._carry(client, channel, transport)
        except (GuestConnectionError, TunnelError) as error:
            self.error = error
        except OSError:
            pass  # the client is gone
        finally:
            reset(client)  # where a relay has closed it, this does nothing
            with self._lock:
                self._relays.pop(threading.current_thread(), None)

    def _connect(self, client: socket.socket) -> tuple[paramiko.Channel, Transport]:
        raise NotImplementedError

    def _open(self, host: str, port: int | str) -> tuple[paramiko.Channel, Transport]:
        """Open a channel to a target; make the SSH connection anew once if it is found dead."""
        ssh = self._ssh
        timeout = ssh.settings.ssh_timeout

        def write(message: paramiko.Message) -> None:
            message.add_string(port if isinstance(port, str) else host)
            if isinstance(port, int):
                message.add_int(port)
            message.add_string("" if isinstance(port, str) else "127.0.0.1")  # where from
            message.add_int(0)

        kind = _UNIX if isinstance(port, str) else "direct-tcpip"
        target = port if isinstance(port, str) else f"{host}:{port}"
        for again in (True, False):
            transport = ssh._live(Deadline(timeout))  # noqa: SLF001
            try:
                with transport.watch.limit(timeout + commands.MARGIN):
                    channel = open_channel(
                        transport, kind, write, timeout=timeout, given_up=self._closing
                    )
                    return channel, transport
            except paramiko.ChannelException as error:
                reason = _REASONS.get(error.code, error.text)
                raise TunnelError(
                    f"{ssh.name}: no connection from the guest to {target}: {reason}",
                    code=error.code,
                    hint=_HINTS.get(
                        error.code, "is the service up in the guest, and does it listen there?"
                    ),
                ) from error
            except TimeoutError as error:
                raise TunnelError(
                    f"{ssh.name}: no connection from the guest to {target} within {timeout:.3g} s",
                    hint="is there a way from the guest to that address? Settings.ssh_timeout is "
                    "how long is waited",
                ) from error
            except (paramiko.SSHException, EOFError, OSError) as error:
                ssh._forget(transport)  # noqa: SLF001
                if not again:
                    raise ssh._broken(error, f"tunnel to {target}") from error  # noqa: SLF001
        raise AssertionError  # not reached


class LocalForward(_Listening):
    """
    A port of this host that leads into the guest; see `SSH.forward_local`.

    Attributes:
        host: The address here.
        port: The port here.
        guest_host: Where it leads to, as the guest sees it.
        guest_port: The port there, or the path of a Unix socket.
    """

    def __init__(
        self,
        ssh: Tunnels,
        guest_port: int | str,
        *,
        guest_host: str,
        local_host: str,
        local_port: int,
    ) -> None:
        if isinstance(guest_port, str):
            if not guest_port.startswith("/"):
                raise ValueError(f"a Unix socket's path begins with a slash, not {guest_port!r}")
        else:
            checked_port(guest_port)
        super().__init__(ssh, local_host=local_host, local_port=local_port)
        self.guest_host = guest_host
        self.guest_port = guest_port

    def _connect(self, client: socket.socket) -> tuple[paramiko.Channel, Transport]:  # noqa: ARG002 - the base's signature
        return self._open(self.guest_host, self.guest_port)

    def __repr__(self) -> str:
        there = f"{self.guest_host}:{self.guest_port}"
        if isinstance(self.guest_port, str):
            there = self.guest_port
        return f"<LocalForward {self.host}:{self.port} to {there} of {self._ssh.name}>"


class SocksProxy(_Listening):
    """
    A SOCKS5 proxy on a port of this host; see `SSH.socks`.

    Attributes:
        host: The address here.
        port: The port here.
    """

    @property
    def url(self) -> str:
        """The proxy as curl and many others are told it; the guest resolves names."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"socks5h://{host}:{self.port}"

    def _connect(self, client: socket.socket) -> tuple[paramiko.Channel, Transport]:
        client.settimeout(_GREETING)
        try:
            opened = self._open(*socks.greet(client))
        except ConnectionAbortedError:
            socks.part(client)
            raise
        except (TunnelError, GuestConnectionError) as error:
            refused = isinstance(error, TunnelError)
            socks.answer(client, socks.REFUSED if refused else socks.UNREACHABLE)
            socks.part(client)
            raise
        socks.answer(client, socks.GRANTED)
        client.settimeout(None)
        return opened

    def __repr__(self) -> str:
        return f"<SocksProxy {self.url} in {self._ssh.name}>"

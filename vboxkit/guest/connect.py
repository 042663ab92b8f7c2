"""Connecting: one attempt, stage by stage, and what went wrong in our own words."""

from __future__ import annotations

import base64
import binascii
import errno
import hashlib
import select
import socket
import threading
from typing import TYPE_CHECKING

import paramiko

from vboxkit.errors import GuestConnectionError, HostKeyError
from vboxkit.guest.auth import log_in
from vboxkit.guest.transport import GuardedSocket, Transport, Watch

if TYPE_CHECKING:
    from vboxkit.core.waiting import Deadline
    from vboxkit.guest.credentials import Address, Credentials

__all__ = ["Attempt", "fingerprint", "translate"]

_HINTS = {
    "connect": "is the guest up, and is this the port forwarded to its SSH server? "
    "wait_ready() waits for a guest that boots",
    "banner": "the port is open but no SSH server answers behind it: wait_ready() waits for one",
    "key exchange": "the guest may be starting, overloaded or paused",
    "login": "the guest may be overloaded or paused",
}


def translate(
    error: BaseException | None, *, name: str, address: Address, stage: str, hint: str | None = None
) -> GuestConnectionError:
    """Turn an exception of paramiko or the socket into ours; raise it with ``from error``."""
    if isinstance(error, GuestConnectionError):
        return error
    where = f"{name} at {address}"
    hint = hint or _HINTS.get(stage, "the guest may have stopped or rebooted; call again")
    if isinstance(error, TimeoutError):
        return GuestConnectionError(f"{where}: no answer in time ({stage})", hint=hint)
    if isinstance(error, ConnectionRefusedError):
        return GuestConnectionError(f"{where}: connection refused ({stage})", hint=hint)
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return GuestConnectionError(f"{where}: no such host ({stage})", hint="check the address")
    if error is None or isinstance(error, (EOFError, ConnectionError)) or not str(error):
        return GuestConnectionError(f"{where}: the connection was closed ({stage})", hint=hint)
    return GuestConnectionError(f"{where}: {error} ({stage})", hint=hint)


def fingerprint(key: str) -> str:
    """
    Return a public key's fingerprint as OpenSSH shows it.

    Example:
        >>> fingerprint("ssh-ed25519 AAAA")
        'ssh-ed25519 SHA256:cJ6AyISHokEeHuTfufIqhhSS0gxHZRUMDHlKvXD4FHw'
    """
    kind, _, rest = key.partition(" ")
    try:
        blob = base64.b64decode(rest.split()[0])
    except (IndexError, binascii.Error):
        return f"{kind} (unreadable)"
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"{kind} SHA256:{digest}"


class Attempt:
    """
    One attempt to connect and log in.

    Attributes:
        stage: How far it came: "connect", "banner", "key exchange", "host key", "login" or "done".
        host_key: The key that the guest showed, as ``type base64``.
    """

    def __init__(self, name: str, address: Address, credentials: Credentials) -> None:
        self.name = name
        self.address = address
        self.credentials = credentials
        self.stage = "connect"
        self.host_key = ""

    def run(
        self, deadline: Deadline, *, host_key: str | None, banner_patience: float | None = None
    ) -> Transport:
        """
        Connect, check the guest's key, log in; nothing is left open if that fails.

        Args:
            deadline: When to give up.
            host_key: The only key to accept, or `None` for any.
            banner_patience: Seconds to wait for the server's first word, if shorter.

        Raises:
            GuestConnectionError: It did not work; trying again may help.
            GuestAuthError: The guest refused us; trying again will not help.
            HostKeyError: It is another guest, or its key changed; no credentials were sent.
        """
        try:
            plain = socket.create_connection(
                (self.address.host, self.address.port), timeout=max(deadline.remaining, 0.001)
            )
        except (OSError, UnicodeError) as error:  # the latter of a name that can be none
            raise self._error(error) from error
        self.stage = "banner"
        sock = GuardedSocket.adopt(plain, Watch())
        try:
            # Commands are small and each waits for its answer: Nagle would only delay them.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            patience = deadline.remaining
            if banner_patience is not None:
                patience = min(patience, banner_patience)
            _await_first_word(sock, patience)
            transport = Transport(sock)
        except OSError as error:
            sock.close()
            raise self._error(error) from error
        except BaseException:
            sock.close()
            raise
        try:
            self._shake_hands(transport, deadline, host_key)
            self._log_in(transport, deadline)
        except BaseException:
            transport.abort()
            raise
        self.stage = "done"
        return transport

    def _error(self, error: BaseException | None, hint: str | None = None) -> GuestConnectionError:
        return translate(error, name=self.name, address=self.address, stage=self.stage, hint=hint)

    def _shake_hands(self, transport: Transport, deadline: Deadline, host_key: str | None) -> None:
        _prefer_cheap(transport, host_key)
        transport.banner_timeout = transport.handshake_timeout = deadline.remaining + 1
        done = threading.Event()
        transport.start_client(event=done)
        finished = done.wait(deadline.remaining)
        if transport.remote_version:
            self.stage = "key exchange"
        if not finished or not transport.is_active():
            error = TimeoutError() if not finished else transport.get_exception()
            raise self._error(error) from error
        self.stage = "host key"
        key = transport.get_remote_server_key()
        self.host_key = f"{key.get_name()} {key.get_base64()}"
        if host_key is not None and self.host_key.split()[:2] != host_key.split()[:2]:
            raise HostKeyError(
                f"{self.name} at {self.address} shows the key {fingerprint(self.host_key)}, "
                f"but {fingerprint(host_key)} is expected; nothing was sent to it",
                expected=host_key,
                seen=self.host_key,
                hint="is another machine behind this port? If the guest was installed anew, give "
                "its new key in Credentials(host_key=...)",
            )

    def _log_in(self, transport: Transport, deadline: Deadline) -> None:
        self.stage = "login"
        log_in(
            transport,
            self.credentials,
            name=self.name,
            where=f"{self.name} at {self.address}",
            finish=lambda done: self._answer(transport, done, deadline),
        )

    def _answer(
        self, transport: Transport, done: threading.Event, deadline: Deadline
    ) -> Exception | None:
        finished = done.wait(deadline.remaining)
        if finished and transport.is_authenticated():
            return None
        if not finished or not transport.is_active():
            # A connection that breaks here says nothing about the credentials.
            error = TimeoutError() if not finished else transport.get_exception()
            raise self._error(error) from error
        return transport.get_exception() or paramiko.AuthenticationException("refused")


def _await_first_word(sock: socket.socket, patience: float) -> None:
    # VirtualBox's NAT accepts for a guest that does not listen yet, so an accepted connection means
    # nothing. A server speaks first; until then no thread is started and no packet sent.
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        ready = bool(poll.poll(patience * 1000))
    else:
        ready = bool(select.select([sock], [], [], patience)[0])
    if not ready:
        raise TimeoutError(errno.ETIMEDOUT, "no banner")
    if not sock.recv(1, socket.MSG_PEEK):
        raise ConnectionResetError(errno.ECONNRESET, "closed before the banner")


def _prefer_cheap(transport: Transport, host_key: str | None) -> None:
    options = transport.get_security_options()
    # The guest may be emulated, a hundred times slower than this machine: curve25519 and Ed25519
    # are what costs it least.
    options.kex = tuple(sorted(options.kex, key=lambda n: not n.startswith("curve25519")))
    wanted = host_key.split()[0] if host_key else "ssh-ed25519"
    names = ("rsa-sha2-512", "rsa-sha2-256") if wanted == "ssh-rsa" else (wanted,)
    options.key_types = tuple(sorted(options.key_types, key=lambda n: n not in names))

"""One connection to a guest: made when needed, kept, replaced when dead."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import paramiko

from vboxkit.core.waiting import Deadline, Timeout, wait_until
from vboxkit.errors import GuestAuthError, GuestConnectionError, HostKeyError, WaitTimeoutError
from vboxkit.guest import commands
from vboxkit.guest.connect import Attempt, translate
from vboxkit.guest.patience import LateError, Patience
from vboxkit.guest.prepared import PreparedShell
from vboxkit.guest.transcript import Transcript
from vboxkit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

    from vboxkit.core.result import Result
    from vboxkit.guest.credentials import Address, Credentials
    from vboxkit.guest.forward import Forward
    from vboxkit.guest.transport import Ending, Transport

__all__ = ["Connection"]

#: Seconds. A connection request that reached the guest before its network was up is lost for 6 s
#: or for good, although VirtualBox's NAT accepted it: without a word for the first of these a new
#: one is made. It grows up to the last, for a guest that is only slow.
BANNER_PATIENCE = (1.0, 5.0)
#: Seconds. One attempt to connect, once the server has spoken; an emulated guest takes about one.
HANDSHAKE = 30.0


class Connection:
    """The connection of `SSH`, whose arguments it takes."""

    def __init__(
        self,
        address: Address,
        credentials: Credentials,
        *,
        settings: Settings | None = None,
        name: str = "the guest",
        evidence: Callable[[], str] | None = None,
        keepalive: float = 30.0,
    ) -> None:
        self.address = address
        self.credentials = credentials
        self.settings = settings or Settings()
        self.name = name
        self._evidence = evidence
        self._keepalive = keepalive
        self._host_key = credentials.host_key
        self._lock = threading.Lock()
        self._transport: Transport | None = None
        self._prepared: list[PreparedShell] = []
        self._tunnels: list[Forward] = []
        # Held while the guest is asked to listen for a tunnel.
        self._listening = threading.RLock()
        #: What the last command gave, and those before it, for whoever reports a failure.
        self.last_result: Result | None = None
        self.transcript = Transcript()
        #: Gives shell lines that the next command is preceded by, once: what the guest has to do
        #: after it was resumed, without a round trip of its own.
        self.before_next: Callable[[], str] | None = None

    @property
    def host_key(self) -> str | None:
        """The only host key accepted, as ``type base64``: the one given, or else learned."""
        return self._host_key

    @property
    def connected(self) -> bool:
        """Whether there is a connection now, as far as is known here."""
        transport = self._transport
        return transport is not None and transport.is_active()

    def connect(self, *, timeout: Timeout | None = None) -> Self:
        """
        Connect now, in one attempt, unless connected; other methods do so by themselves.

        Args:
            timeout: Seconds, `timedelta` or `Deadline`; `Settings.ssh_timeout` if left out.

        Raises:
            GuestConnectionError: The guest cannot be reached, or did not answer in time.
            GuestAuthError: It did not let us in.
            HostKeyError: It shows another host key; no credentials were sent.
        """
        self._live(Deadline(self.settings.ssh_timeout if timeout is None else timeout))
        return self

    def close(self) -> None:
        """Close the connection; the next use makes a new one. Doing it twice does no harm."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        self._drop_prepared()

    def prepare(self, *, timeout: Timeout | None = None) -> Self:
        """
        Start the shell of the next command now, so that the command itself takes half the time.

        For a guest that is then paused, or a moment that matters. It is there for one short line;
        a longer one gets a shell of its own, as always. Waits until the shell has answered.

        Args:
            timeout: Seconds, `timedelta` or `Deadline`; `Settings.ssh_timeout` if left out.

        Raises:
            GuestConnectionError: The guest cannot be reached, or did not answer in time.

        Example:
            >>> ssh.prepare().succeed("true")                               # doctest: +SKIP
            ''
        """
        deadline = Deadline(self.settings.ssh_timeout if timeout is None else timeout)
        transport = self._live(deadline)
        try:
            shell = PreparedShell(transport, timeout=deadline.remaining)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise self._broken(error, "starting a shell") from error
        self._drop_prepared()
        self._prepared.append(shell)
        return self

    def _drop_prepared(self) -> None:
        while (shell := self._take_prepared()) is not None:
            shell.close()

    def _take_prepared(self) -> PreparedShell | None:
        try:
            return self._prepared.pop()  # of two threads only one gets it
        except IndexError:
            return None

    def _prepared_for(self, line: str) -> PreparedShell | None:
        """Return the shell that waits for a command, if it still does, and is of use for it."""
        if not PreparedShell.fits(line):
            return None
        shell = self._take_prepared()
        if shell is not None and not shell.usable:
            shell.close()
            return None
        return shell

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_ready(self, timeout: Timeout | None = None) -> Self:
        """
        Wait until the guest lets us in, and stay connected.

        A connection that is accepted but silent is kept for a while, at first 1 s, as VirtualBox's
        NAT accepts for a guest that does not listen yet and each new one costs the guest time. A
        closed or refused one is tried again after 0.02 s, later after up to 0.05 s.

        Args:
            timeout: Seconds, `timedelta` or `Deadline`; `Settings.boot_timeout` if left out.

        Raises:
            WaitTimeoutError: Not in time; `last_seen` tells how far the last attempt came.
            GuestAuthError: The guest answers and did not let us in.
            HostKeyError: The guest answers and shows another host key.

        Example:
            >>> ssh.wait_ready(timeout=30).succeed("uptime")                # doctest: +SKIP
        """
        limit = self.settings.boot_timeout if timeout is None else timeout
        # Not a copy of a deadline: who gave it may cut it short.
        deadline = limit if isinstance(limit, Deadline) else Deadline(limit)
        first, most = BANNER_PATIENCE
        patience = first
        seen: list[GuestConnectionError | str] = ["nothing tried"]

        def attempt() -> Connection | None:
            nonlocal patience
            try:
                self._live(deadline, patience=patience)
            except (GuestAuthError, HostKeyError):
                raise
            except GuestConnectionError as error:
                seen[0] = error
                if isinstance(error.__cause__, TimeoutError):
                    patience = min(most, patience * 1.3)
                return None
            return self

        def pause(attempts: int) -> float:
            return min(0.05, 0.02 * 1.5 ** (attempts - 1))

        try:
            wait_until(
                attempt,
                what=f"SSH of {self.name} at {self.address}",
                timeout=deadline,
                poll=pause,
                last_seen=lambda: getattr(seen[0], "message", seen[0]),
                evidence=self._evidence,
                hint="look at the guest's console; is an SSH server started in it, and is the port "
                "forwarded to it?",
            )
        except WaitTimeoutError as error:
            raise error from (seen[0] if isinstance(seen[0], GuestConnectionError) else None)
        return self

    def _live(self, deadline: Deadline, *, patience: float | None = None) -> Transport:
        # Of several threads one connects, the others wait for it.
        if not self._lock.acquire(timeout=deadline.remaining):
            raise translate(
                TimeoutError(),
                name=self.name,
                address=self.address,
                stage="another thread is connecting",
            )
        try:
            transport = self._transport
            if transport is not None:
                if transport.is_active():
                    return transport
                self._forget(transport)
            if patience is not None:
                deadline = Deadline(min(deadline.remaining, patience + HANDSHAKE))
            attempt = Attempt(self.name, self.address, self.credentials)
            transport = attempt.run(deadline, host_key=self._host_key, banner_patience=patience)
            # Learned only from a guest that let us in, and then never changed.
            self._host_key = self._host_key or attempt.host_key
            transport.set_keepalive(self._keepalive)
            self._transport = transport
            return transport
        finally:
            self._lock.release()

    def _forget(self, transport: Transport) -> None:
        transport.abort()
        if self._transport is transport:
            self._transport = None

    def _broken(self, error: BaseException, stage: str) -> GuestConnectionError:
        return translate(error, name=self.name, address=self.address, stage=stage)

    @contextmanager
    def _opened(self, patience: Patience) -> Iterator[tuple[Transport, paramiko.Channel, Ending]]:
        with ExitStack() as stack:
            for again in (True, False):
                limit = min(patience.left, self.settings.ssh_timeout)
                transport = self._live(Deadline(limit))
                try:
                    with transport.watch.limit(limit + commands.MARGIN):
                        channel, ending = stack.enter_context(
                            commands.open_channel(transport, min(patience.left, limit))
                        )
                    break
                except (paramiko.SSHException, EOFError, OSError) as error:
                    if isinstance(error, (EOFError, OSError)) or not transport.is_active():
                        # Nothing was asked of the guest yet, so this can be done once more.
                        self._forget(transport)
                        if again:
                            continue
                    elif patience.left <= 0:
                        raise LateError("the guest did not even start it") from error
                    raise self._broken(error, "opening a channel") from error
            yield transport, channel, ending

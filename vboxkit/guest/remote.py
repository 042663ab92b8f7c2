"""What goes on in the guest while we do something else: processes, streams and shells have it."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import paramiko

from vboxkit.core.result import Result
from vboxkit.core.waiting import Deadline
from vboxkit.errors import CommandFailedError, CommandTimeoutError, GuestConnectionError
from vboxkit.guest import commands, stopping
from vboxkit.guest.patience import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

    from vboxkit.core.result import StreamName
    from vboxkit.core.waiting import Timeout
    from vboxkit.guest.transport import Ending, Transport
    from vboxkit.guest.users import Way

    T = TypeVar("T")

__all__ = ["Link", "Remote"]

_BLOCK = 1 << 15


@dataclass(frozen=True)
class Link:
    """
    What `Remote` has of the connection.

    Attributes:
        name: How messages call the guest.
        command: How messages call what runs.
        mark: By which it is found in the guest.
        way: As whom it runs.
        transport: The connection.
        channel: Its channel.
        ending: What is known of its end.
        lost: Gives the error for a connection that broke, or a server that refused.
        timeout: Seconds, where a method is given none.
    """

    name: str
    command: str
    mark: str
    way: Way
    transport: Transport
    channel: paramiko.Channel
    ending: Ending
    lost: Callable[[BaseException], GuestConnectionError]
    timeout: float


class Remote:
    """
    Something that runs in the guest, and what it writes as it comes.

    Several threads may use it at once.
    """

    #: The signal by which it is asked to end.
    _order = "TERM"

    def __init__(self, link: Link, running: commands.Exec, stack: ExitStack) -> None:
        self._link = link
        self._exec = running
        self._stack = stack
        self._begin = time.monotonic()
        self._duration: float | None = None
        self._taking = threading.RLock()
        self._writing = threading.Lock()
        self._over = False
        self._failure: BaseException | None = None
        self._input_error: Exception | None = None
        link.transport.talks.add(self)

    @property
    def command(self) -> str:
        """The command, as it was given."""
        return self._link.command

    @property
    def exit_code(self) -> int | None:
        """As of `Result`; `None` while it runs, as far as was read."""
        return self._exec.exit_code

    @property
    def result(self) -> Result:
        """What it wrote so far, as far as it was read and kept, and its exit code if it ended."""
        duration = self._duration or time.monotonic() - self._begin
        out, err = self._kept("stdout"), self._kept("stderr")
        return Result(self.command, self.exit_code, out, err, duration)

    def write(self, data: bytes | str, *, timeout: Timeout | None = None) -> None:
        """
        Write to its standard input, and wait until the guest has taken it.

        Args:
            data: Text goes as UTF-8.
            timeout: Seconds, `timedelta` or `Deadline`; `Settings.command_timeout` if left out.

        Raises:
            CommandTimeoutError: It does not read its input; some of it may have been written.
            CommandFailedError: It has ended, or its input was closed.
            GuestConnectionError: The connection broke.
        """
        deadline = Deadline(self._link.timeout if timeout is None else timeout)
        left = memoryview(data.encode() if isinstance(data, str) else data)
        channel, wake = self._link.channel, self._link.ending.wake
        with self._writing:
            while left:
                seen = wake.news
                if self._over or channel.closed or channel.eof_sent:
                    self._refuse_input()
                elif channel.send_ready():
                    left = left[self._send(bytes(left[:_BLOCK])) :]
                elif not self._make_room() and not wake.wait_after(seen, deadline.remaining):
                    raise CommandTimeoutError(
                        f"{self._link.name}: {self.command!r} did not read its input within "
                        f"{deadline.elapsed:.3g} s",
                        result=self.result,
                    )

    def close_stdin(self) -> None:
        """Close its standard input, of which it sees the end; doing it twice does no harm."""
        with self._writing:
            if not self._over and not self._link.channel.eof_sent:
                with self._guarded():
                    self._link.channel.shutdown_write()

    def stop(self, *, grace: float = commands.GRACE) -> None:
        """
        End it with all that it started, by SIGTERM (a shell by SIGHUP) and then SIGKILL.

        That reaches what `SSH.run` reaches at a timeout. What it wrote until then can be read.

        Args:
            grace: Seconds that it has after the first signal.

        Raises:
            CommandTimeoutError: It could not be ended and may still run; it takes up to 8 s and
                `grace` to find out, 3 s if the guest does not answer.
            GuestConnectionError: The connection broke, so nobody knows.
        """
        link = self._link
        self._pump()
        if not self._over:
            link.transport.talks.discard(self)  # it has no say in what becomes of the connection
            late = stopping.end_late(
                link.transport,
                self._exec,
                link.mark,
                link.way,
                self._pump,
                first=self._order,
                grace=grace,
            )
            if late.ended:
                # Its exit code may still be on the way.
                self._wait(lambda: None, Deadline(commands.GRACE))
            elif not self._over:
                self._raise_if_dead()
                self._close()
                raise CommandTimeoutError(
                    f"{link.name}: {self.command!r}: {late}", result=self.result, hint=late.hint
                )
        self._close()
        self._raise_failure()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            # A connection that broke took the way to it along.
            with suppress(GuestConnectionError):
                self.stop()
        except CommandTimeoutError:
            if kind is None:
                raise
        finally:
            self._close()

    def __repr__(self) -> str:
        state = "running" if not self._over else f"ended with {self.exit_code}"
        command = self.command if len(self.command) <= 60 else self.command[:57] + "..."
        return f"<{type(self).__name__} {command!r} on {self._link.name}, {state}>"

    # What the kinds of it differ in.

    def _add(self, stream: StreamName, piece: bytes) -> object:
        raise NotImplementedError

    def _kept(self, stream: StreamName) -> bytes:
        raise NotImplementedError

    def _finish(self) -> None:
        """Do what is to do when there comes no more."""

    def _make_room(self) -> bool:
        """Read what it writes, lest it waits for us while we wait for it; tell if there was any."""
        return self._pump()

    # What they have in common.

    def _pump(self) -> bool:
        """Take what has come, without waiting, and tell whether there was any."""
        with self._taking:
            if self._over:
                return False
            ended = self._exec.ended
            with self._guarded():
                pieces = self._exec.take()
            for stream, piece in pieces:
                self._add(stream, piece)
            if not pieces and ended:
                with self._guarded():
                    self._exec.settle()
                self._end()
            return bool(pieces)

    def _wait(self, ready: Callable[[], T | None], deadline: Deadline) -> T | None:
        """Read until there is something; `None` at the end, or when the time is up."""
        wake = self._link.ending.wake
        while True:
            seen = wake.news
            value = ready()
            if value is not None:
                return value
            if self._input_error is not None:
                return None
            moved = self._pump()
            value = ready()
            if value is not None or self._over:
                self._raise_failure()
                return value
            if moved:
                if deadline.expired:
                    return None
            elif not wake.wait_after(seen, deadline.remaining) and deadline.expired:
                return None

    def _send(self, block: bytes) -> int:
        try:
            with self._link.transport.watch.limit(commands.MARGIN):
                return self._link.channel.send(block)
        except (paramiko.SSHException, EOFError, OSError):
            # It is just ending, or the connection is: which of the two the other streams tell.
            return 0

    def _refuse_input(self) -> None:
        while self._pump() and not self._over:
            pass
        self._raise_failure()
        raise CommandFailedError(
            f"{self._link.name}: {self.command!r} takes no input any more", result=self.result
        )

    def _raise_if_dead(self) -> None:
        if not self._link.transport.is_active():
            with suppress(GuestConnectionError):
                self._pump()
            self._raise_failure()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            with self._link.transport.watch.limit(commands.MARGIN):
                yield
        except (RefusedError, paramiko.SSHException, EOFError, OSError) as error:
            self._failure = error
            self._end()
            raise self._link.lost(error) from error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._link.lost(self._failure) from self._failure

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._duration = time.monotonic() - self._begin
            self._finish()
            self._close()

    def _close(self) -> None:
        self._link.transport.talks.discard(self)
        with self._taking:
            if not self._over:
                self._over = True
                self._failure = EOFError()
            self._stack.close()
        self._link.ending.wake.set()

    def _feed(self, source: BinaryIO | bytes | str) -> None:
        """Write the whole of something to its standard input, beside what else goes on."""

        def feed() -> None:
            # The command did not want it all, or the connection broke: the reader sees it.
            with suppress(CommandFailedError, CommandTimeoutError, GuestConnectionError):
                if isinstance(source, (bytes, str)):
                    self.write(source, timeout=_FOR_EVER)
                else:
                    while block := source.read(_BLOCK):
                        self.write(block, timeout=_FOR_EVER)
                self.close_stdin()

        def guarded() -> None:
            try:
                feed()
            except Exception as error:  # whatever the caller's file raises
                self._input_error = error
                self._link.ending.wake.set()

        threading.Thread(target=guarded, name="vboxkit-ssh-input", daemon=True).start()


#: Seconds: the one who reads has a timeout, and closes the channel.
_FOR_EVER = 1e6

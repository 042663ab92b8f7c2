"""The output of a command, as it comes."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from vboxkit.errors import CommandFailedError, CommandTimeoutError, GuestConnectionError, GuestError
from vboxkit.guest import commands
from vboxkit.guest.output import Lines, Tail
from vboxkit.guest.remote import Remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

    from typing_extensions import Self

    from vboxkit.core.result import StreamName
    from vboxkit.core.waiting import Deadline
    from vboxkit.guest.output import Line
    from vboxkit.guest.remote import Link

    T = TypeVar("T")

__all__ = ["Stream"]


class Stream(Remote):
    """
    The lines of a running command; made by `SSH.stream`.

    It is iterated once, by one thread. No more is fetched than is asked for: up to 2 MB wait on the
    way, then the command is held up. `result` has the last 64 KB of each stream. A stream that is
    closed, left by ``with``, or dropped, ends the command with all that it started.
    """

    def __init__(
        self,
        link: Link,
        running: commands.Exec,
        stack: ExitStack,
        *,
        deadline: Deadline,
        allowed: float,
        check: bool,
    ) -> None:
        super().__init__(link, running, stack)
        self._deadline = deadline
        self._allowed = allowed
        self._check = check
        self._lines = Lines()
        self._pieces: deque[tuple[StreamName, bytes]] | None = None
        self._tail = Tail()
        self._closing = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Line:
        """Wait for a line of either stream; raises as `SSH.stream` says."""
        line = self._next(self._lines.take)
        if line is None:
            raise StopIteration
        return line

    def chunks(self) -> Iterator[tuple[StreamName, bytes]]:
        """Give what comes as it comes, instead of lines: the name of the stream, and bytes."""
        if self._pieces is None:
            self._pieces = deque()
        pieces = self._pieces
        while (piece := self._next(lambda: pieces.popleft() if pieces else None)) is not None:
            yield piece

    def close(self) -> None:
        """
        End the command with all that it started, unless it has ended; what it writes is dropped.

        Raises:
            CommandTimeoutError: It could not be ended and may still run.
        """
        # A connection that broke took the way to it along.
        with suppress(GuestConnectionError):
            self.stop()

    def stop(self, *, grace: float = commands.GRACE) -> None:
        """End the command as `close` does, and say also if the connection broke."""
        self._closing = True
        super().stop(grace=grace)

    def __del__(self) -> None:
        if not self._over:
            with suppress(Exception):  # nobody can be told
                self.close()

    def _next(self, take: Callable[[], T | None]) -> T | None:
        if self._closing:
            return None
        # One who writes for ever has no more time than one who is silent.
        late = self._deadline.expired and not self._over
        item = None if late else self._wait(take, self._deadline)
        if item is not None:
            return item
        name = self._link.name
        if self._input_error is not None:
            with suppress(GuestError):  # what the caller's file raised says more
                self.stop()
            raise self._input_error
        if not self._over:
            text = f"{name}: {self.command!r} did not end within {self._allowed:.3g} s"
            try:
                self.stop()
            except GuestError as error:
                raise CommandTimeoutError(
                    f"{text}; it may still run", result=self.result
                ) from error
            raise CommandTimeoutError(
                f"{text}; it was ended, with all that it started", result=self.result
            )
        self._closing = True
        if self._check and self.exit_code != 0:
            raise CommandFailedError(
                f"{name}: command failed: {self.result.describe()}", result=self.result
            )
        return None

    def _add(self, stream: StreamName, piece: bytes) -> None:
        self._tail.add(stream, piece)
        if self._closing:
            return
        if self._pieces is not None:
            self._pieces.append((stream, piece))
        else:
            self._lines.add(stream, piece)

    def _kept(self, stream: StreamName) -> bytes:
        return self._tail[stream]

    def _finish(self) -> None:
        self._lines.finish()

    def _make_room(self) -> bool:
        return False  # somebody else reads, as fast as they like

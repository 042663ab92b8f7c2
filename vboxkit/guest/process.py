"""A command that runs in the guest while we do something else."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from vboxkit.core.waiting import Deadline
from vboxkit.errors import CommandTimeoutError
from vboxkit.guest import commands, stopping
from vboxkit.guest.output import Lines
from vboxkit.guest.remote import Remote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    from vboxkit.core.result import Result, StreamName
    from vboxkit.core.waiting import Timeout
    from vboxkit.guest.output import Line
    from vboxkit.guest.remote import Link

__all__ = ["GuestProcess"]


class GuestProcess(Remote):
    r"""
    A command that runs in the guest; made by `SSH.start`.

    What it writes is read by each of these methods, and kept in `result`. Between them up to 2 MB
    wait on the way; then it is held up until one is called. As a context manager it is ended with
    all that it started, if it has not ended by itself.

    Example:
        >>> with ssh.start("nc -l -p 99 > /tmp/got") as listener:           # doctest: +SKIP
        ...     ssh.succeed("echo hello | nc localhost 99")
        ...     listener.wait(timeout=5).exit_code
        0
    """

    def __init__(self, link: Link, running: commands.Exec, stack: ExitStack) -> None:
        super().__init__(link, running, stack)
        self._pieces: dict[StreamName, list[bytes]] = {"stdout": [], "stderr": []}
        # Cut into lines only if somebody asks for lines.
        self._uncut: deque[tuple[StreamName, bytes]] = deque()
        self._lines = Lines()

    def poll(self) -> int | None:
        """
        Return its exit code, or `None` while it runs; without waiting.

        It runs as long as something that it started holds its output open.

        Raises:
            GuestConnectionError: The connection broke.
        """
        for _ in range(64):  # one who never stops writing runs, as far as anybody can tell
            if not self._pump():
                break
        self._raise_failure()
        return self.exit_code

    def wait(self, *, timeout: Timeout | None = None) -> Result:
        """
        Wait until it ends; its exit code is not judged.

        Args:
            timeout: Seconds, `timedelta` or `Deadline`; `Settings.command_timeout` if left out.

        Raises:
            CommandTimeoutError: It did not end in time, and goes on.
            GuestConnectionError: The connection broke; it may go on.
        """
        deadline = Deadline(self._link.timeout if timeout is None else timeout)
        allowed = deadline.remaining
        self._wait(lambda: self._over or None, deadline)
        self._raise_failure()
        if not self._over:
            raise CommandTimeoutError(
                f"{self._link.name}: {self.command!r} did not end within {allowed:.3g} s;"
                " it goes on",
                result=self.result,
                hint="stop() ends it",
            )
        return self.result

    def read_line(self, *, timeout: Timeout | None = None) -> Line | None:
        """
        Wait for the next line of either stream, and return it; `None` if there comes no more.

        Args:
            timeout: Seconds, `timedelta` or `Deadline`; `Settings.command_timeout` if left out.

        Raises:
            CommandTimeoutError: There was none in time; the command goes on.
            GuestConnectionError: The connection broke.
        """
        deadline = Deadline(self._link.timeout if timeout is None else timeout)
        allowed = deadline.remaining
        line = self._wait(self._next_line, deadline)
        if line is None and not self._over:
            raise CommandTimeoutError(
                f"{self._link.name}: {self.command!r} wrote no line within {allowed:.3g} s;"
                " it goes on",
                result=self.result,
            )
        return line

    def lines(self, *, timeout: Timeout | None = None) -> Iterator[Line]:
        """Give the lines that were not read yet, until there come no more; see `read_line`."""
        deadline = Deadline(self._link.timeout if timeout is None else timeout)
        while (line := self.read_line(timeout=deadline)) is not None:
            yield line

    def terminate(self) -> None:
        """
        Send SIGTERM to it and all that it started, as far as `SSH.run` reaches; waits for no end.

        Raises:
            GuestConnectionError: The connection broke.
            CommandTimeoutError: The guest did not take the order within 3 s.
        """
        self._signal("TERM")

    def kill(self) -> None:
        """Send SIGKILL; see `terminate`."""
        self._signal("KILL")

    def _signal(self, name: str) -> None:
        self._pump()
        self._raise_failure()
        link = self._link
        if not self._over and not stopping.signal_command(
            link.transport, self._exec, link.mark, name, link.way
        ):
            self._raise_if_dead()
            raise CommandTimeoutError(
                f"{link.name}: SIG{name} for {self.command!r} was not taken in time",
                result=self.result,
                hint="the guest may be overloaded or paused",
            )

    def _next_line(self) -> Line | None:
        with self._taking:
            while (line := self._lines.take()) is None and self._uncut:
                self._lines.add(*self._uncut.popleft())
            if line is None and self._over:
                self._lines.finish()
                line = self._lines.take()
            return line

    def _add(self, stream: StreamName, piece: bytes) -> None:
        self._pieces[stream].append(piece)
        self._uncut.append((stream, piece))

    def _kept(self, stream: StreamName) -> bytes:
        with self._taking:
            return b"".join(self._pieces[stream])

"""The serial console as a file: what the guest said, also when SSH is not there."""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vboxkit.core.waiting import Timeout

__all__ = ["SerialLog"]

# A file that grows gives no event that every system has, so it is looked at this often (seconds).
_POLL = 0.02
#: After so many seconds of silence it is asked whether anybody is there still.
_SLICE = 1.0


class SerialLog:
    """
    A serial port that VirtualBox captures to a file.

    The file need not exist yet: until it does, the log is empty.

    Args:
        path: The file.
        earlier: A file with what the port said before that one was begun anew by the same guest,
            if it exists. It counts as the beginning of the log.

    Example:
        >>> log = SerialLog(machine_folder / "serial.log")                  # doctest: +SKIP
        >>> log.wait_for(r"login: ", timeout=60)                            # doctest: +SKIP
    """

    def __init__(self, path: Path, *, earlier: Path | None = None) -> None:
        self.path = path
        self._earlier = earlier

    def mark(self) -> int:
        """
        Return where the log ends now, in bytes, to ignore later what came before.

        Example:
            >>> start = log.mark()                                          # doctest: +SKIP
            >>> log.wait_for("login: ", timeout=60, start=start)            # doctest: +SKIP
        """
        return sum(self._sizes())

    def text(self, start: int = 0) -> str:
        """
        Return what was said so far; bytes that are not UTF-8 become U+FFFD.

        Args:
            start: Leave out what came before this `mark`. A file that is shorter than that was
                begun anew (the machine was started again) and is given whole.
        """
        return self.data(start).decode("utf-8", errors="replace")

    def data(self, start: int = 0) -> bytes:
        """Return the bytes that were said so far; see `text`."""
        before, now = self._sizes()
        if start > before + now:
            start = 0
        parts = []
        for path, size in ((self._earlier, before), (self.path, now)):
            if path is not None and start < size:
                with suppress(FileNotFoundError), path.open("rb") as file:
                    file.seek(start)
                    parts.append(file.read())
            start = max(0, start - size)
        return b"".join(parts)

    def _sizes(self) -> tuple[int, int]:
        sizes = []
        for path in (self._earlier, self.path):
            try:
                sizes.append(0 if path is None else path.stat().st_size)
            except FileNotFoundError:
                sizes.append(0)
        return sizes[0], sizes[1]

    def tail(self, lines: int = 20) -> str:
        """Return the last lines, without carriage returns and the final line break."""
        return "\n".join(self.text().splitlines()[-lines:]) if lines > 0 else ""

    def follow(self, *, start: int | None = None, timeout: Timeout | None = None) -> Iterator[str]:
        """
        Yield the guest's lines as it says them, without their line breaks.

        A line that is not complete, as a prompt, comes last, when the time is up.

        Args:
            start: Begin at this `mark`; with what is said from now on, if left out.
            timeout: Seconds for the whole, after which the iteration ends; never, if left out.

        Example:
            ``for line in vm.console.follow(timeout=60): print(line)``
        """
        rest = ""
        for text in self.chunks(start=start, timeout=timeout):
            *lines, rest = (rest + text).split("\n")
            yield from (line.rstrip("\r") for line in lines)
        if rest:
            yield rest

    def chunks(self, *, start: int | None = None, timeout: Timeout | None = None) -> Iterator[str]:
        """Yield what the guest says as it comes, line breaks and all; see `follow`."""
        place = self.mark() if start is None else start
        deadline = None if timeout is None else Deadline(timeout)
        decode = getincrementaldecoder("utf-8")("replace").decode
        while True:
            left = _SLICE if deadline is None else min(_SLICE, deadline.remaining)
            try:
                size = wait_until(
                    partial(self._moved, place),
                    what="the guest to say something",
                    timeout=left,
                    poll=_POLL,
                )
            except WaitTimeoutError:
                if (deadline is not None and deadline.expired) or not self._goes_on():
                    return
                continue
            if size < place:  # the machine was started again
                place = 0
            data = self.data(place)
            place += len(data)
            text = decode(data)
            if text:
                yield text

    def _moved(self, place: int) -> int | None:
        size = self.mark()
        return None if size == place else size

    def _goes_on(self) -> bool:
        """Whether somebody may say something still."""
        return True

    def wait_for(
        self, pattern: str | re.Pattern[str], *, timeout: Timeout, start: int = 0
    ) -> re.Match[str]:
        r"""
        Wait until the guest has said something.

        Args:
            pattern: A regular expression, searched for in all of the text after `start`; it may
                span lines (which end with ``\r\n`` on most guests).
            timeout: Seconds, `timedelta` or `Deadline`.
            start: Leave out what came before this `mark`.

        Returns:
            The first match.

        Raises:
            WaitTimeoutError: It was not said in time; the error shows the last 20 lines.
        """
        wanted = re.compile(pattern) if isinstance(pattern, str) else pattern
        seen = -1

        def look() -> re.Match[str] | None:
            nonlocal seen
            size = self.mark()
            if size == seen:  # reading and searching again would find nothing new
                return None
            # Taken before reading: what is written in between is read again next time.
            seen = size
            return wanted.search(self.text(start))

        return wait_until(
            look,
            what=f"{wanted.pattern!r} on the serial console {self.path}",
            timeout=timeout,
            poll=_POLL,
            last_seen=lambda: repr(self.tail(1)) if self.path.exists() else "no such file yet",
            evidence=lambda: self.tail(20),
            hint=None if self.path.exists() else "is the serial port captured to this file?",
        )

    def __repr__(self) -> str:
        return f"<SerialLog {str(self.path)!r}>"

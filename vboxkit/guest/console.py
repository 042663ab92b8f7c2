"""The serial console as a file: what the guest said, also when SSH is not there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vboxkit.core.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit.core.waiting import Timeout

__all__ = ["SerialLog"]

# A file that grows gives no event that every system has, so it is looked at this often (seconds).
_POLL = 0.02


class SerialLog:
    """
    A serial port that VirtualBox captures to a file.

    The file need not exist yet: until it does, the log is empty.

    Args:
        path: The file.

    Example:
        >>> log = SerialLog(machine_folder / "serial.log")                  # doctest: +SKIP
        >>> log.wait_for(r"login: ", timeout=60)                            # doctest: +SKIP
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def mark(self) -> int:
        """
        Return where the log ends now, in bytes, to ignore later what came before.

        Example:
            >>> start = log.mark()                                          # doctest: +SKIP
            >>> log.wait_for("login: ", timeout=60, start=start)            # doctest: +SKIP
        """
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def text(self, start: int = 0) -> str:
        """
        Return what was said so far; bytes that are not UTF-8 become U+FFFD.

        Args:
            start: Leave out what came before this `mark`. A file that is shorter than that was
                begun anew (the machine was started again) and is given whole.
        """
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(start if start <= size else 0)
                return file.read().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def tail(self, lines: int = 20) -> str:
        """Return the last lines, without carriage returns and the final line break."""
        return "\n".join(self.text().splitlines()[-lines:]) if lines > 0 else ""

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

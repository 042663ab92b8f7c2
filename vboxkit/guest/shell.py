"""A shell with a terminal in the guest."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from vboxkit.core.waiting import Deadline
from vboxkit.errors import CommandTimeoutError, WaitTimeoutError
from vboxkit.guest.output import Tail
from vboxkit.guest.remote import Remote

if TYPE_CHECKING:
    from contextlib import ExitStack

    from vboxkit.core.result import StreamName
    from vboxkit.core.waiting import Timeout
    from vboxkit.guest import commands
    from vboxkit.guest.remote import Link

__all__ = ["GuestShell"]

_ODD = "surrogateescape"


class GuestShell(Remote):
    r"""
    A shell with a terminal; made by `SSH.shell`.

    A terminal has one stream, shows what is typed, and ends its lines with ``\r\n``; shells may
    write control sequences, busybox's asks for the position of the cursor (``ESC [6n``). Leaving
    the ``with`` block ends the shell with all that it started, if it has not ended by itself.

    Example:
        >>> with ssh.shell() as shell:                                      # doctest: +SKIP
        ...     shell.send("passwd bob\n")
        ...     shell.expect("New password: ")
        ...     shell.send("secret\n")
    """

    _order = "HUP"  # interactive shells ignore SIGTERM

    def __init__(self, link: Link, running: commands.Exec, stack: ExitStack) -> None:
        super().__init__(link, running, stack)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors=_ODD)
        self._text = ""
        self._tail = Tail()

    def send(self, text: bytes | str, *, timeout: Timeout | None = None) -> None:
        r"""
        Type something; ``\n`` is the Enter key, ``\x03`` is Ctrl-C. See `write`.

        Raises:
            CommandTimeoutError: The guest did not take it in time.
            CommandFailedError: The shell has ended.
            GuestConnectionError: The connection broke.
        """
        self.write(text, timeout=timeout)

    def read(self, *, timeout: Timeout | None = None) -> str:
        """
        Wait until there is something to read, and return it; an empty text at the end.

        Args:
            timeout: Seconds, `timedelta` or `Deadline`; `Settings.command_timeout` if left out.

        Raises:
            CommandTimeoutError: There came nothing in time.
            GuestConnectionError: The connection broke.
        """
        return self.read_bytes(timeout=timeout).decode("utf-8", errors="replace")

    def read_bytes(self, *, timeout: Timeout | None = None) -> bytes:
        """Do what `read` does, and return it as it came."""
        deadline = Deadline(self._link.timeout if timeout is None else timeout)
        allowed = deadline.remaining
        text = self._wait(self._all, deadline)
        if text is None and not self._over:
            raise CommandTimeoutError(
                f"{self._link.name}: {self.command!r} wrote nothing within {allowed:.3g} s",
                result=self.result,
            )
        return (text or "").encode("utf-8", errors=_ODD)

    def expect(
        self, pattern: str | re.Pattern[str], *, timeout: Timeout | None = None
    ) -> re.Match[str]:
        """
        Wait until the pattern is found in what was not read yet; all up to its end is read then.

        Args:
            pattern: A regular expression; ``^`` and ``$`` are the ends of lines if it is a text.
            timeout: Seconds, `timedelta` or `Deadline`; `Settings.command_timeout` if left out.

        Raises:
            WaitTimeoutError: Not in time, or the shell ended; `last_seen` is what came instead.
            GuestConnectionError: The connection broke.
        """
        wanted = re.compile(pattern, re.MULTILINE) if isinstance(pattern, str) else pattern
        deadline = Deadline(self._link.timeout if timeout is None else timeout)

        def search() -> re.Match[str] | None:
            with self._taking:
                match = wanted.search(self._text)
                if match is not None:
                    self._text = self._text[match.end() :]
                return match

        match = self._wait(search, deadline)
        if match is None:
            raise WaitTimeoutError(
                f"{wanted.pattern!r} from {self.command!r} of {self._link.name}",
                waited=deadline.elapsed,
                last_seen=self._text[-1000:].encode(errors=_ODD).decode(errors="replace"),
                hint="the shell has ended" if self._over else None,
            )
        return match

    def resize(self, columns: int, rows: int) -> None:
        """
        Tell it that the terminal has another size, in characters.

        Raises:
            GuestConnectionError: The connection broke.
        """
        if not self._over:
            with self._guarded():
                self._link.channel.resize_pty(columns, rows)

    def close(self) -> None:
        """Hang up without waiting for anybody; what the shell started may go on."""
        self._close()

    def _all(self) -> str | None:
        with self._taking:
            text, self._text = self._text, ""
            return text or None

    def _add(self, stream: StreamName, piece: bytes) -> None:
        self._tail.add(stream, piece)
        self._text += self._decoder.decode(piece)

    def _kept(self, stream: StreamName) -> bytes:
        return self._tail[stream]

"""Talking to a guest over its serial port, also when it has no network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import GuestAuthError
from vboxkit.guest.console import SerialLog

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

    from vboxkit.core.waiting import Timeout
    from vboxkit.guest.serial_shell import SerialShell

__all__ = ["Port", "SerialConsole"]

_POLL = 0.02
#: What a getty, a login program and a shell end with while they wait. Shells may follow it with
#: escape sequences, as busybox with a question for the place of the cursor.
_ESCAPES = r"(?:\x1b\[[0-9;?]*[a-zA-Z])*"
_LOGIN = re.compile(r"login: *\Z", re.IGNORECASE)
_PASSWORD = re.compile(r"password(?: for [^\r\n]*)?: *\Z", re.IGNORECASE)
_SHELL = re.compile(rf"[#$%>] ?{_ESCAPES}\Z")
_REFUSED = re.compile(r"login incorrect|authentication failure|access denied", re.IGNORECASE)
#: How long a shell may keep silent until it is asked once more for its prompt, in seconds.
_NUDGE = 2.0


class Port(Protocol):
    """A serial port that can be typed on."""

    @property
    def running(self) -> bool:
        """Whether there is a guest."""
        ...

    def send(self, data: bytes) -> None:
        """Type."""

    def close(self, *, timeout: Timeout = 10) -> None:
        """Lead the port back to its file."""


class SerialConsole(SerialLog):
    """
    The serial port of a machine: captured to a file from its start on, and typed on.

    The first `send` leads the port to this process, which goes on writing the file; `close`, the
    end of the ``with`` block, or that of the process, leads it back. One process at a time can
    type; all can read.

    Args:
        path: The file.
        line: The port.
        earlier: See `SerialLog`.

    Example:
        >>> with vm.console as console:                                     # doctest: +SKIP
        ...     shell = console.login("root", "vboxkit")
        ...     print(shell.run("ip addr").stdout)
    """

    def __init__(self, path: Path, line: Port, *, earlier: Path | None = None) -> None:
        super().__init__(path, earlier=earlier)
        self._line = line
        self._expected = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self, *, timeout: Timeout = 10) -> None:
        """
        Let go of the port, if it was typed on: it is only captured to its file again.

        Args:
            timeout: How long to wait, in seconds, for a moment in which the guest is silent.

        Raises:
            WaitTimeoutError: It never was. Nothing is lost: the guest waits with what it says for
                the next one who types.
        """
        self._line.close(timeout=timeout)

    def send(self, text: str | bytes) -> None:
        r"""
        Type a text; a line break is Enter.

        Args:
            text: Control characters are typed, too: ``"\x03"`` is Ctrl-C. Bytes go as they are.

        Raises:
            InvalidStateError: The machine does not run, is paused, or its port is not captured.
            ConnectionLostError: Another process types there.
            WaitTimeoutError: The guest has read nothing of it for 30 s.

        Example:
            ``vm.console.send("reboot\n")``
        """
        data = text if isinstance(text, bytes) else text.replace("\n", "\r").encode()
        self._line.send(data)

    def expect(self, pattern: str | re.Pattern[str], *, timeout: Timeout) -> re.Match[str]:
        r"""
        Wait until the guest says something that was not yet expected; the next one goes on there.

        The first one looks at all that was said since the machine's start. Bytes that are no
        UTF-8 are lone surrogates.

        Args:
            pattern: A regular expression.
            timeout: Seconds, `timedelta` or `Deadline`.

        Returns:
            The first match.

        Raises:
            WaitTimeoutError: It was not said in time; the error shows the last 20 lines.

        Example:
            ``vm.console.expect("login: ", timeout=60); vm.console.send("root\n")``
        """
        wanted = re.compile(pattern) if isinstance(pattern, str) else pattern
        if self.mark() < self._expected:
            self._expected = 0  # the machine was started again
        start, seen = self._expected, -1

        def look() -> re.Match[str] | None:
            nonlocal seen
            size = self.mark()
            if size == seen:
                return None
            seen = size
            text = self.data(start).decode("utf-8", errors="surrogateescape")
            match = wanted.search(text)
            if match is not None:
                used = text[: match.end()].encode("utf-8", errors="surrogateescape")
                self._expected = start + len(used)
            return match

        return wait_until(
            look,
            what=f"{wanted.pattern!r} on the serial console {self.path}",
            timeout=timeout,
            poll=_POLL,
            last_seen=lambda: repr(self.tail(1)),
            evidence=lambda: self.tail(20),
        )

    def login(self, user: str, password: str = "", *, timeout: Timeout = 60) -> SerialShell:
        """
        Log in over the serial port, or take over the shell that is there already.

        Args:
            user: The user's name.
            password: The password, if it is asked for.
            timeout: Seconds, `timedelta` or `Deadline`, for the whole.

        Raises:
            GuestAuthError: The guest did not let the user in.
            WaitTimeoutError: It showed neither a login prompt nor a shell's in time.
            InvalidStateError: See `send`.

        Example:
            ``vm.console.login("root", "vboxkit").run("ifconfig")``
        """
        from vboxkit.guest.serial_shell import SerialShell

        deadline = Deadline(timeout)
        named = given = False
        mark = self.mark()
        self.send("\n")
        while True:
            kind = self._prompt(mark, deadline, ours=named)
            mark = self.mark()
            if kind == "shell":
                break
            if kind == "refused" or (kind == "login" and given):
                raise GuestAuthError(
                    f"serial console {self.path}: the guest does not let {user!r} in",
                    hint="check user and password; root may be let in only on some terminals",
                )
            if kind == "login":
                self.send(f"{user}\n")
                named = True
            else:
                # A question for a password that is not ours: somebody left it open.
                self.send(f"{password}\n" if named else "\n")
                given = named
        shell = SerialShell(self)
        shell.begin(timeout=deadline)
        return shell

    def _prompt(self, start: int, deadline: Deadline, *, ours: bool) -> str:
        """
        Return what waits for input: ``login``, ``password``, ``shell``; or ``refused``.

        A refusal counts only if the name was `ours`: it may be the answer to who was here before.
        """
        nudge = Deadline(_NUDGE)

        def look() -> str | None:
            nonlocal nudge
            text = self.text(start)
            if ours and _REFUSED.search(text):
                return "refused"
            for kind, pattern in (("login", _LOGIN), ("password", _PASSWORD), ("shell", _SHELL)):
                if pattern.search(text):
                    return kind
            if nudge.expired and not text:
                self.send("\n")
                nudge = Deadline(_NUDGE)
            return None

        return wait_until(
            look,
            what=f"a prompt on the serial console {self.path}",
            timeout=deadline,
            poll=_POLL,
            last_seen=lambda: repr(self.tail(1)),
            evidence=lambda: self.tail(20),
            hint="does the guest have a getty on its first serial port?",
        )

    def _goes_on(self) -> bool:
        return self._line.running

    def __repr__(self) -> str:
        return f"<SerialConsole {str(self.path)!r}>"

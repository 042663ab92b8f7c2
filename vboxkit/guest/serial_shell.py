"""Commands over a serial console."""

from __future__ import annotations

import re
import secrets
import time
from typing import TYPE_CHECKING

from vboxkit.core.result import Result
from vboxkit.core.waiting import Deadline
from vboxkit.errors import CommandFailedError, CommandTimeoutError, WaitTimeoutError

if TYPE_CHECKING:
    from typing_extensions import Self

    from vboxkit.core.waiting import Timeout
    from vboxkit.guest.serial_console import SerialConsole

__all__ = ["SerialShell"]

#: Characters of a command in one typed line: busybox cuts its lines at 1,024.
_PIECE = 600
_PLAIN = re.compile(rb"[A-Za-z0-9 _./=:,@+-]")


class SerialShell:
    """
    A shell on a serial console: `SerialConsole.login` gives one.

    Needs nothing of the guest but a POSIX shell. What the kernel says on the same port in the
    middle of a command is part of its output.

    Attributes:
        console: The console.
    """

    def __init__(self, console: SerialConsole) -> None:
        self.console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.logout()

    def begin(self, *, timeout: Timeout) -> None:
        """Make sure that a shell answers."""
        self._ask("true", Deadline(timeout))

    def run(self, command: str, *, timeout: Timeout = 60) -> Result:
        r"""
        Run a shell line, and wait until it has ended.

        It is run in a shell of its own, with nothing to read: ``cd`` does not outlast it.

        Args:
            command: The line; several lines are a script.
            timeout: Seconds, `timedelta` or `Deadline`. Then it is ended by Ctrl-C.

        Returns:
            Its exit code and output; errors and output are one stream, in `Result.stdout`, with
            line breaks as ``\n``.

        Raises:
            CommandTimeoutError: It did not end in time; ``.result`` has the output so far.
            ConnectionLostError: See `SerialConsole.send`.

        Example:
            ``shell.run("ip addr").stdout``
        """
        deadline, begin = Deadline(timeout), time.monotonic()
        try:
            for number, piece in enumerate(_pieces(command)):
                before = "$VBOXKIT_LINE" if number else ""
                self._ask(f"VBOXKIT_LINE={before}'{piece}'", deadline)
            code, output = self._ask(
                '(eval "$(printf %b "$VBOXKIT_LINE")") </dev/null 2>&1', deadline
            )
        except WaitTimeoutError as error:
            text = self._partial
            self.console.send("\x03")
            raise CommandTimeoutError(
                f"serial console {self.console.path}: {command!r} did not end within"
                f" {deadline.elapsed:.0f} s; Ctrl-C was sent",
                result=Result(command, None, text.encode(), b"", time.monotonic() - begin),
            ) from error
        return Result(command, code, output.encode(), b"", time.monotonic() - begin)

    def succeed(self, command: str, *, timeout: Timeout = 60) -> str:
        """
        Run a shell line, and return its output.

        Raises:
            CommandFailedError: Its exit code is not 0.
        """
        result = self.run(command, timeout=timeout)
        if not result.ok:
            raise CommandFailedError(
                f"serial console {self.console.path}: {result.describe()}", result=result
            )
        return result.stdout

    def logout(self) -> None:
        """Leave the shell; the guest shows its login prompt again."""
        self.console.send("exit\n")

    _partial = ""

    def _ask(self, line: str, deadline: Deadline) -> tuple[int, str]:
        """Run a line in the shell itself; return its exit code and what it wrote."""
        # Typed in two parts, so that the echo of what was typed is not taken for the answer.
        token = secrets.token_hex(4)
        start = self.console.mark()
        self._partial = ""
        self.console.send(
            f"printf '%s%s\\n' vbk-{token} -begin; {line}; "
            f"printf '\\n%s%s %s\\n' vbk-{token} -end $?\n"
        )
        try:
            end = self.console.wait_for(
                rf"vbk-{token}-begin\r*\n([\s\S]*?)\r*\nvbk-{token}-end (\d+)",
                timeout=deadline,
                start=start,
            )
        except WaitTimeoutError:
            said = self.console.text(start).partition(f"vbk-{token}-begin")[2]
            self._partial = said.lstrip("\r\n").replace("\r\n", "\n")
            raise
        return int(end[2]), re.sub(r"\r+\n", "\n", end[1])

    def __repr__(self) -> str:
        return f"<SerialShell on {self.console!r}>"


def _pieces(command: str) -> list[str]:
    """Return a command as printf's %b wants it, without what a terminal or shell heeds."""
    pieces = [""]
    for byte in command.encode():
        part = chr(byte) if _PLAIN.match(bytes([byte])) else f"\\0{byte:03o}"
        if len(pieces[-1]) + len(part) > _PIECE:
            pieces.append("")
        pieces[-1] += part
    return pieces

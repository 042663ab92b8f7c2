"""What a command in the guest gave back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

__all__ = ["Result", "StreamName"]

#: Where a command wrote to.
StreamName: TypeAlias = Literal["stdout", "stderr"]


@dataclass(frozen=True)
class Result:
    """
    A command that was run in the guest, and what came of it.

    Ask `ok` whether it succeeded: like any object, a result is true in an ``if`` also when the
    command failed.

    Attributes:
        command: The command as the guest's shell got it from the caller.
        exit_code: 0 to 255; 128 + n if signal n ended it; `None` if it did not end in time, or the
            guest did not say.
        stdout_bytes: What it wrote to standard output.
        stderr_bytes: What it wrote to standard error.
        duration: Seconds, from the request until all of the output was here.

    Example:
        >>> result = Result("uname", 0, b"Linux", b"", 0.2)
        >>> result.ok, result.stdout
        (True, 'Linux')
    """

    command: str
    exit_code: int | None
    stdout_bytes: bytes = field(repr=False)
    stderr_bytes: bytes = field(repr=False)
    duration: float

    @property
    def ok(self) -> bool:
        """Whether the exit code is 0."""
        return self.exit_code == 0

    @property
    def stdout(self) -> str:
        """Standard output as text; bytes that are not UTF-8 become U+FFFD."""
        return self.stdout_bytes.decode("utf-8", errors="replace")

    @property
    def stderr(self) -> str:
        """Standard error as text; bytes that are not UTF-8 become U+FFFD."""
        return self.stderr_bytes.decode("utf-8", errors="replace")

    def tail(self, stream: StreamName, lines: int = 10) -> str:
        r"""
        Return the last lines of a stream, without the final line break.

        Example:
            >>> Result("seq 3", 0, b"1\n2\n3\n", b"", 0.1).tail("stdout", 2)
            '2\n3'
        """
        text = self.stdout if stream == "stdout" else self.stderr
        return "\n".join(text.splitlines()[-lines:]) if lines > 0 else ""

    def describe(self) -> str:
        """Return the command, its exit code and the last 10 lines of both streams, for an error."""
        code = "no exit code" if self.exit_code is None else f"exit code {self.exit_code}"
        parts = [f"{self.command!r}: {code} after {self.duration:.1f} s"]
        streams: tuple[StreamName, ...] = ("stdout", "stderr")
        for stream in streams:
            tail = self.tail(stream)
            parts.append(f"  last of {stream}:\n{_indent(tail)}" if tail else f"  {stream}: empty")
        return "\n".join(parts)

    def __repr__(self) -> str:
        command = self.command if len(self.command) <= 60 else self.command[:57] + "..."
        return (
            f"<Result {command!r} exit_code={self.exit_code} "
            f"stdout={len(self.stdout_bytes)} B stderr={len(self.stderr_bytes)} B "
            f"{self.duration:.2f} s>"
        )


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())

"""A guest's command with the streams of this one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from vboxkit.errors import CommandTimeoutError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vboxkit.guest.result import Result
    from vboxkit.guest.ssh import SSH

__all__ = ["command_line", "execute", "standard_input"]

#: What OpenSSH's client ends with when the guest did not say how its command ended.
_UNKNOWN = 255


def command_line(words: Sequence[str]) -> str | list[str]:
    """Return one word as a shell line, and several as a command and its arguments."""
    return words[0] if len(words) == 1 else list(words)


def standard_input() -> bytes | None:
    """Return all of standard input, or `None` where it is a terminal, or nothing."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return None
    return sys.stdin.buffer.read() or None


def execute(
    ssh: SSH,
    words: Sequence[str],
    *,
    stdin: bytes | None,
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """
    Run a command in the guest, pass on what it writes byte by byte, and return its exit code.

    Raises:
        CommandTimeoutError: It did not end in time; what it wrote is passed on all the same.
    """
    try:
        result = ssh.run(command_line(words), env=env, input=stdin, timeout=timeout)
    except CommandTimeoutError as error:
        _pass_on(error.result)
        raise
    _pass_on(result)
    return _UNKNOWN if result.exit_code is None else result.exit_code


def _pass_on(result: Result) -> None:
    for stream, content in (
        (sys.stdout, result.stdout_bytes),
        (sys.stderr, result.stderr_bytes),
    ):
        stream.flush()
        stream.buffer.write(content)
        stream.buffer.flush()

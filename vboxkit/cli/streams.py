"""A guest's command with the streams of this one."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vboxkit.guest.ssh import SSH

__all__ = ["BROKEN_PIPE", "UNKNOWN", "command_line", "execute", "live_input", "standard_input"]

#: What OpenSSH's client ends with when the guest did not say how its command ended.
UNKNOWN = 255
#: What a shell says of a command that wrote to a pipe whose reader has gone.
BROKEN_PIPE = 141


def command_line(words: Sequence[str]) -> str | list[str]:
    """Return one word as a shell line, and several as a command and its arguments."""
    return words[0] if len(words) == 1 else list(words)


def standard_input() -> bytes | None:
    """Return all of standard input, or `None` where it is a terminal, or nothing."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return None
    return sys.stdin.buffer.read() or None


def live_input() -> BinaryIO | None:
    """Return standard input, to be read as it comes, or `None` where it is a terminal."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return None
    return cast("BinaryIO", _Descriptor(sys.stdin.fileno()))


class _Descriptor:
    """Reads what there is; a buffered file waits for more, and locks up the interpreter's end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self, size: int) -> bytes:
        return os.read(self._fd, size)


def execute(
    ssh: SSH,
    words: Sequence[str],
    *,
    stdin: bytes | BinaryIO | None,
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """
    Run a command in the guest, pass on what it writes as it comes, and return its exit code.

    Raises:
        CommandTimeoutError: It did not end in time; what it wrote is passed on all the same.
    """
    line = command_line(words)
    files = {"stdout": sys.stdout, "stderr": sys.stderr}
    try:
        with (
            ssh.stream(line, env=env, input=stdin, timeout=timeout, check=False) as stream,
            _silence(stream.command) as broken,
        ):
            for name, data in stream.chunks():
                broken()
                file = files[name]
                file.flush()
                file.buffer.write(data)
                file.buffer.flush()
    except BrokenPipeError:
        # Python would complain once more when it flushes the stream at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return UNKNOWN if stream.exit_code is None else stream.exit_code


@contextmanager
def _silence(command: str) -> Iterator[Callable[[], None]]:
    """Show that a command is under way, where somebody looks, until it writes something."""
    from vboxkit.cli import output

    console = output.err()
    if not console.is_terminal or console.is_dumb_terminal:
        yield lambda: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        # What the guest writes goes byte by byte, when this is gone.
        redirect_stdout=False,
        redirect_stderr=False,
    )
    first = command.splitlines()[0]
    progress.add_task(first if len(first) <= 60 else first[:57] + "...", total=None)
    running = [True]

    def stop() -> None:
        if running:
            running.clear()
            progress.stop()

    progress.start()
    try:
        yield stop
    finally:
        stop()

"""The user's terminal, key by key."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vboxkit.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["raw", "typed"]

#: Ctrl-], as in telnet.
_END = b"\x1d"


def typed() -> Iterator[bytes]:
    """
    Yield what the user types as it is typed, until Ctrl-] or the end of the input.

    The terminal is raw meanwhile: Ctrl-C is for the guest. Input that is no terminal is read as it
    is.
    """
    fd = sys.stdin.fileno()
    if not os.isatty(fd):
        while data := os.read(fd, 4096):
            yield data
        return
    if os.name == "nt":
        raise SetupError("typing needs a POSIX terminal", hint="vboxkit console without -i")
    with raw(fd):
        while data := os.read(fd, 4096):
            keys, end, _ = data.partition(_END)
            if keys:
                yield keys
            if end:
                return


@contextmanager
def raw(fd: int) -> Iterator[None]:
    """Have a terminal give each key as it is, Ctrl-C too; afterwards it is as it was before."""
    import termios  # not on Windows
    import tty

    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)

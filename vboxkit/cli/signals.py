"""Signals that end the command: machines are destroyed on the way out, whichever it was."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["ending"]

#: Seconds until a signal that came at a bad moment is looked at again.
_AGAIN = 0.02


@contextmanager
def ending() -> Iterator[None]:
    """Turn Ctrl-C into `KeyboardInterrupt`, SIGTERM and a closed terminal into `SystemExit`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        # XPCOM drops exceptions of Python code that it calls back: such a Ctrl-C would be lost.
        if _in_xpcom(frame):
            again = threading.Timer(_AGAIN, _send, [number])
            again.daemon = True
            again.start()
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            raise SystemExit(128 + number)

    old = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # What nohup or a caller made deaf stays deaf.
        if number is not None and signal.getsignal(number) in _DEFAULTS:
            old[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)


def _send(number: int) -> None:
    """Send a signal to the main thread; where there is `pthread_kill`, it ends waits as well."""
    if sys.platform == "win32":
        _thread.interrupt_main(number)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, number)


def _in_xpcom(frame: FrameType | None) -> bool:
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).split(".")[0] == "xpcom":
            return True
        frame = frame.f_back
    return False

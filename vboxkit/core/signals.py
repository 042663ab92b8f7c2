"""Ending in order when somebody asks this process to end."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["Terminated", "defer_alarm", "ending", "held"]

#: Where an exception that a signal raises may get lost: ``xpcom.vboxxpcom`` imports under a bare
#: ``except: pass``, and XPCOM's C code calls back into Python and clears what is raised there.
_SWALLOWERS = frozenset({"xpcom", "vboxapi"})
_PAUSE = 0.01
_TRIES = 300


class Terminated(KeyboardInterrupt):
    """The process was asked to end by another signal than that of Ctrl-C."""


@contextmanager
def ending(terminated: Callable[[int], BaseException]) -> Iterator[None]:
    """
    Let Ctrl-C, SIGTERM, and SIGHUP of a terminal that is closed, end this process in order.

    The system would end it on the spot at the latter two, with machines left behind. And Ctrl-C in
    the middle of VirtualBox's modules could be swallowed by them: it waits until they are left.
    Only where nobody else has a handler, and only in the main thread, where Python runs them.

    Args:
        terminated: Makes the exception for a signal other than Ctrl-C's, of its number.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = _Handlers(terminated)
    mine = {}
    for name, usual, handler in (
        ("SIGINT", signal.default_int_handler, handlers.interrupt),
        ("SIGTERM", signal.SIG_DFL, handlers.terminate),
        ("SIGHUP", signal.SIG_DFL, handlers.terminate),
    ):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is usual:
            mine[number] = (usual, handler)
    try:
        for number, (_, handler) in mine.items():
            signal.signal(number, handler)
        yield
    finally:
        for number, (usual, handler) in mine.items():
            if signal.getsignal(number) == handler:
                signal.signal(number, usual)


@contextmanager
def held() -> Iterator[None]:
    """
    Keep Ctrl-C, and what else asks this process to end, back until the block is over.

    For what must not stop half way, as the removal of a machine, and takes moments. Whoever asks a
    second time does not wait. Only in the main thread, where Python runs handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []
    before: dict[int, Any] = {}

    def keep(number: int, frame: FrameType | None) -> None:
        if asked:
            before[number](number, frame)
        asked.append(number)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        # One without a handler ends the process on the spot, here as elsewhere.
        if number is not None and callable(signal.getsignal(number)):
            before[number] = signal.getsignal(number)
    try:
        for number in before:
            signal.signal(number, keep)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if len(asked) == 1:
            _send(asked[0])


def defer_alarm() -> None:
    """
    Let a handler of SIGALRM that somebody has set wait until VirtualBox's modules are left.

    pytest-timeout's raises an exception, which they could swallow: the test would go on for ever.
    It is for the handler that is there now; who sets another one takes this one's place. Only in
    the main thread, where Python runs them.
    """
    number = getattr(signal, "SIGALRM", None)  # Windows has none
    if number is None or threading.current_thread() is not threading.main_thread():
        return
    handler = signal.getsignal(number)
    if callable(handler) and not isinstance(handler, _LaterAlarm):
        signal.signal(number, _LaterAlarm(handler))


class _LaterAlarm:
    def __init__(self, handler: Callable[[int, FrameType | None], Any]) -> None:
        self._handler = handler
        self._tries = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._tries < _TRIES and _among_swallowers(frame):
            self._tries += 1
            # The timer that is his, so that it ends when he stops it.
            signal.setitimer(signal.ITIMER_REAL, _PAUSE)
        else:
            self._handler(number, frame)


class _Handlers:
    def __init__(self, terminated: Callable[[int], BaseException]) -> None:
        self._terminated = terminated
        self._asked = False
        self._tries = 0

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        if not self._later(number, frame):
            raise KeyboardInterrupt

    def terminate(self, number: int, frame: FrameType | None) -> None:
        # A second one must not interrupt the clean-up: who sends it would send SIGKILL next.
        if not self._asked and not self._later(number, frame):
            self._asked = True
            raise self._terminated(number)

    def _later(self, number: int, frame: FrameType | None) -> bool:
        """Send the signal once more a moment later, if an exception could get lost now."""
        if self._tries < _TRIES and _among_swallowers(frame):
            self._tries += 1
            again = threading.Timer(_PAUSE, _send, [number])
            again.daemon = True
            again.start()
            return True
        self._tries = 0
        return False


def _among_swallowers(frame: FrameType | None) -> bool:
    while frame is not None:
        if str(frame.f_globals.get("__name__")).partition(".")[0] in _SWALLOWERS:
            return True
        frame = frame.f_back
    return False


def _send(number: int) -> None:
    # To the main thread itself, so that what it waits in is interrupted.
    if hasattr(signal, "pthread_kill"):
        ident = threading.main_thread().ident
        if ident is not None:
            signal.pthread_kill(ident, number)
    else:
        signal.raise_signal(number)

"""Ending in order when somebody asks this process to end."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["Terminated", "postponed", "terminable"]


class Terminated(KeyboardInterrupt):
    """The process was asked to end; pytest tears down as it does after Ctrl-C."""


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def postponed() -> Iterator[None]:
    """
    Let a first Ctrl-C wait until the block is over.

    For foreign code that would swallow it: VirtualBox's ``xpcom.vboxxpcom`` loads its C module
    under a bare ``except: pass``, and the run would go on as if nothing had been asked.
    """
    before = signal.getsignal(signal.SIGINT)
    if not _in_main_thread() or not callable(before):
        yield
        return
    came = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        if came:  # somebody is impatient
            before(number, frame)
        came = True

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def terminable() -> Iterator[None]:
    """
    Let SIGTERM, and SIGHUP of a terminal that is closed, end the run as Ctrl-C does.

    pytest leaves both to the system, which ends the process on the spot: fixtures are not torn
    down then. Only where nobody else has a handler, and only in the main thread, where Python runs
    them. A second signal does not interrupt the clean-up.
    """
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if not _in_main_thread():
        yield
        return
    asked = False

    def end(number: int, _: FrameType | None) -> None:
        nonlocal asked
        if not asked:
            asked = True
            raise Terminated(f"{signal.Signals(number).name}: asked to end")

    mine = [
        number
        for number in (getattr(signal, name) for name in names)
        if signal.getsignal(number) is signal.SIG_DFL
    ]
    try:
        for number in mine:
            signal.signal(number, end)
        yield
    finally:
        for number in mine:
            if signal.getsignal(number) is end:
                signal.signal(number, signal.SIG_DFL)

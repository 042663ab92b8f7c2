"""Ctrl-C is held back while something must not stop half way."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from types import FunctionType

import pytest

from vboxkit.core.signals import defer_alarm, held
from vboxkit.core.waiting import wait_until


def test_comes_after_the_block() -> None:
    """The block is finished, then the interrupt is raised."""
    done = []
    with pytest.raises(KeyboardInterrupt), held():
        signal.raise_signal(signal.SIGINT)
        done.append(True)
    assert done == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_second_one_does_not_wait() -> None:
    """Who asks twice is heard at once, and only once."""
    done = []
    with pytest.raises(KeyboardInterrupt), held():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        done.append(True)
    assert done == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_nested_blocks_end_first() -> None:
    """An inner block hands the interrupt to the outer one."""
    done = []
    with pytest.raises(KeyboardInterrupt), held():
        with held():
            signal.raise_signal(signal.SIGINT)
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]


def test_an_error_is_not_lost() -> None:
    """What the block raised is the context of the interrupt."""
    with pytest.raises(KeyboardInterrupt) as caught, held():
        signal.raise_signal(signal.SIGINT)
        raise ValueError("half way")
    assert isinstance(caught.value.__context__, ValueError)


def test_without_an_interrupt_nothing_changes() -> None:
    """Handlers are as before."""
    before = signal.getsignal(signal.SIGTERM)
    with held():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_thread_leaves_handlers_alone() -> None:
    """Python runs handlers in the main thread only."""
    seen = []

    def work() -> None:
        with held():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


class _LateError(Exception):
    pass


def _alarm(number: int, frame: object) -> None:
    raise _LateError


def _swallow(after: list[str]) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    for _ in range(20):
        with suppress(BaseException):
            threading.Event().wait(0.005)
    after.append("it goes on")


@pytest.mark.parametrize("deferred", [True, False])
def test_an_alarm_waits_for_foreign_code(deferred: bool) -> None:  # noqa: FBT001 - a parameter
    """What VirtualBox's modules would swallow comes when they are left; else it is lost."""
    foreign = FunctionType(_swallow.__code__, {**globals(), "__name__": "xpcom.vboxxpcom"})
    after: list[str] = []
    before = signal.signal(signal.SIGALRM, _alarm)
    seen = []
    try:
        if deferred:
            defer_alarm()
            defer_alarm()  # twice is once
        try:
            foreign(after)
            wait_until(lambda: None, what="the alarm", timeout=0.5)
        except (_LateError, TimeoutError) as error:
            seen.append(type(error).__name__)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert after == ["it goes on"]
    assert seen == ["_LateError" if deferred else "WaitTimeoutError"]

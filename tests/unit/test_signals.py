"""Ctrl-C is held back while something must not stop half way."""

from __future__ import annotations

import signal
import threading

import pytest

from vboxkit.core.signals import held


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

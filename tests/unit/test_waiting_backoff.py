"""wait_until with a pause that depends on the attempt."""

from __future__ import annotations

import pytest

from vboxkit.core.waiting import wait_until
from vboxkit.errors import WaitTimeoutError


class Recorder:
    """A clock that notes each sleep instead of sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Return the time that was set."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Note it."""
        self.slept.append(seconds)
        self.now += seconds


def test_callable_poll_gets_the_attempt_and_gives_the_pause() -> None:
    """The pause after attempt n is poll(n)."""
    clock = Recorder()
    answers = iter([None, None, None, "up"])
    value = wait_until(
        lambda: next(answers),
        what="it",
        timeout=60,
        poll=lambda attempt: 0.5 * 2**attempt,
        clock=clock,
    )
    assert value == "up"
    assert clock.slept == [1.0, 2.0, 4.0]


def test_callable_poll_is_cut_to_what_remains() -> None:
    """The last pause never passes the deadline."""
    clock = Recorder()
    with pytest.raises(WaitTimeoutError):
        wait_until(lambda: None, what="it", timeout=2.5, poll=lambda attempt: 1.0, clock=clock)
    assert clock.slept == [1.0, 1.0, 0.5]

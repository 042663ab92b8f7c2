"""wait_until and deadlines, on a clock that only moves when somebody sleeps."""

from __future__ import annotations

from datetime import timedelta
from itertools import chain, repeat

import pytest

from vboxkit.core.waiting import Deadline, seconds, wait_until
from vboxkit.errors import WaitTimeoutError


class FakeClock:
    """Time that passes only by sleeping, or when told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Return the present moment."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Move the present moment."""
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> FakeClock:
    """Make a clock of the test's own."""
    return FakeClock()


def test_a_value_at_once_needs_no_sleep(clock: FakeClock) -> None:
    """The first probe's value is returned; nobody sleeps."""
    assert wait_until(lambda: "up", what="it", timeout=5, clock=clock) == "up"
    assert clock.slept == []


def test_none_means_not_yet_and_false_is_a_value(clock: FakeClock) -> None:
    """Only `None` is waited for; other empty values are results."""
    answers = iter([None, None, False])
    assert wait_until(lambda: next(answers), what="it", timeout=5, poll=1, clock=clock) is False
    assert clock.slept == [1, 1]


def test_any_other_exception_passes_at_once(clock: FakeClock) -> None:
    """A hopeless error ends the wait, unchanged."""

    def probe() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        wait_until(probe, what="it", timeout=60, clock=clock)
    assert clock.slept == []


def test_time_is_up(clock: FakeClock) -> None:
    """The error says what was awaited, and for how long."""
    with pytest.raises(WaitTimeoutError) as caught:
        wait_until(lambda: None, what="the moon", timeout=3, poll=1, clock=clock)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.what == "the moon"
    assert caught.value.waited == 3
    assert "gave up after 3.0 s waiting for the moon" in str(caught.value)


def test_the_probe_runs_once_even_without_time(clock: FakeClock) -> None:
    """`timeout=0` looks once."""
    assert wait_until(lambda: 1, what="it", timeout=0, clock=clock) == 1
    calls: list[int] = []
    with pytest.raises(WaitTimeoutError):
        wait_until(lambda: calls.append(1), what="it", timeout=0, clock=clock)
    assert calls == [1]
    assert clock.slept == []


def test_a_late_success_is_a_success(clock: FakeClock) -> None:
    """A probe that takes longer than the timeout and then succeeds has succeeded."""

    def slow() -> str:
        clock.now += 100
        return "late"

    assert wait_until(slow, what="it", timeout=1, clock=clock) == "late"


def test_the_last_sleep_is_cut(clock: FakeClock) -> None:
    """Nobody sleeps past the deadline, and the last look is at the deadline."""
    looks: list[float] = []
    with pytest.raises(WaitTimeoutError):
        wait_until(lambda: looks.append(clock.now), what="it", timeout=2.5, poll=1, clock=clock)
    assert clock.slept == [1, 1, 0.5]
    assert looks[-1] == 1002.5


def test_exceptions_that_mean_not_yet(clock: FakeClock) -> None:
    """`retry_on` is tried again; the last one is the cause of the timeout."""
    answers = chain([ConnectionError("first")], repeat(ConnectionError("last")))

    def probe() -> None:
        raise next(answers)

    with pytest.raises(WaitTimeoutError) as caught:
        wait_until(probe, what="it", timeout=2, poll=1, retry_on=(ConnectionError,), clock=clock)
    assert isinstance(caught.value.__cause__, ConnectionError)
    assert caught.value.last_seen == "last"
    assert clock.slept == [1, 1]


def test_an_exception_and_then_a_value(clock: FakeClock) -> None:
    """After an awaited exception a value still counts."""
    outcomes: list[OSError | str] = [OSError("not yet"), "up"]
    answers = iter(outcomes)

    def probe() -> str:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    value = wait_until(probe, what="it", timeout=9, poll=1, retry_on=(OSError,), clock=clock)
    assert value == "up"


def test_evidence_and_last_seen_are_asked_for_at_the_end_only(clock: FakeClock) -> None:
    """They are costly: once, and only if the time is up; both are in the message."""
    asked: list[str] = []

    def note(text: str) -> str:
        asked.append(text)
        return text

    def wait(probe: object, timeout: float) -> object:
        return wait_until(
            lambda: probe,
            what="it",
            timeout=timeout,
            poll=1,
            evidence=lambda: note("serial log"),
            last_seen=lambda: note("Starting"),
            hint="look there",
            clock=clock,
        )

    assert wait("up", 5) == "up"
    assert asked == []
    with pytest.raises(WaitTimeoutError) as caught:
        wait(None, 3)
    assert sorted(asked) == ["Starting", "serial log"]
    error = caught.value
    assert (error.last_seen, error.evidence, error.hint) == ("Starting", "serial log", "look there")
    for text in asked:
        assert text in str(error)


def test_waits_share_a_deadline(clock: FakeClock) -> None:
    """What the first wait used is missing to the second one."""
    deadline = Deadline(10, clock=clock)
    clock.now += 7
    with pytest.raises(WaitTimeoutError) as caught:
        wait_until(lambda: None, what="it", timeout=deadline, poll=1, clock=clock)
    assert caught.value.waited == 3
    assert deadline.expired
    assert deadline.remaining == 0


def test_a_deadline_of_a_deadline_is_the_same_moment(clock: FakeClock) -> None:
    """An inner deadline counts its own elapsed time up to the outer's end."""
    outer = Deadline(10, clock=clock)
    clock.now += 4
    inner = Deadline(outer, clock=clock)
    assert (inner.remaining, inner.elapsed) == (6, 0)
    assert outer.elapsed == 4
    assert "6.000" in repr(inner)


def test_durations_may_be_timedeltas(clock: FakeClock) -> None:
    """Timeout and poll take `timedelta`."""
    with pytest.raises(WaitTimeoutError):
        wait_until(
            lambda: None,
            what="it",
            timeout=timedelta(milliseconds=1500),
            poll=timedelta(seconds=1),
            clock=clock,
        )
    assert clock.slept == [1, 0.5]
    assert seconds(timedelta(minutes=2)) == 120


@pytest.mark.parametrize("wrong", [True, False, -1, -0.1, timedelta(seconds=-1), float("nan")])
def test_what_is_no_duration(wrong: float) -> None:
    """Booleans, negative numbers and NaN are refused."""
    with pytest.raises(ValueError, match="duration"):
        seconds(wrong)
    with pytest.raises(ValueError, match="duration"):
        Deadline(wrong)


def test_callable_poll_gets_the_attempt_and_gives_the_pause(clock: FakeClock) -> None:
    """The pause after attempt n is poll(n)."""
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


def test_callable_poll_is_cut_to_what_remains(clock: FakeClock) -> None:
    """The last pause never passes the deadline."""
    with pytest.raises(WaitTimeoutError):
        wait_until(lambda: None, what="it", timeout=2.5, poll=lambda attempt: 1.0, clock=clock)
    assert clock.slept == [1.0, 1.0, 0.5]

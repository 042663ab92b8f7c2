"""Waiting: deadlines, and the one loop in vboxkit that sleeps (the only user of tenacity)."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar, Union

import tenacity

from vboxkit.errors import WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["SYSTEM_CLOCK", "Clock", "Deadline", "Timeout", "every", "seconds", "wait_until"]

T = TypeVar("T")

#: Seconds, a `timedelta`, or a `Deadline` that several waits share.
Timeout = Union[float, timedelta, "Deadline"]


class Clock(Protocol):
    """What tells the time and sleeps; tests bring their own."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""


class _SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


SYSTEM_CLOCK: Clock = _SystemClock()


def seconds(duration: float | timedelta) -> float:
    """
    Turn a duration into seconds.

    Raises:
        ValueError: It is negative, or not a duration at all.
        TypeError: It is no number.
    """
    if isinstance(duration, timedelta):
        duration = duration.total_seconds()
    if not isinstance(duration, (int, float)):
        raise TypeError(f"a duration is seconds >= 0 or a timedelta, not {duration!r}")
    if isinstance(duration, bool) or not duration >= 0:
        raise ValueError(f"a duration is seconds >= 0 or a timedelta, not {duration!r}")
    return float(duration)


class Deadline:
    """
    A moment on the monotonic clock, made once and shared by every wait inside it.

    Args:
        timeout: Seconds or `timedelta` from now; another deadline
            gives its own moment.
    """

    __slots__ = ("_clock", "_end", "_start")

    def __init__(self, timeout: Timeout, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._start = clock.monotonic()
        left = timeout.remaining if isinstance(timeout, Deadline) else seconds(timeout)
        self._end: float = self._start + left

    @property
    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self._end - self._clock.monotonic())

    @property
    def elapsed(self) -> float:
        """Seconds since this deadline was made."""
        return self._clock.monotonic() - self._start

    @property
    def expired(self) -> bool:
        """Whether the moment has passed."""
        return self._clock.monotonic() >= self._end

    def __repr__(self) -> str:
        return f"<Deadline in {self.remaining:.3f} s>"


def every(period: float, *, clock: Clock = SYSTEM_CLOCK) -> Iterator[None]:
    """
    Yield at once and then every so many seconds, for ever: for what is shown or measured in time.

    Nothing is awaited so; see `wait_until`. A round that takes longer is followed at once.

    Example:
        >>> next(every(60))
    """
    while True:
        begin = clock.monotonic()
        yield
        clock.sleep(max(0.0, begin + period - clock.monotonic()))


def wait_until(
    probe: Callable[[], T | None],
    *,
    what: str,
    timeout: Timeout,
    poll: float | timedelta | Callable[[int], float] = 0.05,
    retry_on: tuple[type[Exception], ...] = (),
    evidence: Callable[[], str] | None = None,
    last_seen: Callable[[], object] | None = None,
    hint: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> T:
    """
    Call `probe` until it returns something other than `None`.

    The probe runs at least once, even with ``timeout=0``, and a late success is still a success:
    the deadline only stops further attempts. The last sleep is cut to what remains.

    Args:
        probe: Returns the awaited value, or `None` for "not yet".
        what: Completes the sentence "waiting for ..."; goes into the error.
        timeout: Seconds, `timedelta`, or a `Deadline` shared with other waits.
        poll: Seconds (or `timedelta`) between two probes. A probe that itself blocks until
            something happens (an event, a banner) takes 0.
        retry_on: Exceptions that mean "not yet". Any other one passes at once.
        evidence: Called once the time is up; its text goes into the error.
        last_seen: Called once the time is up, to say what is there instead of the value.
        hint: What to try, for the error.
        clock: Replaced by tests.

    Returns:
        The first value of `probe` that is not `None`.

    Raises:
        WaitTimeoutError: No value in time. Its ``__cause__`` is the last probe's exception.

    Example:
        >>> states = iter(["starting", "running"])
        >>> wait_until(lambda: s if (s := next(states)) == "running" else None,
        ...            what="the machine to run", timeout=5, poll=0)
        'running'
    """
    deadline = Deadline(timeout, clock=clock)
    if callable(poll):
        pause = poll
    else:
        fixed = seconds(poll)
        pause = lambda _attempt: fixed  # noqa: E731 - one name, two functions

    retrying = tenacity.Retrying(
        sleep=clock.sleep,
        stop=lambda _: deadline.expired,
        wait=lambda state: min(pause(state.attempt_number), deadline.remaining),
        retry=tenacity.retry_if_result(lambda value: value is None)
        | tenacity.retry_if_exception_type(retry_on),
    )
    try:
        value = retrying(probe)
    except tenacity.RetryError as error:
        cause = error.last_attempt.exception()
        seen: object = cause
        if last_seen is not None:
            seen = last_seen()
        raise WaitTimeoutError(
            what,
            waited=deadline.elapsed,
            last_seen=seen,
            evidence=evidence() if evidence else "",
            hint=hint,
        ) from cause
    assert value is not None  # noqa: S101 - tenacity returned, so the retry condition was false
    return value

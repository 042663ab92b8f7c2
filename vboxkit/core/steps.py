"""
Steps: nested records of what is being done and how long it took.

A reporter (the command's live view, a log, a test report) subscribes; the code that works only
says ``with step("import tiny"):``.
"""

from __future__ import annotations

import contextvars
import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Listener", "Step", "moving", "step", "subscribe"]

_log = logging.getLogger("vboxkit.steps")
_current: contextvars.ContextVar[Step | None] = contextvars.ContextVar("vboxkit_step", default=None)
_moved: contextvars.ContextVar[int | None] = contextvars.ContextVar("vboxkit_moved", default=None)
_listeners: list[Listener] = []

#: Before so much is done, in percent and seconds, nobody can tell when it will end.
_FIRST_PERCENT, _FIRST_SECONDS = 3, 1.0


@dataclass(eq=False)
class Step:
    """
    One piece of work: its title, its parent, and how it ended.

    Attributes:
        moves: How many bytes its percents are of, if that is known; see `moving`.
    """

    title: str
    parent: Step | None = None
    started: float = field(default_factory=time.time)
    duration: float | None = None
    status: Literal["running", "ok", "failed"] = "running"
    error: str = ""
    percent: int | None = None
    note: str = ""
    moves: int | None = None

    @property
    def bytes_per_second(self) -> float | None:
        """How fast it moves its bytes, on the average; `None` while nobody can tell."""
        elapsed = self._elapsed()
        if self.moves is None or elapsed is None:
            return None
        return self.moves * (self.percent or 0) / 100 / elapsed

    @property
    def seconds_left(self) -> float | None:
        """How long it takes if it goes on so; `None` while nobody can tell."""
        elapsed = self._elapsed()
        return None if elapsed is None else elapsed * (100 / (self.percent or 100) - 1)

    def _elapsed(self) -> float | None:
        if self.duration is not None or not _FIRST_PERCENT <= (self.percent or 0) < 100:
            return None
        elapsed = time.time() - self.started
        return elapsed if elapsed >= _FIRST_SECONDS else None

    @property
    def depth(self) -> int:
        """How many steps this one is inside of."""
        return 0 if self.parent is None else self.parent.depth + 1

    def update(self, *, percent: int | None = None, note: str | None = None) -> None:
        """Tell how far the work is (0 to 100), or what is being done now."""
        if percent is not None:
            self.percent = percent
        if note is not None:
            self.note = note
        for listener in tuple(_listeners):
            listener(self)


class Listener(Protocol):
    """Called when a step begins, is updated, and ends."""

    def __call__(self, step: Step, /) -> None:
        """Take note of the step; `Step.status` says where it is."""


@contextmanager
def subscribe(listener: Listener) -> Iterator[None]:
    """Call `listener` for every step of this process while the block runs."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@contextmanager
def moving(octets: int | None) -> Iterator[None]:
    """
    Say how many bytes the steps of the block move: who shows them tells the speed.

    Args:
        octets: The number; `None` if it is not known.

    Example:
        >>> with moving(5_000_000), step("import tiny") as s:
        ...     s.update(percent=50)
        >>> s.moves
        5000000
    """
    token = _moved.set(octets)
    try:
        yield
    finally:
        _moved.reset(token)


@contextmanager
def step(title: str) -> Iterator[Step]:
    """
    Record a piece of work with its duration.

    Example:
        >>> with step("import tiny") as s:
        ...     s.update(percent=50)
        >>> s.status
        'ok'
    """
    this = Step(title, parent=_current.get(), moves=_moved.get())
    begin = time.monotonic()
    token = _current.set(this)
    this.update()
    try:
        yield this
    except BaseException as error:
        this.status = "failed"
        this.error = f"{type(error).__name__}: {error}"
        raise
    else:
        this.status = "ok"
    finally:
        _current.reset(token)
        this.duration = time.monotonic() - begin
        _log.debug("%s%s: %s, %.3f s", "  " * this.depth, title, this.status, this.duration)
        this.update()

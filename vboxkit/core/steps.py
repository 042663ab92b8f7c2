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

__all__ = ["Listener", "Step", "step", "subscribe"]

_log = logging.getLogger("vboxkit.steps")
_current: contextvars.ContextVar[Step | None] = contextvars.ContextVar("vboxkit_step", default=None)
_listeners: list[Listener] = []


@dataclass(eq=False)
class Step:
    """One piece of work: its title, its parent, and how it ended."""

    title: str
    parent: Step | None = None
    started: float = field(default_factory=time.time)
    duration: float | None = None
    status: Literal["running", "ok", "failed"] = "running"
    error: str = ""
    percent: int | None = None
    note: str = ""

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
def step(title: str) -> Iterator[Step]:
    """
    Record a piece of work with its duration.

    Example:
        >>> with step("import tiny") as s:
        ...     s.update(percent=50)
        >>> s.status
        'ok'
    """
    this = Step(title, parent=_current.get())
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

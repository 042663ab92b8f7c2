"""How long to wait for something that moves, and what is raised inside when it was too long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit.core.waiting import Deadline

__all__ = ["LateError", "Patience", "RefusedError", "SinkError"]


class RefusedError(Exception):
    """The guest's SSH server did not want to run it; the connection is fine."""


class LateError(Exception):
    """A command did not end in time; the text says what became of it."""

    hint: str | None = None
    #: Whether it was ended.
    ended = False


class SinkError(Exception):
    """Who takes the output, or gives the input, raised what is not the connection's doing."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Patience:
    """
    How long to wait: until a deadline, or as long as something moves.

    Args:
        deadline: The end, if there is a fixed one.
        stall: Else: seconds without a byte moving.
    """

    def __init__(self, deadline: Deadline | None = None, *, stall: float = 0.0) -> None:
        self._deadline = deadline
        self._stall = stall
        self._end = time.monotonic() + stall
        #: Called as well when something moves.
        self.renewed: list[Callable[[], object]] = []

    @property
    def left(self) -> float:
        """Seconds from now, never below 0."""
        if self._deadline is not None:
            return self._deadline.remaining
        return max(0.0, self._end - time.monotonic())

    def renew(self) -> None:
        """Take note that something moved, which puts off the end unless it is fixed."""
        if self._deadline is None:
            self._end = time.monotonic() + self._stall
            for renew in self.renewed:
                renew()

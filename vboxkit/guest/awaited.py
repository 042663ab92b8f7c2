"""Commands for asyncio: in a thread, and ended when nobody awaits them any more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from vboxkit.core.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit.core.waiting import Timeout

__all__ = ["Recallable", "awaited"]

T = TypeVar("T")


class Recallable(Deadline):
    """A deadline that can be brought forward: to now."""

    __slots__ = ("recalled",)

    def __init__(self, timeout: Timeout) -> None:
        super().__init__(timeout)
        self.recalled = False

    def recall(self) -> None:
        """Let it be over."""
        self.recalled = True
        self._end = self._clock.monotonic()


async def awaited(work: Callable[[], T], deadline: Recallable, wake: Callable[[], object]) -> T:
    """
    Do work in a thread of the loop's executor; await it.

    Args:
        work: Ends soon after the deadline.
        deadline: Recalled when the one who awaits is cancelled.
        wake: Called then, from the loop: lets `work` look at its deadline.

    Raises:
        asyncio.CancelledError: Whoever awaits was cancelled, and the work has ended.
    """

    def begin() -> T:
        if deadline.recalled:
            raise asyncio.CancelledError  # it was cancelled before a thread was free
        return work()

    task = asyncio.ensure_future(asyncio.to_thread(begin))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        deadline.recall()
        wake()
        # Whoever cancels a second time does not wait; what the thread raises is nobody's then.
        task.add_done_callback(lambda it: it.cancelled() or it.exception())
        await asyncio.wait({task})
        raise

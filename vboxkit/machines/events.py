"""Events of VirtualBox."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vboxkit.com.api import Api

__all__ = ["listen"]


@contextmanager
def listen(api: Api, source: Any, *kinds: str) -> Iterator[Callable[[float], Any]]:
    """
    Listen to events of some kinds while the block runs.

    A passive listener: VBoxSVC keeps the queue, and no code of ours is called from a foreign
    thread. ``getEvent`` blocks only the thread that calls it.

    Args:
        api: The way in.
        source: The raw object whose ``eventSource`` is listened to.
        *kinds: Names of ``VBoxEventType``.

    Yields:
        A function that waits up to so many seconds for the next event and returns the raw event,
        or `None` if there was none.
    """
    events = source.eventSource
    listener = events.createListener()
    events.registerListener(listener, [api.value("VBoxEventType", kind) for kind in kinds], False)

    def wait(seconds: float) -> Any:
        event = events.getEvent(listener, max(1, int(seconds * 1000)))
        if event is not None:
            events.eventProcessed(listener, event)
        return event

    try:
        yield wait
    finally:
        try:
            events.unregisterListener(listener)
        except Exception as error:
            # VBoxSVC may be gone, and the listener with it; that must not hide the first error.
            if api.foreign(error) is None:
                raise

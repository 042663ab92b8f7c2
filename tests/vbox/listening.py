"""What tests of events share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vboxkit import VirtualBox
    from vboxkit.machines.events import Event, EventStream

__all__ = ["flood", "take"]


def take(stream: EventStream[Any]) -> list[Event]:
    """Return the events that have come so far."""
    found = []
    while (event := stream.next(timeout=0.1)) is not None:
        found.append(event)
    return found


def flood(vbox: VirtualBox, count: int) -> None:
    """Cause so many events of changed extra data."""
    for number in range(count - 1):
        vbox.com.setExtraData("vt/flood", str(number))
    vbox.com.setExtraData("vt/flood", "")

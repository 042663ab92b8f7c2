"""
The kinds of events that VirtualBox and running machines tell of, as classes.

Give them to `VirtualBox.events`, `Machine.events` and ``on_event``: what comes is then of these
classes, and an editor knows its fields.

Example:
    ``from vboxkit.events import MachineStateChangedEvent``
"""

from __future__ import annotations

from vboxkit.machines import event_kinds, vm_event_kinds
from vboxkit.machines.event_base import Event
from vboxkit.machines.event_kinds import *  # noqa: F403 - the public names of both, once more
from vboxkit.machines.events import EventStream, Subscription
from vboxkit.machines.vm_event_kinds import *  # noqa: F403

__all__ = ["Event", "EventStream", "Subscription"]
__all__ += event_kinds.__all__
__all__ += vm_event_kinds.__all__

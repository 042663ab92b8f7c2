"""Taking back what a change of a machine, which then failed, has attached and detached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vboxkit.errors import InvalidStateError
from vboxkit.machines.locks import pending_undo

if TYPE_CHECKING:
    from vboxkit.com.api import Api
    from vboxkit.machines.medium_attachment import MediumAttachment
    from vboxkit.machines.properties import MachineProperties

__all__ = ["remember", "require_saved"]

#: The attributes of a raw attachment, and the methods of the machine that set them.
_FLAGS = {
    "nonRotational": "nonRotationalDevice",
    "discard": "setAutoDiscardForDevice",
    "hotPluggable": "setHotPluggableForDevice",
    "passthrough": "passthroughDevice",
    "temporaryEject": "temporaryEjectDevice",
}

Slot = tuple[str, int, int]


@dataclass(frozen=True)
class _Device:
    """What is attached at a place, as it can be attached again."""

    kind: Any
    medium: Any
    medium_id: str
    flags: dict[str, bool]
    group: Any


class _Restore:
    """
    Bring the attachments of a machine back to what is saved; called after ``discardSettings``.

    That leaves them as they are in the session (7.2): the next ``saveSettings`` would save them,
    and without one the media would count as used by the machine until VBoxSVC ends. And
    ``detachDevice`` of what is not saved yet kills VBoxSVC. So they are saved, now that all other
    changes are gone, and then put right.
    """

    def __init__(self, machine: MachineProperties) -> None:
        self._api = machine._api
        self._saved = _devices(self._api, machine.com)
        self._buses: dict[str, Any] = {}
        #: The places where something was attached since.
        self.fresh: set[Slot] = set()

    def note(self, slot: Slot, bus: Any) -> None:
        """Note that something was attached at a place."""
        self.fresh.add(slot)
        self._buses[slot[0]] = bus

    def __call__(self, machine: Any) -> None:
        api = self._api
        now = _devices(api, machine)
        wrong = [
            slot
            for slot, device in now.items()
            if slot not in self._saved or self._saved[slot].medium_id != device.medium_id
        ]
        missing = [slot for slot in self._saved if slot not in now or slot in wrong]
        if not wrong and not missing:
            return
        made = self._controllers_for(machine, wrong)
        machine.saveSettings()
        for slot in wrong:
            machine.detachDevice(*slot)
        for name in made:
            machine.removeStorageController(name)
        machine.saveSettings()
        for slot in missing:
            device = self._saved[slot]
            if device.medium is None:
                machine.attachDeviceWithoutMedium(*slot, device.kind)
            else:
                machine.attachDevice(*slot, device.kind, device.medium)
        self._set_flags(machine)
        machine.saveSettings()

    def _controllers_for(self, machine: Any, slots: list[Slot]) -> set[str]:
        """Make the controllers again that were made, and taken back by ``discardSettings``."""
        there = {str(com.name) for com in self._api.array(machine, "storageControllers")}
        made = {slot[0] for slot in slots} - there
        for name in made:
            com = machine.addStorageController(name, self._buses[name])
            com.portCount = int(com.maxPortCount)
        return made

    def _set_flags(self, machine: Any) -> None:
        now = _devices(self._api, machine)
        for slot, device in self._saved.items():
            for flag, value in device.flags.items():
                if now[slot].flags[flag] != value:
                    getattr(machine, _FLAGS[flag])(*slot, value)
            if device.group is not None:
                machine.setBandwidthGroupForDevice(*slot, device.group)


def _devices(api: Api, machine: Any) -> dict[Slot, _Device]:
    found = {}
    for com in api.array(machine, "mediumAttachments"):
        medium = com.medium
        found[str(com.controller), int(com.port), int(com.device)] = _Device(
            com.type,
            medium,
            "" if medium is None else str(medium.id),
            {flag: bool(getattr(com, flag)) for flag in _FLAGS},
            com.bandwidthGroup,
        )
    return found


def _pending(machine: MachineProperties) -> _Restore | None:
    return next((undo for undo in pending_undo(machine) if isinstance(undo, _Restore)), None)


def remember(machine: MachineProperties, slot: Slot | None = None, bus: Any = None) -> None:
    """
    See to it that the attachments are put back if this thread's change of a machine fails.

    Args:
        machine: The machine, which this thread has locked.
        slot: Where something is about to be attached, if so.
        bus: The raw bus of its controller.
    """
    undo = _pending(machine)
    if undo is None:
        undo = _Restore(machine)
        pending_undo(machine).append(undo)
    if slot is not None:
        undo.note(slot, bus)


def require_saved(attachment: MediumAttachment) -> None:
    """
    Refuse to detach what was attached in the same edit: VBoxSVC would die of it.

    Raises:
        InvalidStateError: It was.
    """
    undo = _pending(attachment._machine)
    if undo is not None and attachment._slot in undo.fresh:
        raise InvalidStateError(
            f"{attachment._subject()} ({attachment._state()}): cannot detach what was attached in"
            " the same edit()",
            state=attachment._state(),
            operation="detach",
            hint="end the edit() first",
        )

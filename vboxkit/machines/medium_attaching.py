"""Attaching: finding a place, and finding out what is in the way before anything is changed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vboxkit.errors import InvalidStateError, NotFoundError
from vboxkit.machines.medium import Medium
from vboxkit.machines.medium_formats import DeviceKind, device_kind, device_of
from vboxkit.machines.medium_undo import remember
from vboxkit.machines.medium_work import full_path
from vboxkit.machines.opening import open_medium, registered
from vboxkit.machines.parts import invalid
from vboxkit.machines.states import ONLINE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from vboxkit.machines.base import ComObject
    from vboxkit.machines.medium_attachment import MediumAttachment
    from vboxkit.machines.properties import MachineProperties
    from vboxkit.machines.storage import Storage
    from vboxkit.machines.storage_controller import StorageController

__all__ = ["attach", "disk_group", "find", "opened", "require_pluggable"]

#: What can be set only while there is no VM.
_AT_REST = {"non_rotational", "discard", "hot_pluggable", "passthrough"}
#: Kinds of media of which VirtualBox gives each machine an image of differences, or of which one
#: image may be in several machines by its nature.
_FOR_SEVERAL = {"Immutable", "MultiAttach", "Shareable", "Readonly"}


def attach(
    storage: Storage,
    medium: Medium | Path | str | None,
    *,
    controller: StorageController | str | None,
    port: int | None,
    device: int | None,
    kind: str | None,
    options: Mapping[str, Any],
) -> MediumAttachment:
    """See `Storage.attach`."""
    from vboxkit.machines.medium_attachment import MediumAttachment

    machine = storage._machine
    api = machine._api
    if kind is not None:
        wanted = device_kind(kind)
    elif isinstance(medium, Medium):
        wanted = medium.device_type
    elif medium is not None:
        known = registered(api, medium)
        wanted = (
            device_of(api, full_path(medium))
            if known is None
            else device_kind(api.name("DeviceType", known.deviceType))
        )
    else:
        raise invalid(storage, "there is nothing to attach", hint="a medium, or kind='DVD'")
    if medium is None and wanted == "HardDisk":
        raise invalid(storage, "a hard disk has an image", hint="give its path or Medium")
    place, at = _place(storage, controller, wanted, port, device)
    require_pluggable(place, "attach")
    _check_options(storage, wanted, options)
    with opened(machine, medium, wanted) as com, machine._changing() as changeable:
        slot = (place._name, *at)
        value = api.value("DeviceType", wanted)
        remember(machine, slot, api.value("StorageBus", place.bus))
        if com is None:
            changeable.attachDeviceWithoutMedium(*slot, value)
        else:
            changeable.attachDevice(*slot, value, com)
        made = MediumAttachment(machine, *slot)
        for name, setting in options.items():
            if setting is not None:
                setattr(made, name, setting)
    return made


def _check_options(storage: Storage, kind: str, options: Mapping[str, Any]) -> None:
    """Refuse what would fail when the device is attached already."""
    for name, value in options.items():
        if value is None:
            continue
        if name == "bandwidth_group":
            disk_group(storage, storage._machine._current(), value)
        elif not isinstance(value, bool):
            raise TypeError(f"{storage._subject()}: {name} is bool, not {type(value).__name__}")
    machine = storage._machine
    fixed = [name for name, value in options.items() if value and name in _AT_REST]
    if fixed and machine.state in ONLINE:
        raise InvalidStateError(
            f"{machine._subject()} ({machine.state}): cannot attach with {', '.join(fixed)}",
            state=str(machine.state),
            needed=["PoweredOff"],
            operation="attach",
            hint="leave that out, or power off the machine first",
        )
    if options.get("passthrough") and kind != "DVD":
        raise invalid(storage, f"a {kind} has no passthrough", hint="only a DVD has")


def disk_group(obj: ComObject, machine: Any, name: str) -> Any:
    """
    Return the raw bandwidth group of a raw machine, for disks, of this name.

    Raises:
        ApiError: There is none; VirtualBox takes one for networks, too.
    """
    api = obj._api
    disk = api.value("BandwidthGroupType", "Disk")
    known = {
        str(each.name): each
        for each in machine.bandwidthControl.getAllBandwidthGroups()
        if each.type == disk
    }
    if name not in known:
        raise invalid(
            obj,
            f"the machine has no bandwidth group {name!r} for disks",
            hint=f"it has {sorted(known)}" if known else "make one first",
        )
    return known[name]


def _place(
    storage: Storage,
    controller: StorageController | str | None,
    kind: DeviceKind,
    port: int | None,
    device: int | None,
) -> tuple[StorageController, tuple[int, int]]:
    """Return the controller, and port and device on it, that a device will have."""
    if controller is None:
        fitting = [each for each in storage if kind in each.takes]
        if not fitting:
            raise NotFoundError(
                f"{storage._machine._subject()} has no storage controller for a {kind}"
                f" (it has {storage.names()})",
                kind="storage controller",
                wanted=kind,
                available=storage.names(),
                hint=f"machine.storage.add({'Floppy' if kind == 'Floppy' else 'SATA'!r}) makes one",
            )
        fits = [each for each in fitting if _free(each, port, device)]
        chosen = (fits or fitting)[0]
    else:
        chosen = storage[controller if isinstance(controller, str) else controller._name]
    if kind not in chosen.takes:
        raise invalid(
            chosen,
            f"a {kind} cannot be attached to it",
            hint=f"its bus takes {', '.join(chosen.takes)}",
            operation="attach",
        )
    ports, devices = chosen.ports, chosen.devices_per_port
    for what, number, count in (("port", port, ports), ("device", device, devices)):
        if number is not None and not 0 <= number < count:
            raise invalid(
                chosen,
                f"it has no {what} {number}",
                hint=f"0 to {count - 1}" + (", or set its .ports higher" if what == "port" else ""),
                operation="attach",
            )
    free = _free(chosen, port, device)
    if not free:
        taken = ", ".join(f"{each} has {_content(each)}" for each in chosen.attachments)
        whole = port is None and device is None
        raise InvalidStateError(
            f"{chosen._subject()} ({chosen._state()}) "
            + ("is full" if whole else f"has no free place at port {port}, device {device}")
            + f": {taken}",
            symbol="VBOX_E_OBJECT_IN_USE",
            state=chosen._state(),
            operation="attach",
            hint=f"it has {ports} ports of at most {int(chosen.com.maxPortCount)};"
            " set .ports higher, detach() something, or use another controller"
            if whole
            else f"free are {chosen.free_slots()[:5]}",
        )
    return chosen, free[0]


def _content(attachment: MediumAttachment) -> str:
    medium = attachment.medium
    return f"an empty {attachment.kind} drive" if medium is None else str(medium.location)


def _free(
    controller: StorageController, port: int | None, device: int | None
) -> list[tuple[int, int]]:
    return [
        slot
        for slot in controller.free_slots()
        if port in {None, slot[0]} and device in {None, slot[1]}
    ]


def require_pluggable(controller: StorageController, operation: str) -> None:
    """
    Refuse to change a running machine where its controller cannot be plugged.

    Raises:
        InvalidStateError: It cannot.
    """
    machine = controller._machine
    if machine.state in ONLINE and not controller.hot_plug:
        raise InvalidStateError(
            f"{controller._subject()} ({machine.state}): cannot {operation}: controllers of kind"
            f" {controller.kind} cannot be plugged while the machine runs",
            state=str(machine.state),
            needed=["PoweredOff"],
            operation=operation,
            hint="power off the machine, or use a SATA or USB controller;"
            " insert() and eject() work at any time",
        )


@contextmanager
def opened(
    machine: MachineProperties, medium: Medium | Path | str | None, kind: str
) -> Iterator[Any]:
    """
    Yield the raw medium of what a caller gave; a path that was not known is closed on failure.

    Args:
        machine: The machine that will use it.
        medium: A medium, a path, a UUID, or nothing.
        kind: What it is for.

    Raises:
        InvalidStateError: Another machine has it.
    """
    if medium is None:
        yield None
        return
    api = machine._api
    known = medium.com if isinstance(medium, Medium) else registered(api, medium)
    com = known if known is not None else open_medium(api, full_path(str(medium)), kind=kind)
    done = False
    try:
        found = Medium(api, com, machine.settings)
        if found.device_type != kind:
            raise invalid(
                found, f"it is for a {found.device_type}, not a {kind}", hint="kind= says what"
            )
        _require_free(machine, found)
        yield com
        done = True
    finally:
        if not done and known is None:
            try:
                com.close()
            except Exception as error:
                # It is used, after all.
                if api.foreign(error) is None:
                    raise


def _require_free(machine: MachineProperties, medium: Medium) -> None:
    """
    Refuse a disk that a machine has.

    VirtualBox attaches it to both; only one of them can then run, and neither takes snapshots.
    """
    if medium.device_type != "HardDisk" or medium.kind in _FOR_SEVERAL:
        return
    # Of this machine's own disks VirtualBox says it itself; one that was detached in the same
    # edit() is still counted as its own.
    users = [str(u) for u in medium.users() if u.current and u.machine_id != machine.id]
    if users:
        raise InvalidStateError(
            f"{medium._subject()} ({medium._state()}): cannot attach it to"
            f" {machine._subject()}: it is used by {', '.join(users)}",
            symbol="VBOX_E_OBJECT_IN_USE",
            state=medium._state(),
            operation="attach",
            hint="detach it there, clone() it, or make its kind 'MultiAttach' or 'Shareable'",
        )


def find(storage: Storage, medium: Medium | Path | str) -> MediumAttachment:
    """Return where a medium is attached to a machine."""
    attachments = storage.attachments
    for each in attachments:
        there = each.medium
        if there is None:
            continue
        if isinstance(medium, Medium):
            if there == medium:
                return each
        elif there.id == str(medium) or there.location == full_path(medium):
            return each
    wanted = str(medium.location) if isinstance(medium, Medium) else str(medium)
    there_are = [_content(each) for each in attachments]
    raise NotFoundError(
        f"{storage._machine._subject()} has no medium {wanted}, only {there_are}",
        kind="attachment",
        wanted=wanted,
        available=there_are,
        hint="machine.storage.attachments has what is attached",
    )

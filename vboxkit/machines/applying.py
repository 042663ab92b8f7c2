"""Applying a record: bringing a machine to the configuration that it describes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.machines import describing
from vboxkit.machines.accessors import one_of
from vboxkit.machines.applying_devices import network, serial_ports, storage
from vboxkit.machines.describing import OWN, PARTS, apply_settings, settings_of
from vboxkit.machines.os_types import OsTypes
from vboxkit.machines.parts import invalid
from vboxkit.machines.record import MISSING, Record, below, diff
from vboxkit.machines.shared_folders import SharedFolder
from vboxkit.machines.usb import UsbFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from vboxkit.machines.hardware import MachineHardware

    _Sections = Mapping[str, Callable[[MachineHardware, Any], None]]

__all__ = ["apply"]

#: What is a machine's own, and stays.
_IDENTITY = ("name",)


def apply(
    machine: MachineHardware,
    record: Mapping[str, Any],
    *,
    only: Collection[str] | None,
    ignore: Collection[str],
) -> None:
    """See `Machine.apply`."""
    wanted = record if isinstance(record, Record) else Record(record)
    with machine.edit():
        now = describing.describe(machine)
        for key in (*wanted, *(only or ())):
            one_of(machine, "section of a record", key, list(now))
        target = _target(now, wanted, only=only, ignore=ignore)
        _change(machine, now, target, _SECTIONS)
        scalars = {name: target[name] for name in settings_of(machine) if name in target}
        if "hardware_id" in scalars:
            scalars["hardware_id"] = scalars["hardware_id"] or machine.id
        apply_settings(machine, scalars)
        _change(machine, now, target, _LATER)
        after = describing.describe(machine)
        left = diff(after, _completed(after, target))
        if left:
            raise invalid(
                machine,
                f"the record cannot be applied in full, so nothing was:\n{left}",
                operation="apply a record",
                hint="ignore=[...] leaves those as they are; what is on disks, and how large they"
                " are, is not changed by a record: see resize() and Medium",
            )


def _change(machine: MachineHardware, now: Record, target: Record, sections: _Sections) -> None:
    for section, change in sections.items():
        if section in target and target[section] != now[section]:
            change(machine, target[section])


def _completed(now: Record, some: Mapping[str, Any]) -> Record:
    """Complete some sections, and some settings of parts, with what is there."""
    whole = now.to_dict()
    for key, value in some.items():
        whole[key] = {**whole[key], **value} if key in {*PARTS, "usb"} else value
    return Record(whole)


def _target(
    now: Record, wanted: Record, *, only: Collection[str] | None, ignore: Collection[str]
) -> Record:
    """Return what has to be changed, with that in it as it is which is ignored."""
    chosen = {
        key: value
        for key, value in wanted.items()
        if key not in _IDENTITY and (only is None or key in only)
    }
    complete = _completed(now, chosen)
    ignored = [each for each in diff(now, complete) if below(each.path, ignore)]
    complete = complete.replace(
        {each.path: each.old for each in ignored if each.old is not MISSING}
    )
    # From the end, for the later ones of a list move up.
    complete = complete.without(*(each.path for each in reversed(ignored) if each.old is MISSING))
    # What was left out of a part must not be held fast: a controller takes its codec along.
    return Record(
        {
            key: {name: complete[key][name] for name in value if name in complete[key]}
            if key in PARTS
            else complete[key]
            for key, value in chosen.items()
        }
    )


def _part(name: str) -> Callable[[MachineHardware, Mapping[str, Any]], None]:
    def change(machine: MachineHardware, wanted: Mapping[str, Any]) -> None:
        part = getattr(machine, name)
        names = settings_of(part)
        for setting in wanted:
            one_of(part, "setting", setting, names)
        apply_settings(part, wanted)

    return change


def _os_type(machine: MachineHardware, wanted: str) -> None:
    types = OsTypes(machine._api)
    # VirtualBox takes any text.
    if wanted not in types:
        raise invalid(
            machine,
            f"there is no OS type {wanted!r}",
            hint=f"did you mean {' or '.join(types.near(wanted)) or 'Other_64'}?",
        )
    with machine._changing() as com:
        com.OSTypeId = wanted


def _groups(machine: MachineHardware, wanted: Collection[str]) -> None:
    machine.groups = wanted


def _cpus_plugged(machine: MachineHardware, wanted: Collection[int] | None) -> None:
    if wanted is None:
        return
    there = machine.cpu.plugged
    for number in sorted(set(there) - set(wanted), reverse=True):
        machine.cpu.unplug(number)
    for number in sorted(set(wanted) - set(there)):
        machine.cpu.plug(number)


def _secure_boot(machine: MachineHardware, wanted: bool) -> None:  # noqa: FBT001 - a section's value
    machine.efi.secure_boot = wanted


def _usb(machine: MachineHardware, wanted: Mapping[str, Any]) -> None:
    usb = machine.usb
    controllers = wanted["controllers"]
    for known in usb.controllers:
        if controllers.get(known.name, {}).get("kind") != known.kind:
            usb.remove_controller(known)
    there = {known.name for known in usb.controllers}
    for name, each in controllers.items():
        if name not in there:
            usb.add_controller(each["kind"], name=name)
    filters = tuple(UsbFilter(**each) for each in wanted["filters"])
    if filters != usb.filters:
        usb.filters = filters


def _add_groups(machine: MachineHardware, wanted: Mapping[str, Any]) -> None:
    groups = machine.bandwidth_groups
    for name, each in wanted.items():
        found = groups.find(name)
        if found is not None and found.kind != each["kind"]:
            for adapter in machine.network:
                if adapter.bandwidth_group == name:
                    adapter.bandwidth_group = None
            for attachment in machine.storage.attachments:
                if attachment.bandwidth_group == name:
                    attachment.bandwidth_group = None
            groups.remove(found)
            found = None
        limit = each["limit_bytes_per_s"]
        if found is None:
            groups.add(name, kind=each["kind"], limit_bytes_per_s=limit)
        elif found.limit_bytes_per_s != limit:
            found.limit_bytes_per_s = limit


def _remove_groups(machine: MachineHardware, wanted: Mapping[str, Any]) -> None:
    for name in machine.bandwidth_groups.names():
        if name not in wanted:
            machine.bandwidth_groups.remove(name)


def _shared_folders(machine: MachineHardware, wanted: Mapping[str, Any]) -> None:
    there = describing.folders(machine)
    for name in there:
        if name not in wanted:
            del machine.shared_folders[name]
    for name, each in wanted.items():
        if there.get(name) != each:
            machine.shared_folders[name] = SharedFolder(
                name,
                Path(each["path"]),
                writable=each["writable"],
                auto_mount=each["auto_mount"],
                mount_point=each["mount_point"],
            )


def _extra_data(machine: MachineHardware, wanted: Mapping[str, str]) -> None:
    there = machine.extra_data.copy()
    for key in there:
        if key not in wanted and not key.startswith(OWN):
            del machine.extra_data[key]
    new = {key: value for key, value in wanted.items() if there.get(key) != value}
    machine.extra_data.update(new)


#: What changes each section, in this order.
_SECTIONS: _Sections = {
    "os_type": _os_type,
    **{name: _part(name) for name in PARTS},
    "secure_boot": _secure_boot,
    "usb": _usb,
    "bandwidth_groups": _add_groups,
    "storage": storage,
    "network": network,
    "serial_ports": serial_ports,
    "shared_folders": _shared_folders,
}
#: After the machine's own settings: the number of CPUs is one, the name of a group a folder.
_LATER: _Sections = {
    "cpus_plugged": _cpus_plugged,
    "bandwidth_groups": _remove_groups,
    "groups": _groups,
    "extra_data": _extra_data,
}

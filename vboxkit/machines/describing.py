"""Describing a machine: all of its configuration as one record."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.errors import UnsupportedVersionError
from vboxkit.machines.parts import Setting
from vboxkit.machines.record import Record
from vboxkit.machines.resources import MachineResources

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vboxkit.machines.forwards import Forward
    from vboxkit.machines.hardware import MachineHardware
    from vboxkit.machines.medium_attachment import MediumAttachment
    from vboxkit.machines.network_adapter import NetworkAdapter
    from vboxkit.machines.properties import MachineProperties
    from vboxkit.machines.serial_port import SerialPort

__all__ = [
    "OWN",
    "PARTS",
    "adapter",
    "apply_settings",
    "describe",
    "folders",
    "forward",
    "settings_of",
    "storage",
]

#: Extra data of vboxkit itself, about the machine and not of it.
OWN = "vboxkit/"

#: Settings that push each other about (a controller its codec) are written so often at most.
_PASSES = 3

#: The parts that are described by their settings alone, in the order in which they are applied:
#: the chipset decides how many adapters and controllers there can be.
PARTS = (
    "chipset",
    "firmware",
    "cpu",
    "hw_virt",
    "paravirt",
    "tpm",
    "graphics",
    "vrde",
    "audio",
)


def settings_of(obj: object) -> list[str]:
    """Return the names of an object's settings, in the order in which its class has them."""
    names: dict[str, None] = {}
    for cls in reversed(type(obj).__mro__):
        names.update((name, None) for name, it in vars(cls).items() if isinstance(it, Setting))
    return list(names)


def settings(obj: object) -> dict[str, Any]:
    """Read an object's settings, but for those that the running version does not have."""
    found = {}
    for name in settings_of(obj):
        try:
            value = getattr(obj, name)
        except UnsupportedVersionError:
            continue
        found[name] = str(value) if isinstance(value, Path) else value
    return found


def apply_settings(obj: Any, wanted: Mapping[str, Any]) -> None:
    """Set those of an object's settings that are wanted and differ."""
    names = settings_of(obj)
    for _ in range(_PASSES):
        differing = [n for n in names if n in wanted and getattr(obj, n) != wanted[n]]
        if not differing:
            return
        for name in differing:
            setattr(obj, name, wanted[name])


def describe(machine: MachineHardware) -> Record:
    """See `Machine.describe`."""
    return Record(
        {
            "name": machine.name,
            "os_type": machine.os_type,
            "groups": sorted(machine.groups),
            **settings(machine),
            # The machine of a snapshot has no process, but this setting of one.
            "priority": MachineResources.priority.__get__(machine, type(machine)),
            # By itself it is the machine's UUID, which is its own.
            "hardware_id": None if machine.hardware_id == machine.com.id else machine.hardware_id,
            **{part: settings(getattr(machine, part)) for part in PARTS},
            "cpus_plugged": list(machine.cpu.plugged) if machine.cpu.hot_plug else None,
            "secure_boot": machine.efi.secure_boot,
            "usb": {
                "controllers": {c.name: {"kind": c.kind} for c in machine.usb.controllers},
                "filters": [asdict(each) for each in machine.usb.filters],
            },
            "bandwidth_groups": {
                group.name: {"kind": group.kind, **settings(group)}
                for group in machine.bandwidth_groups
            },
            "storage": storage(machine),
            "network": adapters(machine),
            "serial_ports": ports(machine),
            "shared_folders": folders(machine),
            "extra_data": {
                key: value
                for key, value in machine.extra_data.copy().items()
                if not key.startswith(OWN)
            },
        }
    )


def _used(described: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out the settings of what is disabled, and all that is disabled at the end."""
    short = [each if each["enabled"] else {"enabled": False} for each in described]
    while short and not short[-1]["enabled"]:
        short.pop()
    return short


def adapters(machine: MachineHardware) -> list[dict[str, Any]]:
    """Describe the network adapters."""
    return _used(
        [adapter(each) if each.enabled else {"enabled": False} for each in machine.network]
    )


def adapter(adapter: NetworkAdapter) -> dict[str, Any]:
    """Describe a network adapter that is enabled."""
    found: dict[str, Any] = {
        **settings(adapter),
        "attachment": adapter.attachment,
        "interface": adapter.interface,
        "network": adapter.network,
        "driver": adapter.driver,
        "bandwidth_group": adapter.bandwidth_group,
        "trace_file": None if adapter.trace_file is None else str(adapter.trace_file),
    }
    if found["attachment"] == "Generic":
        found["driver_properties"] = adapter.driver_properties
    if found["attachment"] == "NAT":
        found["nat"] = {**settings(adapter.nat), "alias_modes": sorted(adapter.nat.alias_modes)}
        found["forwards"] = {
            rule.name: forward(rule)
            for rule in sorted(adapter.forwards, key=lambda rule: rule.name)
        }
    return found


def forward(rule: Forward) -> dict[str, Any]:
    """Describe a port forward, but for its name."""
    return {
        "protocol": rule.protocol,
        "host_ip": rule.host_ip,
        "host_port": rule.host_port,
        "guest_ip": rule.guest_ip,
        "guest_port": rule.guest_port,
    }


def ports(machine: MachineHardware) -> list[dict[str, Any]]:
    """Describe the serial ports."""
    return _used([_port(each) for each in machine.serial_ports])


def _port(port: SerialPort) -> dict[str, Any]:
    led = {"mode": port.mode, "path": port.path, "server": port.server}
    if led["mode"] == "Disconnected":
        # It keeps the rest, which means nothing.
        led = {"mode": led["mode"]}
    return {**settings(port), **led}


def storage(machine: MachineHardware) -> dict[str, Any]:
    """Describe the storage controllers and what is attached to them."""
    found = {
        controller.name: {
            "bus": controller.bus,
            **settings(controller),
            "bootable": controller.bootable,
            "attachments": {},
        }
        for controller in machine.storage
    }
    for each in machine.storage.attachments:
        place = f"{each.port}:{each.device}"
        found[each.controller._name]["attachments"][place] = _attachment(each)
    return found


def _location(machine: MachineProperties, path: Path) -> str:
    """Leave the machine's own folder out, which moves with its name and its groups."""
    folder = machine.folder
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _attachment(attachment: MediumAttachment) -> dict[str, Any]:
    medium = attachment.medium
    return {
        "kind": attachment.kind,
        "medium": None
        if medium is None
        else {
            "location": _location(attachment._machine, medium.location),
            "format": medium.format,
            "kind": medium.kind,
            "size_mb": medium.size_mb,
        },
        **settings(attachment),
        "bandwidth_group": attachment.bandwidth_group,
    }


def folders(machine: MachineHardware) -> dict[str, Any]:
    """Describe the shared folders that stay when the machine stops."""
    return {
        name: {
            "path": str(folder.path),
            "writable": folder.writable,
            "auto_mount": folder.auto_mount,
            "mount_point": folder.mount_point,
        }
        for name, folder in sorted(machine.shared_folders.copy().items())
        if not folder.transient
    }

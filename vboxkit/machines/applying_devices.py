"""Applying a record: storage, network adapters, serial ports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vboxkit.machines import describing
from vboxkit.machines.describing import apply_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vboxkit.machines.hardware import MachineHardware
    from vboxkit.machines.network_adapter import NetworkAdapter
    from vboxkit.machines.storage_controller import StorageController

__all__ = ["network", "serial_ports", "storage"]

#: What says together where an adapter leads to.
_LEADS = ("attachment", "interface", "network", "driver", "driver_properties")


# Storage


def storage(machine: MachineHardware, wanted: Mapping[str, Any]) -> None:
    """Bring controllers and attachments to what is wanted: first all goes that does not stay."""
    now = describing.storage(machine)
    for name, controller in now.items():
        target = wanted.get(name, {})
        gone = target.get("bus") != controller["bus"]
        for attachment in machine.storage[name].attachments:
            place = f"{attachment.port}:{attachment.device}"
            want = None if gone else target["attachments"].get(place)
            if want is None or not _same_device(controller["attachments"][place], want):
                attachment.detach()
        if gone:
            machine.storage.remove(name)
    for name, target in wanted.items():
        if name not in machine.storage:
            machine.storage.add(name, bus=target["bus"])
        controller = machine.storage[name]
        apply_settings(controller, target)
        if controller.bootable != target["bootable"]:
            controller.bootable = target["bootable"]
        _attachments(controller, target["attachments"])


def _same_device(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    # The medium of a drive can be changed, a hard disk is one with its place.
    return old["kind"] == new["kind"] and (
        old["kind"] != "HardDisk" or _location(old) == _location(new)
    )


def _location(attachment: Mapping[str, Any]) -> str | None:
    medium = attachment["medium"]
    return None if medium is None else str(medium["location"])


def _attachments(controller: StorageController, wanted: Mapping[str, Any]) -> None:
    there = {f"{each.port}:{each.device}": each for each in controller.attachments}
    folder = controller.machine.folder
    for place, want in wanted.items():
        location = _location(want)
        if location is not None:
            # A path in the machine's own folder, see describing.
            location = str(folder / location)
        found = there.get(place)
        if found is None:
            port, device = map(int, place.split(":"))
            found = controller.attach(location, port=port, device=device, kind=want["kind"])
        else:
            medium = found.medium
            if location is None and medium is not None:
                found.eject()
            elif location is not None and (medium is None or str(medium.location) != location):
                found.insert(location)
        apply_settings(found, want)
        if found.bandwidth_group != want["bandwidth_group"]:
            found.bandwidth_group = want["bandwidth_group"]


# Network


def network(machine: MachineHardware, wanted: Sequence[Mapping[str, Any]]) -> None:
    """Bring the network adapters to what is wanted; those that are not in it are disabled."""
    for adapter in machine.network:
        want: Mapping[str, Any] = (
            wanted[adapter.slot] if adapter.slot < len(wanted) else {"enabled": False}
        )
        if not want["enabled"]:
            if adapter.enabled:
                adapter.enabled = False
            continue
        _adapter(adapter, want)


def _adapter(adapter: NetworkAdapter, want: Mapping[str, Any]) -> None:
    apply_settings(adapter, want)
    now = describing.adapter(adapter)
    if any(now.get(name) != want.get(name) for name in _LEADS):
        options = {
            name: want[name]
            for name in ("interface", "network", "driver")
            if want.get(name) is not None
        }
        if want.get("driver_properties"):
            options["properties"] = dict(want["driver_properties"])
        adapter.attach(want["attachment"], **options)
    if now["bandwidth_group"] != want["bandwidth_group"]:
        adapter.bandwidth_group = want["bandwidth_group"]
    if now["trace_file"] != want["trace_file"]:
        if want["trace_file"] is None:
            adapter.stop_trace()
        else:
            adapter.trace(want["trace_file"])
    if want["attachment"] == "NAT":
        apply_settings(adapter.nat, want["nat"])
        if set(adapter.nat.alias_modes) != set(want["nat"]["alias_modes"]):
            adapter.nat.alias_modes = want["nat"]["alias_modes"]
        _forwards(adapter, want["forwards"])


def _forwards(adapter: NetworkAdapter, wanted: Mapping[str, Any]) -> None:
    there = {rule.name: describing.forward(rule) for rule in adapter.forwards}
    differing = {name for name in there if there[name] != wanted.get(name)}
    for name in differing:
        adapter.remove(name)
    for name, rule in wanted.items():
        if name in differing or name not in there:
            adapter.forward(
                name=name,
                guest=rule["guest_port"],
                guest_ip=rule["guest_ip"],
                host=rule["host_port"],
                host_ip=rule["host_ip"],
                protocol=rule["protocol"],
            )


# Serial ports


def serial_ports(machine: MachineHardware, wanted: Sequence[Mapping[str, Any]]) -> None:
    """Bring the serial ports to what is wanted; those that are not in it are disabled."""
    for port in machine.serial_ports:
        want: Mapping[str, Any] = (
            wanted[port.slot] if port.slot < len(wanted) else {"enabled": False}
        )
        if not want["enabled"]:
            if port.enabled:
                port.enabled = False
            continue
        apply_settings(port, want)
        path, server = str(want.get("path", port.path)), bool(want.get("server", port.server))
        if (port.mode, port.path, port.server) != (want["mode"], path, server):
            port.connect(want["mode"], path, server=server)

"""What is wrong with a machine of an appliance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.ovf.hardware import CONTROLLERS, VBOX_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from vboxkit.ovf.files import Files
    from vboxkit.ovf.findings import Findings
    from vboxkit.ovf.model import VirtualSystem
    from vboxkit.ovf.parts import Item
    from vboxkit.ovf.tree import Node

__all__ = ["check_system"]

#: The units of memory that VirtualBox's reader of descriptors knows.
_MEMORY_UNITS = ("MegaBytes", "MB", "byte * 2^20")
_STORAGE = frozenset({"ahci", "nvme", "vmware.sata.ahci", "virtioscsi"})
_MOST_CPUS = 65_535


def check_system(
    node: Node,
    system: VirtualSystem,
    items: Sequence[tuple[Item, Node]],
    *,
    files: Files,
    note: Findings,
    options: AbstractSet[str],
) -> None:
    """Note what is wrong with a machine's hardware."""
    if not items:
        note.add(
            "warning",
            "no-hardware",
            node,
            "the machine has no hardware",
            "add a VirtualHardwareSection with a processor, memory and a disk",
        )
        return
    for what, value in (("processor", system.cpus), ("memory", system.memory_bytes)):
        if not value:
            note.add(
                "warning",
                f"no-{what}",
                node,
                f"it does not say how much of it is there: {what}",
                f"add an item for the {what}, with a quantity over 0",
            )
    if system.cpus is not None and system.cpus >= _MOST_CPUS:
        raise note.refuse(node, f"it has {system.cpus} processors")
    ids: dict[str, Item] = {}
    for item, where in items:
        # Items for other configurations may have the id of what they stand for.
        known = ids.setdefault(item.id, item)
        if known is not item and item.id and not (item.configurations or item.bound != "normal"):
            note.add(
                "warning",
                "duplicate-instance",
                where,
                f"line {known.line} has an item with the instance id {item.id!r}, too",
                "give this one another, and mend the rasd:Parent of what is on it",
            )
        for name in item.configurations:
            if name not in options:
                note.add(
                    "error",
                    "configuration-unknown",
                    where,
                    f"there is no configuration {name!r}",
                    "add it to the DeploymentOptionSection",
                )
    for item, where in items:
        _check_storage(item, where, ids, files, note)
        _check_network(item, where, files, note)
        _check_virtualbox(item, where, note)


def _check_storage(
    item: Item, where: Node, ids: Mapping[str, Item], files: Files, note: Findings
) -> None:
    if item.kind in {"disk", "cd", "dvd"}:
        parent = ids.get(item.parent)
        if parent is None or (parent.kind not in CONTROLLERS):
            note.add(
                "error",
                "item-parent",
                where,
                f"item {item.id!r} is on {item.parent!r}, which is no controller",
                "write the InstanceID of an IDE, SATA or SCSI controller to rasd:Parent",
            )
    if (item.kind == "disk" and item.disk not in files.disks and not item.file) or (
        item.disk and item.disk not in files.disks
    ):
        note.add(
            "error",
            "item-disk",
            where,
            f"item {item.id!r} shows the disk {item.host_resource!r}, which is not there",
            "write ovf:/disk/ and the diskId of a disk to rasd:HostResource",
        )
    if item.file and item.file not in files.files:
        note.add(
            "error",
            "item-file",
            where,
            f"item {item.id!r} shows the file {item.file!r}, which is not there",
            "write ovf:/file/ and the id of a reference to rasd:HostResource",
        )


def _check_network(item: Item, where: Node, files: Files, note: Findings) -> None:
    if item.kind != "ethernet":
        return
    for name in item.connections:
        if name not in files.networks:
            note.add(
                "warning",
                "network-undeclared",
                where,
                f"the network {name!r} is not in the NetworkSection",
                "add it there",
            )


def _check_virtualbox(item: Item, where: Node, note: Findings) -> None:
    if item.kind == "memory" and item.unit not in _MEMORY_UNITS:
        note.add(
            "warning",
            "memory-unit",
            where,
            f"VirtualBox refuses memory in {item.unit!r}",
            f"write {_MEMORY_UNITS[2]}, and the number that goes with it",
        )
    if item.resource_type == 20 and item.subtype.lower() not in _STORAGE:
        note.add(
            "warning",
            "controller-unknown",
            where,
            f"VirtualBox may refuse the controller {item.subtype!r}",
            "write AHCI to rasd:ResourceSubType",
        )
    if item.resource_type == 6 and item.subtype.lower() in {"virtualscsi", "vmware.virtualscsi"}:
        note.add(
            "warning",
            "controller-vmware",
            where,
            f"VirtualBox has no controller {item.subtype!r}, and takes another one",
            "write lsilogic to rasd:ResourceSubType, if the guest has its driver",
        )
    if item.resource_type is not None and item.resource_type not in VBOX_TYPES and item.required:
        note.add(
            "warning",
            "resource-unknown",
            where,
            f"VirtualBox refuses the required item {item.id!r}, of the type {item.resource_type}"
            f" ({item.kind})",
            'write ovf:required="false", or remove it',
        )

"""Items of virtual hardware, with their units worked out."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from vboxkit.ovf.parts import Item

if TYPE_CHECKING:
    from vboxkit.ovf.findings import Findings
    from vboxkit.ovf.tree import Node

__all__ = ["CONTROLLERS", "ITEMS", "VBOX_TYPES", "read_item"]

#: The elements that are items; the latter two are OVF 2.0's.
ITEMS = ("Item", "StorageItem", "EthernetPortItem")

#: CIM's numbers.
_KINDS = {
    1: "other",
    3: "processor",
    4: "memory",
    5: "ide",
    6: "scsi",
    7: "fibre channel",
    8: "iscsi",
    9: "infiniband",
    10: "ethernet",
    11: "network",
    14: "floppy",
    15: "cd",
    16: "dvd",
    17: "disk",
    18: "tape",
    19: "storage extent",
    20: "storage",
    21: "serial",
    22: "parallel",
    23: "usb",
    24: "graphics",
    25: "ieee1394",
    31: "logical disk",
    33: "ethernet",
    35: "sound",
    # VirtualBox's own, from 7.2 on: EFI variables. Older ones refuse the appliance.
    32768: "nvram",
}
#: What VirtualBox makes something of; other items that are required end its import.
VBOX_TYPES = frozenset({3, 4, 5, 6, 10, 14, 15, 17, 20, 23, 35, 32768})
CONTROLLERS = frozenset({"ide", "scsi", "sata", "nvme", "virtio-scsi", "storage"})

#: Models of "other storage controller".
_STORAGE = {
    "ahci": "sata",
    "vmware.sata.ahci": "sata",
    "nvme": "nvme",
    "vmware.nvme.controller": "nvme",
    "virtioscsi": "virtio-scsi",
}
_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}[:-]?){5}[0-9A-Fa-f]{2}")
_HOST = re.compile(r"(?:ovf:)?/{1,2}(disk|file)/(.+)")
_NOTHING = ("", Fraction(1))


def read_item(node: Node, note: Findings) -> Item:
    """
    Read an item.

    Raises:
        OvfError: A number in it is beyond 64 bits.
    """
    number = note.number(node, node.said("ResourceType"), "ResourceType")
    subtype = node.said("ResourceSubType")
    kind = _KINDS.get(number, "other") if number is not None else "other"
    if kind == "storage":
        kind = _STORAGE.get(subtype.lower(), kind)
    if number is None:
        note.add(
            "error",
            "no-resource-type",
            node,
            "the item does not say what it is",
            "add rasd:ResourceType",
        )
    units = node.said("VirtualQuantityUnits") or node.said("AllocationUnits")
    base, factor = note.unit(node, units) or _NOTHING
    quantity = note.number(node, node.said("VirtualQuantity"), "VirtualQuantity")
    # A processor's unit is that of its reservation: it is counted all the same.
    counted = kind == "processor" or base in {"count", ""}

    def whole(name: str) -> int | None:
        value = note.number(node, node.said(name), name)
        return None if value is None else note.product(node, value, factor, name)

    host = node.said("HostResource")
    match = _HOST.fullmatch(host)
    target = (match[1], match[2]) if match else ("", "")
    address = node.said("Address")
    automatic = node.said("AutomaticAllocation").lower()
    return Item(
        kind=kind,
        resource_type=number,
        subtype=subtype,
        id=node.said("InstanceID", "InstanceId"),
        name=node.said("ElementName") or node.said("Caption"),
        description=node.said("Description"),
        quantity=quantity,
        unit=units,
        amount=quantity
        if quantity is None or counted
        else note.product(node, quantity, factor, "VirtualQuantity"),
        base_unit="" if counted else base,
        reservation=whole("Reservation"),
        limit=whole("Limit"),
        parent=node.said("Parent"),
        address=address,
        address_on_parent=node.said("AddressOnParent"),
        host_resource=host,
        disk=target[1] if target[0] == "disk" else "",
        file=target[1] if target[0] == "file" else "",
        connections=tuple(one.text.strip() for one in node.all("Connection") if one.text.strip()),
        mac=address if kind == "ethernet" and _MAC.fullmatch(address) else "",
        automatic=None if not automatic else automatic in {"true", "1"},
        required=(node.get("required") or "true").lower() not in {"false", "0"},
        configurations=tuple((node.get("configuration") or "").split()),
        bound=node.get("bound") or "normal",
        line=node.line,
    )

"""What VirtualBox refuses or misreads in a descriptor, and can be mended without guessing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vboxkit.ovf.extensions import is_extension
from vboxkit.ovf.hardware import ITEMS
from vboxkit.ovf.units import HugeNumberError, number, unit
from vboxkit.ovf.vmware_types import candidates, without_version

if TYPE_CHECKING:
    from collections.abc import Collection

    from vboxkit.ovf.mending import Draft
    from vboxkit.ovf.model import Package
    from vboxkit.ovf.parts import Disk
    from vboxkit.ovf.tree import Node

__all__ = ["mend"]

_SPACE = "http://schemas.dmtf.org/ovf/envelope/1"
_VBOX = ("vbox", "http://www.virtualbox.org/ovf/machine")
_STREAM = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
_VMDK = "http://www.vmware.com/interfaces/specifications/vmdk.html"
#: All names of memory units that VirtualBox reads. It wants these letters, blanks included.
_MEMORY = frozenset({"MegaBytes", "MB", "byte * 2^20", "GigaBytes", "GB", "byte * 2^30"})
_SAS = re.compile(r"(?:lsi)?[ _-]?logic[ _-]?sas", re.IGNORECASE)
_SATA = re.compile(r"\b(?:sata|ahci)\b", re.IGNORECASE)
#: Devices without which a guest boots all the same: serial and parallel ports, graphics.
_SPARE = {"21": "serial port", "22": "parallel port", "24": "graphics"}
_HOST = re.compile(r"/{0,2}(?P<kind>disk|file)/(?P<id>.+)")
_ALLOWED_20 = frozenset(
    {"ahci", "vmware.sata.ahci", "nvme", "vmware.nvme.controller", "virtioscsi", "virtio-scsi"}
)


def mend(draft: Draft, package: Package, os_types: Collection[str]) -> None:
    """
    Mend a descriptor; what is changed is in `Draft.repairs`.

    Args:
        draft: It.
        package: What `inspect` has read of it.
        os_types: The operating systems that VirtualBox knows; all are taken for known if empty.
    """
    envelope = draft.envelope
    if not envelope.space:
        draft.element(envelope).setAttribute("xmlns", _SPACE)
        draft.note("namespace", envelope, "the envelope has no namespace", "", _SPACE)
    disks = {disk.line: disk for disk in package.disks}
    default = next((one.id for one in package.options if one.default), "")
    for node in draft.nodes():
        if node.name == "Disk" and node.line in disks:
            _disk(draft, node, disks[node.line])
        elif node.kind == "OperatingSystemSection":
            _os(draft, node, os_types)
        elif node.kind == "VirtualHardwareSection":
            items = [one for one in node.children if one.name in ITEMS and not is_extension(one)]
            for item in _chosen(draft, items, default):
                _item(draft, item)


def _chosen(draft: Draft, items: list[Node], default: str) -> list[Node]:
    """Take away what is not of the default configuration: VirtualBox adds up all of them."""
    words = {id(one): (one.get("configuration") or "").split() for one in items}
    special = {
        one.said("InstanceID", "InstanceId") for one in items if default in words[id(one)]
    } - {""}
    kept = []
    for one in items:
        names = words[id(one)]
        bound = one.get("bound") or "normal"
        other = bool(names and default) and default not in names
        covered = not names and one.said("InstanceID", "InstanceId") in special
        if other or covered or bound != "normal":
            what = one.said("ElementName", "Caption") or f"item {one.said('InstanceID')}"
            draft.remove(one)
            draft.note(
                "configuration",
                one,
                f"VirtualBox reads items that are not of the configuration {default!r}, too",
                what,
                "",
            )
        else:
            kept.append(one)
    return kept


def _item(draft: Draft, node: Node) -> None:
    kind = node.said("ResourceType")
    subtype = node.said("ResourceSubType")
    if kind == "4":
        _memory(draft, node)
    elif kind == "20" and subtype.lower() not in _ALLOWED_20:
        words = f"{subtype} {node.said('ElementName', 'Caption')} {node.said('Description')}"
        if _SAS.fullmatch(subtype):
            draft.write(node, "ResourceType", "6")
            _subtype(draft, node, subtype, "lsilogicsas")
        elif _SATA.search(words):
            _subtype(draft, node, subtype, "AHCI")
    elif kind == "6" and _SAS.fullmatch(subtype) and subtype != "lsilogicsas":
        _subtype(draft, node, subtype, "lsilogicsas")
    elif kind == "16":
        draft.write(node, "ResourceType", "15")
        draft.note("resource-type", node, "VirtualBox refuses DVD drives: a CD drive", "16", "15")
    elif _spare(node, kind, subtype):
        draft.set(node, "required", "false")
        draft.note(
            "resource-required",
            node,
            f"VirtualBox refuses this device if it is required: {_SPARE.get(kind, subtype)}",
            "required",
            "left out",
        )
    host = node.said("HostResource")
    match = _HOST.fullmatch(host)
    if match is not None and not host.startswith("/"):
        after = f"ovf:/{match['kind']}/{match['id']}"
        draft.write(node, "HostResource", after)
        draft.note("host-resource", node, "VirtualBox refuses this form, of OVF 0.9", host, after)


def _spare(node: Node, kind: str, subtype: str) -> bool:
    """Whether it is a device that a guest can do without, and that VirtualBox does not know."""
    optional = (node.get("required") or "true").lower() in {"false", "0"}
    vmware = kind == "1" and subtype.lower().startswith("vmware.")
    return not optional and (kind in _SPARE or vmware)


def _subtype(draft: Draft, node: Node, before: str, after: str) -> None:
    draft.write(node, "ResourceSubType", after)
    draft.note("controller-name", node, "VirtualBox does not know the controller", before, after)


def _memory(draft: Draft, node: Node) -> None:
    child = node.child("VirtualQuantityUnits") or node.child("AllocationUnits")
    # With its blanks: VirtualBox compares the whole text.
    if child is None or child.text in _MEMORY:
        return
    try:
        found = unit(child.text.strip()[:200])
        quantity = number(node.said("VirtualQuantity"))
    except HugeNumberError:
        return
    if found is None or quantity is None or found[0] != "byte":
        return
    amount = quantity * found[1] / (1 << 20)
    if amount.denominator != 1:
        return
    before = f"{quantity} {child.text}"
    draft.write(node, child.name, "byte * 2^20")
    draft.write(node, "VirtualQuantity", str(amount))
    draft.note(
        "memory-unit",
        node,
        "VirtualBox refuses this unit of memory",
        before,
        f"{amount} byte * 2^20",
    )


def _os(draft: Draft, node: Node, os_types: Collection[str]) -> None:
    system = node.parent
    if system is not None and any(one.name == "Machine" for one in system.children):
        return  # VirtualBox's own settings count instead

    def known(name: str) -> bool:
        return not os_types or name in os_types

    vmware = candidates(node.get("osType") or "") if node.get("osType") else ()
    own = next((one for one in node.children if is_extension(one) and one.name == "OSType"), None)
    if own is not None:
        name = own.text.strip()
        if not name or known(name):
            return
        after = next((one for one in (*vmware, without_version(name)) if known(one)), "")
        if after:
            draft.write(node, "OSType", after)
        else:
            draft.remove(own)
        draft.note(
            "os-type",
            own,
            "VirtualBox does not know this operating system"
            + ("" if after else ", and goes by the number of the section"),
            name,
            after,
        )
        return
    after = next((one for one in vmware if known(one)), "")
    if after:
        draft.add(node, "OSType", _VBOX, after)
        draft.note(
            "os-type",
            node,
            "VirtualBox does not read VMware's name of the operating system",
            node.get("osType") or "",
            after,
        )


def _disk(draft: Draft, node: Node, disk: Disk) -> None:
    said = node.get("capacity")
    scaled = disk.capacity_bytes is not None and bool(node.get("capacityAllocationUnits"))
    if not said and disk.image_bytes is not None:
        draft.set(node, "capacity", str(disk.image_bytes))
        draft.remove_attribute(node, "capacityAllocationUnits")
        draft.note(
            "capacity",
            node,
            "VirtualBox refuses a disk without its capacity: the image's",
            "",
            str(disk.image_bytes),
        )
    elif said and scaled and str(disk.capacity_bytes) != said:
        draft.set(node, "capacity", str(disk.capacity_bytes))
        draft.remove_attribute(node, "capacityAllocationUnits")
        draft.note(
            "capacity",
            node,
            "VirtualBox takes the capacity as bytes, whatever its unit",
            disk.capacity,
            str(disk.capacity_bytes),
        )
    if not node.get("format") and disk.image.startswith("vmdk"):
        after = _STREAM if disk.image == "vmdk streamOptimized" else _VMDK
        draft.set(node, "format", after)
        draft.note(
            "format", node, "VirtualBox refuses a disk without its format: the image's", "", after
        )

"""What vendors add to descriptors, and what follows from it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vboxkit.ovf.model import Extension

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vboxkit.ovf.tree import Node

__all__ = ["extensions", "firmware", "flavour", "is_extension"]

_PREFIXES = {
    "http://www.virtualbox.org/ovf/machine": "vbox",
    "http://www.vmware.com/schema/ovf": "vmw",
    "http://www.vmware.com/schema/ovf/1/envelope": "ovf",
}
_OVF = re.compile(
    r"http://(?:schemas\.dmtf\.org/(?:ovf|wbem)/|www\.vmware\.com/schema/ovf/1/envelope)"
)


def is_extension(node: Node) -> bool:
    """Whether an element is in a namespace that neither OVF nor CIM has."""
    return bool(node.space) and not _OVF.match(node.space)


def extensions(node: Node) -> Iterator[Extension]:
    """Yield the vendors' elements below one, without what is in them."""
    for child in node.children:
        if not is_extension(child):
            yield from extensions(child)
            continue
        prefix = _PREFIXES.get(child.space) or child.space.rstrip("/").rpartition("/")[2]
        yield Extension(
            name=f"{prefix}:{child.name}",
            namespace=child.space,
            parent=node.path,
            required=(child.get("required") or "true").lower() not in {"false", "0"},
            attributes=tuple((local, value) for (_, local), value in child.attributes.items()),
            children=tuple(dict.fromkeys(one.name for one in child.children)),
            text=child.text.strip(),
            line=child.line,
        )


def flavour(families: Sequence[str], found: Sequence[Extension]) -> str:
    """Return whose tool has made a descriptor: ``virtualbox``, ``vmware``, or nothing."""
    spaces = {one.namespace for one in found}
    if any("virtualbox.org" in space for space in spaces):
        return "virtualbox"
    if any("vmware.com" in space for space in spaces):
        return "vmware"
    for family in " ".join(families).lower().split():
        if family.startswith("virtualbox"):
            return "virtualbox"
        if family.startswith("vmx-"):
            return "vmware"
    return ""


def firmware(system: Node) -> str:
    """Return ``efi`` or ``bios``, or nothing where nobody says."""
    machine = next(
        (one for one in system.children if is_extension(one) and one.name == "Machine"), None
    )
    if machine is not None:
        hardware = machine.child("Hardware")
        chosen = hardware.child("Firmware") if hardware is not None else None
        kind = (chosen.get("type") if chosen is not None else None) or "BIOS"
        return "efi" if kind.upper().startswith("EFI") else "bios"
    for hardware in system.all("VirtualHardwareSection"):
        for config in hardware.all("Config"):
            if is_extension(config) and config.get("key") == "firmware":
                return (config.get("value") or "").lower()[:20]
    return ""

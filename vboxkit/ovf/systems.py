"""Machines and collections of machines, as descriptors have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vboxkit.ovf.checks import check_system
from vboxkit.ovf.extensions import firmware, is_extension
from vboxkit.ovf.hardware import ITEMS, read_item
from vboxkit.ovf.model import Collection, VirtualSystem
from vboxkit.ovf.parts import (
    DeploymentOption,
    Eula,
    OperatingSystem,
    Product,
    Property,
    Section,
)

if TYPE_CHECKING:
    from vboxkit.ovf.files import Files
    from vboxkit.ovf.findings import Findings
    from vboxkit.ovf.parts import Item
    from vboxkit.ovf.tree import Node

__all__ = ["Systems", "deployment_options", "sections"]

#: Sections that fields are made of.
_READ = frozenset(
    {
        "AnnotationSection",
        "DeploymentOptionSection",
        "DiskSection",
        "EulaSection",
        "NetworkSection",
        "OperatingSystemSection",
        "ProductSection",
        "PropertySection",
        "SharedDiskSection",
        "VirtualHardwareSection",
    }
)
#: Sections that OVF defines beside these.
_KNOWN = frozenset(
    {
        "BootDeviceSection",
        "EncryptionSection",
        "EnvironmentFilesSection",
        "InstallSection",
        "PlacementGroupSection",
        "PlacementSection",
        "ResourceAllocationSection",
        "ScaleOutSection",
        "StartupSection",
    }
)


def _required(node: Node) -> bool:
    return (node.get("required") or "true").lower() not in {"false", "0"}


def sections(node: Node, note: Findings) -> tuple[Section, ...]:
    """Return the sections that no field is made of; those that nobody knows are problems."""
    found = []
    for child in node.children:
        kind = child.kind
        if kind in _READ or not (kind.endswith("Section") or child.name == "Section"):
            continue
        found.append(
            Section(kind=kind, info=child.said("Info"), required=_required(child), line=child.line)
        )
        if kind not in _KNOWN and _required(child):
            note.add(
                "warning",
                "section-unknown",
                child,
                f"the section {kind!r} is none of OVF's, and is required: readers may refuse it",
                'remove it, or write ovf:required="false"',
            )
    return tuple(found)


def deployment_options(envelope: Node, note: Findings) -> tuple[DeploymentOption, ...]:
    """Return the configurations to choose from; the first is the default if none says so."""
    nodes = [
        one for it in envelope.all("DeploymentOptionSection") for one in it.all("Configuration")
    ]
    default = next((one for one in nodes if one.get("default") in {"true", "1"}), None)
    default = default or next(iter(nodes), None)
    names: set[str] = set()
    for node in nodes:
        name = node.get("id") or ""
        if name in names:
            note.add(
                "error",
                "duplicate-id",
                node,
                f"there are two configurations {name!r}",
                "give one of them another name",
            )
        names.add(name)
    return tuple(
        DeploymentOption(
            id=node.get("id") or "",
            label=node.said("Label"),
            description=node.said("Description"),
            default=node is default,
        )
        for node in nodes
    )


@dataclass(frozen=True)
class Systems:
    """Reads machines and collections."""

    findings: Findings
    files: Files
    options: tuple[DeploymentOption, ...]

    def content(self, parent: Node) -> tuple[VirtualSystem | Collection, ...]:
        """Return what is directly in an envelope or a collection."""
        found: list[VirtualSystem | Collection] = []
        for node in parent.all("VirtualSystem", "VirtualSystemCollection"):
            if node.kind == "VirtualSystem":
                found.append(self._system(node))
            else:
                found.append(self._collection(node))
        ids: set[str] = set()
        for node in parent.all("VirtualSystem", "VirtualSystemCollection"):
            name = node.get("id") or ""
            if name in ids:
                self.findings.add(
                    "error",
                    "duplicate-id",
                    node,
                    f"there are two machines {name!r}",
                    "give one of them another name",
                )
            ids.add(name)
        return tuple(found)

    def _collection(self, node: Node) -> Collection:
        members = self.content(node)
        if not members:
            self.findings.add(
                "warning",
                "collection-empty",
                node,
                "the collection has no machine",
                "remove it, or put a machine into it",
            )
        return Collection(
            id=node.get("id") or "",
            name=node.said("Name"),
            info=node.said("Info"),
            members=members,
            products=_products(node),
            eulas=_eulas(node),
            sections=sections(node, self.findings),
            line=node.line,
        )

    def _system(self, node: Node) -> VirtualSystem:
        note = self.findings
        hardware = list(node.all("VirtualHardwareSection"))
        items: list[tuple[Item, Node]] = []
        for section in hardware:
            items += [
                (read_item(one, note), one)
                for one in section.children
                if one.name in ITEMS and not is_extension(one)
            ]
        families = [
            word
            for section in hardware
            for system in section.all("System")
            for word in system.said("VirtualSystemType").replace(",", " ").split()
        ]
        default = next((one.id for one in self.options if one.default), "")
        normal = [
            one
            for one, _ in items
            if one.bound == "normal" and (not one.configurations or default in one.configurations)
        ]
        annotation = node.child("AnnotationSection")
        system = VirtualSystem(
            id=node.get("id") or "",
            name=node.said("Name") or node.get("id") or "",
            info=node.said("Info"),
            annotation=annotation.said("Annotation") if annotation is not None else "",
            families=tuple(families),
            cpus=_amount(normal, "processor"),
            memory_bytes=_amount(normal, "memory"),
            firmware=firmware(node),
            os=self._os(node),
            disks=tuple(one.disk for one in normal if one.kind == "disk" and one.disk),
            networks=tuple(name for one in normal for name in one.connections),
            items=tuple(one for one, _ in items),
            products=_products(node),
            eulas=_eulas(node),
            sections=sections(node, note),
            line=node.line,
        )
        options = {one.id for one in self.options}
        check_system(node, system, items, files=self.files, note=note, options=options)
        return system

    def _os(self, node: Node) -> OperatingSystem:
        section = node.child("OperatingSystemSection")
        if section is None:
            self.findings.add(
                "warning",
                "no-os",
                node,
                "it does not say which operating system is in it",
                "add an OperatingSystemSection",
            )
            return OperatingSystem()
        vbox = next((one for one in section.children if is_extension(one)), None)
        return OperatingSystem(
            id=self.findings.number(section, section.get("id"), "the operating system's id"),
            version=section.get("version") or "",
            description=section.said("Description"),
            vbox_type=vbox.text.strip() if vbox is not None and vbox.name == "OSType" else "",
            vmware_type=section.get("osType") or "",
        )


def _amount(items: list[Item], kind: str) -> int | None:
    # A later item for the chosen configuration takes the place of the one for all.
    found = [one for one in items if one.kind == kind and one.amount is not None]
    chosen = [one for one in found if one.configurations] or found[:1]
    return chosen[-1].amount if chosen else None


def _eulas(node: Node) -> tuple[Eula, ...]:
    return tuple(
        Eula(text=one.said("License"), info=one.said("Info")) for one in node.all("EulaSection")
    )


def _products(node: Node) -> tuple[Product, ...]:
    # OVF 0.9 has properties in a section of their own.
    return tuple(_product(one) for one in node.all("ProductSection", "PropertySection"))


def _product(node: Node) -> Product:
    of_class, instance = node.get("class") or "", node.get("instance") or ""
    properties: list[Property] = []
    category = ""
    for child in node.children:
        if child.name == "Category":
            category = child.text.strip()
        elif child.name == "Property":
            values = list(child.all("Value"))
            key = ".".join(word for word in (of_class, child.get("key") or "", instance) if word)
            default = next((one for one in values if not one.get("configuration")), None)
            properties.append(
                Property(
                    key=key,
                    type=child.get("type") or "",
                    value=child.get("value")
                    or ((default.get("value") or "") if default is not None else ""),
                    values=tuple(
                        (one.get("configuration") or "", one.get("value") or "")
                        for one in values
                        if one.get("configuration")
                    ),
                    qualifiers=child.get("qualifiers") or "",
                    user_configurable=child.get("userConfigurable") in {"true", "1"},
                    password=child.get("password") in {"true", "1"},
                    label=child.said("Label"),
                    description=child.said("Description"),
                    category=category,
                )
            )
    return Product(
        name=node.said("Product"),
        vendor=node.said("Vendor"),
        version=node.said("Version"),
        full_version=node.said("FullVersion"),
        product_url=node.said("ProductUrl"),
        vendor_url=node.said("VendorUrl"),
        app_url=node.said("AppUrl"),
        identity=of_class,
        info=node.said("Info"),
        properties=tuple(properties),
    )

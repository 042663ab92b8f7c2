"""The text of a descriptor as VMware's products want it, from what `inspect` has read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vboxkit.ovf.vmware_os import vmware_os
from vboxkit.ovf.writing import FORMAT, item, opening, text, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vboxkit.ovf.model import Package, VirtualSystem
    from vboxkit.ovf.parts import Item, Product

__all__ = ["descriptor"]

_SCSI = {"lsilogic": "lsilogic", "lsilogicsas": "lsilogicsas", "buslogic": "buslogic"}
#: A controller's own address on its bus, which VMware keeps for it.
_RESERVED = {"scsi": 7}
_LEFT_OUT = {
    "sound": "the sound card is",
    "floppy": "the floppy drive is",
    "nvram": "the EFI variables are",
}
_PRODUCT = (
    ("Product", "name"),
    ("Vendor", "vendor"),
    ("Version", "version"),
    ("FullVersion", "full_version"),
    ("ProductUrl", "product_url"),
    ("VendorUrl", "vendor_url"),
    ("AppUrl", "app_url"),
)


@dataclass(eq=False)
class _Controller:
    """A controller: its bus, its model, its number among its kind, and the slots in use."""

    bus: str
    model: str
    number: int
    id: int = 0
    slots: set[int] = field(default_factory=set)

    def slot(self, wanted: int) -> int:
        """Take a slot: the one wanted, or the first free one."""
        reserved = _RESERVED.get(self.bus)
        found = wanted
        if wanted in self.slots or wanted == reserved:
            found = next(n for n in range(10_000) if n not in self.slots and n != reserved)
        self.slots.add(found)
        return found


def descriptor(
    package: Package, sizes: Mapping[str, int], hardware: int, adapter: str
) -> tuple[str, list[str]]:
    """
    Return the descriptor's text, and what it changes, a sentence each.

    Args:
        package: What is described.
        sizes: Bytes of its files, by name.
        hardware: The hardware version.
        adapter: The model of network adapters.
    """
    changes: list[str] = []
    lines = "\n".join(_lines(package, sizes, hardware, adapter, changes)) + "\n"
    return lines, list(dict.fromkeys(changes))


def _lines(
    package: Package,
    sizes: Mapping[str, int],
    hardware: int,
    adapter: str,
    changes: list[str],
) -> Iterator[str]:
    yield from opening("vmw=http://www.vmware.com/schema/ovf")
    yield "  <References>"
    shown = {disk.file for disk in package.disks}
    for file in package.files:
        if file.href not in shown:
            continue
        size = sizes.get(file.href, file.stored_bytes or 0)
        href = f'ovf:href="{text(file.href)}" ovf:id="{text(file.id)}" ovf:size="{size}"'
        yield f"    <File {href}/>"
    yield "  </References>"
    yield "  <DiskSection>"
    yield "    <Info>The virtual disks</Info>"
    ids = {file.href: file.id for file in package.files}
    for disk in package.disks:
        if disk.image == "iso":
            continue  # a file that a drive shows, and no disk
        reference = f' ovf:fileRef="{text(ids[disk.file])}"' if disk.file else ""
        yield (
            f'    <Disk ovf:capacity="{disk.capacity_bytes or 0}"'
            f' ovf:capacityAllocationUnits="byte" ovf:diskId="{text(disk.id)}"{reference}'
            f' ovf:format="{FORMAT}"/>'
        )
    yield "  </DiskSection>"
    names = [network.name for network in package.networks]
    names += [name for system in package.systems for name in system.networks]
    yield "  <NetworkSection>"
    yield "    <Info>The networks</Info>"
    for name in dict.fromkeys(names):
        yield f'    <Network ovf:name="{text(name)}">'
        yield f"      <Description>{text(name)}</Description>"
        yield "    </Network>"
    yield "  </NetworkSection>"
    several = len(package.systems) > 1
    if several:
        changes.append(
            "several machines in one appliance are a vApp, which needs vCenter: a single ESXi host"
            " refuses it"
        )
        yield '  <VirtualSystemCollection ovf:id="machines">'
        yield "    <Info>The virtual machines</Info>"
    for system in package.systems:
        writer = _System(package, system, ids, hardware, adapter, changes)
        for line in writer.lines():
            yield f"{'  ' if several else ''}{line}"
    if several:
        yield "  </VirtualSystemCollection>"
    yield "</Envelope>"


@dataclass
class _System:
    """Writes a machine."""

    package: Package
    system: VirtualSystem
    files: Mapping[str, str]
    hardware: int
    adapter: str
    changes: list[str]
    _identity: int = 2

    def lines(self) -> Iterator[str]:
        """Yield the machine."""
        system = self.system
        name = text(system.name)
        yield f'  <VirtualSystem ovf:id="{text(system.id)}">'
        yield "    <Info>A virtual machine</Info>"
        yield f"    <Name>{name}</Name>"
        for product in system.products:
            yield from _product(product)
        yield from words(system.annotation, [eula.text for eula in system.eulas])
        known = system.os.vbox_type or system.os.description
        kind = vmware_os(known, hardware=self.hardware)
        yield f'    <OperatingSystemSection ovf:id="{system.os.id or 1}" vmw:osType="{kind}">'
        yield "      <Info>The guest's operating system</Info>"
        yield f"      <Description>{text(known)}</Description>"
        yield "    </OperatingSystemSection>"
        yield "    <VirtualHardwareSection>"
        yield "      <Info>The virtual hardware</Info>"
        yield "      <System>"
        yield "        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>"
        yield "        <vssd:InstanceID>0</vssd:InstanceID>"
        yield f"        <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>"
        yield f"        <vssd:VirtualSystemType>vmx-{self.hardware:02}</vssd:VirtualSystemType>"
        yield "      </System>"
        yield from self._hardware()
        if system.firmware:
            yield (
                '      <vmw:Config ovf:required="false" vmw:key="firmware"'
                f' vmw:value="{text(system.firmware)}"/>'
            )
        yield "    </VirtualHardwareSection>"
        yield "  </VirtualSystem>"

    def _next(self) -> int:
        self._identity += 1
        return self._identity

    def _hardware(self) -> Iterator[str]:
        cpus, memory = self.system.cpus or 1, (self.system.memory_bytes or 0) >> 20
        yield from item(
            AllocationUnits="hertz * 10^6", Description="Number of Virtual CPUs",
            ElementName=f"{cpus} virtual CPU(s)", InstanceID=1, ResourceType=3,
            VirtualQuantity=cpus,
        )  # fmt: skip
        yield from item(
            AllocationUnits="byte * 2^20", Description="Memory Size",
            ElementName=f"{memory}MB of memory", InstanceID=2, ResourceType=4,
            VirtualQuantity=memory,
        )  # fmt: skip
        controllers = self._controllers()
        for controller in dict.fromkeys(controllers.values()):
            controller.id = self._next()
            yield from _controller(controller)
        for one in self.system.items:
            if one.kind in {"disk", "cd", "dvd"} and one.parent in controllers:
                yield from self._drive(one, controllers[one.parent])
        for one in self.system.items:
            if one.kind == "ethernet":
                yield from self._adapter(one)
            elif one.kind == "usb":
                yield from item(
                    required=False, Address=0, Description="USB Controller (EHCI)",
                    ElementName="USB controller", InstanceID=self._next(),
                    ResourceSubType="vmware.usb.ehci", ResourceType=23,
                )  # fmt: skip
            elif one.kind in _LEFT_OUT:
                self.changes.append(f"{self.system.name}: {_LEFT_OUT[one.kind]} left out")

    def _controllers(self) -> dict[str, _Controller]:
        """Return the controllers by their old ids; what VMware lacks shares one of SATA."""
        found: dict[str, _Controller] = {}
        counts: dict[str, int] = {}

        def made(bus: str, model: str) -> _Controller:
            counts[bus] = counts.get(bus, -1) + 1
            return _Controller(bus, model, counts[bus])

        sata: _Controller | None = None
        # VMware's own first: they keep their slots.
        order = sorted(self.system.items, key=lambda one: one.kind in {"nvme", "virtio-scsi"})
        for one in order:
            if one.kind == "ide":
                found[one.id] = made("ide", "")
            elif one.kind == "scsi":
                found[one.id] = made("scsi", _SCSI.get(one.subtype.lower(), "lsilogic"))
            elif one.kind in {"sata", "nvme", "virtio-scsi"}:
                sata = sata or made("sata", "vmware.sata.ahci")
                found[one.id] = sata
                if one.kind != "sata":
                    self.changes.append(f"{self.system.name}: what was on {one.subtype} is on SATA")
        return found

    def _drive(self, one: Item, on: _Controller) -> Iterator[str]:
        slot = on.slot(int(one.address_on_parent) if one.address_on_parent.isdigit() else 0)
        if one.kind == "disk":
            yield from item(
                AddressOnParent=slot, ElementName=f"disk {self._identity}",
                HostResource=f"ovf:/disk/{one.disk}", InstanceID=self._next(), Parent=on.id,
                ResourceType=17,
            )  # fmt: skip
            return
        image = self.package.disk(one.disk).file if one.disk else ""
        yield from item(
            required=False, AddressOnParent=slot, AutomaticAllocation="true" if image else "false",
            ElementName=f"CD/DVD drive {self._identity}",
            HostResource=f"ovf:/file/{self.files[image]}" if image else None,
            InstanceID=self._next(), Parent=on.id,
            ResourceSubType="vmware.cdrom.iso" if image else "vmware.cdrom.remotepassthrough",
            ResourceType=15,
        )  # fmt: skip

    def _adapter(self, one: Item) -> Iterator[str]:
        model = "PCNet32" if one.subtype.lower().startswith("pcnet") else self.adapter
        if one.subtype.lower() != model.lower():
            self.changes.append(
                f"{self.system.name}: a network adapter is {model},"
                f" and was {one.subtype or 'another one (virtio)'}"
            )
        name = next(iter(one.connections), "")
        yield from item(
            AutomaticAllocation="true", Connection=name or None,
            Description=f"{model} ethernet adapter on {name!r}",
            ElementName=f"Ethernet {self._identity}", InstanceID=self._next(),
            ResourceSubType=model, ResourceType=10,
        )  # fmt: skip


def _controller(one: _Controller) -> Iterator[str]:
    kind, words = {
        "ide": (5, "IDE Controller"),
        "scsi": (6, "SCSI Controller"),
        "sata": (20, "SATA Controller"),
    }[one.bus]
    yield from item(
        Address=one.number, Description=words, ElementName=f"{words} {one.number}",
        InstanceID=one.id, ResourceSubType=one.model or None, ResourceType=kind,
    )  # fmt: skip


def _product(product: Product) -> Iterator[str]:
    yield "    <ProductSection>"
    yield f"      <Info>{text(product.info or 'The product')}</Info>"
    for tag, name in _PRODUCT:
        value = getattr(product, name)
        if value:
            yield f"      <{tag}>{text(value)}</{tag}>"
    yield "    </ProductSection>"

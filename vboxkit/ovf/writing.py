"""The descriptor of an appliance that `build` makes."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "FORMAT",
    "RASD",
    "VSSD",
    "Controller",
    "Firmware",
    "Plan",
    "PlannedDisk",
    "descriptor",
    "item",
    "opening",
    "text",
    "words",
]

Firmware = Literal["bios", "efi"]
Controller = Literal["sata", "ide", "scsi"]

#: CIM's numbers of operating systems.
_CIM = {
    "Debian": 95,
    "Debian_64": 96,
    "FreeBSD": 42,
    "FreeBSD_64": 78,
    "Linux26": 99,
    "Linux26_64": 100,
    "RedHat": 79,
    "RedHat_64": 80,
    "Ubuntu": 93,
    "Ubuntu_64": 94,
}
_OTHER, _OTHER_64 = 1, 102
RASD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
VSSD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
#: Of stream-optimised VMDKs.
FORMAT = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
#: ResourceType, ResourceSubType, VirtualBox's type of it, and its ports.
_CONTROLLERS = {
    "sata": (20, "AHCI", "AHCI", 4),
    "ide": (5, "PIIX4", "PIIX4", 2),
    "scsi": (6, "lsilogic", "LsiLogic", 16),
}
_NETWORKS = {"NAT": "<NAT/>", "Bridged": "<BridgedInterface/>", "HostOnly": "<HostOnlyInterface/>"}


@dataclass(frozen=True)
class PlannedDisk:
    """A disk to be packed: its name in the package, its file's bytes, and its capacity."""

    name: str
    size: int
    capacity: int


@dataclass(frozen=True)
class Plan:
    """What a descriptor is made from; see `build`."""

    name: str
    disks: Sequence[PlannedDisk]
    memory_mb: int
    cpus: int
    os_type: str
    firmware: Firmware
    controller: Controller
    networks: Sequence[str]
    product: str
    vendor: str
    version: str
    annotation: str
    eula: str

    def identity(self, of: str) -> uuid.UUID:
        """Return the UUID that something has in each build of this name."""
        return uuid.uuid5(uuid.NAMESPACE_URL, f"https://vboxkit.invalid/build/{self.name}/{of}")


def descriptor(plan: Plan) -> str:
    """Return the text of the descriptor: OVF 1.0, as VirtualBox and VMware read it."""
    return "\n".join(line for line in _lines(plan) if line) + "\n"


def text(value: str) -> str:
    """Return a text as it stands in XML."""
    # What XML cannot have in any form would make a descriptor that nobody reads.
    return escape(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "", value))


def _element(tag: str, value: str | int) -> str:
    return f"        <rasd:{tag}>{text(str(value))}</rasd:{tag}>"


def item(*, required: bool = True, **values: str | int | None) -> Iterator[str]:
    """
    Yield an item of virtual hardware.

    Args:
        required: Whether a reader that does not know it has to give up.
        values: Its elements; those that are `None` are left out.
    """
    yield "      <Item>" if required else '      <Item ovf:required="false">'
    # The schema wants them in this order, which is that of the alphabet.
    for tag in sorted(values):
        value = values[tag]
        if value is not None:
            yield _element(tag, value)
    yield "      </Item>"


def opening(*spaces: str) -> Iterator[str]:
    """
    Yield the beginning of a descriptor.

    Args:
        spaces: Vendors' namespaces: ``vmw=http://...``.
    """
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<Envelope ovf:version="1.0" xml:lang="en-US"'
    yield '    xmlns="http://schemas.dmtf.org/ovf/envelope/1"'
    yield '    xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"'
    yield f'    xmlns:rasd="{RASD}"'
    yield f'    xmlns:vssd="{VSSD}"'
    for number, space in enumerate(spaces, 1):
        prefix, _, name = space.partition("=")
        yield f'    xmlns:{prefix}="{name}"{">" if number == len(spaces) else ""}'


def _lines(plan: Plan) -> Iterator[str]:
    name = text(plan.name)
    yield from opening(
        "vmw=http://www.vmware.com/schema/ovf", "vbox=http://www.virtualbox.org/ovf/machine"
    )
    yield "  <References>"
    for number, disk in enumerate(plan.disks, 1):
        href = f'ovf:href="{text(disk.name)}" ovf:size="{disk.size}"'
        yield f'    <File ovf:id="file{number}" {href}/>'
    yield "  </References>"
    yield "  <DiskSection>"
    yield "    <Info>The virtual disks</Info>"
    for number, disk in enumerate(plan.disks, 1):
        yield (
            f'    <Disk ovf:capacity="{disk.capacity}" ovf:diskId="vmdisk{number}"'
            f' ovf:fileRef="file{number}" ovf:format="{FORMAT}"'
            f' vbox:uuid="{plan.identity(f"disk {number}")}"/>'
        )
    yield "  </DiskSection>"
    yield "  <NetworkSection>"
    yield "    <Info>The networks</Info>"
    for network in dict.fromkeys(plan.networks):
        yield f'    <Network ovf:name="{text(network)}"/>'
    yield "  </NetworkSection>"
    yield f'  <VirtualSystem ovf:id="{name}">'
    yield "    <Info>A virtual machine</Info>"
    yield f"    <Name>{name}</Name>"
    yield from _words(plan)
    cim = _CIM.get(plan.os_type, _OTHER_64 if plan.os_type.endswith("_64") else _OTHER)
    yield f'    <OperatingSystemSection ovf:id="{cim}">'
    yield "      <Info>The guest's operating system</Info>"
    yield f"      <Description>{text(plan.os_type)}</Description>"
    yield f'      <vbox:OSType ovf:required="false">{text(plan.os_type)}</vbox:OSType>'
    yield "    </OperatingSystemSection>"
    yield from _hardware(plan, name)
    if plan.firmware == "efi":
        yield from _machine(plan, name)
    yield "  </VirtualSystem>"
    yield "</Envelope>"


def _words(plan: Plan) -> Iterator[str]:
    if plan.product or plan.vendor or plan.version:
        yield "    <ProductSection>"
        yield "      <Info>The product</Info>"
        for tag, value in (
            ("Product", plan.product),
            ("Vendor", plan.vendor),
            ("Version", plan.version),
        ):
            if value:
                yield f"      <{tag}>{text(value)}</{tag}>"
        yield "    </ProductSection>"
    yield from words(plan.annotation, [plan.eula] if plan.eula else [])


def words(annotation: str, eulas: Iterable[str]) -> Iterator[str]:
    """Yield the sections of a longer text, if there is one, and of licences."""
    if annotation:
        yield "    <AnnotationSection>"
        yield "      <Info>What it is</Info>"
        yield f"      <Annotation>{text(annotation)}</Annotation>"
        yield "    </AnnotationSection>"
    for eula in eulas:
        yield "    <EulaSection>"
        yield "      <Info>The licence</Info>"
        yield f"      <License>{text(eula)}</License>"
        yield "    </EulaSection>"


def _hardware(plan: Plan, name: str) -> Iterator[str]:
    kind, subtype, _, _ = _CONTROLLERS[plan.controller]
    yield "    <VirtualHardwareSection>"
    yield "      <Info>The virtual hardware</Info>"
    yield "      <System>"
    yield "        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>"
    yield "        <vssd:InstanceID>0</vssd:InstanceID>"
    yield f"        <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>"
    yield "        <vssd:VirtualSystemType>virtualbox-2.2 vmx-10</vssd:VirtualSystemType>"
    yield "      </System>"
    yield from item(
        ElementName=f"{plan.cpus} virtual CPU", InstanceID=1, ResourceType=3,
        VirtualQuantity=plan.cpus,
    )  # fmt: skip
    yield from item(
        AllocationUnits="byte * 2^20", ElementName=f"{plan.memory_mb} MiB of memory",
        InstanceID=2, ResourceType=4, VirtualQuantity=plan.memory_mb,
    )  # fmt: skip
    yield from item(
        Address=0, ElementName=f"{plan.controller} controller", InstanceID=3,
        ResourceSubType=subtype, ResourceType=kind,
    )  # fmt: skip
    identity = 4
    for number, _ in enumerate(plan.disks):
        yield from item(
            AddressOnParent=number, ElementName=f"disk {number + 1}",
            HostResource=f"ovf:/disk/vmdisk{number + 1}", InstanceID=identity, Parent=3,
            ResourceType=17,
        )  # fmt: skip
        identity += 1
    for network in plan.networks:
        yield from item(
            AutomaticAllocation="true", Connection=network,
            ElementName=f"Ethernet adapter on {network!r}", InstanceID=identity,
            ResourceSubType="E1000", ResourceType=10,
        )  # fmt: skip
        identity += 1
    if plan.firmware == "efi":
        yield '      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>'
    yield "    </VirtualHardwareSection>"


def _machine(plan: Plan, name: str) -> Iterator[str]:
    """Yield what VirtualBox alone reads: OVF has no word for the firmware."""
    _, _, model, ports = _CONTROLLERS[plan.controller]
    yield (
        f'    <vbox:Machine ovf:required="false" version="1.16-linux" name="{name}"'
        f' uuid="{{{plan.identity("machine")}}}" OSType="{text(plan.os_type)}"'
        ' snapshotFolder="Snapshots" lastStateChange="2026-01-01T00:00:00Z">'
    )
    yield "      <ovf:Info>The machine as VirtualBox has it</ovf:Info>"
    yield "      <Hardware>"
    yield f'        <CPU count="{plan.cpus}"><PAE enabled="true"/><LongMode enabled="true"/></CPU>'
    yield f'        <Memory RAMSize="{plan.memory_mb}"/>'
    yield '        <Firmware type="EFI"/>'
    yield '        <Display controller="VMSVGA" VRAMSize="16"/>'
    yield '        <BIOS><ACPI enabled="true"/><IOAPIC enabled="true"/></BIOS>'
    yield "        <Network>"
    for slot, network in enumerate(plan.networks):
        mac = f"080027{plan.identity(f'adapter {slot}').hex[:6].upper()}"
        inside = _NETWORKS.get(network, f'<InternalNetwork name="{text(network)}"/>')
        yield (
            f'          <Adapter slot="{slot}" enabled="true" MACAddress="{mac}" cable="true"'
            f' type="82540EM">{inside}</Adapter>'
        )
    yield "        </Network>"
    yield "      </Hardware>"
    yield "      <StorageControllers>"
    yield (
        f'        <StorageController name="{plan.controller.upper()}" type="{model}"'
        f' PortCount="{ports}" useHostIOCache="true" Bootable="true">'
    )
    for number, _ in enumerate(plan.disks):
        port, device = divmod(number, 2) if plan.controller == "ide" else (number, 0)
        yield (
            f'          <AttachedDevice type="HardDisk" port="{port}" device="{device}">'
            f'<Image uuid="{{{plan.identity(f"disk {number + 1}")}}}"/></AttachedDevice>'
        )
    yield "        </StorageController>"
    yield "      </StorageControllers>"
    yield "    </vbox:Machine>"

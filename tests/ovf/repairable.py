"""Descriptors that VirtualBox refuses, and what is mended in each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.ovf.builder import (
    MIB,
    STREAM,
    cpu,
    disk_item,
    envelope,
    envelope09,
    file,
    gz,
    ide,
    item,
    memory,
    nic,
    sata,
    simple,
    system,
    vmdk,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vboxkit.ovf import Package

__all__ = ["CASES", "DISK", "KNOWN", "Case", "with_disk", "with_items", "with_os"]

#: The disk of all of them.
DISK = vmdk()
#: The operating systems that VirtualBox knows, for these tests.
KNOWN = ("Debian_64", "Debian10_64", "Ubuntu_64", "Windows10_64")


def with_items(
    *, controller: str = "", units: str = "byte * 2^20", amount: int = 512, more: str = ""
) -> str:
    """Return a descriptor with these items of hardware, besides processors, disk and network."""
    return simple(
        items=cpu() + memory(amount, units) + (controller or ide()) + disk_item() + nic() + more
    )


def with_os(attributes: str, inside: str = "") -> str:
    """Return a descriptor with this operating system."""
    section = (
        f"<OperatingSystemSection {attributes}><Info>i</Info>{inside}</OperatingSystemSection>"
    )
    items = cpu() + memory() + ide() + disk_item() + nic()
    return _disks(
        f'<Disk ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:capacity="{8 * MIB}"'
        f' ovf:format="{STREAM}"/>',
        content=system(items, os=section),
    )


def _disks(disks: str, *, content: str = "", more: str = "") -> str:
    items = cpu() + memory() + ide() + disk_item() + nic()
    return envelope(content or system(items), files=file("disk.vmdk", more=more), disks=disks)


def with_disk(attributes: str, **more: str) -> str:
    """Return a descriptor with this disk."""
    return _disks(f'<Disk ovf:diskId="vmdisk1" ovf:fileRef="file1" {attributes}/>', **more)


@dataclass(frozen=True)
class Case:
    """A descriptor, what is mended in it, and how the mended package reads."""

    text: str
    code: str
    before: str
    after: str
    sees: Callable[[Package], Any] = field(default=lambda package: len(package.systems))
    expected: Any = 1
    files: Mapping[str, bytes] = field(default_factory=lambda: {"disk.vmdk": DISK})


def _storage(package: Package) -> list[tuple[str, str]]:
    return [
        (one.kind, one.subtype) for one in package.systems[0].items if one.kind in {"sata", "scsi"}
    ]


def _hrefs(package: Package) -> list[str]:
    return [one.href for one in package.files]


_SCSI = "LsiLogicSAS"
CASES = {
    "sata by another name": Case(
        with_items(controller=sata(subtype="SATA")),
        "controller-name", "SATA", "AHCI", _storage, [("sata", "AHCI")],
    ),
    "sata without a model": Case(
        with_items(controller=item(20, 3, Address=0, ElementName="SATA Controller 0")),
        "controller-name", "", "AHCI", _storage, [("sata", "AHCI")],
    ),
    "sas in other letters": Case(
        with_items(controller=item(6, 3, Address=0, ResourceSubType=_SCSI)),
        "controller-name", _SCSI, "lsilogicsas", _storage, [("scsi", "lsilogicsas")],
    ),
    "sas as another storage device": Case(
        with_items(controller=sata(subtype=_SCSI)),
        "controller-name", _SCSI, "lsilogicsas", _storage, [("scsi", "lsilogicsas")],
    ),
    "vmware's system": Case(
        with_os('ovf:id="1" vmw:osType="debian10_64Guest"'),
        "os-type", "debian10_64Guest", "Debian10_64", lambda p: p.systems[0].os.vbox_type,
        "Debian10_64",
    ),
    "a system of a newer VirtualBox": Case(
        with_os('ovf:id="96"', "<vbox:OSType>Debian14_64</vbox:OSType>"),
        "os-type", "Debian14_64", "Debian_64", lambda p: p.systems[0].os.vbox_type, "Debian_64",
    ),
    "a system that nobody knows": Case(
        with_os('ovf:id="96"', "<vbox:OSType>Plan9</vbox:OSType>"),
        "os-type", "Plan9", "", lambda p: p.systems[0].os.vbox_type, "",
    ),
    "memory without blanks": Case(
        with_items(units="byte*2^20"),
        "memory-unit", "512 byte*2^20", "512 byte * 2^20",
        lambda p: p.systems[0].memory_bytes, 512 * MIB,
    ),
    "memory in kilobytes": Case(
        with_items(units="KB", amount=65536),
        "memory-unit", "65536 KB", "64 byte * 2^20", lambda p: p.systems[0].memory_bytes, 64 * MIB,
    ),
    "graphics": Case(
        with_items(more=item(24, 20, ElementName="video")),
        "resource-required", "required", "left out",
        lambda p: [one.required for one in p.systems[0].items if one.kind == "graphics"], [False],
    ),
    "vmci": Case(
        with_items(more=item(1, 20, ResourceSubType="vmware.vmci")),
        "resource-required", "required", "left out",
        lambda p: p.systems[0].items[-1].required, False,
    ),
    "a DVD drive": Case(
        with_items(more=item(16, 20, Parent=3, AddressOnParent=1)),
        "resource-type", "16", "15", lambda p: p.systems[0].items[-1].kind, "cd",
    ),
    "a resource of OVF 0.9": Case(
        envelope09(
            cpu() + memory(512, "MegaBytes") + ide()
            + item(17, 5, HostResource="disk/vmdisk1", Parent=3, AddressOnParent=0),
            files=file("disk.vmdk"),
            disks=f'<Disk ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:capacity="{8 * MIB}"'
            f' ovf:format="{STREAM}"/>',
        ),
        "host-resource", "disk/vmdisk1", "ovf:/disk/vmdisk1",
        lambda p: p.systems[0].disks, ("vmdisk1",),
    ),
    "a capacity in MiB": Case(
        with_disk(
            f'ovf:capacity="8" ovf:capacityAllocationUnits="byte * 2^20" ovf:format="{STREAM}"'
        ),
        "capacity", "8 byte * 2^20", str(8 * MIB), lambda p: p.disks[0].capacity, str(8 * MIB),
    ),
    "no capacity": Case(
        with_disk(f'ovf:format="{STREAM}"'),
        "capacity", "", str(8 * MIB), lambda p: p.disks[0].capacity_bytes, 8 * MIB,
    ),
    "no format": Case(
        with_disk(f'ovf:capacity="{8 * MIB}"'), "format", "", STREAM,
        lambda p: p.disks[0].format, STREAM,
    ),
    "no namespace": Case(
        simple().replace('xmlns="http://schemas.dmtf.org/ovf/envelope/1"', ""),
        "namespace", "", "http://schemas.dmtf.org/ovf/envelope/1", lambda p: p.version, "1.0",
    ),
    "an absolute path": Case(
        simple(href="/home/me/disk.vmdk"), "absolute-path", "/home/me/disk.vmdk", "disk.vmdk",
        _hrefs, ["disk.vmdk"],
    ),
    "a path of Windows": Case(
        simple(href="C:\\vm\\disk.vmdk"), "absolute-path", "C:\\vm\\disk.vmdk", "disk.vmdk",
        _hrefs, ["disk.vmdk"],
    ),
    "a file URL": Case(
        simple(href="file:///home/me/disk.vmdk"),
        "absolute-path", "file:///home/me/disk.vmdk", "disk.vmdk", _hrefs, ["disk.vmdk"],
    ),
    "an escape": Case(
        simple(href="my%20disk.vmdk"), "percent", "my%20disk.vmdk", "my disk.vmdk",
        _hrefs, ["my disk.vmdk"], {"my disk.vmdk": DISK},
    ),
    "a percent sign": Case(
        simple(href="50%25.vmdk"), "percent", "50%25.vmdk", "50_25.vmdk",
        _hrefs, ["50_25.vmdk"], {"50%25.vmdk": DISK},
    ),
    "other letters": Case(
        simple(href="DISK.vmdk"), "file-name", "DISK.vmdk", "disk.vmdk", _hrefs, ["disk.vmdk"],
    ),
    "gzip without its end": Case(
        with_disk(f'ovf:capacity="{8 * MIB}" ovf:format="{STREAM}"', more='ovf:compression="gzip"'),
        "gzip-name", "disk.vmdk", "disk.vmdk.gz", _hrefs, ["disk.vmdk.gz"],
        {"disk.vmdk": gz(DISK)},
    ),
    "items of another configuration": Case(
        simple(
            items=cpu(1) + cpu(8, more='ovf:configuration="large"') + memory() + ide()
            + disk_item(),
            more='<DeploymentOptionSection><Info>i</Info><Configuration ovf:id="small"/>'
            '<Configuration ovf:id="large"/></DeploymentOptionSection>',
        ),
        "configuration", "cpu", "", lambda p: [one.quantity for one in p.systems[0].items][:1], [1],
    ),
}  # fmt: skip

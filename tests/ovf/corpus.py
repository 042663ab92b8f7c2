"""Appliances of each form, with what is to be read of each."""
# ruff: noqa: A002, I001 - ids are called so; many short names in a few lines

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.ovf.builder import (
    MIB, STREAM, chunks, cpu, disk_item, envelope, envelope09, file, gz, ide, item, manifest,
    memory, nic, ova, product, put, sata, simple, system, vmdk,
)  # fmt: skip

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit.ovf import Package

__all__ = ["CASES", "Case"]


@dataclass(frozen=True)
class Case:
    """
    An appliance.

    Attributes:
        files: Its files; the first one is the descriptor.
        sees: What is looked at in the package, and what it has to be.
        codes: The codes of its problems.
        packed: Whether it is an OVA.
    """

    files: Mapping[str, bytes]
    sees: Callable[[Package], Any]
    expected: Any
    codes: set[str] = field(default_factory=set)
    packed: bool = False

    def write(self, folder: Path) -> Path:
        """Write it, and return its path."""
        return ova(folder / "a.ova", self.files) if self.packed else put(folder, self.files)


_DISK = vmdk()


def _with(descriptor: str, **disks: bytes) -> dict[str, bytes]:
    files = {"a.ovf": descriptor.encode(), **{f"{name}.vmdk": data for name, data in disks.items()}}
    return {"a.ovf": files["a.ovf"], "a.mf": manifest(files), **files}


def _one(descriptor: str) -> dict[str, bytes]:
    return _with(descriptor, disk=_DISK)


def _disk(number: int, *, capacity: object = 8 * MIB, more: str = "") -> str:
    said = f'ovf:capacity="{capacity}" ovf:format="{STREAM}" {more}'
    return f'<Disk ovf:diskId="vmdisk{number}" {said}/>'


_BASE = cpu(2) + memory() + ide() + disk_item() + nic()
_VBOX = (
    '<vbox:Machine ovf:required="false" version="1.19-linux"><Hardware>'
    '<Firmware type="EFI"/></Hardware></vbox:Machine>'
)
_OPTIONS = (
    "<DeploymentOptionSection><Info>i</Info>"
    '<Configuration ovf:id="small"><Label>Small</Label><Description>s</Description></Configuration>'
    '<Configuration ovf:id="large" ovf:default="true"><Label>L</Label></Configuration>'
    "</DeploymentOptionSection>"
)
_VMWARE = (
    cpu(4)
    + memory(2048)
    + item(6, 3, Address=0, ResourceSubType="VirtualSCSI", ElementName="SCSI controller 0")
    + item(1, 4, ResourceSubType="vmware.vmci", more='ovf:required="false"')
    + item(24, 6, ElementName="video", more='ovf:required="false"')
    + disk_item()
    + nic("VM Network", subtype="VmxNet3")
    + '<vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>'
)
_PROPERTIES = (
    "<Category>Net</Category>"
    '<Property ovf:key="port" ovf:type="uint16" ovf:value="80" ovf:userConfigurable="true"'
    ' ovf:qualifiers="MinValue(1)"><Label>Port</Label><Description>d</Description>'
    '<Value ovf:value="8080" ovf:configuration="large"/></Property>'
    '<Property ovf:key="word" ovf:type="string" ovf:password="true"/>'
)
_SINGLE: dict[str, Any] = {
    "files": file("disk.vmdk"),
    "disks": _disk(1, more='ovf:fileRef="file1"'),
}


def _collection(inside: str, id: str = "all", more: str = "") -> str:
    return (
        f'<VirtualSystemCollection ovf:id="{id}"><Info>i</Info><Name>{id}</Name>{more}{inside}'
        "</VirtualSystemCollection>"
    )


def _plain(*items: str, **more: Any) -> dict[str, bytes]:
    return _one(envelope(system("".join(items) or _BASE, **more), **_SINGLE))


def _chunked(size: int, *, compression: str = "") -> dict[str, bytes]:
    data = gz(_DISK) if compression else _DISK
    words = f'ovf:chunkSize="{size}"' + (f' ovf:compression="{compression}"' if compression else "")
    files = {
        "a.ovf": simple(size=len(data), file_more=words).encode(),
        **chunks("disk.vmdk", data, size),
    }
    return {"a.ovf": files["a.ovf"], "a.mf": manifest(files), **files}


CASES: dict[str, Case] = {
    "1.0 of one machine": Case(
        _one(simple(size=len(_DISK))),
        lambda p: (p.version, p.form, p.systems[0].cpus, p.systems[0].memory_bytes, p.bytes > 2000),
        ("1.0", "ovf", 1, 512 * MIB, True),
    ),
    "1.0 as an OVA": Case(
        _one(simple(size=len(_DISK))),
        lambda p: (p.form, p.descriptor, p.manifest, p.disks[0].image_bytes),
        ("ova", "a.ovf", "a.mf", 8 * MIB),
        packed=True,
    ),
    "1.1 by its schema": Case(
        _one(simple(version="1.1")), lambda p: (p.version, len(p.disks)), ("1.1", 1)
    ),
    "2.0 with items of its own": Case(
        _one(
            simple(
                version="2.0",
                items=cpu() + memory() + sata()
                + item(17, 5, element="StorageItem", HostResource="ovf:/disk/vmdisk1", Parent=3)
                + item(10, 6, element="EthernetPortItem", Connection="NAT"),
            )
        ),
        lambda p: (p.version, [one.kind for one in p.systems[0].items], p.systems[0].disks),
        ("2.0", ["processor", "memory", "sata", "disk", "ethernet"], ("vmdisk1",)),
    ),
    "2.0 with a shared disk and a boot order": Case(
        _one(
            envelope(
                system(_BASE, after="<BootDeviceSection><Info>order</Info></BootDeviceSection>"),
                version="2.0",
                files=file("disk.vmdk"),
                more="<SharedDiskSection><Info>i</Info>"
                f'<SharedDisk ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:capacity="{8 * MIB}"/>'
                "</SharedDiskSection>",
            )
        ),
        lambda p: (p.disks[0].shared, p.systems[0].sections[0].kind),
        (True, "BootDeviceSection"),
    ),
    "0.9 with sections by type": Case(
        _one(
            envelope09(
                item(3, 1, VirtualQuantity=1) + memory(256, "MegaBytes") + ide() + disk_item(),
                files=file("disk.vmdk"),
                disks=_disk(1, more='ovf:fileRef="file1"'),
                sections='<Section xsi:type="ovf:ProductSection_Type"><Info>i</Info>'
                "<Product>Old</Product></Section>"
                '<Section xsi:type="ovf:EulaSection_Type"><Info>i</Info><License>L</License>'
                "</Section>"
                '<Section xsi:type="ovf:AnnotationSection_Type"><Info>i</Info>'
                "<Annotation>words</Annotation></Section>",
            )
        ),
        lambda p: (p.version, p.flavour, p.systems[0].memory_bytes, p.products[0].name,
                   p.eulas[0].text, p.systems[0].annotation, p.systems[0].os.id),
        ("0.9", "vmware", 256 * MIB, "Old", "L", "words", 36),
    ),
    "VirtualBox's, with EFI": Case(
        _plain(after=_VBOX, os='<OperatingSystemSection ovf:id="96"><Info>i</Info>'
               '<vbox:OSType ovf:required="false">Debian_64</vbox:OSType>'
               "</OperatingSystemSection>"),
        lambda p: (p.flavour, p.systems[0].firmware, p.systems[0].os.vbox_type,
                   [one.name for one in p.extensions]),
        ("virtualbox", "efi", "Debian_64", ["vbox:OSType", "vbox:Machine"]),
    ),
    "VirtualBox's, with a BIOS": Case(
        _plain(after="<vbox:Machine><Hardware/></vbox:Machine>"),
        lambda p: (p.systems[0].firmware, p.extensions[0].required, p.extensions[0].children),
        ("bios", True, ("Hardware",)),
    ),
    "VMware's, with EFI and a paravirtual controller": Case(
        _one(
            envelope(
                system(_VMWARE, family="vmx-13", os='<OperatingSystemSection ovf:id="94"'
                       ' vmw:osType="ubuntu64Guest"><Info>i</Info></OperatingSystemSection>'),
                networks=("VM Network",), **_SINGLE,
            )
        ),
        lambda p: (p.flavour, p.systems[0].firmware, p.systems[0].os.vmware_type,
                   p.systems[0].families, p.systems[0].networks),
        ("vmware", "efi", "ubuntu64Guest", ("vmx-13",), ("VM Network",)),
        {"controller-vmware"},
    ),
    "required items that VirtualBox does not know": Case(
        _plain(_BASE, item(24, 20), sata(21, subtype="vmware.nvme.controller")),
        lambda p: [one.kind for one in p.systems[0].items][-2:],
        ["graphics", "nvme"],
        {"resource-unknown", "controller-unknown"},
    ),
    "memory in gigabytes": Case(
        _plain(cpu(), memory(2, "GigaBytes"), ide(), disk_item()),
        lambda p: (p.systems[0].memory_bytes, p.systems[0].items[1].base_unit),
        (2048 * MIB, "byte"),
        {"memory-unit"},
    ),
    "reservation and limit in megahertz": Case(
        _plain(
            item(3, 1, AllocationUnits="hertz * 10^6", VirtualQuantity=2, Reservation=500,
                 Limit=900),
            memory(), ide(), disk_item(),
        ),
        lambda p: (p.systems[0].cpus, *((one.reservation, one.limit) for one in
                   p.systems[0].items[:1])),
        (2, (500_000_000, 900_000_000)),
    ),
    "capacity in units": Case(
        _one(simple(capacity=8, disk_more='ovf:capacityAllocationUnits="byte * 2^20"')),
        lambda p: (p.disks[0].capacity_bytes, p.disks[0].capacity),
        (8 * MIB, "8 byte * 2^20"),
        {"capacity-units"},
    ),
    "capacity by a property": Case(
        _one(simple(capacity="${disk.size}")),
        lambda p: (p.disks[0].capacity_bytes, p.disks[0].capacity),
        (None, "${disk.size}"),
    ),
    "a disk that is made empty": Case(
        _with(envelope(system(_BASE), disks=_disk(1))),
        lambda p: (p.disks[0].file, p.disks[0].file_bytes, p.disks[0].capacity_bytes),
        ("", None, 8 * MIB),
    ),
    "several disks, one a difference": Case(
        _with(
            envelope(
                system(_BASE + disk_item("vmdisk2", id=6)),
                files=file("one.vmdk") + file("two.vmdk", id="file2"),
                disks=_disk(1, more='ovf:fileRef="file1"')
                + _disk(2, capacity=16 * MIB,
                        more='ovf:fileRef="file2" ovf:parentRef="vmdisk1" ovf:populatedSize="99"'),
            ),
            one=_DISK, two=vmdk(16 * MIB),
        ),
        lambda p: (p.systems[0].disks, p.disk("vmdisk2").parent, p.disk("vmdisk2").populated_bytes),
        (("vmdisk1", "vmdisk2"), "vmdisk1", 99),
    ),
    "gzip'd": Case(
        _with(
            simple(size=len(gz(_DISK)), file_more='ovf:compression="gzip"'), disk=gz(_DISK)
        ),
        lambda p: (p.files[0].compression, p.disks[0].image, p.disks[0].file_bytes),
        ("gzip", "vmdk streamOptimized", len(gz(_DISK))),
    ),
    "chunked": Case(
        _chunked(700),
        lambda p: (p.files[0].chunks, p.files[0].stored_bytes, p.disks[0].image_bytes),
        (-(-len(_DISK) // 700), len(_DISK), 8 * MIB),
        {"chunked"},
    ),
    "gzip'd and chunked, as an OVA": Case(
        _chunked(20, compression="gzip"),
        lambda p: (p.files[0].chunks > 1, p.files[0].stored_bytes, p.disks[0].image),
        (True, len(gz(_DISK)), ""),
        {"chunked"},
        packed=True,
    ),
    "a collection in a collection": Case(
        _one(
            envelope(
                _collection(
                    system(_BASE, id="a")
                    + _collection(system(cpu() + memory(), id="b"), id="inner"),
                    more="<StartupSection><Info>i</Info></StartupSection>" + product("All"),
                ),
                **_SINGLE,
            )
        ),
        lambda p: ([one.id for one in p.systems], p.content[0].id, p.content[0].sections[0].kind,
                   p.to_dict()["content"][0]["members"][1]["members"][0]["id"]),
        (["a", "b"], "all", "StartupSection", "b"),
    ),
    "products with properties": Case(
        _one(
            envelope(
                system(_BASE, before=product(inside=_PROPERTIES,
                       attributes='ovf:class="org.web" ovf:instance="1"')),
                more=_OPTIONS, **_SINGLE,
            )
        ),
        lambda p: [(one.key, one.type, one.value, one.values, one.user_configurable, one.password,
                    one.category) for one in p.properties],
        [("org.web.port.1", "uint16", "80", (("large", "8080"),), True, False, "Net"),
         ("org.web.word.1", "string", "", (), False, True, "Net")],
    ),
    "deployment options": Case(
        _one(
            envelope(
                system(
                    cpu() + memory(512) + memory(4096, more='ovf:configuration="large"')
                    + memory(128, more='ovf:configuration="small"')
                    + memory(64, more='ovf:bound="min"') + ide() + disk_item()
                ),
                more=_OPTIONS, **_SINGLE,
            )
        ),
        lambda p: ([(one.id, one.default) for one in p.options], p.systems[0].memory_bytes),
        ([("small", False), ("large", True)], 4096 * MIB),
    ),
    "a licence, a product, texts in German": Case(
        _one(
            envelope(
                system(_BASE, before=product() + "<EulaSection><Info>i</Info><License>Be "
                       "good &amp; kind</License></EulaSection>"),
                attributes='xml:lang="en-US"',
                more='<Strings xml:lang="de-DE"><Msg ovf:msgid="a">ja</Msg></Strings>', **_SINGLE,
            )
        ),
        lambda p: (p.eulas[0].text, p.products[0].vendor, p.products[0].version, p.languages),
        ("Be good & kind", "Acme", "3", ("de-DE",)),
    ),
    "a CD with an image": Case(
        {
            "a.ovf": envelope(
                system(_BASE + item(15, 9, HostResource="ovf:/file/iso", Parent=3)),
                files=file("disk.vmdk") + file("cd.iso", id="iso"), disks=_SINGLE["disks"],
            ).encode(),
            "disk.vmdk": _DISK, "cd.iso": b"\0" * 3000,
        },
        lambda p: (p.systems[0].items[-1].kind, p.systems[0].items[-1].file, p.manifest),
        ("cd", "iso", ""),
        {"no-manifest"},
    ),
    "sound, USB, floppy, serial": Case(
        _plain(_BASE, item(35, 20, ResourceSubType="ensoniq1371"), item(23, 21), item(14, 22),
               item(21, 23, more='ovf:required="false"')),
        lambda p: [one.kind for one in p.systems[0].items][-4:],
        ["sound", "usb", "floppy", "serial"],
    ),
    "adapters with an address": Case(
        _plain(_BASE, nic("NAT", id=20, Address="08:00:27:01:02:03", AutomaticAllocation="false")),
        lambda p: (p.systems[0].items[-1].mac, p.systems[0].items[-1].automatic,
                   p.systems[0].networks),
        ("08:00:27:01:02:03", False, ("NAT", "NAT")),
    ),
    "a file in a folder below, its name encoded": Case(
        {"a.ovf": simple(href="disks/my%20disk.vmdk").encode(), "disks/my disk.vmdk": _DISK},
        lambda p: (p.disks[0].file, p.disks[0].file_bytes),
        ("disks/my%20disk.vmdk", len(_DISK)),
        {"no-manifest"},
    ),
    "UTF-16": Case(
        {"a.ovf": simple().replace("UTF-8", "UTF-16").encode("utf-16"), "disk.vmdk": _DISK},
        lambda p: p.systems[0].name,
        "web",
        {"no-manifest"},
    ),
    "without a namespace": Case(
        {"a.ovf": b'<Envelope version="0.9"><VirtualSystem id="x"/></Envelope>'},
        lambda p: (p.version, p.systems[0].id),
        ("0.9", "x"),
        {"no-namespace", "no-os", "no-hardware", "no-manifest"},
    ),
    "a section and an element of nobody": Case(
        _one(
            envelope(
                system(_BASE, after='<x:Thing xmlns:x="http://x.org/thing/"/>'
                       "<OwnSection><Info>i</Info></OwnSection>"),
                **_SINGLE,
            )
        ),
        lambda p: (p.extensions[0].name, p.systems[0].sections[0].kind),
        ("thing:Thing", "OwnSection"),
        {"section-unknown"},
    ),
}  # fmt: skip

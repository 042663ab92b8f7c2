"""Makes descriptors, disks and packages for the tests: small, and of any form."""
# ruff: noqa: A002 - ids and formats are called so

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "MIB", "STREAM", "chunks", "cpu", "disk_item", "envelope", "envelope09", "file", "gz", "ide",
    "item", "manifest", "memory", "nic", "ova", "product", "put", "sata", "simple", "system",
    "vmdk",
]  # fmt: skip

MIB = 1 << 20
STREAM = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
_CIM = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2"
_SPACES = {
    "0.9": "http://www.vmware.com/schema/ovf/1/envelope",
    "1.0": "http://schemas.dmtf.org/ovf/envelope/1",
    "1.1": "http://schemas.dmtf.org/ovf/envelope/1",
    "2.0": "http://schemas.dmtf.org/ovf/envelope/2",
}


def vmdk(capacity: int = 8 * MIB, *, content: bytes = b"", at_end: bool = True) -> bytes:
    """Return a stream-optimised VMDK without a grain: its header, and the footer at its end."""
    header = struct.pack(
        "<4sIIQQQQIQQQB4sH",
        *(b"KDMV", 3, 1 | 1 << 16 | 1 << 17, capacity // 512, 128, 1, 1, 512, 0),
        *(0xFFFFFFFFFFFFFFFF if at_end else 2, 2, 0, b"\n \r\n", 1),
    ).ljust(512, b"\0")
    words = b'# Disk DescriptorFile\ncreateType="streamOptimized"\n'.ljust(512, b"\0")
    body = content + bytes(-len(content) % 512)
    return header + words + body + header + bytes(512)


# ---- descriptors


def file(href: str, *, id: str = "file1", size: int | None = None, more: str = "") -> str:
    """Return a reference to a file."""
    length = f' ovf:size="{size}"' if size is not None else ""
    return f'<File ovf:id="{id}" ovf:href="{href}"{length} {more}/>'


def item(kind: int, id: int, *, element: str = "Item", more: str = "", **values: Any) -> str:
    """Return an item of hardware."""
    prefix = {"Item": "rasd", "StorageItem": "sasd", "EthernetPortItem": "epasd"}[element]
    inside = "".join(f"<{prefix}:{key}>{value}</{prefix}:{key}>" for key, value in values.items())
    return (
        f"<{element} {more}>{inside}<{prefix}:InstanceID>{id}</{prefix}:InstanceID>"
        f"<{prefix}:ResourceType>{kind}</{prefix}:ResourceType></{element}>\n"
    )


def cpu(count: object = 1, *, more: str = "") -> str:
    """Return the item of the processors."""
    return item(3, 1, ElementName="cpu", VirtualQuantity=count, more=more)


def memory(amount: object = 512, units: str = "byte * 2^20", *, more: str = "") -> str:
    """Return the item of the memory."""
    return item(4, 2, AllocationUnits=units, VirtualQuantity=amount, more=more)


def ide(id: int = 3) -> str:
    """Return an IDE controller."""
    return item(5, id, Address=0, ResourceSubType="PIIX4")


def sata(id: int = 3, *, subtype: str = "AHCI") -> str:
    """Return a SATA controller."""
    return item(20, id, Address=0, ResourceSubType=subtype)


def disk_item(disk: str = "vmdisk1", *, id: int = 5, parent: int = 3, **more: Any) -> str:
    """Return the item of a disk."""
    return item(17, id, HostResource=f"ovf:/disk/{disk}", Parent=parent, AddressOnParent=0, **more)


def nic(network: str = "NAT", *, id: int = 8, subtype: str = "E1000", **more: Any) -> str:
    """Return a network adapter."""
    return item(10, id, Connection=network, ResourceSubType=subtype, **more)


def product(name: str = "Web", *, inside: str = "", attributes: str = "") -> str:
    """Return a section of a product."""
    return (
        f"<ProductSection {attributes}><Info>i</Info><Product>{name}</Product>"
        f"<Vendor>Acme</Vendor><Version>3</Version>{inside}</ProductSection>"
    )


def system(
    items: str,
    *,
    id: str = "web",
    before: str = "",
    os: str = '<OperatingSystemSection ovf:id="100"><Info>i</Info></OperatingSystemSection>',
    family: str = "virtualbox-2.2",
    inside: str = "",
    after: str = "",
) -> str:
    """Return a machine."""
    return (
        f'<VirtualSystem ovf:id="{id}"><Info>a machine</Info><Name>{id}</Name>{before}{os}\n'
        "<VirtualHardwareSection><Info>i</Info><System><vssd:ElementName>e</vssd:ElementName>"
        f"<vssd:VirtualSystemType>{family}</vssd:VirtualSystemType></System>\n"
        f"{items}{inside}</VirtualHardwareSection>{after}</VirtualSystem>\n"
    )


def envelope(
    content: str,
    *,
    version: str = "1.0",
    files: str = "",
    disks: str = "",
    networks: tuple[str, ...] = ("NAT",),
    more: str = "",
    attributes: str = "",
    top: str = "",
) -> str:
    """Return a descriptor of OVF 1.0, 1.1 or 2.0."""
    space = _SPACES[version]
    if version == "1.1":
        attributes += f' xsi:schemaLocation="{space} http://schemas.dmtf.org/ovf/dsp8023_1.1.0.xsd"'
    names = "".join(f'<Network ovf:name="{name}"/>' for name in networks)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'{top}<Envelope xmlns="{space}" xmlns:ovf="{space}"\n'
        f' xmlns:rasd="{_CIM}/CIM_ResourceAllocationSettingData"\n'
        f' xmlns:vssd="{_CIM}/CIM_VirtualSystemSettingData"\n'
        f' xmlns:sasd="{_CIM}/CIM_StorageAllocationSettingData.xsd"\n'
        f' xmlns:epasd="{_CIM}/CIM_EthernetPortAllocationSettingData.xsd"\n'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"\n'
        ' xmlns:vbox="http://www.virtualbox.org/ovf/machine"\n'
        f' xmlns:vmw="http://www.vmware.com/schema/ovf" {attributes}>\n'
        f"<References>{files}</References>\n"
        f"<DiskSection><Info>d</Info>{disks}</DiskSection>\n"
        f"<NetworkSection><Info>n</Info>{names}</NetworkSection>\n"
        f"{more}{content}</Envelope>\n"
    )


def envelope09(items: str, *, files: str = "", disks: str = "", sections: str = "") -> str:
    """Return a descriptor of OVF 0.9, whose sections all have the same name."""
    space = _SPACES["0.9"]
    return (
        f'<?xml version="1.0"?>\n<ovf:Envelope xmlns:ovf="{space}" ovf:version="0.9"\n'
        f' xmlns:rasd="{_CIM}/CIM_ResourceAllocationSettingData"\n'
        f' xmlns:vssd="{_CIM}/CIM_VirtualSystemSettingData"\n'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
        f"<References>{files}</References>\n"
        f'<Section xsi:type="ovf:DiskSection_Type"><Info>d</Info>{disks}</Section>\n'
        '<Section xsi:type="ovf:NetworkSection_Type"><Info>n</Info>'
        '<Network ovf:name="NAT"/></Section>\n'
        '<Content xsi:type="ovf:VirtualSystem_Type" ovf:id="old"><Info>i</Info>\n'
        '<Section xsi:type="ovf:OperatingSystemSection_Type" ovf:id="36"><Info>i</Info></Section>\n'
        f"{sections}"
        '<Section xsi:type="ovf:VirtualHardwareSection_Type"><Info>i</Info><System>'
        "<vssd:VirtualSystemType>vmx-4</vssd:VirtualSystemType></System>\n"
        f"{items}</Section></Content></ovf:Envelope>\n"
    )


def simple(
    *,
    href: str = "disk.vmdk",
    size: int | None = None,
    capacity: object = 8 * MIB,
    file_more: str = "",
    disk_more: str = "",
    version: str = "1.0",
    items: str | None = None,
    **more: Any,
) -> str:
    """Return a descriptor of one machine with one disk."""
    return envelope(
        system(items if items is not None else cpu() + memory() + ide() + disk_item() + nic()),
        version=version,
        files=file(href, size=size, more=file_more),
        disks=f'<Disk ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:capacity="{capacity}"'
        f' ovf:format="{STREAM}" {disk_more}/>',
        **more,
    )


# ---- packages


def manifest(files: Mapping[str, bytes], algorithm: str = "sha256") -> bytes:
    """Return a manifest of files."""
    name = algorithm.upper()
    return "".join(
        f"{name}({one})= {hashlib.new(algorithm, data).hexdigest()}\n"
        for one, data in files.items()
    ).encode()


def chunks(name: str, data: bytes, size: int) -> dict[str, bytes]:
    """Return a file cut into chunks."""
    return {
        f"{name}.{number:09d}": data[start : start + size]
        for number, start in enumerate(range(0, len(data), size))
    }


def gz(data: bytes) -> bytes:
    """Return data compressed by gzip, the same each time."""
    return gzip.compress(data, mtime=0)


def ova(path: Path, files: Mapping[str, bytes], *, format: int = tarfile.USTAR_FORMAT) -> Path:
    """Write an OVA of files, in their order."""
    with tarfile.open(path, "w", format=format) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def put(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files into a folder, and return the descriptor among them."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder / next(name for name in files if name.endswith(".ovf"))

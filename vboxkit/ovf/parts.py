"""The parts that an appliance is described by, as frozen records of plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "DeploymentOption",
    "Disk",
    "Eula",
    "File",
    "Item",
    "Network",
    "OperatingSystem",
    "Product",
    "Property",
    "Section",
    "pairs",
]


def pairs() -> Any:
    """Make a field of (name, value) pairs, which is an object in JSON."""
    return field(default=(), metadata={"pairs": True})


@dataclass(frozen=True, kw_only=True)
class File:
    """
    A file that the package refers to.

    Attributes:
        id: What disks refer to it by.
        href: Its name.
        size: Bytes, as declared.
        stored_bytes: Bytes that are there, of all chunks; `None` if it is missing.
        compression: ``gzip``, or an empty string.
        chunk_bytes: Bytes of each chunk but the last one, if it is cut into chunks.
        chunks: How many chunks are there.
        line: In the descriptor.
    """

    id: str
    href: str
    size: int | None = None
    stored_bytes: int | None = None
    compression: str = ""
    chunk_bytes: int | None = None
    chunks: int = 0
    line: int = 0


@dataclass(frozen=True, kw_only=True)
class Disk:
    """
    A virtual disk.

    Attributes:
        id: What hardware items refer to it by.
        capacity_bytes: What the guest sees; `None` if a property decides.
        capacity: The same as it is written, with its unit.
        populated_bytes: What is in use, as declared.
        format: The URI of the format.
        file: The name of its file; empty for a disk that is made empty.
        file_bytes: The size of the file that is there.
        image: What the file is, by its own header: ``vmdk streamOptimized``; empty if unknown.
        image_bytes: The capacity by the file's own header.
        parent: The disk that it is a difference to.
        shared: Whether several machines may use it (OVF 2.0).
        line: In the descriptor.
    """

    id: str
    capacity_bytes: int | None = None
    capacity: str = ""
    populated_bytes: int | None = None
    format: str = ""
    file: str = ""
    file_bytes: int | None = None
    image: str = ""
    image_bytes: int | None = None
    parent: str = ""
    shared: bool = False
    line: int = 0


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network that adapters connect to."""

    name: str
    description: str = ""
    line: int = 0


@dataclass(frozen=True, kw_only=True)
class Property:
    """
    Something that who deploys the appliance can set.

    Attributes:
        key: Its name, with class and instance of its product: ``web.port.1``.
        type: ``string``, ``uint16``, ``boolean``, ...
        value: The default.
        values: The default for each deployment option that has its own.
        qualifiers: ``MinLen(1) ValueMap{"a","b"}``.
        user_configurable: Whether it may be changed.
        password: Whether it is not to be shown.
        label: For people.
        description: For people.
        category: The heading that it stands under.
    """

    key: str
    type: str = ""
    value: str = ""
    values: tuple[tuple[str, str], ...] = pairs()
    qualifiers: str = ""
    user_configurable: bool = False
    password: bool = False
    label: str = ""
    description: str = ""
    category: str = ""


@dataclass(frozen=True, kw_only=True)
class Product:
    """A product in the appliance."""

    name: str = ""
    vendor: str = ""
    version: str = ""
    full_version: str = ""
    product_url: str = ""
    vendor_url: str = ""
    app_url: str = ""
    identity: str = ""
    info: str = ""
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Eula:
    """A licence that has to be agreed to."""

    text: str
    info: str = ""


@dataclass(frozen=True, kw_only=True)
class DeploymentOption:
    """A configuration to choose: small, large."""

    id: str
    label: str = ""
    description: str = ""
    default: bool = False


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section that no field is made of: a boot order, a start-up order, placement."""

    kind: str
    info: str = ""
    required: bool = True
    line: int = 0


@dataclass(frozen=True, kw_only=True)
class OperatingSystem:
    """
    The guest's operating system.

    Attributes:
        id: CIM's number.
        version: As written.
        description: For people.
        vbox_type: VirtualBox's name of it.
        vmware_type: VMware's name of it.
    """

    id: int | None = None
    version: str = ""
    description: str = ""
    vbox_type: str = ""
    vmware_type: str = ""


@dataclass(frozen=True, kw_only=True)
class Item:
    """
    A piece of virtual hardware.

    Attributes:
        kind: ``processor``, ``memory``, ``ide``, ``scsi``, ``sata``, ``ethernet``, ``disk``, ...
        resource_type: CIM's number of it.
        subtype: The model: ``E1000``, ``AHCI``, ``VirtualSCSI``.
        id: Its instance id.
        name: For people.
        description: For people.
        quantity: As it is written.
        unit: As it is written: ``byte * 2^20``.
        amount: Quantity times unit: bytes, hertz, or a count.
        base_unit: ``byte``, ``hertz``, or an empty string for a count.
        reservation: The same of what is kept for it.
        limit: The same of the most that it gets.
        parent: The id of the controller that it is on.
        address: On its bus.
        address_on_parent: Its slot on the controller.
        host_resource: ``ovf:/disk/vmdisk1``.
        disk: The disk that it shows.
        file: The file that it shows.
        connections: Names of networks.
        mac: The MAC address asked for.
        automatic: Whether it is connected at start.
        required: Whether a reader that does not know it has to give up.
        configurations: The deployment options that it is for; none is all.
        bound: ``normal``, ``min`` or ``max``.
        line: In the descriptor.
    """

    kind: str
    resource_type: int | None = None
    subtype: str = ""
    id: str = ""
    name: str = ""
    description: str = ""
    quantity: int | None = None
    unit: str = ""
    amount: int | None = None
    base_unit: str = ""
    reservation: int | None = None
    limit: int | None = None
    parent: str = ""
    address: str = ""
    address_on_parent: str = ""
    host_resource: str = ""
    disk: str = ""
    file: str = ""
    connections: tuple[str, ...] = ()
    mac: str = ""
    automatic: bool | None = None
    required: bool = True
    configurations: tuple[str, ...] = ()
    bound: str = "normal"
    line: int = 0

"""Packages for the imports: with a real disk, which is small, and written in any form."""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.ovf.builder import MIB, cpu, disk_item, envelope, file, ide, memory, nic, system
from tests.ovf.builder import STREAM as _STREAM

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["DISK", "descriptor", "disk", "folder_package", "machine"]

#: The disk that a descriptor of one machine has.
DISK = (
    f'<Disk ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:capacity="{8 * MIB}"'
    f' ovf:format="{_STREAM}"/>'
)


@cache
def disk(mib: int = 8) -> bytes:
    """Return a stream-optimised VMDK of zeros: of any size, a few kilobytes."""
    sectors = mib * MIB // 512
    words = (
        "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
        f'createType="streamOptimized"\nRDONLY {sectors} SPARSE "disk.vmdk"\n#DDB\n'
        'ddb.virtualHWVersion = "4"\nddb.adapterType = "ide"\n'
        f'ddb.geometry.cylinders = "{min(sectors // 1008, 16383)}"\n'
        'ddb.geometry.heads = "16"\nddb.geometry.sectors = "63"\n'
    )
    # An entry for each 32 MiB: none of them has a grain.
    directory = bytes(-(-sectors // (128 * 512)) * 4)
    directory += bytes(-len(directory) % 512)
    start = 128 * 512
    return b"".join(
        [
            (_header(sectors, 0xFFFFFFFFFFFFFFFF) + words.encode()).ljust(start, b"\0"),
            _marker(len(directory) // 512, 2),
            directory,
            _marker(1, 3),
            _header(sectors, start // 512 + 1),
            _marker(0, 0),
        ]
    )


def _header(sectors: int, directory: int) -> bytes:
    flags = 1 | 1 << 16 | 1 << 17  # newline test valid, compressed, with markers
    values = (flags, sectors, 128, 1, 20, 512, 0, directory, 128, 0)
    return struct.pack("<4sIIQQQQIQQQB4sH", b"KDMV", 3, *values, b"\n \r\n", 1).ljust(512, b"\0")


def _marker(sectors: int, kind: int) -> bytes:
    return struct.pack("<QII", sectors, 0, kind).ljust(512, b"\0")


def machine(name: str, *, controller: str = "", more: str = "", **words: Any) -> str:
    """Return a machine with a disk and an adapter; `more` are more items."""
    items = cpu() + words.pop("memory", memory(64)) + (controller or ide())
    items += words.pop("drive", disk_item()) + words.pop("adapter", nic()) + more
    return system(items, id=name, **words)


def descriptor(name: str, **words: Any) -> str:
    """Return the descriptor of such a machine; `href` is the name of its disk's file."""
    href = words.pop("href", "disk.vmdk")
    outer = {key: words.pop(key) for key in ("version", "networks") if key in words}
    disks = words.pop("disks", DISK)
    attributes = words.pop("file_more", "")
    return envelope(machine(name, **words), files=file(href, more=attributes), disks=disks, **outer)


def folder_package(folder: Path, text: str, files: Mapping[str, bytes] | None = None) -> Path:
    """Write a descriptor with its files beside it, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in ({"disk.vmdk": disk()} if files is None else files).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    path = folder / "a.ovf"
    path.write_text(text, encoding="utf-8")
    return path

"""What a disk image is, by its own header: kind and capacity. Nothing of its content is read."""

from __future__ import annotations

import re
import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import io

__all__ = ["HEAD", "ends_well", "head_of", "recognise"]

#: Bytes from the start of an image that are enough for all of this.
HEAD = 1 << 16
_SECTOR = 512
_AT_END = 0xFFFFFFFFFFFFFFFF
_VDI = 0xBEDA107F


def head_of(file: io.RawIOBase, *, compression: str = "") -> bytes:
    """Return the first `HEAD` bytes of an image, also of a gzip'd one."""
    head = file.read(HEAD) or b""
    if compression == "gzip":
        try:
            return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, HEAD)
        except zlib.error:
            return b""
    return head


def recognise(head: bytes) -> tuple[str, int | None]:
    """
    Return kind and capacity in bytes of an image.

    Args:
        head: Its first bytes, up to `HEAD`.

    Returns:
        ``vmdk streamOptimized``, ``vmdk monolithicSparse``, ``vmdk descriptor``, ``vdi``, ``vhd``,
        ``vhdx``, ``qcow2``, ``iso``, ``gzip``; an empty string for what is none of these, raw disks
        among them. `None` where the header does not tell the capacity.
    """
    if head.startswith(b"KDMV") and len(head) >= _SECTOR:
        flags, capacity = struct.unpack_from("<IQ", head, 8)
        packed = bool(flags & 1 << 16) and struct.unpack_from("<H", head, 77)[0] == 1
        kind = "streamOptimized" if packed else "monolithicSparse"
        return f"vmdk {kind}", capacity * _SECTOR
    if head.startswith(b"# Disk DescriptorFile"):
        sectors = re.findall(rb"^(?:RW|RDONLY|NOACCESS) (\d{1,18}) ", head, re.MULTILINE)
        return "vmdk descriptor", sum(map(int, sectors)) * _SECTOR or None
    if len(head) >= 376 and struct.unpack_from("<I", head, 64)[0] == _VDI:
        return "vdi", int(struct.unpack_from("<Q", head, 368)[0])
    if head.startswith(b"conectix") and len(head) >= 56:
        return "vhd", int(struct.unpack_from(">Q", head, 48)[0])
    if head.startswith(b"vhdxfile"):
        return "vhdx", None
    if head.startswith(b"QFI\xfb") and len(head) >= 32:
        return "qcow2", int(struct.unpack_from(">Q", head, 24)[0])
    if head[32769:32774] == b"CD001":
        return "iso", None
    if head.startswith(b"\x1f\x8b"):
        return "gzip", None
    return "", None


def ends_well(file: io.RawIOBase, size: int, head: bytes) -> bool:
    """
    Whether the end of a stream-optimised VMDK is there.

    Its grain directory, without which nothing is found in it, is said where by a footer.
    """
    if recognise(head)[0] != "vmdk streamOptimized":
        return True
    if struct.unpack_from("<Q", head, 56)[0] != _AT_END:
        return True
    file.seek(max(0, size - 2 * _SECTOR))
    return (file.read(4) or b"") == b"KDMV" and size % _SECTOR == 0

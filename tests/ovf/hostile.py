"""Appliances that are built to harm, or are damaged; and what is said of each."""

from __future__ import annotations

import os
import resource
import struct
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ovf.builder import (
    MIB,
    cpu,
    disk_item,
    file,
    ide,
    manifest,
    memory,
    ova,
    put,
    simple,
    vmdk,
)
from vboxkit.errors import OvfError
from vboxkit.ovf import inspect

__all__ = ["HOSTILE", "Hostile"]

_DISK = vmdk()
_GOOD = simple().encode()


@dataclass(frozen=True)
class Hostile:
    """
    An attack.

    Attributes:
        make: Writes it into a folder, and returns its path.
        reason: What the error's reason has in it.
        element: What the error's element has in it.
    """

    make: Callable[[Path], Path]
    reason: str
    element: str = ""


# ---- tar


def _header(name: str, size: int = 0, kind: bytes = b"0", **more: Any) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.type = kind
    for key, value in more.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def _raw(*blocks: bytes) -> Callable[[Path], Path]:
    """Write an OVA of a good descriptor, and these blocks behind it."""

    def make(folder: Path) -> Path:
        path = folder / "a.ova"
        start = _header("a.ovf", len(_GOOD)) + _padded(_GOOD)
        path.write_bytes(start + b"".join(blocks) + bytes(1024))
        return path

    return make


def _member(name: str, kind: bytes = b"0", **more: Any) -> Hostile:
    reason = {b"0": "leads out|is absolute|is none", b"1": "hard link", b"2": "symbolic link",
              b"3": "character device", b"4": "block device", b"6": "pipe"}[kind]  # fmt: skip
    return Hostile(_raw(_header(name, kind=kind, **more)), reason, repr(name)[1:8])


def _packed(**files: bytes) -> Callable[[Path], Path]:
    return lambda folder: ova(
        folder / "a.ova", {name.replace("_", "."): data for name, data in files.items()}
    )


def _pax(kind: bytes, *records: bytes) -> bytes:
    lines = b""
    for record in records:
        size = len(record) + 3
        size = len(record) + 2 + len(str(size))
        lines += b"%d %s\n" % (size, record)
    return _header("pax", len(lines), kind) + _padded(lines)


def _huge_header(kind: bytes) -> Callable[[Path], Path]:
    """Write an extended header of 20 GB, which is not even there but as a hole."""

    def make(folder: Path) -> Path:
        path = folder / "a.ova"
        path.write_bytes(_header("long", 20_000_000_000, kind))
        os.truncate(path, 20_000_100_000)
        return path

    return make


def _damaged(folder: Path) -> Path:
    path = ova(folder / "a.ova", {"a.ovf": _GOOD, "disk.vmdk": _DISK})
    data = bytearray(path.read_bytes())
    data[data.index(b"disk.vmdk\0")] ^= 1
    path.write_bytes(data)
    return path


def _bytes(name: str, data: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return make


def _negative() -> bytes:
    block = bytearray(_header("disk.vmdk"))
    block[124:136] = b"\xff" * 12
    return _checked(block)


def _checked(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _latin() -> bytes:
    block = bytearray(_header("disk.vmdk"))
    block[0:4] = b"\xff\xfe\xfd\xfc"
    return _checked(block)


_TAR = {
    "a member above": _member("../evil.vmdk"),
    "a member above, later in its name": _member("a/../../evil.vmdk"),
    "a member above, as Windows writes it": _member("..\\evil.vmdk"),
    "a member above, encoded": _member("%2e%2e/evil.vmdk"),
    "a member above, encoded twice": _member("%252e%252e%252fevil.vmdk"),
    "an absolute member": _member("/etc/cron.d/evil"),
    "an absolute member of Windows": _member("C:\\evil.vmdk"),
    "a member on a share": _member("\\\\host\\share\\evil"),
    "a member without a name": _member("./"),
    "a symbolic link": _member("disk.vmdk", b"2", linkname="/etc/passwd"),
    "a hard link": _member("disk.vmdk", b"1", linkname="/etc/passwd"),
    "a character device": _member("disk.vmdk", b"3"),
    "a block device": _member("disk.vmdk", b"4"),
    "a pipe": _member("disk.vmdk", b"6"),
    "a sparse member": Hostile(_raw(_header("disk.vmdk", kind=b"S")), "sparse", "disk.vmdk"),
    "a member of an unknown kind": Hostile(_raw(_header("x", kind=b"Z")), "unknown kind", "x"),
    "two members of a name": Hostile(_raw(_header("x"), _header("x")), "two members", "x"),
    "two members but for case": Hostile(_raw(_header("x"), _header("X")), "two members", "X"),
    "two members but for case, again": Hostile(
        _raw(_header("X"), _header("x")), "two members", "x"
    ),
    "two members but for a dot": Hostile(_raw(_header("x"), _header("./x")), "two members", "x"),
    "a name of 20 GB": Hostile(_huge_header(b"L"), "extended header", "byte 0"),
    "a pax header of 20 GB": Hostile(_huge_header(b"x"), "extended header", "byte 0"),
    "a name for all members": Hostile(
        _raw(_pax(b"g", b"path=/etc/passwd")), "name or size for all", "byte"
    ),
    "a pax name above": Hostile(
        _raw(_pax(b"x", b"path=../evil"), _header("x")), "leads out", "../evil"
    ),
    "a pax name with a line end": Hostile(_raw(_pax(b"x", b"path=a\nb"), _header("x")), "is none"),
    "a pax size that lies": Hostile(
        _raw(_pax(b"x", b"size=99999999999"), _header("x")), "is cut", "x"
    ),
    "a pax size that is none": Hostile(
        _raw(_pax(b"x", b"size=-1"), _header("x")), "wrong size", "byte"
    ),
    "a pax header that is none": Hostile(
        _raw(_header("p", 5, b"x") + _padded(b"99 ab"), _header("x")), "extended header", "byte"
    ),
    "a pax sparse file": Hostile(
        _raw(_pax(b"x", b"GNU.sparse.major=1"), _header("x")), "sparse", "byte"
    ),
    "a header at the end": Hostile(_raw(_pax(b"x", b"path=x")), "without its member", "byte"),
    "a size that lies": Hostile(_raw(_header("x", 1 << 40)), "is cut", "x"),
    "a size that is negative": Hostile(_raw(_negative()), "wrong size", "byte"),
    "a name of no encoding": Hostile(_raw(_latin()), "no UTF-8", "byte"),
    "a member behind the end": Hostile(_raw(bytes(512), _header("x")), "goes on behind", "byte"),
    "too many members": Hostile(
        _raw(*(_header(f"m{number}") for number in range(10_001))), "over 10000 members"
    ),
    "a damaged header": Hostile(_damaged, "wrong tar header", "byte"),
    "two descriptors": Hostile(_packed(a_ovf=_GOOD, b_ovf=_GOOD), r"a\.ovf and b\.ovf"),
    "no descriptor": Hostile(_packed(a_txt=b"hello"), r"no \.ovf descriptor"),
    "no tar": Hostile(_bytes("a.ova", b"Not found\n" * 200), "no tar archive"),
    "a gzip'd tar": Hostile(_bytes("a.ova", b"\x1f\x8b" + bytes(2000)), "gzip'd"),
    "an empty OVA": Hostile(_bytes("a.ova", b""), "empty"),
}


# ---- XML


def _text(text: str | bytes) -> Callable[[Path], Path]:
    return _bytes("a.ovf", text if isinstance(text, bytes) else text.encode())


def _dtd(declaration: str, use: str = "&x;") -> Hostile:
    top = f"<!DOCTYPE Envelope [{declaration}]>\n"
    descriptor = simple(top=top).replace("<Name>web", f"<Name>{use}")
    return Hostile(_text(descriptor), "document type", "DOCTYPE")


_LAUGHS = '<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {after} "{f"&{before};" * 10}">'
    for before, after in zip("abcdefghi", "bcdefghix", strict=True)
)

_XML = {
    "a billion laughs": _dtd(_LAUGHS),
    "one long entity, many times": _dtd(f'<!ENTITY x "{"a" * 9999}">', "&x;" * 9999),
    "an entity from a file": _dtd('<!ENTITY x SYSTEM "file:///etc/passwd">'),
    "an entity from a server": _dtd('<!ENTITY x SYSTEM "http://127.0.0.1:1/x">'),
    "a parameter entity": _dtd('<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;', ""),
    "a document type that does no harm": _dtd("<!ELEMENT Envelope ANY>", ""),
    "a document type elsewhere": Hostile(
        _text(simple(top='<!DOCTYPE Envelope SYSTEM "http://127.0.0.1:1/x.dtd">')), "document type"
    ),
    "an entity of nobody": Hostile(
        _text(simple().replace("<Name>web", "<Name>&x;")), "no well-formed XML", "Name"
    ),
    "elements in elements": Hostile(
        _text(simple(more="<a>" * 9999 + "</a>" * 9999)), "beyond", "a/a/a"
    ),
    "too many elements": Hostile(_text(simple(more="<a/>" * 100_001)), "beyond", "Envelope"),
    "too many attributes": Hostile(
        _text(simple(more="<a " + " ".join(f"a{n}=''" for n in range(300_001)) + "/>")), "beyond"
    ),
    "a descriptor of 17 MB": Hostile(_text(simple(more=" " * 17 * MIB)), "16777216", "a.ovf"),
    "a descriptor that is cut": Hostile(_text(simple()[:-30]), "no well-formed XML", "line"),
    "an encoding of nobody": Hostile(_text(simple().replace("UTF-8", "X-9")), "encoding", ""),
    "no text at all": Hostile(_text(b"\xff\xd8" * 99), "no well-formed XML", "document"),
    "zeros": Hostile(_text(bytes(4096)), "empty"),
    "a web page": Hostile(_text("<html><body/></html>"), "<html>", "html"),
    "another namespace": Hostile(
        _text('<Envelope xmlns="http://evil.invalid/ovf"/>'), "no known version", "Envelope"
    ),
}


# ---- what a descriptor says


def _says(descriptor: str, **files: bytes) -> Callable[[Path], Path]:
    packed = {name.replace("_", "."): data for name, data in files.items()}
    return lambda folder: put(folder, {"a.ovf": descriptor.encode(), "disk.vmdk": _DISK, **packed})


def _href(name: str, reason: str = "leads out") -> Hostile:
    return Hostile(_says(simple(href=name)), reason, "References/File")


def _items(*items: str) -> str:
    return simple(items="".join(items) + ide() + disk_item())


def _linked(target: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = put(folder, {"a.ovf": _GOOD})
        (folder / "disk.vmdk").symlink_to(target)
        return path

    return make


def _piped(folder: Path) -> Path:
    os.mkfifo(folder / "disk.vmdk")
    return put(folder, {"a.ovf": _GOOD})


def _capacity(sectors: int) -> bytes:
    return _DISK[:12] + struct.pack("<Q", sectors) + _DISK[20:]


_DIGITS = "9" * 1_000_000
_SAID = {
    "a file above": _href("../../etc/passwd"),
    "a file above, encoded": _href("..%2f..%2fetc/passwd"),
    "a file above, as Windows writes it": _href("x\\..\\..\\evil"),
    "a file with a line end in its name": _href("a&#10;b", "is none"),
    "a file whose name has no end": _href("a" * 5000, "5000 characters"),
    "an absolute file": _href("/etc/passwd", "path of the machine"),
    "an absolute file of Windows": _href("D:\\disks\\a.vmdk", "path of the machine"),
    "a link out of the folder": Hostile(_linked("/etc/passwd"), "leads out", "File"),
    "a link in a circle": Hostile(_linked("disk.vmdk"), "leads out", "File"),
    "a pipe beside it": Hostile(_piped, "no plain file", "File"),
    "a size that lies in the descriptor": Hostile(
        _says(simple(size=10**15)), "and not 1000", "File"
    ),
    "a size over 64 bits": Hostile(_says(simple(size=10**30)), r"over 2\^64", "File"),
    "a capacity over 64 bits": Hostile(_says(simple(capacity=2**64)), r"over 2\^64", "Disk"),
    "a capacity of a million digits": Hostile(
        _says(simple(capacity=_DIGITS)), r"over 2\^64", "Disk"
    ),
    "a capacity over 64 bits by its unit": Hostile(
        _says(simple(capacity=2**50, disk_more='ovf:capacityAllocationUnits="byte * 2^40"')),
        r"over 2\^64", "Disk",
    ),
    "a unit without end": Hostile(
        _says(simple(disk_more='ovf:capacityAllocationUnits="byte * 9999999999^999"')),
        r"over 2\^64", "Disk",
    ),
    "a unit in steps": Hostile(
        _says(simple(disk_more=f'ovf:capacityAllocationUnits="byte{" * 2^60" * 20}"')),
        r"over 2\^64", "Disk",
    ),
    "a capacity that is negative": Hostile(_says(simple(capacity=-1)), "is no number", "Disk"),
    "memory over 64 bits": Hostile(_says(_items(cpu(), memory(2**62))), r"over 2\^64", "Item"),
    "a million processors": Hostile(_says(_items(cpu(10**6), memory())), "1000000 proc", "System"),
    "chunks of nothing": Hostile(
        _says(simple(file_more='ovf:chunkSize="0"')), "chunks of 0 bytes", "File"
    ),
    "a disk larger than it says": Hostile(_says(simple(capacity=512)), "and not of 512", "Disk"),
    "a disk without end": Hostile(
        _says(simple(), disk_vmdk=_capacity(2**63)), r"over 2\^64 by its header", "Disk"
    ),
    "a disk that is cut": Hostile(
        _says(simple(), disk_vmdk=_DISK[:-700]), "end of .* missing", "Disk"
    ),
    "a disk that is none": Hostile(
        _says(simple(), disk_vmdk=b"hello" * 99), "no disk image", "Disk"
    ),
    "a disk of another kind": Hostile(
        _says(simple(), disk_vmdk=b"QFI\xfb" + bytes(999)), "a qcow2 file", "Disk"
    ),
    "a compression of nobody": Hostile(
        _says(simple(file_more='ovf:compression="xz"')), "compressed with 'xz'", "File"
    ),
    "too many files": Hostile(
        _says(simple(file_more="/>" + "".join(file("x", id=f"f{n}") for n in range(2001)) + "<x")),
        "over 2000 files", "File",
    ),
    "a manifest with a file above": Hostile(
        _says(simple(), a_mf=manifest({"../../etc/passwd": b""})), "leads out", "a.mf (line 1)"
    ),
    "a manifest of 2 MB": Hostile(_says(simple(), a_mf=b"a" * 2 * MIB), "1048576", "a.mf"),
    "a manifest with a file twice": Hostile(
        _says(simple(), a_mf=manifest({"a.ovf": _GOOD}) * 2), "twice", "a.mf (line 2)"
    ),
    "a manifest of an unknown digest": Hostile(
        _says(simple(), a_mf=b"SHA999(a.ovf)= 00\n"), "SHA999 is not known", "a.mf (line 1)"
    ),
    "a manifest that is none": Hostile(
        _says(simple(), a_mf=b"hello\n"), "no line", "a.mf (line 1)"
    ),
    "a manifest of no encoding": Hostile(_says(simple(), a_mf=b"\xff\xfe"), "no text", "a.mf"),
    "an empty manifest": Hostile(_says(simple(), a_mf=b"\n"), "empty", "a.mf"),
}  # fmt: skip

HOSTILE = {**_TAR, **_XML, **_SAID}


def main(limit: int) -> None:
    """Read all of them with so many bytes of memory, and print how many were refused."""
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    refused = 0
    for hostile in HOSTILE.values():
        with tempfile.TemporaryDirectory() as folder:
            path = hostile.make(Path(folder))
            try:
                inspect(path).check()
            except OvfError:
                refused += 1
    print(refused)


if __name__ == "__main__":
    main(int(sys.argv[1]))

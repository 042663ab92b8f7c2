"""
The members of an OVA, found without unpacking and in constant memory.

`tarfile` reads extended headers of any size into memory, skips some kinds of damage, and follows
what an OVA never has (links, sparse files). Here an extension has 64 KiB at most.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vboxkit.errors import OvfError
from vboxkit.ovf.names import require_plain

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

__all__ = ["BLOCK", "Member", "members"]

BLOCK = 512
_ZERO = bytes(BLOCK)
_MOST_MEMBERS = 10_000
_MOST_EXTENSION = 1 << 16
#: The group that VirtualBox owns members by. Its OVAs end with the last one, without a mark.
_ENDLESS = b"vbox_v"
_AGAIN = "get the file again"
_TRUST = "do not import it; ask who made it"

_REFUSED = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a pipe",
    b"S": "a sparse file",
    b"M": "a file of several volumes",
}


@dataclass(frozen=True)
class Member:
    """
    A file in an OVA: its bytes are `size` bytes of the OVA, from `offset` on.

    Its `name` is without ``./``; `raw` is as it is written.
    """

    name: str
    offset: int
    size: int
    raw: str = ""


def members(file: io.RawIOBase, path: str) -> list[Member]:
    """
    Return the files of an OVA, in their order.

    Args:
        file: The OVA, open for reading; only headers are read.
        path: Its path, for errors.

    Raises:
        OvfError: It is no tar archive, is cut, or has a member that an OVA may not have.
    """
    found: list[Member] = []
    seen: dict[str, str] = {}
    for name, kind, offset, size in _headers(file, path):
        if kind == b"5":
            continue  # a folder: nothing is in it by itself
        if kind in _REFUSED or kind not in {b"0", b"\0", b"7"}:
            what = _REFUSED.get(kind, f"of the unknown kind {kind!r}")
            raise OvfError(path, f"this member is {what}", element=name, hint=_TRUST)
        plain = require_plain(name, path, element=f"member {name!r:.80}")
        # Equal on the file systems of Windows and macOS is equal.
        if plain.casefold() in seen:
            raise OvfError(path, "two members have this name", element=plain, hint=_TRUST)
        seen[plain.casefold()] = plain
        found.append(Member(plain, offset, size, name))
        if len(found) > _MOST_MEMBERS:
            raise OvfError(path, f"it has over {_MOST_MEMBERS} members", hint=_TRUST)
    return found


def _headers(file: io.RawIOBase, path: str) -> Iterator[tuple[str, bytes, int, int]]:
    """Yield name, kind, offset and size of each member; extensions are worked in."""
    total = os.fstat(file.fileno()).st_size
    position = count = extensions = 0
    long_name = ""
    long_size: int | None = None
    endless = False
    while True:
        file.seek(position)
        block = file.read(BLOCK)
        at = f"byte {position}"
        if block == _ZERO:
            if long_name or long_size is not None:
                raise OvfError(path, "a header without its member", element=at, hint=_AGAIN)
            # Some readers go on behind one empty block: nothing may be seen by them alone.
            if (file.read(BLOCK) or b"").strip(b"\0"):
                raise OvfError(path, "it goes on behind its end", element=at, hint=_TRUST)
            return
        if endless and position == total:
            return
        if len(block) < BLOCK:
            raise OvfError(
                path,
                f"it is cut: tar's end is missing after {total} bytes",
                element=at,
                hint=_AGAIN,
            )
        count += 1
        _require_checksum(block, path, position)
        endless = block[297:].startswith(_ENDLESS)
        raw_name, kind, size = _fields(block, path, at)
        position += BLOCK
        if kind in {b"L", b"K", b"x", b"g"}:
            extensions += 1
            if size > _MOST_EXTENSION or extensions > 2 * _MOST_MEMBERS:
                raise OvfError(path, f"an extended header of {size} bytes", element=at, hint=_TRUST)
            data = file.read(size)
            if len(data) < size:
                raise OvfError(path, "it is cut in a header", element=at, hint=_AGAIN)
            if kind == b"L":
                long_name = _text(data.rstrip(b"\0"), path, at)
            elif kind == b"g" and {"path", "size"} & _pax(data, path, at).keys():
                raise OvfError(path, "a name or size for all members", element=at, hint=_TRUST)
            elif kind == b"x":
                records = _pax(data, path, at)
                long_name = records.get("path", long_name)
                if "size" in records:
                    long_size = _decimal(records["size"], path, at)
            # A link's long name (K) says nothing of a file's content.
        else:
            # A long name's beginning is here, too, and may end within a character.
            name = long_name or _text(raw_name, path, at)
            size = size if long_size is None else long_size
            long_name, long_size = "", None
            if kind != b"5" and position + size > total:
                raise OvfError(
                    path,
                    f"it is cut: this member has {size} bytes, and only {total - position} are"
                    " there",
                    element=name,
                    hint=_AGAIN,
                )
            yield name, kind, position, size
            if kind == b"5":
                size = 0
        position += -(-size // BLOCK) * BLOCK


def _require_checksum(block: bytes, path: str, position: int) -> None:
    said = _octal(block[148:156])
    plain = sum(block) - sum(block[148:156]) + 8 * 32
    if said != plain:
        if not position:
            kind = "it is gzip'd: unpack it first" if block[:2] == b"\x1f\x8b" else "no tar archive"
            raise OvfError(path, f"it is not an OVA: {kind}", hint=_AGAIN)
        raise OvfError(
            path, "it is damaged: a wrong tar header", element=f"byte {position}", hint=_AGAIN
        )


def _fields(block: bytes, path: str, at: str) -> tuple[bytes, bytes, int]:
    name = block[:100].partition(b"\0")[0]
    if block[257:263] == b"ustar\0":
        prefix = block[345:500].partition(b"\0")[0]
        name = prefix + b"/" + name if prefix else name
    raw = block[124:136]
    if raw[0] & 0x80:  # GNU's: the other bits are the number
        size: int | None = int.from_bytes(bytes([raw[0] & 0x7F]) + raw[1:], "big")
        size = None if raw[0] & 0x40 else size
    else:
        size = _octal(raw)
    if size is None or size >= 1 << 63:
        raise OvfError(path, f"a wrong size, {raw!r}", element=at, hint=_TRUST)
    kind = block[156:157]
    return name, kind, size


def _octal(raw: bytes) -> int | None:
    digits = raw.strip(b"\0 ")
    if not digits:
        return 0
    try:
        return int(digits, 8) if digits.isdigit() else None
    except ValueError:
        return None


def _text(raw: bytes, path: str, at: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise OvfError(path, f"a name that is no UTF-8, {raw[:40]!r}", element=at) from None


def _decimal(text: str, path: str, at: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise OvfError(path, f"a wrong size, {text[:30]!r}", element=at, hint=_TRUST)
    return int(text)


def _pax(data: bytes, path: str, at: str) -> dict[str, str]:
    records: dict[str, str] = {}
    while data.strip(b"\0"):
        length, space, _ = data.partition(b" ")
        size = int(length) if space and length.isdigit() and len(length) < 6 else 0
        line = data[len(length) + 1 : size]
        key, equals, value = line.partition(b"=")
        if not (equals and line.endswith(b"\n") and size <= len(data)):
            raise OvfError(path, "a wrong extended header", element=at, hint=_AGAIN)
        name = _text(key, path, at)
        if name.startswith("GNU.sparse"):
            raise OvfError(path, "a sparse file", element=at, hint=_TRUST)
        records[name] = _text(value[:-1], path, at)
        data = data[size:]
    return records

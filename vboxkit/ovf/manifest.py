"""Manifests and certificates: what they say, before anything is compared."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vboxkit.errors import OvfError
from vboxkit.ovf.names import require_inside

if TYPE_CHECKING:
    from vboxkit.ovf.source import Source

__all__ = ["ALGORITHMS", "Entry", "parse_line", "read_manifest"]

#: hashlib's names, and the digits of a digest.
ALGORITHMS = {"sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
MOST_BYTES = 1 << 20
_LINE = re.compile(r"(SHA-?\d{1,3})\s*\((.+)\)\s*=\s*([0-9A-Fa-f]+)", re.IGNORECASE)
_AGAIN = "get the file again"


@dataclass(frozen=True)
class Entry:
    """A line of a manifest: a file, and the digest that it should have."""

    name: str
    algorithm: str
    digest: str
    line: int


def parse_line(text: str, *, file: str, element: str, line: int, hexadecimal: int = 0) -> Entry:
    """
    Return what a line says.

    Args:
        text: ``SHA256(disk.vmdk)= 0123...``
        file: The appliance, for errors.
        element: The manifest, for errors.
        line: Its number.
        hexadecimal: Digits that are expected, if not those of the algorithm.

    Raises:
        OvfError: It is no such line, or names an unknown algorithm.
    """
    where = f"{element} (line {line})"
    match = _LINE.fullmatch(text.strip())
    if match is None:
        raise OvfError(file, f"no line of a manifest: {text[:60]!r}", element=where, hint=_AGAIN)
    algorithm = match[1].lower().replace("-", "")
    if algorithm not in ALGORITHMS:
        raise OvfError(file, f"the digest {match[1]} is not known", element=where, hint=_AGAIN)
    if not hexadecimal and len(match[3]) != ALGORITHMS[algorithm]:
        raise OvfError(
            file, f"a digest of {len(match[3])} digits for {match[1]}", element=where, hint=_AGAIN
        )
    name = require_inside(match[2], file, element=where)
    return Entry(name, algorithm, match[3].lower(), line)


def read_manifest(source: Source, name: str) -> list[Entry]:
    """
    Return the lines of a package's manifest.

    Raises:
        OvfError: It is damaged, or has a file twice.
    """
    path = str(source.path)
    try:
        text = source.read(name, most=MOST_BYTES).decode()
    except UnicodeDecodeError as error:
        raise OvfError(path, "the manifest is no text", element=name, hint=_AGAIN) from error
    entries: dict[str, Entry] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip("\0 \t"):
            entry = parse_line(line, file=path, element=name, line=number)
            if entry.name in entries:
                raise OvfError(
                    path,
                    f"the manifest lists {entry.name!r} twice",
                    element=f"{name} (line {number})",
                    hint=_AGAIN,
                )
            entries[entry.name] = entry
    if not entries:
        raise OvfError(path, "the manifest is empty", element=name, hint=_AGAIN)
    return list(entries.values())

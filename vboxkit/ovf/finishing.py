"""Finishing what VirtualBox leaves open in the packages that it writes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from vboxkit.ovf.files import Files
from vboxkit.ovf.findings import Findings
from vboxkit.ovf.manifest import read_manifest
from vboxkit.ovf.packing import write_end, write_member
from vboxkit.ovf.source import opened
from vboxkit.ovf.tar import BLOCK, members
from vboxkit.ovf.tree import parse

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit.ovf.source import Source
    from vboxkit.ovf.verifying import ProgressCall

__all__ = ["finish"]

_PIECE = 1 << 20


def finish(path: Path, *, on_progress: ProgressCall | None = None) -> None:
    """
    Add to a package of VirtualBox what it should have, in place.

    VirtualBox 7.2 lists no ISO image in its manifests, and writes OVAs without tar's end mark.

    Args:
        path: The ``.ova`` or ``.ovf``.
        on_progress: Called after each MiB of an ISO image that is read; see `verify`.
    """
    with opened(path) as source:
        packed, name = source.packed, source.beside(".mf")
        added = b"" if name is None else _missing(source, name, on_progress)
        text = b"" if name is None else source.read(name) + added
    if not packed:
        if added and name is not None:
            (path.parent / name).write_bytes(text)
        return
    with path.open("r+b") as file:
        last = members(file.raw, str(path))[-1]
        if name == last.name:
            file.seek(last.offset - BLOCK)
            write_member(file, last.name, text)
        else:
            file.seek(last.offset + -(-last.size // BLOCK) * BLOCK)
        write_end(file)
        file.truncate()


def _missing(source: Source, name: str, on_progress: ProgressCall | None) -> bytes:
    """Return the manifest's lines for the files that it does not list."""
    entries = read_manifest(source, name)
    files = Files(source, Findings(str(source.path), source.descriptor))
    files.read(parse(source.read(source.descriptor), str(source.path)))
    left = sorted(files.named - {entry.name for entry in entries})
    lines = []
    for one in left:
        value = hashlib.new(entries[0].algorithm)
        size, done = source.size(one) or 0, 0
        with source.open(one) as file:
            while piece := file.read(_PIECE):
                value.update(piece)
                done += len(piece)
                if on_progress is not None:
                    on_progress(done, size, one)
        lines.append(f"{entries[0].algorithm.upper()} ({one}) = {value.hexdigest()}\n")
    return "".join(lines).encode()

"""Writing an OVA: the descriptor first, then the manifest, then the files, in one pass."""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vboxkit.errors import OvfError
from vboxkit.ovf.manifest import ALGORITHMS

if TYPE_CHECKING:
    import io
    from collections.abc import Mapping, Sequence

    from vboxkit.ovf.verifying import ProgressCall

__all__ = ["Content", "manifest", "pack", "write_end", "write_member"]

_PIECE = 1 << 20


@dataclass(frozen=True)
class Content:
    """A file to be packed: its name in the package, its bytes, and where they are read."""

    name: str
    size: int
    file: io.RawIOBase


def manifest(found: Mapping[str, str], digest: str) -> bytes:
    """Return a manifest: the digests by the files' names."""
    return "".join(
        f"{digest.upper()} ({name}) = {value}\n" for name, value in found.items()
    ).encode()


def pack(
    out: io.BufferedRandom,
    name: str,
    text: bytes,
    contents: Sequence[Content],
    *,
    digest: str | None,
    on_progress: ProgressCall | None = None,
) -> None:
    """
    Write an OVA into an open file.

    Args:
        out: The file, empty.
        name: The package's: that of the descriptor without ``.ovf``.
        text: The descriptor.
        contents: The files; each is read to its end.
        digest: hashlib's name; `None` for no manifest.
        on_progress: Called after each MiB, with the bytes done, the bytes of all, and the name.

    Raises:
        OvfError: A file is shorter than it was.
    """
    ovf = f"{name}.ovf"
    write_member(out, ovf, text)
    found, place = {}, 0
    if digest is not None:
        found = {ovf: hashlib.new(digest, text).hexdigest()}
        found |= {one.name: "0" * ALGORITHMS[digest] for one in contents}
        # The manifest comes before the files, whose digests are known when they are written.
        place = out.tell()
        write_member(out, f"{name}.mf", manifest(found, digest))
    total, done = sum(one.size for one in contents), 0
    for one in contents:
        _header(out, one.name, one.size)
        value = hashlib.new(digest or "sha256")
        left = one.size
        while left:
            piece = one.file.read(min(_PIECE, left))
            if not piece:
                raise OvfError(one.name, "it changes while it is read")
            value.update(piece)
            out.write(piece)
            left -= len(piece)
            done += len(piece)
            if on_progress is not None:
                on_progress(done, total, one.name)
        out.write(bytes(-one.size % tarfile.BLOCKSIZE))
        found[one.name] = value.hexdigest()
    write_end(out)
    if digest is not None:
        out.seek(place)
        write_member(out, f"{name}.mf", manifest(found, digest))


def write_member(out: io.BufferedRandom, name: str, data: bytes) -> None:
    """Write a small member."""
    _header(out, name, len(data))
    _body(out, data)


def write_end(out: io.BufferedRandom) -> None:
    """Write tar's end mark."""
    out.write(bytes(2 * tarfile.BLOCKSIZE))


def _header(out: io.BufferedRandom, name: str, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    info.uname = info.gname = "vboxkit"
    try:
        header = info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
    except ValueError:  # it ends at 8 GiB, and at names of 100 bytes
        header = info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")
    out.write(header)


def _body(out: io.BufferedRandom, data: bytes) -> None:
    out.write(data)
    out.write(bytes(-len(data) % tarfile.BLOCKSIZE))

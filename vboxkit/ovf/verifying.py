"""Comparing a package with its manifest, in one pass."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from vboxkit.errors import OvfError
from vboxkit.ovf.certificates import Certificate, check_certificate
from vboxkit.ovf.files import Files, locate
from vboxkit.ovf.findings import Findings
from vboxkit.ovf.manifest import Entry, read_manifest
from vboxkit.ovf.source import opened
from vboxkit.ovf.tree import parse

if TYPE_CHECKING:
    from vboxkit.ovf.source import Source

__all__ = ["Checked", "ProgressCall", "Verification", "verify"]

#: Called with the bytes done, the bytes of all, and the name of the file.
ProgressCall: TypeAlias = Callable[[int, int, str], object]

_PIECE = 1 << 20
_AGAIN = "get the file again"


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A file whose digest is that of the manifest."""

    name: str
    algorithm: str
    digest: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Verification:
    """
    What `verify` has found to be right.

    Attributes:
        path: The appliance.
        manifest: The name of its manifest.
        files: All files that the manifest lists, in its order.
        bytes: Of all these.
        certificate: Who has signed the manifest; `None` if nobody has.
    """

    path: str
    manifest: str
    files: tuple[Checked, ...]
    bytes: int
    certificate: Certificate | None

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as dictionaries, lists and plain values, for JSON."""
        return dataclasses.asdict(self)


def verify(path: Path | str, *, on_progress: ProgressCall | None = None) -> Verification:
    """
    Compare each file of an appliance with its manifest, and the manifest with its certificate.

    Each byte is read once, and nothing is written. It takes as long as ``sha256sum`` of the files.

    Args:
        path: An ``.ova`` or ``.ovf``.
        on_progress: Called after each MiB, with the bytes done, the bytes of all, and the name of
            the file. What it raises ends the verification.

    Raises:
        StorageError: The file is missing or cannot be read.
        OvfError: There is no manifest, a file is not what it says or is missing, it does not list
            a file that the descriptor refers to, or the signature does not fit it.

    Example:
        >>> from vboxkit.core.resources import resource
        >>> done = verify(resource("tiny/tiny.ova"))
        >>> [(file.name, file.algorithm) for file in done.files]
        [('tiny.ovf', 'sha256'), ('tiny-disk001.vmdk', 'sha256')]
    """
    with opened(path) as source:
        manifest = source.beside(".mf")
        if manifest is None:
            raise OvfError(
                source.path,
                "it has no manifest: nothing says what its files should be",
                hint="inspect() reads it all the same",
            )
        entries = _found(source, manifest)
        _require_complete(source, manifest, {name for _, name in entries})
        # Before the long part.
        signed = source.beside(".cert")
        certificate = check_certificate(source, signed, manifest) if signed else None
        total = sum(source.size(name) or 0 for _, name in entries)
        done = 0
        checked = []
        for entry, name in entries:
            checked.append(
                _checked(
                    source, manifest, entry, name, before=done, total=total, on_progress=on_progress
                )
            )
            done += checked[-1].bytes
        return Verification(
            path=str(source.path),
            manifest=manifest,
            files=tuple(checked),
            bytes=done,
            certificate=certificate,
        )


def _found(source: Source, manifest: str) -> list[tuple[Entry, str]]:
    """Return the manifest's lines, in the files' order in the package, with the files' names."""
    found = []
    for entry in read_manifest(source, manifest):
        name = locate(source, entry.name)
        if name is None:
            raise OvfError(
                source.path,
                f"{manifest!r} lists this file, which is missing",
                element=entry.name,
                hint=_AGAIN,
            )
        found.append((entry, name))
    order = {name: position for position, name in enumerate(source.names)}
    return sorted(found, key=lambda pair: order.get(pair[1], 0))


def _require_complete(source: Source, manifest: str, listed: set[str]) -> None:
    """Require that the manifest vouches for all that an import would read."""
    files = Files(source, Findings(str(source.path), source.descriptor))
    files.read(parse(source.read(source.descriptor), str(source.path)))
    for file in files.files.values():
        if file.stored_bytes is None:
            raise OvfError(
                source.path,
                "the descriptor refers to this file, which is missing: nothing vouches for it",
                element=file.href,
                hint=_AGAIN,
            )
    for name in (source.descriptor, *sorted(files.named)):
        if name not in listed:
            raise OvfError(
                source.path,
                f"{manifest!r} does not list this file: nothing vouches for it",
                element=name,
                hint=_AGAIN,
            )


def _checked(
    source: Source,
    manifest: str,
    entry: Entry,
    name: str,
    *,
    before: int,
    total: int,
    on_progress: ProgressCall | None,
) -> Checked:
    digest = hashlib.new(entry.algorithm)
    buffer = bytearray(_PIECE)
    view = memoryview(buffer)
    size = 0
    with source.open(name) as file:
        while count := file.readinto(buffer):
            digest.update(view[:count])
            size += count
            if on_progress is not None:
                on_progress(before + size, total, name)
    if size != source.size(name):
        raise OvfError(source.path, "it changes while it is read", element=name, hint=_AGAIN)
    if digest.hexdigest() != entry.digest:
        raise OvfError(
            source.path,
            f"its {entry.algorithm} is {digest.hexdigest()}, and {manifest!r} says {entry.digest}",
            element=name,
            hint=f"{_AGAIN}; if it was changed on purpose, make the manifest again",
        )
    return Checked(name=name, algorithm=entry.algorithm, digest=entry.digest, bytes=size)

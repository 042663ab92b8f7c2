"""
Mending an appliance that VirtualBox refuses, on a private copy of its descriptor.

The original is only read. What cannot be mended without guessing stays an error.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Callable, Collection
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote, urlsplit

from vboxkit.errors import OvfError, StorageError
from vboxkit.ovf.certificates import check_certificate
from vboxkit.ovf.files import locate
from vboxkit.ovf.inspecting import inspect_source
from vboxkit.ovf.manifest import read_manifest
from vboxkit.ovf.mending import Draft, Repair
from vboxkit.ovf.mending_rules import mend
from vboxkit.ovf.names import is_absolute, is_remote
from vboxkit.ovf.source import Source, opened
from vboxkit.ovf.tree import MOST_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.ovf.model import Package
    from vboxkit.ovf.tree import Node

__all__ = ["Repair", "Repaired", "repair", "repairs"]

#: Listed as repairs: VirtualBox takes such manifests, and nobody vouches for what they lack.
_LISTED = {"manifest-file", "manifest-incomplete"}
_PIECE = 1 << 20
_AGAIN = "get the file again"
#: Called with the bytes done, the bytes of all, and the name of the file.
_ProgressCall: TypeAlias = Callable[[int, int, str], object]


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """
    An appliance that was mended.

    Attributes:
        path: What to import: the private copy, or the original if nothing had to be mended.
        package: What `inspect` reads of it.
        repairs: What was mended.
        copied_bytes: What the private copy takes on the disk.
    """

    path: Path
    package: Package
    repairs: tuple[Repair, ...]
    copied_bytes: int


def repairs(path: Path | str, *, os_types: Collection[str] = ()) -> tuple[Repair, ...]:
    """
    Return what `repair` would mend; nothing is written.

    Args:
        path: An ``.ova`` or ``.ovf``.
        os_types: The operating systems that VirtualBox knows; all if left out.

    Raises:
        StorageError: The file is missing or cannot be read.
        OvfError: Something is broken that cannot be mended; it is damaged, or built to harm.
    """
    with opened(path) as source:
        mended = _Mended(source, os_types)
        _whole(source, mended)
        return tuple(mended.draft.repairs)


def repair(
    path: Path | str,
    folder: Path,
    *,
    os_types: Collection[str] = (),
    on_progress: _ProgressCall | None = None,
) -> Repaired:
    """
    Write a private copy of a descriptor in which what VirtualBox refuses is mended.

    The files of an ``.ovf`` are linked, and take no space; those of an ``.ova`` have to be
    unpacked, as VirtualBox reads an OVA from its beginning to its end: that takes as much space
    as the OVA. If nothing in the descriptor has to be mended, nothing is written.

    Args:
        path: An ``.ova`` or ``.ovf``.
        folder: Where the copy is made; it exists, and is empty.
        os_types: The operating systems that VirtualBox knows; all if left out.
        on_progress: Called after each MiB that is unpacked, with the bytes done, the bytes of
            all, and the name of the file. What it raises ends the unpacking.

    Raises:
        StorageError: A file cannot be read or written, or there is no room.
        OvfError: Something is broken that cannot be mended; it is damaged, or built to harm.

    Example:
        ``repair("vmware.ova", Path("mended")).repairs``
    """
    with opened(path) as source:
        mended = _Mended(source, os_types)
        package = _whole(source, mended)
        found = tuple(mended.draft.repairs)
        if not mended.changed:
            return Repaired(path=source.path, package=package, repairs=found, copied_bytes=0)
        try:
            copied = _write(source, mended, folder, on_progress)
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            raise StorageError(
                f"cannot mend {source.path}: {error.strerror or error}",
                operation="mend an appliance",
                hint=f"check {folder}, and the space there",
            ) from error
        return Repaired(
            path=folder / mended.name, package=package, repairs=found, copied_bytes=copied
        )


def _whole(source: Source, mended: _Mended) -> Package:
    """
    Return the mended package.

    Raises:
        OvfError: Something is still broken in it.
    """
    package = inspect_source(_Overlay(source, mended))
    for problem in package.problems:
        if problem.severity == "error" and problem.code not in _LISTED:
            line = f" (line {problem.place.line})" if problem.place.line else ""
            raise OvfError(
                source.path,
                problem.sentence,
                element=f"{problem.place.element}{line}",
                hint=problem.remedy,
            )
    return package


class _Mended:
    """A package's descriptor and manifest as they are to be, and the names of its files."""

    def __init__(self, source: Source, os_types: Collection[str]) -> None:
        self._source = source
        self.name = PurePath(source.descriptor).name.replace("%", "_")
        original = source.read(source.descriptor)
        package = inspect_source(source)
        self.draft = Draft(original, str(source.path), source.descriptor)
        #: By its name in the copy: a file's name in the package.
        self.files: dict[str, str] = {}
        for node in self.draft.nodes():
            if node.name == "File" and node.parent is not None and node.parent.name == "References":
                self._file(node)
        mend(self.draft, package, os_types)
        self.manifest: bytes | None = None
        name = source.beside(".mf")
        if name is not None:
            self._manifest(name, original)
        self.data = self.draft.data() if self.changed else original

    @property
    def changed(self) -> bool:
        """Whether the descriptor is another one; a manifest alone VirtualBox takes as it is."""
        return any(not one.code.startswith("manifest-") for one in self.draft.repairs)

    @property
    def manifest_name(self) -> str:
        """The name of the manifest: VirtualBox wants that of the descriptor."""
        return str(PurePath(self.name).with_suffix(".mf"))

    # ---- names of files

    def _file(self, node: Node) -> None:
        source, href = self._source, node.get("href") or ""
        if not href or node.get("chunkSize"):
            return
        code, sentence = self._refused(href)
        found = locate(source, href)
        if found is None:
            found = self._elsewhere(href)
        if found is None:
            return
        after = found
        if "%" in after:
            after = after.replace("%", "_")
        if (node.get("compression") or "").lower() == "gzip" and not after.endswith(".gz"):
            after = f"{after}.gz"
            if not code:
                code, sentence = "gzip-name", "VirtualBox unpacks only files called .gz"
        if not code and after != href and not (href.startswith("./") and not source.packed):
            code, sentence = "file-name", "VirtualBox does not find the file by this name"
        if not code:
            after = href if not source.packed else found
        while self.files.get(after, found) != found:
            after = f"_{after}"
        self.files[after] = found
        if code:
            self.draft.set(node, "href", after)
            self.draft.note(code, node, sentence, href, after)

    def _refused(self, href: str) -> tuple[str, str]:
        """Return code and sentence of what VirtualBox makes of a name, if it cannot read it."""
        source = self._source
        if is_absolute(href) or href.lower().startswith("file:"):
            return "absolute-path", "VirtualBox looks for this path below the package's folder"
        if "%" in href:
            return "percent", "VirtualBox takes % for a format, not for an escape"
        plain = href.removeprefix("./")
        written = source.written(plain)
        if written is not None and (written != plain or href != plain):
            return "member-name", "VirtualBox finds no member of an OVA that begins with ./"
        return "", ""

    def _elsewhere(self, href: str) -> str | None:
        """Return the file that a name can only mean: that of its last part, or in other letters."""
        source, plain = self._source, unquote(href)
        if href.lower().startswith("file:"):
            plain = unquote(urlsplit(href).path)
        elif is_remote(href) and not is_absolute(href):
            return None
        last = plain.replace("\\", "/").rpartition("/")[2]
        if is_absolute(href) or href.lower().startswith("file:"):
            return last if last and source.size(last) is not None else None
        names = source.names or tuple(one.name for one in source.path.parent.iterdir())
        same = [name for name in names if name.casefold() == plain.casefold()]
        return same[0] if len(same) == 1 and source.size(same[0]) is not None else None

    # ---- the manifest

    def _manifest(self, name: str, original: bytes) -> None:
        source, draft = self._source, self.draft
        entries = read_manifest(source, name)
        new = {found: after for after, found in self.files.items()}
        lines: list[tuple[str, str, str | None]] = []
        listed = {source.descriptor}
        for entry in entries:
            found = locate(source, entry.name)
            if found is None:
                draft.note(
                    "manifest-file", None, "the manifest lists a file that is missing",
                    entry.name, "",
                )  # fmt: skip
            elif found == source.descriptor:
                digest = hashlib.new(entry.algorithm, original).hexdigest()
                if digest != entry.digest:
                    raise OvfError(
                        source.path,
                        f"its {entry.algorithm} is {digest}, and {name!r} says {entry.digest}",
                        element=source.descriptor,
                        hint=f"{_AGAIN}; if it was changed on purpose, make the manifest again",
                    )
                lines.append((entry.algorithm, self.name, None))
            else:
                listed.add(found)
                if found in new:
                    lines.append((entry.algorithm, new[found], entry.digest))
        for found in sorted(set(self.files.values()) - listed):
            draft.note(
                "manifest-incomplete", None,
                "the manifest does not list a file: nothing vouches for it", found, "",
            )  # fmt: skip
        if not self.changed:
            return
        certificate = source.beside(".cert")
        if certificate is not None:
            check_certificate(source, certificate, name)
            draft.note(
                "certificate", None, "the signature, which fits, is not of what was mended",
                certificate, "",
            )  # fmt: skip
        data = draft.data()
        self.manifest = "".join(
            f"{algorithm.upper()}({file})= {digest or hashlib.new(algorithm, data).hexdigest()}\n"
            for algorithm, file, digest in lines
        ).encode()


class _Overlay(Source):
    """The mended package, before anything of it is written."""

    def __init__(self, source: Source, mended: _Mended) -> None:
        super().__init__(source.path, mended.name, (), source._file)  # noqa: SLF001 - of its own class
        self._source = source
        self._mended = mended
        self._made = {mended.name: mended.data}
        if mended.manifest is not None:
            self._made[mended.manifest_name] = mended.manifest

    def _original(self, name: str) -> str:
        return self._mended.files.get(name, name)

    def size(self, name: str) -> int | None:
        if name in self._made:
            return len(self._made[name])
        if name == self._mended.manifest_name and self._mended.changed:
            return None
        return self._source.size(self._original(name))

    def leads_out(self, name: str) -> bool:
        return name not in self._made and self._source.leads_out(self._original(name))

    @contextmanager
    def open(self, name: str) -> Iterator[io.RawIOBase]:
        with self._source.open(self._original(name)) as file:
            yield file

    def read(self, name: str, *, most: int = MOST_BYTES) -> bytes:
        if name in self._made:
            return self._made[name]
        return self._source.read(self._original(name), most=most)


def _write(source: Source, mended: _Mended, folder: Path, on_progress: _ProgressCall | None) -> int:
    made = {mended.name: mended.data}
    if mended.manifest is not None:
        made[mended.manifest_name] = mended.manifest
    sizes = {name: source.size(found) or 0 for name, found in mended.files.items()}
    total = sum(sizes.values()) if source.packed else 0
    free = shutil.disk_usage(folder).free
    if total > free:
        raise StorageError(
            f"cannot mend {source.path}: unpacked it takes {total >> 20} MiB, and {folder} has"
            f" {free >> 20} MiB",
            operation="mend an appliance",
            hint="make room; or unpack it yourself (tar -xf), and import its .ovf",
        )
    for name, data in made.items():
        (folder / name).write_bytes(data)
    done = 0
    for name, found in mended.files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not source.packed:
            _link((source.path.parent / found).resolve(strict=True), target)
            continue
        with source.open(found) as file, target.open("xb") as out:
            while piece := file.read(_PIECE):
                out.write(piece)
                done += len(piece)
                if on_progress is not None:
                    on_progress(done, total, name)
    return done


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source)
    except OSError:  # Windows lets not everybody make them
        os.link(source, target)

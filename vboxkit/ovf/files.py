"""References, disks, networks: what a descriptor says of files, and what is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING
from urllib.parse import unquote

from vboxkit.ovf import images
from vboxkit.ovf.names import is_absolute, is_remote, require_inside, require_plain
from vboxkit.ovf.parts import Disk, File, Network
from vboxkit.ovf.units import LARGEST

if TYPE_CHECKING:
    from vboxkit.ovf.findings import Findings
    from vboxkit.ovf.source import Source
    from vboxkit.ovf.tree import Node

__all__ = ["Files", "locate", "pieces"]

_MOST = 2000
_LEAST = 512
_UNSEEN = "?"
_MOST_CHUNKS = 10_000
_AGAIN = "get the file again"


def locate(source: Source, href: str) -> str | None:
    """Return the name by which a file of the package is found, or `None`."""
    # A reference is a URI; half of the writers do not encode it.
    for name in (href, unquote(href)):
        if is_absolute(name) or is_remote(name):
            return None
        plain = require_plain(name, str(source.path), element=f"file {name!r:.80}")
        if source.size(plain) is not None:
            return plain
    return None


def pieces(source: Source, file: File) -> list[str]:
    """Return the names of the files that are there of one: itself, or its chunks in order."""
    if file.chunk_bytes is None:
        name = locate(source, file.href)
        return [] if name is None else [name]
    found: list[str] = []
    while len(found) < _MOST_CHUNKS:
        name = locate(source, f"{file.href}.{len(found):09d}")
        if name is None:
            break
        found.append(name)
    return found


@dataclass
class Files:
    """Reads what an envelope says of files, disks and networks."""

    source: Source
    findings: Findings
    files: dict[str, File] = field(default_factory=dict)
    disks: dict[str, Disk] = field(default_factory=dict)
    networks: dict[str, Network] = field(default_factory=dict)
    #: Names in the package that something refers to.
    named: set[str] = field(default_factory=set)
    #: What the images of files are, by the files' ids; and whether their ends are missing.
    _images: dict[str, tuple[str, int | None, bool]] = field(default_factory=dict)

    def read(self, envelope: Node) -> None:
        """Read all three."""
        for section in envelope.all("References"):
            for node in section.all("File"):
                file = self._file(node)
                self._unique("file", file.id, node, self.files)
                self.files.setdefault(file.id, file)
                if len(self.files) > _MOST:
                    raise self.findings.refuse(node, f"it has over {_MOST} files")
        for section in envelope.all("DiskSection", "SharedDiskSection"):
            for node in section.all("Disk", "SharedDisk"):
                disk = self._disk(node, shared=node.name == "SharedDisk")
                self._unique("disk", disk.id, node, self.disks)
                self.disks.setdefault(disk.id, disk)
                if len(self.disks) > _MOST:
                    raise self.findings.refuse(node, f"it has over {_MOST} disks")
        for section in envelope.all("DiskSection"):
            for node in section.all("Disk"):
                parent = node.get("parentRef")
                if parent and (parent not in self.disks or parent == node.get("diskId")):
                    self.findings.add(
                        "error",
                        "disk-parent",
                        node,
                        f"its parent, disk {parent!r}, is not there",
                        "add that disk, or export without differences",
                    )
        for section in envelope.all("NetworkSection"):
            for node in section.all("Network"):
                name = node.get("name") or ""
                self._unique("network", name, node, self.networks)
                self.networks.setdefault(
                    name, Network(name=name, description=node.said("Description"), line=node.line)
                )

    def _unique(self, what: str, name: str, node: Node, known: object) -> None:
        add = self.findings.add
        if not name:
            add("error", "no-name", node, f"this {what} has no name", "give it one")
        elif isinstance(known, dict) and name in known:
            add(
                "error",
                "duplicate-id",
                node,
                f"there are two {what}s {name!r}",
                "give one of them another name",
            )

    # ---- files

    def _file(self, node: Node) -> File:
        note = self.findings
        href = node.get("href") or ""
        where = node.where
        if href:
            require_inside(href, note.path, element=where)
        compression = (node.get("compression") or "").lower().replace("identity", "")
        chunk = note.number(node, node.get("chunkSize"), "chunkSize")
        file = File(
            id=node.get("id") or "",
            href=href,
            size=note.number(node, node.get("size"), "size"),
            compression=compression,
            chunk_bytes=chunk,
            line=node.line,
        )
        if compression not in {"", "gzip"}:
            note.add(
                "error",
                "compression-unknown",
                node,
                f"{href!r} is compressed with {compression!r:.40}",
                "unpack it, and remove ovf:compression",
            )
        if chunk == 0:
            raise note.refuse(node, "chunks of 0 bytes")
        return self._found(node, file)

    def _found(self, node: Node, file: File) -> File:
        note, href = self.findings, file.href
        if not href:
            note.add("error", "file-missing", node, "it says no file name", "add ovf:href")
            return file
        if is_remote(href):
            note.add(
                "warning",
                "file-remote",
                node,
                f"{href!r:.100} is somewhere else: it is not looked at",
                "fetch it, put it beside the descriptor, and write its name here",
            )
            return file
        if is_absolute(href):
            note.add(
                "error",
                "absolute-path",
                node,
                f"{href!r:.100} is a path of the machine that it was made on",
                "put the file beside the descriptor, and write its name alone here",
            )
            return file
        if self.source.leads_out(href):
            note.add(
                "error",
                "file-outside",
                node,
                f"{href!r} leads out of the package's folder, or is no plain file",
                "copy the file itself to the descriptor's folder",
            )
            return file
        names = pieces(self.source, file)
        self.named.update(names)
        if not names:
            note.add("error", "file-missing", node, f"the file {href!r} is missing", _AGAIN)
            return file
        sizes = [self.source.size(name) or 0 for name in names]
        chunked = file.chunk_bytes is not None
        if chunked:
            self._check_chunks(node, file, sizes)
        total = sum(sizes)
        if file.size is not None and file.size != total:
            note.add(
                "error",
                "size-mismatch",
                node,
                f"{href!r} has {total} bytes, and not {file.size}",
                f"{_AGAIN}; or, if the file was changed on purpose, write its size here",
            )
        return File(
            id=file.id,
            href=href,
            size=file.size,
            stored_bytes=total,
            compression=file.compression,
            chunk_bytes=file.chunk_bytes,
            chunks=len(names) if chunked else 0,
            line=file.line,
        )

    def _check_chunks(self, node: Node, file: File, sizes: list[int]) -> None:
        note, chunk = self.findings, file.chunk_bytes or 1
        note.add(
            "warning",
            "chunked",
            node,
            f"{file.href!r} is cut into chunks, which VirtualBox does not join",
            "cat the chunks together, and remove ovf:chunkSize",
        )
        wrong = [size for size in sizes[:-1] if size != chunk]
        if wrong or sizes[-1] > chunk:
            note.add(
                "error",
                "chunk-size",
                node,
                f"a chunk of {file.href!r} has {(wrong or sizes[-1:])[0]} bytes, and not {chunk}",
                _AGAIN,
            )
        if file.size is not None and -(-file.size // chunk) != len(sizes):
            note.add(
                "error",
                "chunk-missing",
                node,
                f"of {file.href!r} there are {len(sizes)} chunks of {-(-file.size // chunk)}",
                _AGAIN,
            )

    # ---- disks

    def _disk(self, node: Node, *, shared: bool) -> Disk:
        note = self.findings
        said = node.get("capacity")
        units = node.get("capacityAllocationUnits") or ""
        capacity = note.number(node, said, "capacity")
        found = note.unit(node, units)
        if units and (found or ("", 1))[1] != 1:
            note.add(
                "warning",
                "capacity-units",
                node,
                "VirtualBox takes the capacity as bytes, whatever its unit",
                "write the capacity in bytes, and remove ovf:capacityAllocationUnits",
            )
        if not node.get("format") and not shared:
            note.add(
                "warning",
                "no-format",
                node,
                "it does not say the disk's format, which VirtualBox wants",
                "add ovf:format",
            )
        if capacity is not None:
            capacity = note.product(node, capacity, (found or ("", Fraction(1)))[1], "capacity")
        elif said is None:
            note.add("error", "no-capacity", node, "the disk has no capacity", "add ovf:capacity")
        populated = note.number(node, node.get("populatedSize"), "populatedSize")
        reference = node.get("fileRef") or ""
        file = self.files.get(reference)
        if reference and file is None:
            note.add(
                "error",
                "disk-file",
                node,
                f"the disk's file {reference!r} is not among the references",
                "add a File of this id to References",
            )
        image, image_bytes = self._image(node, file, capacity) if file else ("", None)
        return Disk(
            id=node.get("diskId") or "",
            capacity_bytes=capacity,
            capacity=f"{said or ''} {units}".strip(),
            populated_bytes=populated,
            format=node.get("format") or "",
            file=file.href if file else "",
            file_bytes=file.stored_bytes if file else None,
            image=image,
            image_bytes=image_bytes,
            parent=node.get("parentRef") or "",
            shared=shared,
            line=node.line,
        )

    def _image(self, node: Node, file: File, capacity: int | None) -> tuple[str, int | None]:
        if not file.stored_bytes:
            return "", None
        note = self.findings
        if file.id not in self._images:
            self._images[file.id] = self._recognised(file)
        image, image_bytes, cut = self._images[file.id]
        if image == _UNSEEN:
            return "", None
        if image_bytes is not None and image_bytes > LARGEST:
            raise note.refuse(node, f"{file.href!r} has a capacity over 2^64 by its header")
        if cut:
            note.add("error", "disk-cut", node, f"the end of {file.href!r} is missing", _AGAIN)
        kind = image.partition(" ")[0]
        said = (node.get("format") or "").lower()
        if "vmdk" in said and kind != "vmdk":
            note.add(
                "error",
                "image-format",
                node,
                f"{file.href!r} is {f'a {image} file' if image else 'no disk image known'},"
                " and not the VMDK that its format says",
                "convert it: VBoxManage clonemedium disk IN OUT --format VMDK --variant Stream",
            )
        elif capacity is not None and image_bytes is not None and image_bytes != capacity:
            note.add(
                "error" if image_bytes > capacity else "warning",
                "capacity-mismatch",
                node,
                f"{file.href!r} is a disk of {image_bytes} bytes, and not of {capacity}",
                "write the image's capacity here, or get the file again",
            )
        return image, image_bytes

    def _recognised(self, file: File) -> tuple[str, int | None, bool]:
        whole = not file.compression and file.chunk_bytes is None
        name = locate(
            self.source, file.href if whole or not file.chunks else f"{file.href}.{0:09d}"
        )
        if name is None:
            return "", None, False
        with self.source.open(name) as opened:
            head = images.head_of(opened, compression=file.compression)
            cut = whole and not images.ends_well(opened, file.stored_bytes or 0, head)
        # The first of many chunks may be too short to tell.
        if not whole and len(head) < _LEAST:
            return _UNSEEN, None, False
        return *images.recognise(head), cut

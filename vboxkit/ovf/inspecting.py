"""Reading an appliance without VirtualBox."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.errors import OvfError
from vboxkit.ovf.extensions import extensions, flavour
from vboxkit.ovf.files import Files, locate
from vboxkit.ovf.findings import Findings
from vboxkit.ovf.manifest import read_manifest
from vboxkit.ovf.model import Package
from vboxkit.ovf.source import opened
from vboxkit.ovf.systems import Systems, deployment_options, sections
from vboxkit.ovf.tree import parse

if TYPE_CHECKING:
    from vboxkit.ovf.source import Source
    from vboxkit.ovf.tree import Node

__all__ = ["inspect", "inspect_source"]

_AGAIN = "get the file again"
_VERSIONS = (
    (re.compile(r"http://www\.vmware\.com/schema/ovf/1/envelope"), "0.9"),
    (re.compile(r"http://schemas\.dmtf\.org/ovf/(?:envelope/1|1/envelope)"), "1.0"),
    (re.compile(r"http://schemas\.dmtf\.org/ovf/envelope/2(?:\.0)?"), "2.0"),
)


def inspect(path: Path | str) -> Package:
    """
    Read what an appliance says of itself, and what is wrong with it.

    Nothing is unpacked or written, no address is followed, and no content of disks is read but
    their headers: it takes milliseconds for an OVA of any size. Digests are for `verify`.

    Args:
        path: An ``.ova`` or ``.ovf``; the latter with its files beside it.

    Returns:
        What was read. What is only wrong is in its `problems`; `Package.check` raises the first
        that is an error.

    Raises:
        StorageError: The file is missing or cannot be read.
        OvfError: It is none, is cut or damaged, or is built to harm: names that lead out of it,
            links, two members of a name, entities, numbers beyond 64 bits.

    Example:
        >>> from vboxkit.core.resources import resource
        >>> package = inspect(resource("tiny/tiny.ova"))
        >>> package.version, package.systems[0].cpus, package.disks[0].image
        ('1.0', 1, 'vmdk streamOptimized')
    """
    with opened(path) as source:
        return inspect_source(source)


def inspect_source(source: Source) -> Package:
    """Do what `inspect` does with a package that is open."""
    descriptor = source.descriptor
    note = Findings(str(source.path), descriptor)
    name = str(source.path)
    envelope = parse(source.read(descriptor), name)
    version = _version(envelope, note, name)
    files = Files(source, note)
    files.read(envelope)
    options = deployment_options(envelope, note)
    content = Systems(note, files, options).content(envelope)
    if not content:
        note.add("error", "no-machine", envelope, "it has no machine", "add a VirtualSystem")
    found = tuple(extensions(envelope))
    _check_extras(envelope, files, note)
    certificate = source.beside(".cert")
    manifest = _check_manifest(source, files, note, version)
    _check_members(source, files, note, {descriptor, manifest, certificate})
    package = Package(
        path=str(source.path),
        form="ova" if source.packed else "ovf",
        version=version,
        flavour="",
        descriptor=descriptor,
        bytes=_bytes(source, files),
        content=content,
        disks=tuple(files.disks.values()),
        files=tuple(files.files.values()),
        networks=tuple(files.networks.values()),
        options=options,
        sections=sections(envelope, note),
        extensions=found,
        languages=tuple(one.get("lang") or "" for one in envelope.all("Strings")),
        manifest=manifest or "",
        certificate=certificate or "",
    )
    families = [word for one in package.systems for word in one.families]
    return replace(package, flavour=flavour(families, found), problems=note.sorted())


def _version(envelope: Node, note: Findings, name: str) -> str:
    if envelope.name != "Envelope":
        raise OvfError(
            name,
            f"it is no OVF descriptor: it begins with <{envelope.name[:40]}>, not <Envelope>",
            element=envelope.where,
            hint=_AGAIN,
        )
    said = envelope.get("version") or ""
    if not envelope.space:
        note.add(
            "warning",
            "no-namespace",
            envelope,
            "the envelope has no namespace",
            'add xmlns="http://schemas.dmtf.org/ovf/envelope/1"',
        )
        return said if said in {"0.9", "1.0", "1.1", "2.0"} else "1.0"
    for pattern, version in _VERSIONS:
        if pattern.fullmatch(envelope.space.rstrip("/")):
            if version == "1.0":
                # 1.1 has the namespace of 1.0.
                location = envelope.get("schemaLocation") or ""
                return "1.1" if said == "1.1" or "dsp8023_1.1" in location else version
            return version
    raise OvfError(
        name,
        f"the namespace {envelope.space[:100]!r} is of no known version of OVF",
        element=envelope.where,
        hint="0.9, 1.0, 1.1 and 2.0 are known",
    )


def _check_extras(envelope: Node, files: Files, note: Findings) -> None:
    for node in envelope.all("Strings"):
        reference = node.get("fileRef")
        if reference and reference not in files.files:
            note.add(
                "warning",
                "strings-file",
                node,
                f"its file {reference!r} is not among the references",
                "add a File of this id to References",
            )


def _check_manifest(source: Source, files: Files, note: Findings, version: str) -> str | None:
    name = source.beside(".mf")
    if name is None:
        note.add(
            "note",
            "no-manifest",
            str(source.path.name),
            "there is no manifest: damage cannot be told",
            "make one: sha256sum --tag, as NAME.mf",
        )
        return None
    entries = read_manifest(source, name)
    listed = set()
    for entry in entries:
        found = locate(source, entry.name)
        if found is None:
            note.add(
                "error",
                "manifest-file",
                name,
                f"the manifest lists {entry.name!r}, which is missing",
                _AGAIN,
            )
        else:
            listed.add(found)
        if version == "2.0" and entry.algorithm == "sha1":
            note.add(
                "warning",
                "manifest-sha1",
                name,
                f"the digest of {entry.name!r} is SHA-1, and OVF 2.0 wants SHA-256",
                "make the manifest again with SHA-256",
            )
    for one in sorted({source.descriptor, *files.named} - listed):
        note.add(
            # VirtualBox lists no ISO image, and imports such packages; `verify` refuses them.
            "warning" if one.lower().endswith(".iso") else "error",
            "manifest-incomplete",
            name,
            f"the manifest does not list {one!r}: nothing vouches for it",
            "make the manifest again, of all files",
        )
    return name


def _check_members(source: Source, files: Files, note: Findings, known: set[str | None]) -> None:
    if not source.packed:
        return
    if source.names[0] != source.descriptor:
        note.add(
            "warning",
            "descriptor-not-first",
            source.descriptor,
            f"the descriptor comes after {source.names[0]!r}; in an OVA it is the first",
            "pack it again, the descriptor first, then the manifest",
        )
    for name in source.names:
        if name not in known and name not in files.named:
            note.add(
                "note",
                "member-unused",
                name,
                "nothing refers to this member",
                "remove it, or add it to References",
            )


def _bytes(source: Source, files: Files) -> int:
    if source.packed:
        return source.path.stat().st_size
    names = {source.descriptor, *files.named}
    return sum(source.size(name) or 0 for name in names)

"""
The built images by their names, and what stands on what.

A layer is known by its digest; names lead to it. A name is a file beside the record, touched when
somebody asks for the image by it: so its time tells when that was.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vboxkit.lab import records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vboxkit.lab.places import Places
    from vboxkit.lab.records import Image
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.virtualbox import VirtualBox

__all__ = ["Users", "ask_for", "by_name", "drop_name", "forks_of", "named_images", "names", "users"]


@dataclass(frozen=True)
class Users:
    """
    What stands on an image.

    Attributes:
        images: All layers above it.
        forks: Machines that stand on it and on no layer above it, those being built among them.
    """

    images: tuple[Image, ...]
    forks: list[str]


def users(vbox: VirtualBox, places: Places, image: Image) -> Users:
    """Return what stands on an image."""
    known = records.all_images(places)
    above = [it for it in known if it.machine in vbox.machines and _stands_on(it, image, known)]
    return Users(tuple(above), forks_of(vbox, places).get(image.digest, []))


def _stands_on(image: Image, below: Image, known: list[Image]) -> bool:
    parents = {it.digest: it.parent for it in known}
    at = image.parent
    while at and at != below.digest:
        at = parents.get(at, "")
    return bool(at)


def forks_of(vbox: VirtualBox, places: Places) -> dict[str, list[str]]:
    """
    Return the names of the machines that stand on images, by the digests of these.

    Each is told of the highest layer that it stands on. Those being built are among them.
    """
    # Upwards from the forks: asking each layer for all that stands on it takes 14 s of 40 layers.
    digests = {it.machine: it.digest for it in records.all_images(places)}
    found: dict[str, list[str]] = {}
    for machine in vbox.machines:
        if machine.id not in digests:
            for digest in _layers_below(machine, digests):
                found.setdefault(digest, []).append(machine.name)
    return {digest: sorted(names) for digest, names in found.items()}


def _layers_below(machine: Machine, digests: Mapping[str, str]) -> set[str]:
    """Return the layers on which a machine's disks stand directly: one, as a rule."""
    api = machine._api  # noqa: SLF001 - the parents of disks, without a noun for each
    found = set()
    with machine._translated("look for the image"):  # noqa: SLF001
        for attachment in api.array(machine.com, "mediumAttachments"):
            at = attachment.medium
            while at is not None:
                owners = [str(uuid) for uuid in api.array(at, "machineIds")]
                layers = {digests[uuid] for uuid in owners if uuid in digests}
                if layers:
                    found |= layers
                    break
                at = at.parent
    return found


def names(places: Places, image: Image) -> dict[str, float]:
    """Return the names that lead to an image, with the times when it was asked for by them."""
    folder = records.folder_of(places, image.digest) / "names"
    found = {}
    with suppress(FileNotFoundError):
        for file in folder.iterdir():
            with suppress(FileNotFoundError):
                found[file.name] = file.stat().st_mtime
    if not found and not image.version:
        return {image.name: image.created}  # of the first vboxkit, which had one name each
    return found


def ask_for(places: Places, image: Image, name: str) -> None:
    """Let a name lead to an image, and note that it was asked for now."""
    folder = records.folder_of(places, image.digest) / "names"
    known = names(places, image)
    # Not with its parents: the image may just be removed.
    with suppress(FileNotFoundError):
        folder.mkdir(exist_ok=True)
        for one in {name, *known} if not image.version else {name}:
            if one == name or not (folder / one).exists():
                (folder / one).touch()


def drop_name(places: Places, image: Image, name: str) -> None:
    """Let a name not lead to an image any more."""
    (records.folder_of(places, image.digest) / "names" / name).unlink(missing_ok=True)


def named_images(places: Places) -> list[tuple[Image, float]]:
    """Return the images, one for each name, with the times when they were asked for by it."""
    return [
        (image.named(name), asked)
        for image in records.all_images(places)
        for name, asked in sorted(names(places, image).items())
    ]


def by_name(places: Places, name: str) -> list[Image]:
    """Return the images that a name leads to, the last one asked for first."""
    found = [(asked, image) for image, asked in named_images(places) if image.name == name]
    return [image for _, image in sorted(found, key=lambda it: it[0], reverse=True)]

"""Removing images: one that is not wanted any more, and all that nothing uses."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vboxkit.core.locks import lock_file
from vboxkit.core.steps import step
from vboxkit.errors import CleanupError, InvalidStateError, VBoxKitError, WaitTimeoutError
from vboxkit.lab import catalogue, images, records
from vboxkit.lab.places import disk_use

if TYPE_CHECKING:
    from vboxkit.lab.places import Places
    from vboxkit.lab.records import Image
    from vboxkit.machines.virtualbox import VirtualBox

__all__ = ["Unused", "prune", "remove", "unused"]


@dataclass(frozen=True)
class Unused:
    """
    An image, or a layer of one, that nothing uses.

    Attributes:
        image: It.
        reason: Why nobody needs it.
        disk_bytes: What it takes on the disk.
    """

    image: Image
    reason: str
    disk_bytes: int


def remove(vbox: VirtualBox, places: Places, image: Image) -> None:
    """
    Remove an image, with those of its layers that nothing else stands on.

    Of an image with several names only this one is taken away.

    Raises:
        InvalidStateError: Forks or other images stand on it; nothing was done.
        CleanupError: Part of it could not be removed.
    """
    known = catalogue.names(places, image)
    if image.name in known and len(known) > 1:
        catalogue.drop_name(places, image, image.name)
        return
    above = catalogue.users(vbox, places, image)
    forks = [*above.forks]
    named: dict[str, None] = {}
    all_forks = catalogue.forks_of(vbox, places)
    for layer in above.images:
        forks += all_forks.get(layer.digest, [])
        named.update(dict.fromkeys(catalogue.names(places, layer)))
    if forks or named:
        raise InvalidStateError(
            f"image {image.name!r} ({image.machine_name}) cannot be removed: on it stand"
            f" {' and '.join(_listed('image', named) + _listed('machine', dict.fromkeys(forks)))}",
            state="in use",
            operation="remove an image",
            hint="remove those first" + ("" if named else ": destroy them, or vboxkit gc --kept"),
        )
    # What is left of builds that failed: layers without a name.
    with step(f"remove image {image.name}"):
        for layer in _deepest_first(places, [*above.images, image]):
            _delete(vbox, places, layer)
        _sweep(vbox, places, image.parent)


def unused(
    vbox: VirtualBox, places: Places, *, days: float = 30, every: bool = False
) -> list[Unused]:
    """
    Return what nothing uses, in an order in which it can be removed.

    Args:
        vbox: The VirtualBox.
        places: The lab's folders.
        days: An image that nobody asked for in so many days is not used.
        every: Take all that no fork stands on.
    """
    entries = sorted(catalogue.named_images(places), key=lambda it: it[1])
    newest = {image.name: image.digest for image, _ in entries}
    for name in newest:
        with suppress(VBoxKitError):  # no built-in one, or its appliance cannot be read
            newest[name] = images.source_of(name).digest(vbox.version)
    oldest = time.time() - days * 86_400
    version = ".".join(map(str, vbox.version))

    def reason(image: Image, asked: float) -> str:
        if image.machine not in vbox.machines:
            return "its machine is gone"
        if image.version not in {"", version}:
            return f"of VirtualBox {image.version}"
        if image.digest != newest[image.name]:
            return "replaced by a newer one"
        if asked < oldest:
            return f"not asked for in {days:g} days"
        return "no fork stands on it" if every else ""

    reasons: dict[str, list[str]] = {}
    for image, asked in entries:
        reasons.setdefault(image.digest, []).append(reason(image, asked))
    known = {image.digest: image for image in records.all_images(places)}
    forks = catalogue.forks_of(vbox, places)
    needed: set[str] = set()
    for image in known.values():
        good = "" in reasons.get(image.digest, ["no image stands on it"])
        if good or image.digest in forks:
            at: Image | None = image
            while at is not None:  # and all below it
                needed.add(at.digest)
                at = known.get(at.parent)
    return [
        Unused(
            image,
            reasons.get(image.digest, ["no image stands on it"])[-1],
            disk_use(places.machines / image.machine_name),
        )
        for image in _deepest_first(places, list(known.values()))
        if image.digest not in needed
    ]


def prune(
    vbox: VirtualBox, places: Places, *, days: float = 30, every: bool = False
) -> list[Unused]:
    """Remove what nothing uses, see `unused`, and return it."""
    removed = []
    for found in unused(vbox, places, days=days, every=every):
        try:
            _delete(vbox, places, found.image)
        except (InvalidStateError, WaitTimeoutError):
            continue  # a fork was made of it meanwhile, or somebody builds it anew
        removed.append(found)
    return removed


def _listed(kind: str, names: dict[str, None]) -> list[str]:
    if not names:
        return []
    return [f"{kind}{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}"]


def _deepest_first(places: Places, layers: list[Image]) -> list[Image]:
    def depth(image: Image) -> int:
        below = records.read(places, image.parent) if image.parent else None
        return 0 if below is None else 1 + depth(below)

    return sorted(layers, key=depth, reverse=True)


def _delete(vbox: VirtualBox, places: Places, image: Image) -> None:
    """Remove one layer; VirtualBox refuses if anything stands on it."""
    with ExitStack() as stack:
        # The first against who builds it, the second against who forks it.
        for lock, who in (
            (
                places.image_lock(image.digest),
                f"image {image.name!r}, which another process builds",
            ),
            (places.clone_lock, "another process's fork"),
        ):
            stack.enter_context(lock_file(lock, what=who, timeout=vbox.settings.lock_timeout))
        machine = vbox.machines.find(image.machine)
        if machine is not None:
            machine.destroy()
        folder = records.folder_of(places, image.digest)
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise CleanupError(
                f"image {image.name!r} is not fully removed:", left=[f"{folder}: {error}"]
            ) from error


def _sweep(vbox: VirtualBox, places: Places, digest: str) -> None:
    """Remove layers that no name leads to and nothing stands on, from one downwards."""
    while digest:
        image = records.read(places, digest)
        if image is None or catalogue.names(places, image):
            return
        above = catalogue.users(vbox, places, image)
        if above.images or above.forks:
            return
        with suppress(InvalidStateError):  # a fork was made of it meanwhile
            _delete(vbox, places, image)
        digest = image.parent

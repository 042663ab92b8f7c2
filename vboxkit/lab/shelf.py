"""The images of a lab."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from vboxkit.errors import NotFoundError, SettingsError
from vboxkit.lab import catalogue, golden, images, layers, pruning, records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vboxkit.guest.credentials import Credentials
    from vboxkit.lab.images import ImageSource
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.places import Places
    from vboxkit.lab.provisioning import AnyStep
    from vboxkit.lab.pruning import Unused
    from vboxkit.lab.records import Image
    from vboxkit.machines.virtualbox import VirtualBox
    from vboxkit.settings import Settings

__all__ = ["Shelf"]


class Shelf:
    """The methods of `Lab` that are about images."""

    vbox: VirtualBox
    settings: Settings
    places: Places

    def image(
        self,
        source: str | ImageSource | Image | None = None,
        *,
        steps: Sequence[AnyStep] = (),
        name: str = "",
        credentials: Credentials | None = None,
        memory_mb: int | None = None,
        cpus: int | None = None,
    ) -> Image:
        """
        Return an image, building what of it is not there (some seconds, once per home).

        Each step is a layer, keyed by a digest of all that goes into it: what is there already is
        not built again, by no process. A step that fails leaves those before it for the next try.

        Args:
            source: ``tiny``, the path of an OVA, the name of an image that was built, an image or
                an `ImageSource`; `Settings.image` if left out.
            steps: What is done to the running guest: `Run`, `Put`, `Call`; a text stands for a
                `Run`, a function for a `Call`.
            name: The image's name, by which it is found later; without one it is the source's with
                a part of a digest.
            credentials: The way into an OVA of your own.
            memory_mb: The guest's memory; what it comes with if left out.
            cpus: Its CPUs, likewise.

        Raises:
            NotFoundError: There is no such image.
            SettingsError: The arguments do not go together.
            ProvisioningError: A step failed.
            WaitTimeoutError: The guest did not come up in `Settings.boot_timeout` seconds.

        Example:
            ``web = lab.image("tiny", steps=["mkdir /srv", Put("site", "/srv")], name="web")``
        """
        if source is None or isinstance(source, str):
            found = self._source(
                source or self.settings.image,
                credentials=credentials,
                own_hardware=memory_mb is not None or cpus is not None,
            )
        elif credentials is not None:
            raise SettingsError(
                "credentials belong to the path of an OVA",
                hint="ImageSource(..., credentials=...)",
            )
        else:
            found = source
        if name:
            _refuse_built_in(name)
        lab = cast("Lab", self)  # it is made of this
        return layers.ensure(
            lab,
            images.ImageSource(name, base=found, steps=steps, memory_mb=memory_mb, cpus=cpus),
        )

    def images(self, *, layers: bool = False) -> list[Image]:
        """
        Return the images that were built, oldest first: one for each name.

        Args:
            layers: Return the layers without a name as well, and each image once.
        """
        lab = cast("Lab", self)
        if layers:
            found = []
            for image in records.all_images(self.places):
                names = catalogue.names(self.places, image)
                best = max(names, key=lambda it: names[it]) if names else image.name
                found.append(image.named(best).of_lab(lab))
            return found
        return [image.of_lab(lab) for image, _ in catalogue.named_images(self.places)]

    def remove_image(self, image: Image) -> None:
        """
        Remove an image from the disk, with those of its layers that nothing else stands on.

        Of an image with several names only this one is taken away.

        Raises:
            InvalidStateError: Forks or other images stand on it; nothing was done.
        """
        pruning.remove(self.vbox, self.places, image)

    def prune_images(
        self, *, days: float = 30, every: bool = False, dry_run: bool = False
    ) -> list[Unused]:
        """
        Remove the images and layers that nothing uses.

        These are images of another VirtualBox, those that a newer one of the same name has
        replaced, those that nobody asked for in a month, those whose machine is gone, and layers
        on which no image stands. What forks stand on stays.

        Args:
            days: Days instead of a month.
            every: All that no fork stands on.
            dry_run: Remove nothing.

        Returns:
            What was (or would be) removed, with reason and size.
        """
        do = pruning.unused if dry_run else pruning.prune
        return do(self.vbox, self.places, days=days, every=every)

    def _source(
        self,
        name: str,
        *,
        credentials: Credentials | None = None,
        own_hardware: bool = False,
    ) -> ImageSource | Image:
        """Return what a name stands for: what it is built from, or what was built by that name."""
        try:
            source = images.source_of(name, credentials=credentials)
        except NotFoundError as error:
            return self._built(name, error)
        if credentials is None and not own_hardware and source.name != name:
            # Built before, with credentials that need not be given again: forks have a key.
            content = source.content_digest()
            for image in reversed(records.all_images(self.places)):
                if image.content == content and golden.valid(self.vbox, self.places, image.digest):
                    return image
        return source

    def _built(self, name: str, missing: NotFoundError) -> Image:
        version = ".".join(map(str, self.vbox.version))
        others = []
        for image in catalogue.by_name(self.places, name):
            if image.version not in {"", version}:
                others.append(image.version)
            elif golden.valid(self.vbox, self.places, image.digest):
                return image
        known = [image.name for image in self.images()]
        available = list(dict.fromkeys([*missing.available, *known]))
        if others:
            raise NotFoundError(
                f"image {name!r} was built for VirtualBox {others[0]}, and this is {version}",
                kind="image",
                wanted=name,
                available=available,
                hint="build it again, from what it was built from",
            ) from missing
        if available == list(missing.available):
            raise missing
        raise NotFoundError(
            f"{missing.message}; built were {', '.join(map(repr, known))}",
            kind="image",
            wanted=name,
            available=available,
            hint=missing.hint,
        ) from missing


def _refuse_built_in(name: str) -> None:
    try:
        images.source_of(name)
    except NotFoundError:
        return
    raise SettingsError(
        f"an image of your own cannot be named {name!r}: by that name another one is meant",
        hint="choose another name",
    )

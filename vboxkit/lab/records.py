"""What is known of an image that was built: one record each, beside its key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from vboxkit.errors import InvalidStateError
from vboxkit.guest.credentials import Credentials
from vboxkit.lab.places import Places, disk_use

if TYPE_CHECKING:
    from typing_extensions import Self

    from vboxkit.lab.images import ImageSource
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.provisioning import AnyStep
    from vboxkit.lab.vm import VM

__all__ = ["Image", "all_images", "folder_of", "read", "write"]


class Image(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """
    An image that was built: a machine at rest, with a snapshot of its running guest.

    Two are equal if they are the same image under the same name.

    Attributes:
        name: Its name.
        digest: What it was built from.
        content: The digest of its appliance's file; empty for other images.
        machine: The machine's UUID.
        machine_name: Its name.
        snapshot: The snapshot's UUID.
        user: Who logs in.
        key_file: With which key.
        host_key: The guest's host key, pinned.
        created: When, in seconds since the epoch.
        build_seconds: How long it took, without the layers below.
        parent: The digest of the layer below; empty for the first.
        step: What was done to the layer below, for people.
        version: VirtualBox's version; empty for images of the first vboxkit.
    """

    name: str
    digest: str
    content: str
    machine: str
    machine_name: str
    snapshot: str
    user: str
    key_file: str
    host_key: str
    created: float
    build_seconds: float
    parent: str = ""
    step: str = ""
    version: str = ""

    def fork(self, name: str | None = None, **options: Any) -> VM:
        """
        Fork it: a machine of its own, running, with SSH ready.

        Args:
            name: The machine's name; derived from the image's if left out.
            **options: As of `Lab.fork`.

        Raises:
            InvalidStateError: It does not know its lab; then use ``lab.fork(image)``.

        Example:
            ``with lab.image("tiny").fork() as vm: print(vm.ssh.succeed("uname -a"))``
        """
        vm: VM = self.lab.fork(self, name=name, **options)
        return vm

    def with_steps(self, *steps: AnyStep, name: str = "") -> ImageSource:
        """
        Return what this image is with more done to it, for `Lab.image`.

        Args:
            *steps: `Run`, `Put`, `Call`, a shell line, or a function.
            name: The new image's name; this one's with a part of a digest if left out.

        Example:
            ``web = lab.image(lab.image("tiny").with_steps("httpd -h /srv", name="web"))``
        """
        from vboxkit.lab.images import ImageSource  # it is made of records

        return ImageSource(name, base=self, steps=steps)

    @property
    def lab(self) -> Lab:
        """
        The lab that it came from.

        Raises:
            InvalidStateError: It came from none: it was unpickled or made by hand.
        """
        lab: Lab | None = self.__dict__.get("lab_")
        if lab is None:
            raise InvalidStateError(
                f"image {self.name!r} does not know its lab",
                operation="find the lab",
                hint="lab.fork(image), or lab.image(name) for one that does",
            )
        return lab

    def of_lab(self, lab: Lab) -> Self:
        """Return it as one of a lab."""
        mine = msgspec.structs.replace(self)
        vars(mine)["lab_"] = lab
        return mine

    def named(self, name: str) -> Self:
        """Return it under another of its names."""
        mine = msgspec.structs.replace(self, name=name)
        vars(mine).update(vars(self))
        return mine

    @property
    def layers(self) -> list[Image]:
        """The layers that it is made of, the first one first, itself last."""
        lab = self.lab
        found: list[Image] = [self]
        while found[0].parent:
            below = read(lab.places, found[0].parent)
            if below is None:
                break
            found.insert(0, below.of_lab(lab))
        return found

    @property
    def disk_use(self) -> int:
        """How many bytes its own layer takes on the disk: its differences, and its memory."""
        return disk_use(self.lab.places.machines / self.machine_name)

    @property
    def forks(self) -> list[str]:
        """The names of the machines that stand on it, but not on a layer above it."""
        from vboxkit.lab import catalogue  # it reads records

        return catalogue.users(self.lab.vbox, self.lab.places, self).forks

    @property
    def credentials(self) -> Credentials:
        """The way into every fork of this image."""
        return Credentials(
            user=self.user,
            key_file=Path(self.key_file),
            host_key=self.host_key,
        )


def folder_of(places: Places, digest: str) -> Path:
    """Return the folder with an image's key and record."""
    return places.images / digest[:16]


def read(places: Places, digest: str) -> Image | None:
    """Return the record of a built image, or `None`."""
    try:
        raw = (folder_of(places, digest) / "image.json").read_bytes()
        return msgspec.json.decode(raw, type=Image)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write(places: Places, image: Image) -> None:
    """Write the record: with it, the image counts as built."""
    file = folder_of(places, image.digest) / "image.json"
    draft = file.with_suffix(".tmp")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(image), indent=2))
    draft.replace(file)


def all_images(places: Places) -> list[Image]:
    """Return the records of all built images, oldest first."""
    found = [read(places, file.parent.name) for file in places.images.glob("*/image.json")]
    return sorted((image for image in found if image is not None), key=lambda it: it.created)

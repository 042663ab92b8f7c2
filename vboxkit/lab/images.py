"""What images are made from, and what is known of one that was built."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from vboxkit.core.resources import resource
from vboxkit.errors import NotFoundError, StorageError
from vboxkit.guest.credentials import Address, Credentials

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vboxkit.lab.places import Places

__all__ = ["Image", "ImageSource", "source_of"]

#: Raise it when the way an image is built changes: all images are then built anew.
_RECIPE = 1

#: Let the user's own key in and nobody else, and make a new host key. Sent to the guest with the
#: public key on standard input.
_TINY_REKEY = """
set -e
umask 077
cat > /root/.ssh/authorized_keys.new
mv /root/.ssh/authorized_keys.new /root/.ssh/authorized_keys
rm -f /etc/dropbear/new
dropbearkey -t ed25519 -f /etc/dropbear/new >/dev/null 2>&1
mv /etc/dropbear/new /etc/dropbear/dropbear_ed25519_host_key
sync
"""
#: The SSH server reads its host key when it starts; init starts it again at once.
_TINY_RESTART = "kill $(cat /run/dropbear.pid)"

#: For any other guest: let the user's own key in as well. A last line may lack its end.
_ADD_KEY = """
set -e
umask 077
mkdir -p ~/.ssh
[ -z "$(tail -c 1 ~/.ssh/authorized_keys 2>/dev/null)" ] || echo >> ~/.ssh/authorized_keys
cat >> ~/.ssh/authorized_keys
"""


@dataclass(frozen=True)
class ImageSource:
    """
    What an image is built from.

    Attributes:
        name: The image's name.
        appliance: An OVA or OVF file.
        credentials: The way in that the appliance comes with.
        ready_text: A text on the serial port after which the SSH server answers; without one the
            SSH server is asked.
        settled_text: A text on the serial port after which all of its services are up: the moment
            for the snapshot. Without one it is taken as soon as SSH is ready.
        rekey: Shell lines that bring the public key on their standard input into the guest; forks
            are entered with that key, and not with the credentials.
        restart_sshd: A command after which the SSH server uses a new host key.
        new_host_key: Whether `rekey` makes a new host key; it is checked that it did.
    """

    name: str
    appliance: Path
    credentials: Credentials
    ready_text: str = ""
    settled_text: str = ""
    rekey: str = _ADD_KEY
    restart_sshd: str = ""
    new_host_key: bool = False

    def content_digest(self) -> str:
        """Return a digest of the appliance's file."""
        sha = hashlib.sha256()
        try:
            with self.appliance.open("rb") as file:
                while block := file.read(1 << 20):
                    sha.update(block)
        except OSError as error:
            raise StorageError(
                f"image {self.name!r}: cannot read {self.appliance}: {error.strerror}",
                operation="read the appliance",
            ) from error
        return sha.hexdigest()

    def digest(self, version: Sequence[int]) -> str:
        """Return a digest of all that goes into the image, with VirtualBox's version."""
        key = self.credentials.key_file
        try:
            key_digest = hashlib.sha256(key.read_bytes()).hexdigest() if key else ""
        except OSError as error:
            raise StorageError(
                f"image {self.name!r}: cannot read the key {key}: {error.strerror}",
                operation="read the key",
            ) from error
        parts = [
            str(_RECIPE),
            self.name,
            self.content_digest(),
            ".".join(map(str, version)),
            self.credentials.user,
            key_digest,
            self.ready_text,
            self.settled_text,
            self.rekey,
            self.restart_sshd,
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def source_of(name: str, *, credentials: Credentials | None = None) -> ImageSource:
    """
    Return what an image is built from.

    Args:
        name: ``tiny``, the built-in guest, or the path of an OVA or OVF file.
        credentials: The way into an appliance of your own.

    Raises:
        NotFoundError: It is neither.
    """
    if name == "tiny":
        return ImageSource(
            name="tiny",
            appliance=resource("tiny/tiny.ova"),
            credentials=Credentials(
                user="root",
                key_file=resource("tiny/insecure_key"),
                host_key=resource("tiny/insecure_host_key.pub").read_text().strip(),
            ),
            ready_text="VBK-READY",
            settled_text="VBK-SETTLED",
            rekey=_TINY_REKEY,
            restart_sshd=_TINY_RESTART,
            new_host_key=True,
        )
    path = Path(name).expanduser()
    if path.suffix.lower() in {".ova", ".ovf"}:
        return ImageSource(
            name=path.stem,
            appliance=path.absolute(),
            credentials=credentials or Credentials(user="root"),
        )
    raise NotFoundError(
        f"there is no image {name!r}",
        kind="image",
        wanted=name,
        available=["tiny"],
        hint="'tiny', or the path of an .ova file",
    )


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """
    An image that was built: a machine at rest, with a snapshot of its running guest.

    Attributes:
        name: Its name.
        digest: What it was built from, as `ImageSource.digest`.
        content: The digest of its appliance's file.
        machine: The machine's UUID.
        machine_name: Its name.
        snapshot: The snapshot's UUID.
        user: Who logs in.
        key_file: With which key.
        host_key: The guest's host key, pinned.
        created: When, in seconds since the epoch.
        build_seconds: How long it took.
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


def address(port: int) -> Address:
    """Return where the SSH server of a fork is reached."""
    return Address("127.0.0.1", port)

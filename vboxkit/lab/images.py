"""What images are made from; what is known of one that was built is in `records`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from vboxkit.core.resources import resource
from vboxkit.errors import NotFoundError, SettingsError, StorageError
from vboxkit.guest.credentials import Address, Credentials, KeyKind
from vboxkit.lab.provisioning import AnyStep, Step, as_steps
from vboxkit.lab.records import Image, all_images, folder_of, read, write

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from vboxkit.host.debian import DebianAppliance

__all__ = [
    "Image",
    "ImageSource",
    "address",
    "all_images",
    "folder_of",
    "read",
    "source_of",
    "write",
]

#: Raise it when the way an image is built changes: all images are then built anew.
_RECIPE = 1

#: Machines are named after images, with endings, in at most 240 bytes.
_LONGEST_NAME = 160

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

#: The same for OpenSSH; the kind of key whose use costs an emulated CPU least.
_OPENSSH_REKEY = """
set -e
umask 077
cat > /root/.ssh/authorized_keys.new
mv /root/.ssh/authorized_keys.new /root/.ssh/authorized_keys
rm -f /etc/ssh/new /etc/ssh/new.pub
ssh-keygen -q -t ecdsa -b 256 -N '' -f /etc/ssh/new
mv /etc/ssh/new.pub /etc/ssh/ssh_host_ecdsa_key.pub
mv /etc/ssh/new /etc/ssh/ssh_host_ecdsa_key
sync
"""

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
    What an image is built from: an appliance, a machine or another image, and what is done to it.

    Of `appliance`, `machine` and `base` exactly one is given.

    Attributes:
        name: The image's name; left out, it is the file's or the machine's, and of steps without a
            name the base's with the beginning of a digest.
        appliance: An OVA or OVF file.
        credentials: The way in that the appliance or machine comes with.
        ready_text: A text on the serial port after which the SSH server answers; without one the
            SSH server is asked.
        settled_text: A text on the serial port after which all of its services are up: the moment
            for the snapshot. Without one it is taken as soon as SSH is ready.
        rekey: Shell lines that bring the public key on their standard input into the guest; forks
            are entered with that key, and not with the credentials.
        restart_sshd: A command after which the SSH server uses a new host key.
        new_host_key: Whether `rekey` makes a new host key; it is checked that it did.
        machine: A machine of the lab's home (name or UUID), which is copied whole: the image does
            not need it afterwards.
        snapshot: A snapshot of that machine (name, path or UUID), instead of its present state.
            An online one (or a saved machine) goes on where its guest stood; others boot.
        base: Another image, or its source, or its name.
        steps: What is done to the running guest, one after the other: `Run`, `Put`, `Call`; a text
            stands for a `Run`, a function for a `Call`. Each is a layer of its own: an added step
            starts from the layer below.
        memory_mb: The guest's memory; what it comes with if left out.
        cpus: Its CPUs, likewise.
        adapters: So many network adapters at least: those that it did not have lead nowhere until
            they join a private network (see `Lab.network`).
        content: The SHA-256 of the appliance, where it is known: it need not be read then.
        key_kind: Of the key that forks are entered with.
        boot_timeout: Seconds for the first boot, if that is more than `Settings.boot_timeout`.
        make: Makes the appliance when the image is built, and returns the source with it; its
            argument is what the images that there are were made from. Such an image is known by
            `content`, the recipe's digest, and needs neither appliance nor key once it is built.

    Raises:
        SettingsError: These do not go together.

    Example:
        ``ImageSource("web", base="tiny", steps=[Put("site", "/srv"), Run("httpd -h /srv")])``
    """

    name: str = ""
    appliance: Path | None = None
    credentials: Credentials = field(default_factory=Credentials)
    ready_text: str = ""
    settled_text: str = ""
    rekey: str = _ADD_KEY
    restart_sshd: str = ""
    new_host_key: bool = False
    machine: str = field(default="", kw_only=True)
    snapshot: str = field(default="", kw_only=True)
    base: ImageSource | Image | str | None = field(default=None, kw_only=True)
    steps: Sequence[AnyStep] = field(default=(), kw_only=True)
    memory_mb: int | None = field(default=None, kw_only=True)
    cpus: int | None = field(default=None, kw_only=True)
    adapters: int | None = field(default=None, kw_only=True)
    content: str = field(default="", kw_only=True)
    key_kind: KeyKind = field(default="ed25519", kw_only=True)
    boot_timeout: float = field(default=0.0, kw_only=True)
    make: Callable[[Collection[str]], ImageSource] | None = field(
        default=None, kw_only=True, repr=False
    )

    def __post_init__(self) -> None:
        given = [
            key for key in ("appliance", "machine", "base") if getattr(self, key) not in (None, "")
        ]
        if len(given) != 1:
            raise SettingsError(
                f"image {self.name!r} is built from {' and '.join(given) or 'nothing'}",
                hint="give one of appliance=, machine= and base=",
            )
        if self.snapshot and not self.machine:
            raise SettingsError(
                f"image {self.name!r}: a snapshot of what?", hint="give machine=, too"
            )
        if self.appliance is not None:
            object.__setattr__(self, "appliance", Path(self.appliance).expanduser().absolute())
        if not self.name and self.base is None:
            stem = self.appliance.stem if self.appliance is not None else self.machine
            object.__setattr__(self, "name", stem)
        _check_name(self.name)
        object.__setattr__(self, "steps", as_steps(self.steps))

    def with_steps(self, *steps: AnyStep, name: str = "") -> ImageSource:
        """
        Return what this image is with more done to it.

        Args:
            *steps: As of `steps`.
            name: The new image's name; this one's with a part of a digest if left out.

        Example:
            ``web = source.with_steps("apk add nginx", Put("app.py", "/srv/app.py"), name="web")``
        """
        return ImageSource(name, base=self, steps=steps)

    @property
    def own_steps(self) -> tuple[Step, ...]:
        """Its steps, without those of its base."""
        return cast("tuple[Step, ...]", self.steps)

    def content_digest(self) -> str:
        """Return a digest of the appliance's file."""
        if self.content:
            return self.content
        assert self.appliance is not None  # noqa: S101 - by the caller
        try:
            found = self.appliance.stat()
            return _file_digest(self.appliance, found.st_ino, found.st_size, found.st_mtime_ns)
        except OSError as error:
            raise StorageError(
                f"image {self.name!r}: cannot read {self.appliance}: {error.strerror}",
                operation="read the appliance",
                hint="give the path of an .ova that is there, or the name of a built-in image:"
                " tiny, debian",
            ) from error

    def digest(self, version: Sequence[int], *, content: str | None = None) -> str:
        """
        Return a digest of all that goes into the first layer, with VirtualBox's version.

        Args:
            version: VirtualBox's version.
            content: A digest of the appliance or machine; the appliance is read if left out.
        """
        # What a recipe makes has a new key each time.
        key = self.credentials.key_file if self.make is None else None
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
            self.content_digest() if content is None else content,
            ".".join(map(str, version)),
            self.credentials.user,
            key_digest,
            self.ready_text,
            self.settled_text,
            self.rekey,
            self.restart_sshd,
            # Only where they are given: images from before there were settings stay good.
            *(f"{key}={value}" for key, value in self.hardware.items()),
            *([] if self.key_kind == "ed25519" else [self.key_kind]),
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    @property
    def hardware(self) -> dict[str, int]:
        """The settings of the machine that are given."""
        given = {"memory_mb": self.memory_mb, "cpus": self.cpus, "adapters": self.adapters}
        return {key: value for key, value in given.items() if value is not None}


@lru_cache(maxsize=16)
def _file_digest(path: Path, *_: int) -> str:
    """Return a digest of a file, of which the rest tells that it is still the same."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def _check_name(name: str) -> None:
    bad = sorted({c for c in name if c in '/\\:*?"<>|' or not c.isprintable()})
    if bad or (name and not name.strip(" .")) or len(name.encode()) > _LONGEST_NAME:
        raise SettingsError(
            f"an image cannot be named {name!r}",
            hint=f"leave out {bad}" if bad else f"1 to {_LONGEST_NAME} bytes, not only dots",
        )


def source_of(name: str, *, credentials: Credentials | None = None) -> ImageSource:
    """
    Return what an image is built from.

    Args:
        name: ``tiny``, the built-in guest; ``debian``, which a recipe makes; or the path of an OVA
            or OVF file.
        credentials: The way into an appliance of your own.

    Raises:
        NotFoundError: It is none of these.
    """
    if name == "debian":
        return _debian()
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
        available=["tiny", "debian"],
        hint="'tiny', 'debian', or the path of an .ova file",
    )


def _debian(found: DebianAppliance | None = None) -> ImageSource:
    from vboxkit.host import debian  # few need it

    found = found or debian.expected()
    return ImageSource(
        name="debian",
        appliance=found.ova,
        credentials=Credentials(user="root", key_file=found.key_file, host_key=found.host_key),
        ready_text="VBK-READY",
        settled_text="VBK-SETTLED",
        rekey=_OPENSSH_REKEY,
        restart_sshd="kill -HUP $(cat /run/sshd.pid)",
        new_host_key=True,
        content=debian.recipe_digest(),
        make=_make_debian,
        key_kind="rsa",
        boot_timeout=900.0,  # emulated, beside other work
    )


def _make_debian(used: Collection[str]) -> ImageSource:
    from vboxkit.host import debian

    return _debian(debian.appliance(keep=used))


def address(port: int) -> Address:
    """Return where the SSH server of a fork is reached."""
    return Address("127.0.0.1", port)

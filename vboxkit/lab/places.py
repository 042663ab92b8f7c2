"""Where the lab keeps things, below its VirtualBox home."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from vboxkit.settings import in_user_home

__all__ = ["TAG_HOST_KEY", "TAG_IMAGE", "TAG_LEASE", "Places", "disk_use"]

#: Extra data of a machine: the lease under which it was made, and the image it comes from.
TAG_LEASE = "vboxkit/lease"
TAG_IMAGE = "vboxkit/image"
#: The guest's own SSH host key, where it is not the image's any more.
TAG_HOST_KEY = "vboxkit/host-key"


@dataclass(frozen=True)
class Places:
    """The folders of a lab."""

    home: Path

    @property
    def machines(self) -> Path:
        """The machines' folders."""
        return self.home / "machines"

    @property
    def machine_folder(self) -> Path | None:
        """`machines`; `None` where that is where VirtualBox makes machines anyway."""
        return self.machines if in_user_home(self.home) else None

    @property
    def leases(self) -> Path:
        """Who made which machine."""
        return self.home / "leases"

    @property
    def pool(self) -> Path:
        """A file for each machine that waits in a pool."""
        return self.home / "pool"

    @property
    def images(self) -> Path:
        """A folder each with an image's key and record."""
        return self.home / "images"

    @property
    def locks(self) -> Path:
        """The files by which processes take turns."""
        return self.home / "locks"

    @property
    def clone_lock(self) -> Path:
        """Held by whoever clones: VBoxSVC refuses to clone one snapshot twice at once."""
        return self.locks / "clone.lock"

    def image_lock(self, digest: str) -> Path:
        """Held by whoever builds or removes an image; the first 8 digits of its digest suffice."""
        return self.locks / f"image-{digest[:8]}.lock"


def disk_use(folder: Path) -> int:
    """Return how many bytes a folder takes on the disk; what goes away meanwhile counts nothing."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            try:
                found = os.lstat(os.path.join(place, name))  # noqa: PTH118 - of many files
            except OSError:
                continue
            # Sparse files take less than they are long; Windows does not tell.
            total += getattr(found, "st_blocks", -(-found.st_size // 512)) * 512
    return total

"""Where the lab keeps things, below its VirtualBox home."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["TAG_IMAGE", "TAG_LEASE", "Places"]

#: Extra data of a machine: the lease under which it was made, and the image it comes from.
TAG_LEASE = "vboxkit/lease"
TAG_IMAGE = "vboxkit/image"


@dataclass(frozen=True)
class Places:
    """The folders of a lab."""

    home: Path

    @property
    def machines(self) -> Path:
        """The machines' folders."""
        return self.home / "machines"

    @property
    def leases(self) -> Path:
        """Who made which machine."""
        return self.home / "leases"

    @property
    def images(self) -> Path:
        """A folder each with an image's key and record."""
        return self.home / "images"

    @property
    def locks(self) -> Path:
        """The files by which processes take turns."""
        return self.home / "locks"

"""All media that VirtualBox knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.machines import media_tree
from vboxkit.machines.medium import Medium
from vboxkit.machines.medium_formats import (
    DeviceKind,
    MediumFormat,
    device_kind,
    device_of,
    formats,
    pick_format,
    variant_values,
)
from vboxkit.machines.medium_work import (
    checked,
    drive,
    fresh_medium,
    full_path,
    not_registered,
    require_room,
    require_size,
)
from vboxkit.machines.opening import open_medium, raw_media, registered, require_new

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.media_tree import MediaTree
    from vboxkit.machines.progress import ProgressHook
    from vboxkit.machines.virtualbox import VirtualBox

__all__ = ["Media"]

#: 1.44 MB, the size of a floppy.
_FLOPPY_BYTES = 2880 * 512


class Media:
    """
    The media that VirtualBox knows: ``vbox.media["/vm/disk.vdi"]``, ``in``, iteration, ``len``.

    A medium is known from the moment that it was made, opened or attached, until it is closed.
    """

    def __init__(self, vbox: VirtualBox) -> None:
        self._vbox = vbox
        self._api = vbox._api

    def __repr__(self) -> str:
        return f"<Media of {self._vbox!r}>"

    def _medium(self, com: Any) -> Medium:
        return Medium(self._api, com, self._vbox.settings)

    def _list(self, attribute: str) -> list[Medium]:
        found: list[Medium] = []
        with self._vbox._translated("list the media"):
            for com in raw_media(self._api, attribute):
                try:
                    found.append(self._medium(com))
                except Exception as error:
                    # It was closed meanwhile.
                    if self._api.foreign(error) is None:
                        raise
        return found

    # Finding

    @property
    def disks(self) -> list[Medium]:
        """All hard disks, differencing ones after their parents."""
        return self._list("hardDisks")

    @property
    def dvds(self) -> list[Medium]:
        """All DVD images."""
        return self._list("DVDImages")

    @property
    def floppies(self) -> list[Medium]:
        """All floppy images."""
        return self._list("floppyImages")

    @property
    def host_drives(self) -> list[Medium]:
        """The DVD and floppy drives of this host."""
        with self._vbox._translated("list the drives of the host"):
            host = self._api.virtualbox.host
            drives = [*self._api.array(host, "DVDDrives"), *self._api.array(host, "floppyDrives")]
            return [self._medium(com) for com in drives]

    def __iter__(self) -> Iterator[Medium]:
        return iter([*self.disks, *self.dvds, *self.floppies])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def find(self, what: Path | str) -> Medium | None:
        """Return the medium with this UUID, or at this path, or `None`; opens nothing."""
        with self._vbox._translated(f"find the medium {what}"):
            com = registered(self._api, what)
            return None if com is None else self._medium(com)

    def __getitem__(self, what: Path | str) -> Medium:
        found = self.find(what)
        if found is None:
            raise not_registered(str(what), sorted(str(medium.location) for medium in self))
        return found

    def __contains__(self, what: object) -> bool:
        if isinstance(what, Medium):
            return any(medium == what for medium in self)
        return isinstance(what, (str, Path)) and self.find(what) is not None

    @property
    def formats(self) -> dict[str, MediumFormat]:
        """The formats that this VirtualBox knows, by name, with what it can do with each."""
        with self._vbox._translated("list the formats"):
            return {entry.name: entry for entry in formats(self._api)}

    def tree(self) -> MediaTree:
        """
        Return the disks as trees of differencing images, with who uses what.

        Example:
            ``print(vbox.media.tree())``
        """
        with self._vbox._translated("draw the tree of media"):
            return media_tree.grow([medium for medium in self.disks if medium.parent is None])

    def orphans(self) -> list[Medium]:
        """Return the media that no machine uses, and no medium that a machine uses stands on."""
        with self._vbox._translated("look for media that nobody uses"):
            unused = [
                node.medium
                for node in self.tree().walk()
                if not any(below.users for below in node.walk())
            ]
            return unused + [m for m in [*self.dvds, *self.floppies] if not m.users()]

    def inaccessible(self) -> dict[Medium, str]:
        """Look at the files of all media; return those that cannot be read, with the reason."""
        found = {}
        for medium in self:
            with self._vbox._translated(f"look at {medium._location}"):
                if medium.refresh() == "Inaccessible":
                    found[medium] = medium.access_error
        return found

    # Making

    def create(
        self,
        path: Path | str,
        *,
        size_mb: int,
        format: str | None = None,  # noqa: A002 - what it is
        variant: str | Sequence[str] | None = None,
        description: str = "",
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
    ) -> Medium:
        """
        Make the image of an empty hard disk.

        Args:
            path: The file. Folders that are missing are made, and the suffix if there is none.
            size_mb: The size of the disk in MiB.
            format: ``VDI``, ``VMDK``, ``VHD``, ``QCOW``, ``QED``, ``Parallels`` (or ``HDD``),
                ``RAW``; by the path's suffix, or VirtualBox's default, if left out. `formats` has
                what each can do.
            variant: ``Standard`` (grows as it is filled; left out, this one if the format
                has it), ``Fixed`` (all of it now),
                ``VmdkSplit2G``, ``VmdkStreamOptimized``, ``VmdkESX``, ``VdiZeroExpand``; the
                format's own prefix can be left out. Several of them if they go together.
            description: A free text.
            timeout: Seconds; `Settings.progress_timeout` if left out.
            on_update: Called meanwhile; see `vboxkit.progress_hook`.

        Raises:
            AlreadyExistsError: Something is at that path.
            StorageError: It cannot be written there, or there is no room for a fixed one.
            ApiError: The size, format or variant is none; the hint has those there are.
            ProgressCanceledError: It was canceled; nothing is left.

        Example:
            ``vbox.media.create("/vm/data.vmdk", size_mb=20_000, variant=["Split2G", "Fixed"])``
        """
        api = self._api
        with self._vbox._translated(f"create the medium {path}"):
            entry, target = pick_format(api, full_path(path), format)
            values = variant_values(api, entry, variant)
            size = require_size(
                api, size_mb, largest=entry.largest_bytes, what=f"a disk of format {entry.name}"
            )
            return self._make(
                entry, target, "HardDisk", size, values, description, timeout, on_update
            )

    def create_floppy(
        self, path: Path | str, *, formatted: bool = True, timeout: Timeout | None = None
    ) -> Medium:
        """
        Make the image of a floppy of 1.44 MB.

        Args:
            path: The file, ending in ``.img``.
            formatted: Whether it holds an empty FAT file system.
            timeout: Seconds; `Settings.progress_timeout` if left out.

        Raises:
            AlreadyExistsError: Something is at that path.
            StorageError: It cannot be written there.
        """
        api = self._api
        with self._vbox._translated(f"create the floppy {path}"):
            entry, target = pick_format(api, full_path(path), None, device="Floppy")
            names = ["Fixed", *(["Formatted"] if formatted else [])]
            values = [api.value("MediumVariant", name) for name in names]
            return self._make(entry, target, "Floppy", _FLOPPY_BYTES, values, "", timeout, None)

    def _make(  # noqa: PLR0917 - what create() has sorted out
        self,
        entry: MediumFormat,
        target: Path,
        device: DeviceKind,
        size: int,
        variant: list[int],
        description: str,
        timeout: Timeout | None,
        on_update: ProgressHook | None,
    ) -> Medium:
        api = self._api
        settings = self._vbox.settings
        require_new(api, target)
        if api.value("MediumVariant", "Fixed") in variant:
            require_room(target, size)
        with fresh_medium(api, entry.name, target, device) as com:
            drive(
                api,
                com.createBaseStorage(size, variant),
                what=f"create an image of {size >> 20} MiB",
                subject=f"medium {str(target)!r}",
                timeout=timeout if timeout is not None else settings.progress_timeout,
                on_update=on_update,
            )
            if description:
                com.description = description
            return self._medium(checked(api, com, target))

    def open(
        self,
        path: Path | str,
        *,
        kind: str | None = None,
        read_only: bool | None = None,
        new_uuid: bool = False,
    ) -> Medium:
        """
        Make an image known to VirtualBox, or return the one that it knows at that path.

        Args:
            path: The file.
            kind: What it is for: ``HardDisk``, ``DVD`` or ``Floppy``; by its suffix if left out.
            read_only: Whether it is only read; if left out, that of DVDs is.
            new_uuid: Write a new UUID into it: for the copy of an image that is known.

        Raises:
            StorageError: There is no such file, or it cannot be read, or it is no image.
            InvalidStateError: It has the UUID of another image that is known.
        """
        api = self._api
        target = full_path(path)
        device = device_kind(kind) if kind is not None else device_of(api, target)
        with self._vbox._translated(f"open the medium {target}"):
            com = open_medium(api, target, kind=device, read_only=read_only, new_uuid=new_uuid)
            return self._medium(com)

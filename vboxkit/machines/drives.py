"""The first disk and DVD drive of a new machine."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.errors import StorageError
from vboxkit.machines.medium_formats import pick_format, variant_values
from vboxkit.machines.medium_work import full_path, require_size
from vboxkit.machines.parts import invalid

if TYPE_CHECKING:
    from contextlib import ExitStack

    from vboxkit.machines.base import ComObject
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.medium import Medium
    from vboxkit.machines.virtualbox import VirtualBox

__all__ = ["NewDisk", "attach", "open_iso", "plan_disk", "require_fit"]


@dataclass(frozen=True)
class NewDisk:
    """
    A disk that is to be made.

    Attributes:
        file_name: In its machine's folder.
        size_mb: Its size in MiB.
        format: The format's name.
        variant: How it is laid out; `None` for the format's first.
        asked: Whether the caller asked for this size.
    """

    file_name: str
    size_mb: int
    format: str
    variant: str | None
    asked: bool


def plan_disk(
    obj: ComObject,
    name: str,
    size_mb: int,
    *,
    format_name: str | None,
    variant: str | None,
    asked: bool,
) -> NewDisk:
    """
    Return the disk of a machine of some name, if there can be such a disk.

    Raises:
        ApiError: There is no such format or variant, or no such size.
    """
    api = obj._api
    # Not by the machine's name, which may end like the suffix of another format.
    wanted = format_name or str(api.virtualbox.systemProperties.defaultHardDiskFormat)
    entry, file = pick_format(api, Path("disk"), wanted)
    variant_values(api, entry, variant)
    require_size(api, size_mb, largest=entry.largest_bytes, what=f"{obj._subject()}: its disk")
    return NewDisk(f"{name}{file.suffix}", size_mb, entry.name, variant, asked)


def require_fit(obj: ComObject, folder: Path, disk: NewDisk) -> None:
    """
    Refuse a disk that can never be filled.

    One that grows may be larger than what is free now, for what is free changes; but not larger
    than the whole file system, unless VirtualBox's recommendation is. (Of one that does not grow,
    `Media.create` asks for all of its size now.)

    Raises:
        StorageError: It does not fit.
    """
    total = shutil.disk_usage(folder).total >> 20
    if disk.asked and disk.size_mb > total:
        raise StorageError(
            f"{obj._subject()}: a disk of {disk.size_mb} MiB does not fit: the file system of"
            f" {folder} has {total} MiB",
            symbol="VBOX_E_FILE_ERROR",
            text="no space",
            operation="create it",
            hint=f"1 to {total} MiB, or another folder",
        )


def open_iso(vbox: VirtualBox, undo: ExitStack, path: Path | str) -> Medium:
    """Open a DVD image; `undo` lets VirtualBox forget it again, if it did not know it before."""
    target = full_path(path)
    known = target in vbox.media
    medium = vbox.media.open(target, kind="DVD")
    if not known:
        undo.callback(medium.close)
    return medium


def attach(machine: Machine, device: str, medium: Medium | None, *, controller: str) -> None:
    """
    Attach a disk or drive where a controller has a free place.

    Args:
        machine: The machine; not within `Machine.edit`: VirtualBox 7.2 holds a medium that was
            attached, and whose attachment was then discarded, for used until VBoxSVC ends.
        device: ``HardDisk`` or ``DVD``.
        medium: The disk, or what is in the drive.
        controller: The kind of controller that is best.
    """
    fitting = [each for each in machine.storage if device in each.takes]
    fitting.sort(key=lambda each: (not each.free_slots(), each.kind != controller))
    if not fitting:
        raise invalid(
            machine,
            f"it has no controller for a {device}",
            hint="choose another os_type",
            operation="create it",
        )
    if not fitting[0].free_slots():
        fitting[0].ports += 1
    fitting[0].attach(medium, kind=device)

"""What the verbs of media share: checks before, waiting, and undoing."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.com.api import ForeignError
from vboxkit.com.translation import error_class
from vboxkit.errors import (
    AlreadyExistsError,
    ApiError,
    NotFoundError,
    ProgressCanceledError,
    ProgressFailedError,
    StorageError,
    VBoxKitError,
)
from vboxkit.machines.progress import Progress, unhooked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.com.api import Api
    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.progress import ProgressHook

__all__ = [
    "MediumUser",
    "checked",
    "drive",
    "fresh_medium",
    "full_path",
    "require_room",
    "require_size",
    "require_writable",
    "users_of",
]

#: A disk is made of these.
SECTOR = 512
_UNDO_SECONDS = 60


@dataclass(frozen=True)
class MediumUser:
    """
    A machine that uses a medium.

    Attributes:
        machine: Its name; its UUID while its settings cannot be read.
        machine_id: Its UUID.
        current: Whether it uses it now, and not only in snapshots.
        snapshots: The names of its snapshots that use it.
    """

    machine: str
    machine_id: str
    current: bool
    snapshots: tuple[str, ...]

    def __str__(self) -> str:
        text = f"machine {self.machine!r}"
        if not self.snapshots:
            return text
        names = ", ".join(map(repr, self.snapshots))
        return f"{text} (and its snapshots {names})" if self.current else f"{text} (in {names})"


def users_of(api: Api, com: Any) -> list[MediumUser]:
    """Return who uses a raw medium itself; who stands on it uses one of its children."""
    found = []
    for uuid in map(str, api.array(com, "machineIds")):
        name, machine = uuid, None
        try:
            machine = api.virtualbox.findMachine(uuid)
            name = str(machine.name)
        except Exception as error:
            # It was destroyed meanwhile, or its settings cannot be read.
            if api.foreign(error) is None:
                raise
        # The machine's own UUID stands for its current state.
        ids = [str(one) for one in com.getSnapshotIds(uuid)]
        snapshots = []
        for one in ids:
            if one == uuid or machine is None:
                continue
            snapshots.append(str(machine.findSnapshot(one).name))
        found.append(MediumUser(name, uuid, uuid in ids, tuple(snapshots)))
    return sorted(found, key=lambda user: user.machine)


def drive(
    api: Api,
    com: Any,
    *,
    what: str,
    subject: str,
    timeout: Timeout,
    on_update: ProgressHook | None = None,
    hint: str | None = None,
) -> None:
    """
    Wait for a raw progress, and raise its failure as what it is.

    Args:
        api: The way in.
        com: The raw progress; VirtualBox gives none for what it has done at once.
        what: Completes the sentence "cannot ...".
        subject: The medium, for messages.
        timeout: How long to wait.
        on_update: Called meanwhile.
        hint: What to try if VirtualBox refuses.
    """
    if com is None:
        return
    try:
        Progress(api, com, what=what, subject=subject).wait(timeout=timeout, on_update=on_update)
    except ProgressCanceledError:
        raise
    except ProgressFailedError as error:
        cls = error_class(ForeignError(error.code, error.symbol, error.text))
        error.hint = error.hint or hint or _HINTS.get(error.symbol)
        if cls is ApiError:
            raise
        raise cls(
            error.message,
            code=error.code,
            symbol=error.symbol,
            text=error.text,
            operation=error.operation,
            hint=error.hint,
        ) from error


_HINTS = {
    "VBOX_E_INVALID_OBJECT_STATE": "power off the machines that use it; medium.users() has them",
    "VBOX_E_NOT_SUPPORTED": "clone() it into a format that can; vbox.media.formats has them",
}


def full_path(path: Path | str) -> Path:
    """
    Return a path as VirtualBox needs it: absolute, without ``~`` and ``..``.

    Raises:
        StorageError: It holds a null character, at which VirtualBox would cut it off.
    """
    if "\0" in str(path):
        raise StorageError(
            f"there is no file {str(path)!r}: it holds a null character",
            symbol="E_INVALIDARG",
            operation="find a file",
            hint="leave it out",
        )
    return Path(os.path.normpath(Path(path).expanduser().absolute()))


def require_size(api: Api, size_mb: int, *, largest: int | None, what: str) -> int:
    """
    Return the bytes of a size in MiB that a disk can have.

    Raises:
        ApiError: It is none; the hint has the range.
    """
    if isinstance(size_mb, bool) or not isinstance(size_mb, int):
        raise TypeError(f"size_mb is int, not {type(size_mb).__name__}")
    most = int(api.virtualbox.systemProperties.infoVDSize)
    most = min(most, largest or most) >> 20
    if not 1 <= size_mb <= most:
        raise ApiError(
            f"{what} cannot have {size_mb} MiB",
            symbol="E_INVALIDARG",
            operation="set the size of a disk",
            hint=f"1 to {most} MiB",
        )
    return size_mb << 20


def require_writable(path: Path, *, kind: str = "file") -> None:
    """
    Find out before anything is made whether a file can be made.

    Raises:
        AlreadyExistsError: Something is there.
        StorageError: Its folder is none, or may not be written to; the name is too long.
    """
    try:
        there = os.path.lexists(path)
        longest = os.pathconf(_existing(path), "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
    except (OSError, ValueError) as error:
        raise _no_file(path, str(error)) from error
    if there:
        raise AlreadyExistsError(
            f"there is a {'folder' if path.is_dir() else 'file'} {path} already",
            kind=kind,
            wanted=str(path),
            operation="make a file",
            hint="choose another path, or remove it",
        )
    if len(os.fsencode(path.name)) > longest:
        raise _no_file(path, f"its name is longer than {longest} bytes")
    folder = _existing(path)
    if not folder.is_dir():
        raise _no_file(path, f"{folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _no_file(path, f"the folder {folder} may not be written to")


def _no_file(path: Path, reason: str) -> StorageError:
    return StorageError(
        f"cannot make {path}: {reason}",
        symbol="VBOX_E_FILE_ERROR",
        text=reason,
        operation="make a file",
        hint="choose another path",
    )


def _existing(path: Path) -> Path:
    """Return the nearest folder above a path that is there."""
    return next(folder for folder in path.parents if os.path.lexists(folder))


def require_room(path: Path, size: int) -> None:
    """
    Refuse a file of so many bytes where there is less room, before anything is written.

    Raises:
        StorageError: It names what is needed and what is free.
    """
    folder = _existing(path)
    free = shutil.disk_usage(folder).free
    if size > free:
        raise StorageError(
            f"cannot make {path}: it takes {size >> 20} MiB, and {free >> 20} MiB are free in"
            f" {folder}",
            symbol="VBOX_E_FILE_ERROR",
            text="no space",
            operation="make a file",
            hint="free some space, choose another folder, or use the variant 'Standard', which"
            " grows as it is filled",
        )


@contextmanager
def fresh_medium(api: Api, format_name: str, path: Path, device: str) -> Iterator[Any]:
    """
    Yield a raw medium without an image, for which the block makes one; or leave no trace.

    Args:
        api: The way in.
        format_name: The format.
        path: Where the image will be; nothing is there yet.
        device: What it is for.
    """
    folder = _existing(path)
    before = set(folder.iterdir())
    com: Any = api.virtualbox.createMedium(
        format_name,
        str(path),
        api.value("AccessMode", "ReadWrite"),
        api.value("DeviceType", device),
    )
    done = False
    try:
        yield com
        done = True
    finally:
        if not done:
            with unhooked():
                _take_back(api, com)
            _remove_new(path, folder, before)


def checked(api: Api, com: Any, path: Path) -> Any:
    """
    Return a raw medium that was just made, if it can be opened again.

    VirtualBox makes some that it cannot open (a VHD above its limit, for one). Of stream-optimised
    ones it remembers another UUID than it has written.

    Raises:
        StorageError: It cannot.
    """
    if api.name("MediumState", com.refreshState()) != "Inaccessible":
        return com
    reason = str(com.lastAccessError)
    device = com.deviceType
    com.close()
    try:
        return api.virtualbox.openMedium(
            str(path), device, api.value("AccessMode", "ReadWrite"), False
        )
    except Exception as error:
        if api.foreign(error) is None:
            raise
        raise StorageError(
            f"VirtualBox made {path}, and cannot open it: {reason}",
            symbol="VBOX_E_FILE_ERROR",
            text=reason,
            operation="make an image",
            hint="choose another size or format",
        ) from error


def _take_back(api: Api, com: Any) -> None:
    try:
        if api.name("MediumState", com.state) == "Created":
            drive(api, com.deleteStorage(), what="remove", subject="medium", timeout=_UNDO_SECONDS)
        else:
            com.close()
    except Exception as error:
        # Gone, or damaged: its files are removed in any case.
        if not isinstance(error, VBoxKitError) and api.foreign(error) is None:
            raise
        try:
            com.close()
        except Exception as again:
            if api.foreign(again) is None:
                raise


def _remove_new(path: Path, folder: Path, before: set[Path]) -> None:
    """Remove the files of an image that were not there before, and the folders made for it."""
    for file in [*path.parent.glob("*")] if path.parent.is_dir() else []:
        ours = file == path or (
            file.stem.startswith(f"{path.stem}-") and file.suffix == path.suffix
        )
        if ours and file not in before:
            file.unlink(missing_ok=True)
    for place in path.parents:
        if place == folder:
            return
        if place.is_dir():
            place.rmdir()


def not_registered(what: str, available: list[str]) -> NotFoundError:
    """Return the error for a medium that VirtualBox does not know."""
    return NotFoundError(
        f"VirtualBox knows no medium {what!r}",
        kind="medium",
        wanted=what,
        available=available,
        operation="find a medium",
        hint="vbox.media.open(path) makes an image known",
    )

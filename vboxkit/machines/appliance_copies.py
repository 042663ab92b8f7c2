"""Private copies of appliances, below the home, for as long as they are used."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.core.locks import lock_file, try_lock
from vboxkit.errors import StorageError, WaitTimeoutError

if TYPE_CHECKING:
    from vboxkit.core.locks import HeldLock
    from vboxkit.core.waiting import Deadline
    from vboxkit.machines.virtualbox import VirtualBox
    from vboxkit.ovf.model import Package

__all__ = ["link", "private_folder"]

_PRIVATE = "repairs"


def private_folder(vbox: VirtualBox, deadline: Deadline) -> tuple[Path, Callable[[], object]]:
    """
    Make a folder below the home, and remove those of processes that died.

    Returns:
        The folder, and what removes it.

    Raises:
        StorageError: It cannot be made.
    """
    top = vbox.home / _PRIVATE
    turn = top / "turn.lock"
    try:
        with lock_file(turn, what="another process to mend an appliance", timeout=deadline):
            for lock in top.glob("*/held.lock"):
                dead = try_lock(lock)
                if dead is not None:
                    shutil.rmtree(lock.parent, ignore_errors=True)
                    dead.release()
            folder = Path(tempfile.mkdtemp(dir=top))
            mine = try_lock(folder / "held.lock")
    except OSError as error:
        if isinstance(error, WaitTimeoutError):
            raise
        raise StorageError(
            f"cannot make a folder in {top}: {error.strerror or error}",
            operation="mend an appliance",
            hint="check the home, and the space there",
        ) from error
    inner = folder / "package"
    inner.mkdir()
    return inner, lambda: _remove(folder, mine)


def _remove(folder: Path, lock: HeldLock | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if lock is not None:
        lock.release()


def link(path: Path, package: Package, folder: Path) -> Path:
    """
    Link an appliance and its files to a folder, under a name without ``%``, and return that.

    VirtualBox 7.2 takes the path for a format when it refuses the appliance, and dies of ``%s``.
    """
    target = folder / f"appliance{path.suffix}"
    target.symlink_to(path)
    if package.form == "ovf":
        for end in (".mf", ".cert"):
            beside = path.with_suffix(end)
            if beside.exists():
                (folder / f"appliance{end}").symlink_to(beside)
        for file in package.files:
            found = path.parent / file.href
            place = folder / file.href
            if found.exists() and not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(found)
    return target

"""Bringing what was copied from a guest to its place on this machine."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

__all__ = ["discard", "merge", "settle"]

_MOST_MODE = 0o777


def settle(path: Path, mode: int, mtime: int) -> None:
    """Give a file or folder of this machine its time and permissions, without set-user-ID."""
    with suppress(OverflowError):
        os.utime(path, (mtime, mtime))
    path.chmod(mode & _MOST_MODE)


def merge(staged: Path, target: Path) -> None:
    """
    Bring a tree to its place on the same file system: all at once, or each file into what is there.

    Raises:
        OSError: A folder is in the place of a file, or the other way round, for one.
    """
    if not target.is_dir():
        if target.is_symlink() or target.exists():
            raise NotADirectoryError(errno.ENOTDIR, "it is a file, not a folder", str(target))
        staged.rename(target)
        return
    mode = stat.S_IMODE(staged.stat().st_mode)
    staged.chmod(mode | 0o700)
    for path in sorted(staged.iterdir()):
        final = target / path.name
        if path.is_symlink() or not path.is_dir():
            path.replace(final)
        elif final.is_dir() or final.is_symlink() or final.exists():
            merge(path, final)
        else:
            # What is not writable cannot get another parent.
            inner = stat.S_IMODE(path.stat().st_mode)
            path.chmod(inner | 0o700)
            path.replace(final)
            final.chmod(inner)
    discard(staged)


def discard(path: Path) -> None:
    """Remove a tree of this machine, also if its folders are not writable."""
    for folder, folders, _ in os.walk(path):
        for name in folders:
            child = Path(folder, name)
            if not child.is_symlink():
                with suppress(OSError):
                    child.chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)

"""Where a copy from the guest stands on this machine until it is whole."""

from __future__ import annotations

import os
import secrets
import stat
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.guest.file_errors import here_error
from vboxkit.guest.placing import discard

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["staging"]

#: Seconds. Younger leftovers may be of somebody who has not locked them yet.
_AGE = 60.0


@contextmanager
def staging(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """
    Give a new file or folder beside `path`, and remove what the block leaves of it.

    What a process that died left of a copy to the same path is removed, too: it is known by its
    name, and that nobody holds its lock.

    Args:
        path: What it will become, by the block's own doing.
        folder: Make a folder.

    Raises:
        GuestFileError: It cannot be made.
    """
    short = os.fsencode(path.name)[:40].decode("ascii", errors="replace").replace("\ufffd", "_")
    _sweep(path.parent, f".{short}.")
    temporary = path.with_name(f".{short}.{secrets.token_hex(4)}.part")
    try:
        if folder:
            temporary.mkdir(mode=0o700)
        else:
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise here_error(error, path, writing=True) from error
    lock = _locked(temporary)
    try:
        yield temporary
    finally:
        if lock is not None:
            os.close(lock)
        if folder:
            discard(temporary)
        else:
            with suppress(OSError):
                temporary.unlink()


def _locked(path: Path) -> int | None:
    """Lock it, as long as what is returned is open; `None` if that cannot be or is done already."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _sweep(folder: Path, start: str) -> None:
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except OSError:
        return
    for name in names:
        token = name.removeprefix(start).removesuffix(".part")
        if len(name) != len(start) + len(".part") + 8 or len(token) != 8:
            continue
        path = folder / name
        with suppress(OSError):
            found = path.lstat()
            lock = _locked(path) if time.time() - found.st_mtime > _AGE else None
            if lock is None:
                continue
            os.close(lock)
            if stat.S_ISDIR(found.st_mode):
                discard(path)
            else:
                path.unlink()

"""What is wrong with a file, by the system's number: found out, and said."""

from __future__ import annotations

import errno
import os

from vboxkit.errors import GuestFileError

__all__ = ["OutsideError", "errno_of", "explain", "here_error", "there_error", "too_long"]

#: What the C libraries and shells of Linux guests print, in lower case; the first one found counts.
_SAID = {
    "no such file": errno.ENOENT,
    "nonexistent": errno.ENOENT,
    "not a directory": errno.ENOTDIR,
    "permission denied": errno.EACCES,
    "operation not permitted": errno.EACCES,
    "is a directory": errno.EISDIR,
    "file exists": errno.EEXIST,
    "directory not empty": errno.ENOTEMPTY,
    "no space left": errno.ENOSPC,
    "disk quota exceeded": errno.EDQUOT,
    "read-only file system": errno.EROFS,
    "name too long": errno.ENAMETOOLONG,
    "too many levels of symbolic": errno.ELOOP,
    "symbolic link loop": errno.ELOOP,
    "input/output error": errno.EIO,
    "i/o error": errno.EIO,
}

#: What it means, and what to try.
_WORDS: dict[int, tuple[str, str]] = {
    errno.ENOENT: ("no such file", "listdir() shows what a folder has; ~ has no meaning in a path"),
    errno.ENOTDIR: ("a part of the path is no folder", "look at each part of it with stat()"),
    errno.EACCES: ("permission denied", "log in as somebody who may, or change its mode or owner"),
    errno.EISDIR: (
        "it is a folder, not a file",
        "put_tree() and get_tree() copy folders; a file's target has the file's name at its end",
    ),
    errno.EEXIST: ("it exists already", "remove() it first, or take another name"),
    errno.ENOTEMPTY: ("the folder is not empty", "remove(path, recursive=True)"),
    errno.ENOSPC: ("the disk is full", "make room: `df` tells how much there is, and where"),
    errno.EDQUOT: ("the user's share of the disk is full", "make room, or raise the quota"),
    errno.EROFS: ("the file system is read-only", "take another folder, or mount it writable"),
    errno.ENAMETOOLONG: ("the name is too long", "most file systems take 255 bytes for each part"),
    errno.ELOOP: ("symbolic links go in a circle", "look where they lead with lstat()"),
    errno.EIO: ("the disk does not answer as it should", "look at `dmesg`"),
}
_NO_FOLDER = ("its folder does not exist", "make it first: mkdir(folder, parents=True)")
_NAME_MAX, _PATH_MAX = 255, 4095


class OutsideError(Exception):
    """
    What failed was on this machine, or in the caller's code: not the guest's fault.

    No `OSError`, lest it be taken for a broken connection.
    """

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def errno_of(said: str) -> int | None:
    """Return the number of what a tool in the guest printed, if it is known."""
    text = said.lower()
    return next((number for words, number in _SAID.items() if words in text), None)


def too_long(path: str) -> bool:
    """Tell whether no usual file system takes this path."""
    raw = os.fsencode(path)
    return len(raw) > _PATH_MAX or any(len(part) > _NAME_MAX for part in raw.split(b"/"))


def explain(error: OSError, *, writing: bool) -> tuple[str, str | None]:
    """Return what it means, and what to try."""
    if error.errno == errno.ENOENT and writing:
        return _NO_FOLDER
    if error.errno in _WORDS:
        return _WORDS[error.errno]
    return error.strerror or str(error) or "refused", None


def there_error(
    error: OSError, path: str, name: str, *, verb: str = "copy", writing: bool = False
) -> GuestFileError:
    """Return ours for an error in the guest."""
    text, hint = explain(error, writing=writing)
    return GuestFileError(
        f"cannot {verb} {path} in {name}: {text}", path=path, errno=error.errno, hint=hint
    )


def here_error(error: OSError, path: object, *, writing: bool = False) -> GuestFileError:
    """Return ours for an error on this machine."""
    text, hint = explain(error, writing=writing)
    if error.errno == errno.ENOENT:
        hint = None
    verb = "write" if writing else "read"
    return GuestFileError(
        f"cannot {verb} {path} on this machine: {text}",
        path=str(path),
        errno=error.errno,
        hint=hint,
    )

"""Folders in the guest: what is there, making and removing."""

from __future__ import annotations

import errno
import fnmatch
import re
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from vboxkit.errors import GuestConnectionError, GuestFileError
from vboxkit.guest.copying import Copying

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.guest.filesystem import FileStat, FileSystem

__all__ = ["Folders"]

_MAGIC = re.compile(r"[*?\[]")


class Folders(Copying):
    """
    The folder methods of `SSH`.

    All wait for the guest's answer, at most `Settings.ssh_timeout`, and raise `GuestFileError` if
    the guest refuses, `GuestConnectionError` if it cannot be reached.
    """

    def exists(self, path: str) -> bool:
        """
        Tell whether there is something at this path; a link that leads nowhere is nothing.

        Example:
            >>> ssh.exists("/etc/passwd"), ssh.exists("/nowhere")           # doctest: +SKIP
            (True, False)
        """
        with self._files(path, verb="look at") as way:
            return _found(way.files, path) is not None

    def stat(self, path: str) -> FileStat:
        """
        Return what is known of a file, or of what a link leads to.

        Example:
            >>> ssh.stat("/tmp").kind, oct(ssh.stat("/tmp").mode)           # doctest: +SKIP
            ('folder', '0o1777')
        """
        with self._files(path, verb="look at") as way:
            return way.files.stat(path, follow=True)

    def lstat(self, path: str) -> FileStat:
        """Return what is known of a file; of a link, not of what it leads to."""
        with self._files(path, verb="look at") as way:
            return way.files.stat(path, follow=False)

    def readlink(self, path: str) -> str:
        """Return where a symbolic link leads, as it is written in it."""
        with self._files(path, verb="read the link") as way:
            return way.files.readlink(path)

    def listdir(self, path: str = ".") -> list[str]:
        """
        Return the names in a folder, hidden ones too, in order.

        Example:
            >>> ssh.listdir("/etc/init.d")                                  # doctest: +SKIP
            ['rcS']
        """
        with self._files(path, verb="list") as way:
            return sorted(way.files.listdir(path))

    def glob(self, pattern: str) -> list[str]:
        """
        Return the paths that a pattern fits, in order.

        Each folder that has to be looked through is a round trip to the guest.

        Args:
            pattern: ``*``, ``?`` and ``[...]`` stand for letters of a name, ``**`` for any number
                of folders, of which none is a link. Names that begin with a dot must be asked for
                with one.

        Example:
            >>> ssh.glob("/etc/host*")                                      # doctest: +SKIP
            ['/etc/hostname', '/etc/hosts']
        """
        with self._files(pattern, verb="look for") as way:
            start = "/" if pattern.startswith("/") else ""
            parts = [part for part in pattern.split("/") if part]
            return sorted(set(_fitting(way.files, start, parts)))

    def mkdir(
        self, path: str, *, mode: int | None = None, parents: bool = False, exist_ok: bool = False
    ) -> None:
        """
        Make a folder.

        Args:
            path: Where.
            mode: Its permissions; the guest decides if left out, as it does for its parents.
            parents: Make the folders on the way to it, too.
            exist_ok: A folder that is there already is fine, and left as it is.
        """
        with self._files(path, verb="make the folder", writing=True) as way:
            _make(way.files, path.rstrip("/") or "/", mode, parents=parents, exist_ok=exist_ok)

    def remove(self, path: str, *, recursive: bool = False, missing_ok: bool = False) -> None:
        """
        Remove a file, a link (not what it leads to), or an empty folder.

        Args:
            path: What.
            recursive: Remove a folder with all in it.
            missing_ok: It is fine if there is nothing.
        """
        with self._files(path, verb="remove") as way:
            files = way.files
            try:
                kind = files.stat(path, follow=False).kind
                if recursive:
                    files.discard(path)
                elif kind == "folder":
                    files.rmdir(path)
                else:
                    files.unlink(path)
            except OSError as error:
                if not (missing_ok and error.errno == errno.ENOENT):
                    raise

    def rename(self, source: str, target: str) -> None:
        """
        Give a file or folder another path on the same file system.

        Args:
            source: Its path.
            target: The new one; a file or link that has it is replaced at once, a folder is not.
        """
        with self._files(source, verb=f"rename to {target}") as way:
            files = way.files
            files.stat(source, follow=False)
            there = _found(files, target)
            if there is not None and there.kind == "folder":
                raise FileExistsError(errno.EEXIST, target)
            files.rename(source, target)

    @contextmanager
    def temporary_directory(
        self,
        *,
        prefix: str = "vboxkit-",
        folder: str = "/tmp",  # noqa: S108 - of the guest
    ) -> Iterator[str]:
        """
        Make a folder that only the user may enter, and remove it with all in it at the end.

        It is made under an unused name, never one that is there. If the guest cannot be reached at
        the end, the block's own error counts, and the folder is removed with the next file copy.

        Args:
            prefix: What its name begins with.
            folder: Where to make it.

        Returns:
            Its path.

        Example:
            >>> with ssh.temporary_directory() as there:                    # doctest: +SKIP
            ...     ssh.put("setup.sh", f"{there}/setup.sh", mode=0o755)
            ...     ssh.succeed([f"{there}/setup.sh"])
        """
        path = f"{folder.rstrip('/')}/{prefix}{secrets.token_hex(6)}"
        self.mkdir(path, mode=0o700)
        try:
            yield path
        except BaseException:
            with suppress(GuestFileError, GuestConnectionError):
                self._remove_own(path)
            raise
        self._remove_own(path)

    def _remove_own(self, path: str) -> None:
        try:
            self.remove(path, recursive=True, missing_ok=True)
        except GuestConnectionError:
            self._left_there.add(path)
            raise


def _found(files: FileSystem, path: str) -> FileStat | None:
    try:
        return files.stat(path, follow=True)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            return None
        raise


def _make(files: FileSystem, path: str, mode: int | None, *, parents: bool, exist_ok: bool) -> None:
    try:
        files.mkdir(path, mode)
    except OSError as error:
        folder = path.rpartition("/")[0]
        if error.errno == errno.ENOENT and parents and folder:
            _make(files, folder, None, parents=True, exist_ok=True)
            _make(files, path, mode, parents=False, exist_ok=exist_ok)
            return
        if exist_ok:
            there = _found(files, path)
            if there is not None and there.kind == "folder":
                return
        raise


def _fitting(files: FileSystem, base: str, parts: list[str]) -> Iterator[str]:
    if not parts:
        if base:
            yield base.rstrip("/") or "/"
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        yield from _fitting(files, base, rest or ["*"])
        for name in _names(files, base):
            path = base + name
            if not name.startswith(".") and files.stat(path, follow=False).kind == "folder":
                yield from _fitting(files, f"{path}/", parts)
    elif not _MAGIC.search(part):
        # All that is plain at once: a folder on the way may be one that nobody may look into.
        plain = next((n for n, one in enumerate(parts) if _MAGIC.search(one)), len(parts))
        path, rest = base + "/".join(parts[:plain]), parts[plain:]
        there = _found(files, path)
        if there is not None and (not rest or there.kind == "folder"):
            yield from _fitting(files, f"{path}/", rest)
    else:
        for name in _names(files, base):
            if name.startswith(".") and not part.startswith("."):
                continue
            if fnmatch.fnmatchcase(name, part):
                if rest:
                    there = _found(files, base + name)
                    if there is None or there.kind != "folder":
                        continue
                yield from _fitting(files, f"{base}{name}/", rest)


def _names(files: FileSystem, base: str) -> list[str]:
    try:
        return files.listdir(base.rstrip("/") or ("/" if base else "."))
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.EACCES}:
            return []  # as a shell does
        raise

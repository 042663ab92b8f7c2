"""The guest's files by SFTP: over paramiko's client, for what it lacks or does otherwise."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

import paramiko
from paramiko.sftp import (
    CMD_ATTRS,
    CMD_CLOSE,
    CMD_EXTENDED,
    CMD_EXTENDED_REPLY,
    CMD_HANDLE,
    CMD_LSTAT,
    CMD_NAME,
    CMD_OPEN,
    CMD_OPENDIR,
    CMD_READDIR,
    CMD_READLINK,
    CMD_SETSTAT,
    CMD_STAT,
    CMD_SYMLINK,
    SFTP_FLAG_CREATE,
    SFTP_FLAG_EXCL,
    SFTP_FLAG_READ,
    SFTP_FLAG_WRITE,
)

from vboxkit.guest.file_errors import OutsideError, too_long
from vboxkit.guest.filesystem import Content, FileStat, FileSystem
from vboxkit.guest.sftp_streams import BLOCK, LARGE_BLOCK, is_dead, read_all, write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from paramiko.message import Message

__all__ = ["BySftp"]

#: Seconds for cleaning up after Ctrl-C.
_LAST_ORDER = 3.0
#: Bytes. The question costs a round trip.
_WORTH_ASKING = 1 << 20
#: What a full disk may have left, and the bit of a read-only one.
_FULL, _READ_ONLY = 1 << 16, 1


class BySftp(FileSystem):
    """
    The files over one SFTP session, one call at a time.

    Paths go as bytes, so that names which are no UTF-8 come through.
    """

    def __init__(self, client: paramiko.SFTPClient) -> None:
        # paramiko's stubs lack what is used of it here, and its public half loses error texts,
        # names that are no UTF-8, and answers in a burst.
        self.client: Any = client

    def _ask(self, path: str, kind: int, *more: object) -> tuple[int, Message]:
        try:
            return self.client._request(kind, os.fsencode(path), *more)  # type: ignore[no-any-return]  # noqa: SLF001
        except OSError as error:
            raise self._known(error, path) from error

    def _known(self, error: OSError, path: str) -> OSError:
        """Find the number of an error for which SFTP has none: it knows three, and "failure"."""
        if error.errno is not None or isinstance(error, (TimeoutError, ConnectionError)):
            return error
        if str(error) == "Socket is closed":
            return ConnectionAbortedError(errno.ECONNABORTED, str(error))
        number = None
        if too_long(path):
            number = errno.ENAMETOOLONG
        else:
            with suppress(OSError):
                free, read_only = self._room(_folder_of(path))
                number = errno.EROFS if read_only else errno.ENOSPC if free < _FULL else None
        return OSError(number, str(error)) if number else error

    def _room(self, folder: str) -> tuple[int, bool]:
        # An extension that OpenSSH's server has: the free bytes and the flags of statvfs(3).
        kind, message = self.client._request(  # noqa: SLF001
            CMD_EXTENDED, "statvfs@openssh.com", os.fsencode(folder)
        )
        if kind != CMD_EXTENDED_REPLY:
            raise OSError(errno.ENOSYS, "no such extension")
        _, unit, _, _, free, _, _, _, _, flags, _ = (message.get_int64() for _ in range(11))
        return free * unit, bool(flags & _READ_ONLY)

    def _block_size(self, size: int) -> int:
        """Return how much of a file of that size a request carries."""
        if size < _WORTH_ASKING:
            return BLOCK
        try:
            # What the server takes at most, an extension that OpenSSH's has since 8.5.
            kind, message = self.client._request(CMD_EXTENDED, "limits@openssh.com")  # noqa: SLF001
        except OSError as error:
            if is_dead(error):
                raise
            return BLOCK
        if kind != CMD_EXTENDED_REPLY:
            return BLOCK
        _, reads, writes, _ = (message.get_int64() for _ in range(4))
        return LARGE_BLOCK if min(reads, writes) >= LARGE_BLOCK else BLOCK

    def stat(self, path: str, *, follow: bool) -> FileStat:
        """Look at a file, or at what a link leads to."""
        kind, message = self._ask(path, CMD_STAT if follow else CMD_LSTAT)
        if kind != CMD_ATTRS:
            raise paramiko.SFTPError("attributes expected")
        return _stat_of(message)

    def listdir(self, path: str) -> list[str]:
        """Return the names in a folder."""
        _, message = self._ask(path, CMD_OPENDIR)
        handle = message.get_binary()
        names = []
        with self._closing(handle):
            while True:
                try:
                    kind, message = self.client._request(CMD_READDIR, handle)  # noqa: SLF001
                except EOFError:
                    break
                if kind != CMD_NAME:
                    raise paramiko.SFTPError("names expected")
                for _ in range(message.get_int()):
                    names.append(os.fsdecode(message.get_binary()))
                    message.get_binary()
                    paramiko.SFTPAttributes._from_msg(message)  # type: ignore[attr-defined]  # noqa: SLF001
        return [name for name in names if name not in {".", ".."}]

    def mkdir(self, path: str, mode: int | None) -> None:
        """Make a folder."""
        raw = os.fsencode(path)
        try:
            self.client.mkdir(raw, 0o777 if mode is None else mode)
            if mode is not None:
                self.client.chmod(raw, mode)  # the server took its umask off
        except OSError as error:
            if error.errno is None and self._is_there(path):
                raise FileExistsError(errno.EEXIST, str(error)) from error
            raise self._known(error, path) from error

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        try:
            self.client.rmdir(os.fsencode(path))
        except OSError as error:
            if error.errno is None and self._is_there(path):
                kind = self.stat(path, follow=False).kind
                number = errno.ENOTEMPTY if kind == "folder" else errno.ENOTDIR
                raise OSError(number, str(error)) from error
            raise self._known(error, path) from error

    def unlink(self, path: str) -> None:
        """Remove what is no folder."""
        try:
            self.client.remove(os.fsencode(path))
        except OSError as error:
            raise self._folder_or(error, path) from error

    def rename(self, source: str, target: str) -> None:
        """Give another name, replacing the file that has it."""
        old, new = os.fsencode(source), os.fsencode(target)
        try:
            try:
                self.client.posix_rename(old, new)
            except OSError as error:
                if error.errno is not None or self._is_folder(target):
                    raise
                # A server without that extension; its plain rename does not replace, so there is
                # a moment without a file, but never one with half of it.
                with suppress(OSError):
                    self.client.remove(new)
                self.client.rename(old, new)
        except OSError as error:
            raise self._folder_or(error, target) from error

    def symlink(self, leads_to: str, path: str) -> None:
        """Make a symbolic link."""
        # In OpenSSH's order, which all servers took over from it; not that of the draft.
        self._ask(leads_to, CMD_SYMLINK, os.fsencode(path))

    def readlink(self, path: str) -> str:
        """Return where a symbolic link leads."""
        _, message = self._ask(path, CMD_READLINK)
        message.get_int()
        return os.fsdecode(message.get_binary())

    def set_mode_and_time(self, path: str, mode: int, mtime: int) -> None:
        """Set the permissions and the time of the last change."""
        try:
            self.client.chmod(os.fsencode(path), mode)
            self.client.utime(os.fsencode(path), (mtime, mtime))
        except OSError as error:
            raise self._known(error, path) from error

    def store(
        self,
        content: Content,
        temporary: str,
        target: str,
        moved: Callable[[int], object],
    ) -> None:
        """Write a file under a temporary name, and rename it when it is whole."""
        if self._is_folder(target):  # before all of it is sent
            raise IsADirectoryError(errno.EISDIR, target)
        attributes = paramiko.SFTPAttributes()
        # Nobody else reads what is there so far, unless the guest is to decide.
        attributes.st_mode = None if content.mode is None else 0o600
        flags = SFTP_FLAG_WRITE | SFTP_FLAG_CREATE | SFTP_FLAG_EXCL
        kind, message = self._ask(temporary, CMD_OPEN, flags, attributes)
        if kind != CMD_HANDLE:
            raise paramiko.SFTPError("handle expected")
        handle = message.get_binary()
        try:
            with self._closing(handle):
                written = write_all(
                    self.client, handle, content, moved, block_size=self._block_size(content.size)
                )
            if written != content.size:
                raise OutsideError(OSError("it changed while it was copied"))
            if content.mode is not None or content.mtime is not None:
                final = paramiko.SFTPAttributes()
                final.st_mode = content.mode
                final.st_atime = final.st_mtime = content.mtime
                self._ask(temporary, CMD_SETSTAT, final)
            self.rename(temporary, target)
        except BaseException as error:
            known = self._known(error, temporary) if isinstance(error, OSError) else error
            if not isinstance(error, Exception):
                # Ctrl-C, perhaps in the middle of a message, of which the server waits for the end.
                self.client.get_channel().settimeout(_LAST_ORDER)
            # What the connection took along is seen to when there is one again.
            if not is_dead(known):
                with suppress(OSError, EOFError, paramiko.SSHException):
                    self.client.remove(os.fsencode(temporary))
            if known is error:
                raise
            raise known from error

    def fetch(self, path: str, sink: BinaryIO, moved: Callable[[int], object]) -> FileStat:
        """
        Read a file, with many requests on the way at once.

        paramiko's own prefetch sends all requests at once from a thread, which dies with a
        traceback when the connection breaks.
        """
        found = self.stat(path, follow=True)
        if found.kind == "folder":
            raise IsADirectoryError(errno.EISDIR, path)
        _, message = self._ask(path, CMD_OPEN, SFTP_FLAG_READ, paramiko.SFTPAttributes())
        handle = message.get_binary()
        with self._closing(handle):
            read_all(
                self.client,
                handle,
                found.size,
                sink,
                moved,
                block_size=self._block_size(found.size),
            )
        return found

    @contextmanager
    def _closing(self, handle: bytes) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not is_dead(error):
                with suppress(OSError, EOFError):
                    self.client._request(CMD_CLOSE, handle)  # noqa: SLF001
            raise
        self.client._request(CMD_CLOSE, handle)  # noqa: SLF001

    def _is_there(self, path: str) -> bool:
        try:
            self.stat(path, follow=False)
        except OSError:
            return False
        return True

    def _is_folder(self, path: str) -> bool:
        try:
            return self.stat(path, follow=True).kind == "folder"
        except FileNotFoundError:
            return False
        except OSError as error:
            if isinstance(error, (TimeoutError, ConnectionError)):
                raise
            return False

    def _folder_or(self, error: OSError, path: str) -> OSError:
        known = self._known(error, path)
        if known.errno is None and self._is_folder(path):
            return IsADirectoryError(errno.EISDIR, str(error))
        return known


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0] or ("/" if path.startswith("/") else ".")


def _stat_of(message: Message) -> FileStat:
    found = paramiko.SFTPAttributes._from_msg(message)  # type: ignore[attr-defined]  # noqa: SLF001
    return FileStat.of(
        found.st_mode or 0,
        found.st_size or 0,
        found.st_mtime or 0,
        found.st_uid or 0,
        found.st_gid or 0,
    )

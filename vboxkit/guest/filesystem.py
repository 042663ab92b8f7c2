"""What can be done with the guest's files, whichever way it is done."""

from __future__ import annotations

import stat as _stat
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Content", "FileStat", "FileSystem", "Kind"]

Kind = Literal["file", "folder", "link", "other"]


@dataclass(frozen=True)
class FileStat:
    """
    What is known of a file in the guest.

    Attributes:
        kind: ``"file"``, ``"folder"``, ``"link"`` (only from `lstat`), or ``"other"``.
        size: Bytes.
        mode: The permissions, as ``0o755``.
        mtime: When its content was changed last: seconds since 1970, whole ones.
        uid: The number of the user that it belongs to.
        gid: The number of its group.
    """

    kind: Kind
    size: int
    mode: int
    mtime: int
    uid: int
    gid: int

    @classmethod
    def of(cls, raw: int, size: int, mtime: int, uid: int, gid: int) -> FileStat:
        """Make one from a raw ``st_mode`` and the rest."""
        kinds: dict[int, Kind] = {
            _stat.S_IFREG: "file",
            _stat.S_IFDIR: "folder",
            _stat.S_IFLNK: "link",
        }
        return cls(kinds.get(_stat.S_IFMT(raw), "other"), size, _stat.S_IMODE(raw), mtime, uid, gid)


@dataclass(frozen=True)
class Content:
    """
    What a file shall become.

    Attributes:
        stream: Its content.
        size: Bytes.
        mode: The permissions; the guest decides if `None`.
        mtime: When it was changed last; now if `None`.
    """

    stream: BinaryIO
    size: int
    mode: int | None = None
    mtime: int | None = None


class FileSystem(ABC):
    """
    The guest's files, by SFTP or by the shell: both do the same.

    Everything raises `OSError` with an ``errno`` as far as that can be found out.
    """

    @abstractmethod
    def stat(self, path: str, *, follow: bool) -> FileStat:
        """Look at a file, or at what a link leads to."""

    @abstractmethod
    def listdir(self, path: str) -> list[str]:
        """Return the names in a folder."""

    @abstractmethod
    def mkdir(self, path: str, mode: int | None) -> None:
        """Make a folder."""

    @abstractmethod
    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""

    @abstractmethod
    def unlink(self, path: str) -> None:
        """Remove what is no folder."""

    @abstractmethod
    def rename(self, source: str, target: str) -> None:
        """Give another name, replacing the file that has it."""

    @abstractmethod
    def symlink(self, leads_to: str, path: str) -> None:
        """Make a symbolic link."""

    @abstractmethod
    def readlink(self, path: str) -> str:
        """Return where a symbolic link leads."""

    @abstractmethod
    def set_mode_and_time(self, path: str, mode: int, mtime: int) -> None:
        """Set the permissions and the time of the last change."""

    @abstractmethod
    def store(
        self,
        content: Content,
        temporary: str,
        target: str,
        moved: Callable[[int], object],
    ) -> None:
        """Write a file under a temporary name, and rename it when it is whole."""

    @abstractmethod
    def fetch(self, path: str, sink: BinaryIO, moved: Callable[[int], object]) -> FileStat:
        """Read a file; its size may be less than what was read, if it grew or is of ``/proc``."""

    def discard(self, path: str) -> None:
        """Remove a folder with all in it, or a file; no link is followed."""
        if self.stat(path, follow=False).kind == "folder":
            for name in self.listdir(path):
                self.discard(f"{path}/{name}")
            self.rmdir(path)
        else:
            self.unlink(path)

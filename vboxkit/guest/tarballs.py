"""Trees as tar archives: packed while they are read, unpacked with nothing believed."""

from __future__ import annotations

import copy
import os
import shlex
import stat
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vboxkit.errors import GuestFileError
from vboxkit.guest.placing import settle
from vboxkit.guest.shell_files import touch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO

__all__ = ["MARKER", "Entry", "Links", "Packer", "Unpacker", "scan"]

#: What to do with symbolic links that lead out of the tree.
Links = Literal["refuse", "skip", "keep"]

#: The last entry: tar takes an archive that ends early, at the end of a file, for whole. It is a
#: shell script that sets the times of folders which tar gets wrong.
MARKER = "whole"
_BLOCK = 1 << 16


@dataclass(frozen=True)
class Entry:
    """
    One file of a tree on this machine.

    Attributes:
        name: Its path below the top, ``""`` for the top itself; ``/`` between its parts.
        path: Its path on this machine.
        kind: What it is.
        size: Bytes, of a file.
        mode: The permissions.
        mtime: Seconds since 1970.
    """

    name: str
    path: str
    kind: Literal["file", "folder", "link"]
    size: int
    mode: int
    mtime: int


def scan(top: str) -> list[Entry]:
    """
    List a tree of this machine, each folder before what is in it.

    Raises:
        OSError: It cannot be read.
        GuestFileError: There is something that is no file, folder or link.
    """
    found = []

    def add(name: str, path: str) -> None:
        seen = os.lstat(path) if name else os.stat(path)  # noqa: PTH116 - bytes of any kind
        kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
        kind = kinds.get(stat.S_IFMT(seen.st_mode))
        if kind is None:
            raise GuestFileError(
                f"{path} on this machine is no file, folder or link, and cannot be copied",
                path=path,
                hint="remove it, or copy what is beside it",
            )
        size = seen.st_size if kind == "file" else 0
        mode = stat.S_IMODE(seen.st_mode)
        found.append(Entry(name, path, kind, size, mode, max(0, int(seen.st_mtime))))  # type: ignore[arg-type]
        if kind == "folder":
            for child in sorted(os.listdir(path)):  # noqa: PTH208
                add(f"{name}/{child}" if name else child, os.path.join(path, child))  # noqa: PTH118

    add("", top)
    return found


class Packer:
    """
    An archive of a tree as a stream that is made while it is read.

    What cannot be read ends it, without the marker, and is kept in `error`.

    Args:
        entries: What `scan` gave.
        top: The name of the tree in the archive.
        moved: Called with the bytes of a file's content and its name in the tree.
    """

    def __init__(self, entries: list[Entry], top: str, moved: Callable[[int, str], object]) -> None:
        self._blocks = self._pack(entries, top, moved)
        self._rest = b""
        self.error: OSError | None = None
        self.path = ""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, nothing at the end."""
        while not self._rest:
            try:
                self._rest = next(self._blocks)
            except StopIteration:
                return b""
            except OSError as error:
                self.error = error
                return b""
        size = len(self._rest) if size < 0 else size
        block, self._rest = self._rest[:size], self._rest[size:]
        return block

    def _pack(
        self, entries: list[Entry], top: str, moved: Callable[[int, str], object]
    ) -> Iterator[bytes]:
        folders = []
        for entry in entries:
            info = tarfile.TarInfo(f"{top}/{entry.name}" if entry.name else top)
            info.mtime, info.mode = entry.mtime, entry.mode
            if entry.kind == "folder":
                info.type = tarfile.DIRTYPE
                folders.append(info)
                # Until all is in it, it must be writable.
                yield _head(_writable(info))
            elif entry.kind == "link":
                info.type = tarfile.SYMTYPE
                self.path = entry.path
                info.linkname = os.readlink(entry.path)  # noqa: PTH115
                yield _head(info)
            else:
                info.size = entry.size
                yield from self._file(entry, info, moved)
        # Once more: what was made in them has changed their times.
        for info in reversed(folders[1:]):
            yield _head(info)
        # But the top is still to be moved to its place, which gives it its permissions.
        yield _head(_writable(folders[0]))
        script = "".join(_times(entries, top)).encode("utf-8", "surrogateescape")
        info = tarfile.TarInfo(MARKER)
        info.size = len(script)
        yield _head(info) + script + bytes(-len(script) % tarfile.BLOCKSIZE)
        yield bytes(2 * tarfile.BLOCKSIZE)

    def _file(
        self, entry: Entry, info: tarfile.TarInfo, moved: Callable[[int, str], object]
    ) -> Iterator[bytes]:
        self.path = entry.path
        left = entry.size
        with open(entry.path, "rb") as file:  # noqa: PTH123
            yield _head(info)
            if not left:
                moved(0, entry.name)
            while left:
                block = file.read(min(left, _BLOCK))
                if not block:
                    raise OSError("it became shorter while it was copied")
                left -= len(block)
                yield block
                moved(len(block), entry.name)
        yield bytes(-entry.size % tarfile.BLOCKSIZE)


def _times(entries: list[Entry], top: str) -> Iterator[str]:
    # busybox's tar makes links that might lead out last, which changes the times of their folders.
    having = {entry.name.rpartition("/")[0] for entry in entries if entry.kind == "link"}
    for entry in entries:
        if entry.kind == "folder" and entry.name in having:
            path = f"{top}/{entry.name}" if entry.name else top
            yield f"{touch(entry.mtime)}{shlex.quote(path)} || exit 1\n"


def _writable(folder: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return the same folder, to be written into (`TarInfo.replace` is not in 3.11.2)."""
    found = copy.copy(folder)
    found.mode |= 0o700
    return found


def _head(info: tarfile.TarInfo) -> bytes:
    # GNU's format is what GNU's, busybox's and the BSDs' tar all read, with names of any length.
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


class Unpacker:
    """
    Unpacks what a guest sends, of which nothing is believed.

    No name may lead out of the folder; links are made last, so nothing is written through one;
    nothing is set-user-ID here; devices and the like are refused.

    Args:
        folder: A new and empty folder.
        source: Where the tree is in the guest, for messages.
        links: What to do with symbolic links that lead out of the tree.
        moved: Called with the bytes of a file's content and its name in the tree.
    """

    def __init__(
        self, folder: Path, source: str, *, links: Links, moved: Callable[[int, str], object]
    ) -> None:
        self._folder = folder
        self._source = source
        self._policy = links
        self._moved = moved
        self._folders: list[tuple[Path, int, int]] = []
        self._links: dict[str, str] = {}

    def unpack(self, stream: IO[bytes]) -> None:
        """
        Unpack an archive.

        Raises:
            GuestFileError: It is not one to be unpacked.
            tarfile.TarError: It is none, or ends early.
            OSError: This machine cannot take it.
        """
        with tarfile.open(
            fileobj=stream, mode="r|", encoding="utf-8", errors="surrogateescape"
        ) as archive:
            for member in archive:
                self._member(archive, member)
        self.finish()

    def _member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        name = self.checked(member.name)
        path = self._folder / name
        if member.isdir():
            self.folder(name, member.mode, int(member.mtime))
        elif member.issym():
            self.link(name, member.linkname)
        elif member.islnk():
            first = self.checked(member.linkname)
            if first in self._links:
                self._links[name] = self._links[first]
            else:
                os.link(self._folder / first, path)
        elif member.isreg():
            content = archive.extractfile(member)
            if content is None:  # of a regular file, it never is
                raise self.refused(name, "has no content")
            with path.open("xb") as file:
                self._moved(0, name)
                while block := content.read(_BLOCK):
                    file.write(block)
                    self._moved(len(block), name)
            settle(path, member.mode, int(member.mtime))
        else:
            raise self.refused(name, "is no file, folder or link")

    def folder(self, name: str, mode: int, mtime: int) -> None:
        """Make a folder; its permissions and time come at the end."""
        path = self._folder / name
        if name:
            path.mkdir(exist_ok=True)
        self._folders.append((path, mode, mtime))

    def link(self, name: str, leads_to: str) -> None:
        """Make a link at the end, if it may be."""
        if self._leads_out(name, leads_to):
            if self._policy == "refuse":
                raise self.refused(
                    name,
                    f"is a link out of the tree, to {leads_to!r}",
                    hint='links="keep" copies it all the same, links="skip" leaves it out',
                )
            if self._policy == "skip":
                return
        self._links[name] = leads_to

    def finish(self) -> None:
        """Make the links, and give the folders their permissions and times."""
        for name, leads_to in self._links.items():
            (self._folder / name).symlink_to(leads_to)
        for path, mode, mtime in reversed(self._folders):
            settle(path, mode, mtime)

    def checked(self, name: str) -> str:
        """Return the name of a file in the tree, in short; refuse one that leads elsewhere."""
        parts = [part for part in name.split("/") if part not in {"", "."}]
        strange = sys.platform == "win32" and any(set(part) & {"\\", ":"} for part in parts)
        if name.startswith("/") or ".." in parts or strange:
            raise self.refused(name, "leads out of the tree")
        return "/".join(parts)

    def _leads_out(self, name: str, leads_to: str) -> bool:
        if leads_to.startswith("/"):
            return True
        # After a name, ".." may be that of where another link leads.
        parts = [part for part in leads_to.split("/") if part not in {"", "."}]
        ups = next((n for n, part in enumerate(parts) if part != ".."), len(parts))
        return ups > name.count("/") or ".." in parts[ups:]

    def refused(self, name: str, why: str, hint: str | None = None) -> GuestFileError:
        """Return the error for something that is not copied."""
        path = f"{self._source}/{name}"
        return GuestFileError(f"cannot copy {path} from the guest: it {why}", path=path, hint=hint)

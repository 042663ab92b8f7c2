"""A package as a set of named files, in an OVA or in a folder; nothing is ever unpacked."""

from __future__ import annotations

import io
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.errors import OvfError, StorageError
from vboxkit.ovf.names import is_absolute, is_remote
from vboxkit.ovf.tar import Member, members
from vboxkit.ovf.tree import MOST_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

__all__ = ["Part", "Source", "opened"]

_AGAIN = "get the file again"


class Part(io.RawIOBase):
    """Some bytes of a file, as a file; it does not close the file."""

    def __init__(self, file: io.RawIOBase, offset: int, size: int) -> None:
        self._file = file
        self._offset = offset
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it has positions."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a position, as files do."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Buffer, /) -> int:
        """Read into a buffer, and return how many bytes were read."""
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._size - self._position))
        self._file.seek(self._offset + self._position)
        done = self._file.readinto(view[:count]) or 0
        self._position += done
        return done


@dataclass
class Source:
    """
    An open package.

    Attributes:
        path: The ``.ova`` or ``.ovf``.
        descriptor: The name of the descriptor in it.
        names: All files of an OVA, in their order; nothing for a folder, which may have others'.
    """

    path: Path
    descriptor: str
    names: tuple[str, ...]
    _file: io.RawIOBase
    _members: dict[str, Member] = field(default_factory=dict)

    @property
    def packed(self) -> bool:
        """Whether it is an OVA."""
        return bool(self._members)

    def size(self, name: str) -> int | None:
        """Return the bytes of a file, or `None` if it is not there or may not be read."""
        if self.packed:
            return self._members[name].size if name in self._members else None
        place = self._place(name)
        return place.stat().st_size if place is not None else None

    def written(self, name: str) -> str | None:
        """Return a member's name as the OVA has it, maybe with ``./``; `None` if there is none."""
        return self._members[name].raw if name in self._members else None

    def leads_out(self, name: str) -> bool:
        """Whether a file beside the descriptor is a link to somewhere else, or no plain file."""
        if self.packed or is_absolute(name) or is_remote(name):
            return False
        path = self.path.parent / name
        return os.path.lexists(path) and self._place(name) is None

    @contextmanager
    def open(self, name: str) -> Iterator[io.RawIOBase]:
        """
        Open a file of the package.

        Raises:
            OvfError: It is not there.
        """
        if self.packed:
            member = self._members.get(name)
            if member is None:
                raise OvfError(self.path, "this file of it is missing", element=name, hint=_AGAIN)
            yield Part(self._file, member.offset, member.size)
            return
        place = self._place(name)
        if place is None:
            raise OvfError(self.path, "this file of it is missing", element=name, hint=_AGAIN)
        with _plain(place) as file:
            yield file

    def read(self, name: str, *, most: int = MOST_BYTES) -> bytes:
        """
        Return the content of a small file.

        Raises:
            OvfError: It is not there, or is larger than `most` bytes.
        """
        size = self.size(name)
        if size is not None and size > most:
            raise OvfError(
                self.path,
                f"this file has {size} bytes, and {most} are the most it may have",
                element=name,
                hint="do not import it; ask who made it",
            )
        with self.open(name) as file, io.BufferedReader(file) as reader:
            # It may have grown since.
            return reader.read(most)

    def beside(self, suffix: str) -> str | None:
        """Return the name of the manifest or certificate, if there is one."""
        name = str(Path(self.descriptor).with_suffix(suffix))
        if self.size(name) is not None:
            return name
        # VirtualBox takes the first of an OVA, whatever its name.
        return next((one for one in self.names if one.lower().endswith(suffix)), None)

    def _place(self, name: str) -> Path | None:
        """Return the file of this name in the folder, if it is a plain one and really there."""
        if is_absolute(name) or is_remote(name):
            return None
        folder = self.path.parent
        try:
            real = (folder / name).resolve(strict=True)
            inside = real.is_relative_to(folder.resolve())
            return real if inside and stat.S_ISREG(real.stat().st_mode) else None
        except (OSError, RuntimeError, ValueError):
            return None  # a loop of links is a RuntimeError before Python 3.13


@contextmanager
def opened(path: Path | str) -> Iterator[Source]:
    """
    Open an appliance, and find its descriptor.

    Raises:
        StorageError: It cannot be read, or is neither ``.ova`` nor ``.ovf``.
        OvfError: It is damaged, or holds no descriptor or two.
    """
    place = Path(path).expanduser().absolute()
    suffix = place.suffix.lower()
    if suffix not in {".ova", ".ovf"}:
        raise StorageError(
            f"appliance {place} is no .ovf or .ova file",
            operation="read an appliance",
            hint="give it the suffix of what it is; a folder with an .ovf is read by that",
        )
    with _plain(place) as file:
        if not os.fstat(file.fileno()).st_size:
            raise OvfError(place, "the file is empty", hint=_AGAIN)
        if suffix == ".ovf":
            yield Source(place, place.name, (), file)
            return
        found = members(file, str(place))
        names = tuple(member.name for member in found)
        descriptors = [name for name in names if name.lower().endswith(".ovf")]
        if len(descriptors) != 1:
            raise OvfError(
                place,
                f"it holds {' and '.join(descriptors[:3])}: which one counts is not said"
                if descriptors
                else "it holds no .ovf descriptor",
                hint=_AGAIN,
            )
        yield Source(place, descriptors[0], names, file, {one.name: one for one in found})


@contextmanager
def _plain(path: Path) -> Iterator[io.RawIOBase]:
    """Open a file that is one: a pipe would be waited for, a device has no end."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        number = os.open(path, flags)
    except OSError as error:
        raise _unreadable(path, str(error.strerror)) from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise _unreadable(path, "it is no file")
    with io.FileIO(number, "rb") as file:
        yield file


def _unreadable(path: Path, reason: str) -> StorageError:
    return StorageError(
        f"cannot read the appliance {path}: {reason}",
        operation="read an appliance",
        hint="check the path",
    )

"""What a command writes, cut into lines."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.core.result import StreamName

__all__ = ["Line", "Lines", "Tail"]

#: Bytes. A longer line comes in pieces, lest one without an end fills the memory.
LONGEST = 1 << 20


class Line(str):
    r"""
    A line that a command wrote: its text, without the line break.

    Attributes:
        stream: "stdout" or "stderr".
        data: Its bytes, with the line break if it had one; a line longer than 1 MiB comes in
            pieces, of which only the last has one.

    Example:
        >>> line = Line.of("stderr", b"oh no\n")
        >>> line, line.stream, line.data
        ('oh no', 'stderr', b'oh no\n')
    """

    __slots__ = ("data", "stream")

    stream: StreamName
    data: bytes

    @classmethod
    def of(cls, stream: StreamName, data: bytes) -> Line:
        """Make it of what was written; bytes that are not UTF-8 become U+FFFD."""
        line = cls(data.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", errors="replace"))
        line.stream = stream
        line.data = data
        return line

    def __reduce__(self) -> tuple[object, ...]:
        return Line.of, (self.stream, self.data)


class Lines:
    """Cuts the pieces of both streams into lines."""

    def __init__(self) -> None:
        self._ready: deque[Line] = deque()
        # As pieces: joining each with the next would take the square of a long line's length.
        self._begun: dict[StreamName, list[bytes]] = {"stdout": [], "stderr": []}

    def add(self, stream: StreamName, piece: bytes) -> None:
        """Take a piece of what was written."""
        *whole, rest = piece.split(b"\n")
        begun = self._begun[stream]
        for part in whole:
            begun.append(part + b"\n")
            self._cut(stream)
        if rest:
            begun.append(rest)
            if sum(map(len, begun)) >= LONGEST:
                self._cut(stream)

    def finish(self) -> None:
        """Count what has no line break as lines: there comes no more."""
        for stream, begun in self._begun.items():
            if begun:
                self._cut(stream)

    def take(self) -> Line | None:
        """Return the next line, if there is a whole one."""
        return self._ready.popleft() if self._ready else None

    def _cut(self, stream: StreamName) -> None:
        begun = self._begun[stream]
        self._ready.append(Line.of(stream, b"".join(begun)))
        begun.clear()


class Tail:
    """The end of both streams, for errors: what is older is forgotten."""

    #: Bytes of each stream.
    SIZE = 1 << 16

    def __init__(self) -> None:
        self._pieces: dict[StreamName, deque[bytes]] = {"stdout": deque(), "stderr": deque()}
        self._sizes: dict[StreamName, int] = {"stdout": 0, "stderr": 0}

    def add(self, stream: StreamName, piece: bytes) -> None:
        """Take a piece of what was written."""
        pieces = self._pieces[stream]
        pieces.append(piece[-self.SIZE :])
        self._sizes[stream] += len(pieces[-1])
        while self._sizes[stream] - len(pieces[0]) >= self.SIZE:
            self._sizes[stream] -= len(pieces.popleft())

    def __getitem__(self, stream: StreamName) -> bytes:
        return b"".join(self._pieces[stream])[-self.SIZE :]

    def __iter__(self) -> Iterator[StreamName]:
        return iter(self._pieces)

"""The tree of images: which stands on which, and who uses what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vboxkit.machines.medium import Medium
    from vboxkit.machines.medium_work import MediumUser

__all__ = ["MediaTree", "MediumNode", "grow"]

#: Before a node that others follow, before the last one, below the former, below the latter.
_LINES = ("├─ ", "└─ ", "│  ", "   ")


@dataclass(frozen=True)
class MediumNode:
    """
    A medium in the tree, as it was when the tree was made.

    Attributes:
        medium: The medium.
        location: Where its file is.
        format: Its format.
        size_mb: The size of its disk in MiB.
        users: The machines that use it.
        children: The differencing images that stand on it.
    """

    medium: Medium
    location: Path
    format: str
    size_mb: int
    users: tuple[MediumUser, ...]
    children: tuple[MediumNode, ...]

    def walk(self) -> Iterator[MediumNode]:
        """Yield it and all below it, parents before children."""
        pending: list[MediumNode] = [self]
        while pending:
            node = pending.pop()
            yield node
            pending += reversed(node.children)

    def _line(self, *, full: bool) -> str:
        name = str(self.location) if full else self.location.name
        used = ", ".join(map(str, self.users))
        if not used:
            used = "nobody uses it" if not self.children else "only what stands on it"
        return f"{name}  ({self.format}, {self.size_mb} MiB)  {used}"


@dataclass(frozen=True)
class MediaTree:
    """
    All disks of VirtualBox as trees of differencing images; ``print`` draws it.

    Attributes:
        roots: The disks that hold all of their data, by location.
    """

    roots: tuple[MediumNode, ...]

    def walk(self) -> Iterator[MediumNode]:
        """Yield every node, parents before children."""
        for root in self.roots:
            yield from root.walk()

    def find(self, medium: Medium) -> MediumNode | None:
        """Return the node of a medium."""
        return next((node for node in self.walk() if node.medium == medium), None)

    def __str__(self) -> str:
        more, last, line, blank = _LINES
        lines: list[str] = []
        for root in self.roots:
            lines.append(root._line(full=True))
            pending = [("", n == 0, node) for n, node in enumerate(reversed(root.children))]
            while pending:
                before, is_last, node = pending.pop()
                lines.append(f"{before}{last if is_last else more}{node._line(full=False)}")
                inside = before + (blank if is_last else line)
                pending += [
                    (inside, n == 0, child) for n, child in enumerate(reversed(node.children))
                ]
        return "\n".join(lines) or "no disks"


def grow(roots: list[Medium]) -> MediaTree:
    """Make the tree that stands on some base disks."""
    return MediaTree(tuple(_node(root) for root in sorted(roots, key=lambda m: m.location)))


def _node(medium: Medium) -> MediumNode:
    # As deep as the chain of differencing images, of which VirtualBox itself allows few hundred.
    children = sorted(medium.children, key=lambda child: child.location)
    return MediumNode(
        medium,
        medium.location,
        medium.format,
        medium.size_mb,
        tuple(medium.users()),
        tuple(_node(child) for child in children),
    )

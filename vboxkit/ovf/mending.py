"""A descriptor that is mended: its XML as it is written, and what was changed in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from defusedxml import minidom

from vboxkit.ovf.model import Place
from vboxkit.ovf.tree import Node, parse

if TYPE_CHECKING:
    from xml.dom.minidom import Element

__all__ = ["Draft", "Repair"]


@dataclass(frozen=True, kw_only=True)
class Repair:
    """
    Something that was mended in the private copy of a descriptor.

    Attributes:
        code: A short name that stays, for programs: ``controller-name``.
        place: Where it stands in the original.
        sentence: What VirtualBox refuses, or misreads.
        before: What was there; empty if nothing.
        after: What is there instead; empty if it was taken away.
    """

    code: str
    place: Place
    sentence: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence}: {self.before!r} -> {self.after!r}"


class Draft:
    """
    The XML of a descriptor, to be changed.

    Prefixes, comments and what nobody knows stay as they are.

    Args:
        data: The descriptor.
        path: The appliance, for errors.
        name: The descriptor's name, for places.
    """

    def __init__(self, data: bytes, path: str, name: str) -> None:
        # First by the parser that has limits.
        self.envelope = parse(data, path)
        self.name = name
        self.repairs: list[Repair] = []
        self._document = minidom.parseString(data, forbid_dtd=True)  # type: ignore[arg-type]  # bytes do
        elements = self._document.getElementsByTagName("*")
        self._elements = dict(zip(map(id, _walk(self.envelope)), elements, strict=True))

    def nodes(self) -> Iterator[Node]:
        """Yield all elements, in their order; what was taken away, too."""
        yield from _walk(self.envelope)

    def element(self, node: Node) -> Element:
        """Return the element that can be changed."""
        return self._elements[id(node)]

    def note(self, code: str, node: Node | None, sentence: str, before: str, after: str) -> None:
        """List a repair; `node` is where, `None` for files that are no descriptor."""
        place = (
            Place(file=self.name)
            if node is None
            else Place(file=self.name, line=node.line, element=node.path)
        )
        self.repairs.append(
            Repair(code=code, place=place, sentence=sentence, before=before, after=after)
        )

    def set(self, node: Node, name: str, value: str) -> None:
        """Set an attribute, in whichever namespace it is; a new one is in OVF's."""
        element = self.element(node)
        for key in list(element.attributes.keys()):
            if key.rpartition(":")[2] == name and not key.startswith("xmlns"):
                element.setAttribute(key, value)
                return
        prefix = self.prefix()
        element.setAttribute(f"{prefix}:{name}" if prefix else name, value)

    def remove_attribute(self, node: Node, name: str) -> None:
        """Take an attribute away."""
        element = self.element(node)
        for key in list(element.attributes.keys()):
            if key.rpartition(":")[2] == name and not key.startswith("xmlns"):
                element.removeAttribute(key)

    def write(self, node: Node, name: str, text: str) -> None:
        """Set the text of the first child of this name; it is made if there is none."""
        child = node.child(name)
        if child is not None:
            element = self.element(child)
            while element.firstChild is not None:
                element.removeChild(element.firstChild)
        else:
            parent = self.element(node)
            sample = next((one for one in node.children), None)
            tag = self.element(sample).tagName if sample is not None else ""
            prefix = tag.rpartition(":")[0]
            element = self._document.createElement(f"{prefix}:{name}" if prefix else name)
            parent.appendChild(element)
        element.appendChild(self._document.createTextNode(text))

    def add(self, node: Node, tag: str, space: tuple[str, str], text: str) -> None:
        """Add a child in a namespace of its own: its prefix and URI."""
        element = self._document.createElement(f"{space[0]}:{tag}")
        element.setAttribute(f"xmlns:{space[0]}", space[1])
        prefix = self.prefix()
        if prefix:
            element.setAttribute(f"{prefix}:required", "false")
        element.appendChild(self._document.createTextNode(text))
        self.element(node).appendChild(element)

    def remove(self, node: Node) -> None:
        """Take an element away."""
        element = self.element(node)
        if element.parentNode is not None:
            element.parentNode.removeChild(element)

    def prefix(self) -> str:
        """Return the prefix of OVF's own namespace, or an empty string."""
        root = self.element(self.envelope)
        for key, value in root.attributes.items():
            if key.startswith("xmlns:") and value == self.envelope.space:
                return key.removeprefix("xmlns:")
        return ""

    def data(self) -> bytes:
        """Return it as it is now."""
        return self._document.toxml(encoding="UTF-8")


def _walk(node: Node) -> Iterator[Node]:
    pending = [node]
    while pending:
        one = pending.pop()
        yield one
        pending.extend(reversed(one.children))

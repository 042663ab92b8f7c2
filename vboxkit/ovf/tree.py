"""Reading a descriptor's XML: with line numbers, within limits, and without entities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler, feature_namespaces
from xml.sax.xmlreader import AttributesNSImpl

from defusedxml.common import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser

from vboxkit.errors import OvfError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MOST_BYTES", "Node", "parse"]

#: Descriptors have some kilobytes; one of a machine with a hundred snapshots has a megabyte.
MOST_BYTES = 16 << 20
_MOST_ELEMENTS = 100_000
_MOST_DEPTH = 64
_MOST_ATTRIBUTES = 300_000
_PIECE = 1 << 16

_AGAIN = "get the file again, from a source that you trust"


class Node:
    """An element: its name, its namespace, and the line where it begins."""

    __slots__ = ("attributes", "children", "line", "name", "parent", "space", "text")

    def __init__(self, name: str, space: str, line: int, parent: Node | None) -> None:
        self.name = name
        self.space = space
        self.line = line
        self.parent = parent
        self.attributes: dict[tuple[str, str], str] = {}
        self.children: list[Node] = []
        self.text = ""

    def get(self, name: str) -> str | None:
        """Return an attribute, in whichever namespace it is."""
        # Writers disagree about prefixes of attributes, and readers do not mind.
        for (_, local), value in self.attributes.items():
            if local == name:
                return value
        return None

    def all(self, *names: str) -> Iterator[Node]:
        """Yield the children of these names; of kind, where OVF 0.9 says `Section`."""
        return (child for child in self.children if child.kind in names)

    def child(self, *names: str) -> Node | None:
        """Return the first child of these names."""
        return next(self.all(*names), None)

    def said(self, *names: str) -> str:
        """Return the text of the first child of these names, or an empty string."""
        child = self.child(*names)
        return child.text.strip() if child is not None else ""

    @property
    def kind(self) -> str:
        """The name; for OVF 0.9's ``<Section xsi:type="ovf:DiskSection_Type">`` its type."""
        if self.name in {"Section", "Content"}:
            kind = self.get("type") or ""
            return kind.rpartition(":")[2].removesuffix("_Type") or self.name
        return self.name

    @property
    def path(self) -> str:
        """The names of the elements that lead here, with slashes."""
        names: list[str] = []
        node: Node | None = self
        while node is not None:
            names.append(node.kind)
            node = node.parent
        return "/".join(reversed(names))

    @property
    def where(self) -> str:
        """Element and line, for errors."""
        return f"{self.path} (line {self.line})"


def parse(data: bytes, file: str) -> Node:
    """
    Read a descriptor.

    Args:
        data: All of it, `MOST_BYTES` at most.
        file: Its name, for errors.

    Raises:
        OvfError: It is not well formed, has a document type (entities), or is beyond the limits.
    """
    if not data.strip(b"\0 \t\r\n"):
        raise OvfError(file, "the descriptor is empty", hint=_AGAIN)
    # No descriptor has a document type; each attack with entities has one.
    parser = DefusedExpatParser(forbid_dtd=True)
    tree = _Tree(file, parser)
    parser.setFeature(feature_namespaces, True)
    parser.setContentHandler(tree)
    try:
        for start in range(0, len(data), _PIECE):
            parser.feed(data[start : start + _PIECE])
        parser.close()
    except DefusedXmlException as error:
        raise OvfError(
            file,
            "it has a document type declaration, by which entities attack; a descriptor has none",
            element=f"DOCTYPE (line {parser.getLineNumber()})",
            hint=_AGAIN,
        ) from error
    except SAXParseException as error:
        raise OvfError(
            file,
            f"it is no well-formed XML: {error.getMessage()}",
            element=f"{tree.at} (line {error.getLineNumber()})",
            hint=_AGAIN,
        ) from error
    except (SAXException, LookupError, UnicodeError, ValueError) as error:
        if isinstance(error, OvfError):
            raise
        raise OvfError(file, f"it cannot be read: {error}", element=tree.at, hint=_AGAIN) from error
    if tree.root is None:
        raise OvfError(file, "the descriptor is empty", hint=_AGAIN)
    return tree.root


class _Tree(ContentHandler):
    def __init__(self, file: str, parser: DefusedExpatParser) -> None:
        super().__init__()
        self._parser = parser
        self.root: Node | None = None
        self._file = file
        self._open: list[Node] = []
        self._texts: list[list[str]] = []
        self._elements = self._attributes = 0

    @property
    def at(self) -> str:
        """The path of the element that is being read."""
        return self._open[-1].path if self._open else "document"

    def startElementNS(  # noqa: N802 - SAX's name
        self,
        name: tuple[str | None, str],
        qname: str | None,  # noqa: ARG002 - SAX's signature
        attrs: AttributesNSImpl | Any,
    ) -> None:
        line = int(self._parser.getLineNumber() or 0)
        parent = self._open[-1] if self._open else None
        node = Node(name[1], name[0] or "", line, parent)
        self._elements += 1
        self._attributes += len(attrs)
        if (
            self._elements > _MOST_ELEMENTS
            or self._attributes > _MOST_ATTRIBUTES
            or len(self._open) >= _MOST_DEPTH
        ):
            raise OvfError(
                self._file,
                f"it is beyond {_MOST_ELEMENTS} elements, {_MOST_ATTRIBUTES} attributes or"
                f" {_MOST_DEPTH} levels: no appliance needs that",
                element=f"{self.at} (line {line})",
                hint=_AGAIN,
            )
        for (space, local), value in attrs.items():
            node.attributes[space or "", local] = value
        if parent is None:
            self.root = node
        else:
            parent.children.append(node)
        self._open.append(node)
        self._texts.append([])

    def endElementNS(  # noqa: N802 - SAX's name
        self,
        name: tuple[str | None, str],  # noqa: ARG002 - SAX's signature
        qname: str | None,  # noqa: ARG002
    ) -> None:
        self._open.pop().text = "".join(self._texts.pop())

    def characters(self, content: str) -> None:
        self._texts[-1].append(content)

"""
Reading what VirtualBox's web service says of itself (``?wsdl``): all names, all enumerations.

Attributes are flattened into get and set operations there, and references are texts. A comment
before each operation says what it is, spelled as everywhere else: "readonly attribute
IPlatform::x86", "read/write attribute IMachine::OSTypeId", "method IMachine::getExtraDataKeys".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from vboxkit.errors import SetupError

__all__ = ["Description", "Member", "parse"]

_XSD = "{http://www.w3.org/2001/XMLSchema}"
_ENUMERATION = re.compile(r"\s*enum: (\w+) -")
_VALUE = re.compile(r"^\s*(\w+): (0x[0-9a-fA-F]+|\d+) -\s*$", re.MULTILINE)
_MEMBER = re.compile(r"\s*(readonly attribute|read/write attribute|method) (\w+)::(\w+)\s*$")


@dataclass(frozen=True)
class Member:
    """
    An attribute or a method.

    Attributes:
        interface: Whose it is.
        name: Its name.
        attribute: Whether it is an attribute.
        writable: Whether it is an attribute that can be set.
        arguments: Name and type of what is passed in.
        results: The same of what comes back: the return value first, then the out-parameters.
    """

    interface: str
    name: str
    attribute: bool
    writable: bool
    arguments: tuple[tuple[str, str], ...] = ()
    results: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Description:
    """
    All that was read.

    Attributes:
        enumerations: Their values, by name.
        members: By interface and name.
    """

    enumerations: dict[str, dict[str, int]] = field(default_factory=dict)
    members: dict[tuple[str, str], Member] = field(default_factory=dict)


def parse(text: bytes) -> Description:
    """
    Read a description.

    Args:
        text: What ``vboxwebsrv`` answers; it is trusted, as the program itself is.

    Raises:
        SetupError: It is not VirtualBox's.
    """
    try:
        builder = ET.TreeBuilder(insert_comments=True)
        root = ET.fromstring(text, parser=ET.XMLParser(target=builder))  # noqa: S314 - see above
    except ET.ParseError as error:
        raise SetupError(f"the web service's description is no XML: {error}") from error
    schema = root.find(f".//{_XSD}schema")
    if schema is None:
        raise SetupError("the web service's description has no types")
    messages = {
        str(element.get("name")): element
        for element in schema.iter(f"{_XSD}element")
        if element.get("type") is None
    }
    found = Description()
    for child in schema:
        if not callable(child.tag):
            if child.tag == f"{_XSD}complexType":
                _read_structure(child, found)
            continue
        said = child.text or ""
        if match := _ENUMERATION.match(said):
            found.enumerations[match[1]] = {n: int(v, 0) for n, v in _VALUE.findall(said)}
        elif match := _MEMBER.match(said):
            member = _member(match[1], match[2], match[3], messages)
            if member is not None:
                found.members[member.interface, member.name] = member
    if not found.enumerations or not found.members:
        raise SetupError("the web service's description has nothing of VirtualBox in it")
    return found


def _read_structure(element: ET.Element, found: Description) -> None:
    """Read an interface that the web service passes by value; all of it is read-only."""
    interface = str(element.get("name"))
    for name, type_ in _fields(element):
        if interface.startswith("I") and not interface.startswith("ArrayOf"):
            found.members[interface, name] = Member(
                interface, name, attribute=True, writable=False, results=((name, type_),)
            )


def _member(kind: str, interface: str, name: str, messages: dict[str, ET.Element]) -> Member | None:
    attribute = kind != "method"
    operation = f"get{name[:1].upper()}{name[1:]}" if attribute else name
    asked = messages.get(f"{interface}_{operation}")
    answered = messages.get(f"{interface}_{operation}Response")
    if asked is None or answered is None:
        return None  # raw memory, which the service cannot pass: there is but the comment
    results = _fields(answered)
    return Member(
        interface,
        name,
        attribute,
        kind.startswith("read/write"),
        tuple(pair for pair in _fields(asked) if pair[0] != "_this"),
        tuple(sorted(results, key=lambda pair: pair[0] != "returnval")),
    )


def _fields(element: ET.Element) -> list[tuple[str, str]]:
    return [
        (str(part.get("name")), str(part.get("type")))
        for part in element.iter(f"{_XSD}element")
        if part.get("type") is not None
    ]

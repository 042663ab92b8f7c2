"""
Reading XPCOM's type library: what every interface of VirtualBox looks like to the Python binding.

Every installation but the Windows one has it, as ``components/VirtualBox_XPCOM.xpt``. It knows the
types of references and which interface extends which, and that is what the web service's
description leaves out; it knows neither the names of arguments nor enumerations.

The format is Mozilla's "XPCOM Type Library (XPT) Format", version 1.2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vboxkit.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Interface", "Method", "Parameter", "Type", "read"]

_MAGIC = b"XPCOM\nTypeLib\r\n\x1a"
_HEADER = ">BBHIII"  # version (2), number of interfaces, length, directory, strings and the rest
_ENTRY = ">16sIII"  # id, name, namespace, descriptor

_BYTE, _INTERFACE, _INTERFACE_IS, _ARRAY, _SIZED = 4, 18, 19, 20, (21, 22)
#: From a type's tag to what Python gets.
_KINDS = {
    **dict.fromkeys(range(8), "int"),
    **dict.fromkeys((8, 9), "float"),
    10: "bool",
    **dict.fromkeys((11, 12, 14, 15, 16, 17, 21, 22, 23, 24, 25), "str"),
    13: "void",
    _INTERFACE: "interface",
    _INTERFACE_IS: "interface",
    _ARRAY: "array",
}

#: How whole numbers are kept.
_INTEGERS = dict(enumerate("bhiqBHIQ"))

_GETTER, _SETTER, _NOT_CALLABLE = 0x80, 0x40, 0x20 | 0x10 | 0x08
_IN, _OUT, _RETURNED = 0x80, 0x40, 0x20


@dataclass(frozen=True)
class Type:
    """
    The type of a value.

    Attributes:
        kind: ``bool``, ``int``, ``float``, ``str``, ``bytes``, ``interface``, ``array``, ``void``.
        interface: The name, for an interface.
        item: What an array is made of.
    """

    kind: str
    interface: str = ""
    item: Type | None = None


@dataclass(frozen=True)
class Parameter:
    """
    A parameter, as Python sees it: lengths of arrays are left out.

    Attributes:
        type: Its type.
        given: Whether it is passed in.
        returned: Whether it is the return value, which comes before the out-parameters.
    """

    type: Type
    given: bool
    returned: bool


@dataclass(frozen=True)
class Method:
    """
    A method, or one direction of an attribute.

    Attributes:
        name: Its name.
        getter: Whether it reads the attribute `name`.
        setter: Whether it writes the attribute `name`.
        parameters: In the library's order.
    """

    name: str
    getter: bool
    setter: bool
    parameters: tuple[Parameter, ...]

    @property
    def given(self) -> list[Type]:
        """The types of the arguments."""
        return [parameter.type for parameter in self.parameters if parameter.given]

    @property
    def results(self) -> list[Type]:
        """The types of what a call gives: the return value first, then the out-parameters."""
        out = [parameter for parameter in self.parameters if not parameter.given]
        return [p.type for p in sorted(out, key=lambda p: not p.returned)]


@dataclass(frozen=True)
class Interface:
    """
    An interface.

    Attributes:
        name: Its name.
        parent: The name of the interface that it extends.
        methods: Its own, in the library's order, without the reserved ones.
        constants: For an enumeration, its values; they are interfaces here, too.
    """

    name: str
    parent: str
    methods: tuple[Method, ...]
    constants: dict[str, int] = field(default_factory=dict)


def read(file: Path) -> dict[str, Interface]:
    """
    Read a type library.

    Raises:
        SetupError: It cannot be read, or is none.
    """
    try:
        data = file.read_bytes()
        return {found.name: found for found in _Library(data).interfaces()}
    except OSError as error:
        raise SetupError(
            f"cannot read the type library {file}: {error}",
            hint="it comes with VirtualBox, in components/VirtualBox_XPCOM.xpt",
        ) from error
    except (struct.error, ValueError, IndexError, KeyError) as error:
        raise SetupError(f"{file} is no type library of XPCOM: {error}") from error


class _Library:
    """The bytes of a library, and a place in them."""

    def __init__(self, data: bytes) -> None:
        if not data.startswith(_MAGIC):
            raise ValueError("it begins differently")
        self._data = data
        _, _, count, _, directory, self._pool = struct.unpack_from(_HEADER, data, len(_MAGIC))
        self._entries: list[tuple[str, int]] = []
        for number in range(count):
            place = directory - 1 + number * struct.calcsize(_ENTRY)
            _, name, _, descriptor = struct.unpack_from(_ENTRY, data, place)
            self._entries.append((self._text(name), descriptor))
        self._place = 0

    def _text(self, offset: int) -> str:
        start = self._pool + offset - 1
        return self._data[start : self._data.index(b"\0", start)].decode()

    def _next(self, layout: str) -> Any:
        values = struct.unpack_from(f">{layout}", self._data, self._place)
        self._place += struct.calcsize(f">{layout}")
        return values[0] if len(values) == 1 else values

    def interfaces(self) -> list[Interface]:
        found = []
        for name, descriptor in self._entries:
            if not descriptor:
                continue  # defined elsewhere, as nsISupports
            self._place = self._pool + descriptor - 1
            parent = self._next("H")
            methods = [self._method() for _ in range(self._next("H"))]
            callable_ = tuple(method for method in methods if method is not None)
            constants = dict(self._constant() for _ in range(self._next("H")))
            found.append(Interface(name, self._entries[parent - 1][0], callable_, constants))
        return found

    def _constant(self) -> tuple[str, int]:
        name, tag = self._next("IB")
        return self._text(name), self._next(_INTEGERS[tag & 0x1F])

    def _method(self) -> Method | None:
        flags, name, count = self._next("BIB")
        raw = [self._parameter() for _ in range(count)]
        self._parameter()  # the result: a result code, always
        lengths = {length for _, _, length in raw if length is not None}
        parameters = tuple(
            Parameter(type_, given=bool(flag & _IN), returned=bool(flag & _RETURNED))
            for index, (flag, type_, _) in enumerate(raw)
            if index not in lengths
        )
        spelled = self._text(name)
        # "InternalAndReservedMethod1IMachine": room for what may come, empty.
        if flags & _NOT_CALLABLE or spelled.startswith("InternalAndReserved"):
            return None
        return Method(spelled, bool(flags & _GETTER), bool(flags & _SETTER), parameters)

    def _parameter(self) -> tuple[int, Type, int | None]:
        flags = self._next("B")
        type_, length = self._type()
        return flags, type_, length

    def _type(self) -> tuple[Type, int | None]:
        """Read a type and, for an array, which parameter is its length."""
        tag = self._next("B") & 0x1F
        kind = _KINDS[tag]
        if tag == _INTERFACE:
            return Type(kind, interface=self._entries[self._next("H") - 1][0]), None
        if tag == _INTERFACE_IS:
            self._next("B")
            return Type(kind, interface="nsISupports"), None
        if tag == _ARRAY:
            _, length = self._next("BB")
            byte = self._data[self._place] & 0x1F == _BYTE
            item, _ = self._type()
            return (Type("bytes") if byte else Type(kind, item=item)), length
        if tag in _SIZED:
            self._next("BB")
        return Type(kind), None

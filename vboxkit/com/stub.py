"""Writing the types of VirtualBox's API, out of its two descriptions, which have to agree."""

from __future__ import annotations

import keyword
import textwrap
from typing import TYPE_CHECKING

from vboxkit.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from vboxkit.com.typelib import Interface, Method, Type
    from vboxkit.com.wsdl import Description, Member

__all__ = ["render"]

_WIDTH = 100

#: What may be no object at all, by interface and member. Neither description knows; source: the
#: SDK reference.
NULLABLE_RESULTS = frozenset(
    {
        "IAppliance.certificate",
        "ICloudMachine.accessError",
        "IEventSource.getEvent",
        "IHostAudioDeviceChangedEvent.error",
        "IMachine.accessError",
        "IMachine.currentSnapshot",
        "IMachine.getMedium",
        "IMedium.mediumFormat",
        "IMedium.parent",
        "IMediumAttachment.bandwidthGroup",
        "IMediumAttachment.medium",
        "INetworkAdapter.bandwidthGroup",
        "IProgress.errorInfo",
        "ISnapshot.parent",
        "IUSBDeviceStateChangedEvent.error",
        "IVirtualBoxErrorInfo.next",
    }
)

#: Arguments that may be left empty, with `None`.
NULLABLE_ARGUMENTS = frozenset(
    {
        "IMachine.attachDevice.medium",
        "IMachine.mountMedium.medium",
        "IMachine.setBandwidthGroupForDevice.bandwidthGroup",
        "IMedium.cloneTo.parent",
        "IMedium.resizeAndCloneTo.parent",
    }
)

#: Of the web service alone: its own bookkeeping.
_SERVICE_ONLY = frozenset({"IManagedObjectRef", "IWebsessionManager"})

_BUILT_IN = frozenset({"bool", "bytes", "int", "list", "str", "tuple"})

_HEAD = '''"""
The whole API of VirtualBox {version}, for editors and type checkers.

Generated, do not edit: ``python -m vboxkit.com.generate`` makes it anew, from what an installation
of VirtualBox says of itself.

Use it where only type checkers look; at run time every name in it is `typing.Any`::

    if TYPE_CHECKING:
        from vboxkit.com.interfaces import IMachine

- Members are what XPCOM's Python binding gives. An attribute that is an array is a pair of methods
  there (``getGroups``, ``setGroups``); `Api.array` reads it on every system.
- All arguments are positional. A call gives its return value, then its out-parameters: one alone
  as it is, several as a tuple.
- Values of enumerations are numbers; `Api.value` and `Api.name` translate them. ``SomethingName``
  has the names of the enumeration ``Something``.
"""
'''

_BASICS = """\
from typing import Literal, TypeAlias, TypeVar

_T = TypeVar("_T")
_Array: TypeAlias = list[_T] | tuple[_T, ...]
"""


def render(
    version: str, interfaces: Mapping[str, Interface], description: Description
) -> Iterator[str]:
    """
    Yield the lines of a stub file.

    Args:
        version: The VirtualBox that the descriptions are of.
        interfaces: From its type library.
        description: From its web service.

    Raises:
        SetupError: The two do not agree.
    """
    stub = _Stub(interfaces, description)
    stub.check()
    yield from _HEAD.format(version=version).splitlines()
    hidden = stub.hidden()
    yield from (
        "",
        *(f"from builtins import {name} as _{name}" for name in sorted(hidden & _BUILT_IN)),
    )
    yield from _BASICS.splitlines()
    yield from (f"_{name}: TypeAlias = {name}" for name in sorted(hidden - _BUILT_IN))
    for name, values in sorted(description.enumerations.items()):
        yield from _enumeration(name, values)
    yield from ("", "class nsISupports:", '    """What all interfaces extend."""')
    for name in stub.names:
        yield from stub.interface(interfaces[name])


def _enumeration(name: str, values: Mapping[str, int]) -> Iterator[str]:
    yield from ("", f"class {name}(int):")
    text = ", ".join(f"{key} {value}" for key, value in values.items())
    lines = textwrap.wrap(f'"""{text}."""', _WIDTH - 4)
    yield from (f"    {line}" for line in lines)
    names = ", ".join(f'"{key}"' for key in values)
    one = f"{name}Name: TypeAlias = Literal[{names}]"
    yield ""
    if len(one) <= _WIDTH:
        yield one
        return
    yield f"{name}Name: TypeAlias = Literal["
    yield from (f"    {line}" for line in textwrap.wrap(f"{names},", _WIDTH - 4))
    yield "]"


def _getter(attribute: str) -> str:
    return f"get{attribute[:1].upper()}{attribute[1:]}"


def _setter(attribute: str) -> str:
    return f"set{attribute[:1].upper()}{attribute[1:]}"


class _Stub:
    def __init__(self, interfaces: Mapping[str, Interface], description: Description) -> None:
        self._interfaces = interfaces
        self._description = description
        # The library has an interface for every enumeration, too.
        self.names = sorted(set(interfaces) - set(description.enumerations) - _values(interfaces))
        self._types = {*description.enumerations, *interfaces, *_BUILT_IN}
        #: Types that a member of the class at hand hides.
        self._hidden: set[str] = set()

    def check(self) -> None:
        """Refuse descriptions that contradict each other."""
        wrong = []
        for (name, member), described in sorted(self._description.members.items()):
            if name in _SERVICE_ONLY:
                continue
            methods = self._interfaces[name].methods if name in self._interfaces else ()
            wrong += [f"{name}::{member} {problem}" for problem in _problems(described, methods)]
        for name, values in sorted(self._description.enumerations.items()):
            if name not in self._interfaces or self._interfaces[name].constants != values:
                wrong.append(f"{name} has the values {values}")
        if wrong:
            raise SetupError(
                "VirtualBox's type library and its web service do not agree:\n  "
                + "\n  ".join(wrong),
                hint="use both from the same version of VirtualBox",
            )

    def hidden(self) -> set[str]:
        """Return the types that a member of some class hides there; they get second names."""
        found: set[str] = set()
        for name in self.names:
            found |= self._hidden_by(self._interfaces[name])
        return found

    def interface(self, interface: Interface) -> Iterator[str]:
        """Yield the class of an interface."""
        known = interface.parent in self._interfaces
        self._hidden = self._hidden_by(interface)
        yield from ("", f"class {interface.name}({interface.parent if known else 'nsISupports'}):")
        setters = {method.name for method in interface.methods if method.setter}
        if not interface.methods:
            yield "    ..."
        for method in interface.methods:
            if method.setter:
                continue
            if method.getter:
                type_ = self._result(interface.name, method)
                if method.name in setters:
                    yield f"    {method.name}: {type_}"
                else:
                    yield "    @property"
                    yield f"    def {method.name}(self) -> {type_}: ..."
            else:
                yield from self._method(interface.name, method)

    def _hidden_by(self, interface: Interface) -> set[str]:
        return self._types & {method.name for method in interface.methods}

    def _member(self, interface: str, method: Method) -> Member | None:
        """Find what the web service says of it; some things it cannot do, and leaves out."""
        members = self._description.members
        found = members.get((interface, method.name))
        if found is None:
            short = method.name[3:]
            for name in (short, short[:1].lower() + short[1:]):
                found = found or members.get((interface, name))
        return found

    def _method(self, interface: str, method: Method) -> Iterator[str]:
        member = self._member(interface, method)
        described: tuple[tuple[str, str], ...] = ()
        if member is not None:
            # The value that is set is what the getter gives.
            described = member.results if member.attribute else member.arguments
        arguments = []
        for index, type_ in enumerate(method.given):
            name, kind = described[index] if described else (f"arg{index + 1}", "")
            name = "value" if member is not None and member.attribute else name
            spelled = self._spell(type_, kind, given=True)
            if f"{interface}.{method.name}.{name}" in NULLABLE_ARGUMENTS:
                spelled += " | None"
            arguments.append(f"{_safe(name)}: {spelled}")
        end = f") -> {self._result(interface, method)}: ..."
        parts = ["self", *arguments, *(["/"] if arguments else [])]
        line = f"    def {_safe(method.name)}({', '.join(parts)}{end}"
        if len(line) <= _WIDTH:
            yield line
            return
        yield f"    def {_safe(method.name)}("
        yield from (f"        {part}," for part in parts)
        yield f"    {end}"

    def _result(self, interface: str, method: Method) -> str:
        member = self._member(interface, method)
        described = member.results if member is not None else ()
        spelled = [
            self._spell(type_, described[index][1] if described else "", given=False)
            for index, type_ in enumerate(method.results)
        ]
        if not spelled:
            return "None"
        if f"{interface}.{method.name}" in NULLABLE_RESULTS:
            spelled[0] += " | None"
        return spelled[0] if len(spelled) == 1 else f"tuple[{', '.join(spelled)}]"

    def _spell(self, type_: Type, described: str, *, given: bool) -> str:
        """Write a type down; `described` is the web service's, and names enumerations."""
        if type_.kind == "array" and type_.item is not None:
            item = self._spell(type_.item, described, given=given)
            return f"_Array[{item}]" if given else f"{self._known('list')}[{item}]"
        if type_.kind == "interface":
            known = type_.interface in self._interfaces
            return self._known(type_.interface) if known else "nsISupports"
        enumeration = described.rpartition(":")[2]
        if type_.kind == "int" and enumeration in self._description.enumerations:
            return self._known(enumeration)
        return self._known(type_.kind)

    def _known(self, name: str) -> str:
        return f"_{name}" if name in self._hidden else name


def _values(interfaces: Iterable[str]) -> set[str]:
    """Return those that are no interfaces: enumerations that the web service does not use."""
    return {name for name in interfaces if not (name[:1] == "I" and name[1:2].isupper())}


def _safe(name: str) -> str:
    return f"{name}_" if keyword.iskeyword(name) else name


def _problems(member: Member, methods: Iterable[Method]) -> Iterator[str]:
    """Yield what the type library says otherwise."""
    named = {(method.getter, method.setter, method.name): method for method in methods}
    if not member.attribute:
        method = named.get((False, False, member.name))
        if method is None:
            yield "is a method, and is missing from the library"
        elif (len(method.given), len(method.results)) != (
            len(member.arguments),
            len(member.results),
        ):
            yield f"has {len(member.arguments)} arguments and {len(member.results)} results"
        return
    scalar = named.get((True, False, member.name))
    array = named.get((False, False, _getter(member.name)))
    if scalar is None and array is None:
        yield "is an attribute, and is missing from the library"
    setter = (False, True, member.name) if scalar else (False, False, _setter(member.name))
    if (setter in named) != member.writable:
        yield "can be set according to one of them only"

"""Settings that are not plain attributes of their part: moved ones, flags, lists to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vboxkit.com.versions import has, holder, require, spelling
from vboxkit.machines.locks import pending_undo
from vboxkit.machines.parts import Choice, S, Setting, T, invalid, near
from vboxkit.machines.states import ONLINE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from vboxkit.machines.base import ComObject
    from vboxkit.machines.parts import MachinePart

__all__ = [
    "Flag",
    "LiveChoice",
    "LiveSetting",
    "MachineChoice",
    "MachineSetting",
    "offered",
    "one_of",
]

#: What a 32-bit and a 64-bit number of COM can hold; more would be cut off without a word.
UINT32 = 2**32 - 1
INT64 = 2**63 - 1


class _OfMachine:
    """An attribute of ``IMachine`` in 7.0 that may have moved since; see `com.versions.holder`."""

    _name: str

    def _home(self, obj: Any) -> Any:
        part: MachinePart = obj
        require(part._api, "IMachine", self._name)
        return holder(part._api, part._machine._current(), self._name)

    def _read(self, obj: ComObject) -> Any:
        return getattr(self._home(obj), spelling(obj._api, self._name))

    def _write(self, obj: ComObject, _com: Any, raw: Any) -> None:
        setattr(self._home(obj), spelling(obj._api, self._name), raw)


class MachineSetting(_OfMachine, Setting[T]):
    """A `Setting` of a part that is not an attribute of the raw part in every version."""


class MachineChoice(_OfMachine, Choice[S]):
    """A `Choice` of a part that is not an attribute of the raw part in every version."""


class Flag(_OfMachine, Setting[bool]):
    """
    A setting that is on or off, behind a pair of methods that take its name.

    Args:
        methods: The methods' name without get and set, as ``CPUProperty``.
        enumeration: The enumeration of the flags' names.
        member: The flag's name, as ``PAE``.
        doc: Its documentation.
    """

    def __init__(self, methods: str, enumeration: str, member: str, doc: str) -> None:
        super().__init__(f"get{methods}", bool, doc)
        self._setter = f"set{methods}"
        self._enumeration = enumeration
        self._member = member

    def _read(self, obj: ComObject) -> Any:
        flag = obj._api.value(self._enumeration, self._member)
        return getattr(self._home(obj), self._name)(flag)

    def _write(self, obj: ComObject, _com: Any, raw: Any) -> None:
        flag = obj._api.value(self._enumeration, self._member)
        getattr(self._home(obj), self._setter)(flag, raw)


class _Live:
    """An attribute that a running machine takes over at once."""

    def _write(self, obj: Any, com: Any, raw: Any) -> None:
        write: Callable[[Any, Any, Any], None] = super()._write  # type: ignore[misc]  # a mixin
        machine = getattr(obj, "_machine", obj)
        if machine.state in ONLINE:
            old = self._read(obj)  # type: ignore[attr-defined]  # a mixin

            def undo(changed: Any) -> None:
                # discardSettings() undoes the setting, but the running machine was told already.
                # Setting it once more, to and fro, tells it again.
                if machine.state in ONLINE:
                    place = changed if obj is machine else obj._locate(changed)
                    write(obj, place, raw)
                    write(obj, place, old)
                    changed.saveSettings()

            pending_undo(machine).append(undo)
        write(obj, com, raw)


class LiveSetting(_Live, Setting[T]):
    """A `Setting` that a running machine takes over at once."""


class LiveChoice(_Live, Choice[S]):
    """A `Choice` that a running machine takes over at once."""


def offered(
    attribute: str, enumeration: str, *, also: Collection[str] = ()
) -> Callable[[Any, str, Any], None]:
    """
    Return a check that the platform has a kind of hardware.

    VirtualBox takes any member of an enumeration, for instance an ARM chipset for a PC; the
    machine then does not start, or its settings cannot be read again.

    Args:
        attribute: The attribute of ``IPlatformProperties`` that lists what there is.
        enumeration: The enumeration of its values.
        also: Names that are fine, although they are not listed.
    """

    def check(obj: ComObject, _name: str, value: Any) -> None:
        api = obj._api
        if value not in api.names(enumeration) or value in also:
            return  # what is no name at all is left to `choose`, which knows the near ones
        if not has(api, "ISystemProperties", attribute):
            return
        properties = holder(api, api.virtualbox.systemProperties, attribute)
        raw = api.array(properties, spelling(api, attribute))
        known = {*also, *(api.name(enumeration, each) for each in raw)}
        if value not in known:
            raise invalid(
                obj,
                f"the platform has no {enumeration} {value!r}",
                hint=f"one of {', '.join(sorted(known))}",
            )

    return check


def one_of(obj: ComObject, what: str, value: str, known: Collection[str]) -> None:
    """
    Check that a name is known.

    Raises:
        ApiError: It is not; the hint has the near ones, or all.
    """
    if value in known:
        return
    close = near(str(value), known)
    every = ", ".join(map(repr, known)) or "there is none"
    raise invalid(
        obj,
        f"there is no {what} {value!r}",
        hint=f"did you mean {' or '.join(map(repr, close))}?" if close else f"one of {every}",
    )

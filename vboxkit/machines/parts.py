"""What the parts of a machine (firmware, storage, sound, ...) and their settings share."""

from __future__ import annotations

import difflib
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vboxkit.com.translation import translated
from vboxkit.errors import ApiError
from vboxkit.machines.base import Attribute, ComObject
from vboxkit.machines.locks import holds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from vboxkit.machines.properties import MachineProperties

__all__ = [
    "NO_TEXT",
    "Choice",
    "MachinePart",
    "Part",
    "Setting",
    "choose",
    "invalid",
    "near",
    "require_text",
    "within",
]

#: What XML has no place for: VirtualBox writes U+FFFD for it, cuts the text, or runs out of memory.
NO_TEXT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

T = TypeVar("T")
S = TypeVar("S", bound=str)
P = TypeVar("P")


class MachinePart(ComObject):
    """
    A part of a machine that has settings of its own.

    A subclass says by `_locate` where the part hangs on a raw machine: reading uses the machine as
    it is, changing the one under lock, and inside `Machine.edit` both use the latter.

    Attributes:
        com: The raw part.
    """

    #: What it is called in messages.
    noun = "part"

    def __init__(self, machine: MachineProperties) -> None:
        self._machine = machine
        super().__init__(machine._api, self._locate(machine.com))

    def _locate(self, machine: Any) -> Any:
        """Return the raw part of a raw machine."""
        raise NotImplementedError

    def _subject(self) -> str:
        return f"{self._machine._subject()}: {self.noun}"

    def _state(self) -> str:
        return str(self._machine.state)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._machine!r}>"

    def _current(self) -> Any:
        return self._locate(self._machine._current()) if holds(self._machine) else self.com

    @contextmanager
    def _changing(self) -> Iterator[Any]:
        """Hold the machine's lock and yield the changeable raw part; see `Machine.edit`."""
        with self._machine._changing() as machine:
            yield self._locate(machine)


class Part(Generic[P]):
    """A part of a machine as its attribute; made when it is first asked for."""

    def __init__(self, factory: Callable[[Any], P], doc: str) -> None:
        self._factory = factory
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, obj: MachineProperties | None, owner: type) -> P:
        if obj is None:
            return self  # type: ignore[return-value]  # for documentation tools only
        with obj._translated(f"read {self._name}"):
            part = self._factory(obj)
        # Not a data descriptor: from now on the instance's own attribute is found first.
        obj.__dict__[self._name] = part
        return part


class Setting(Attribute[T]):
    """
    A live attribute of the raw object that can be set, under a Python name.

    Setting it takes the lock that it needs. Inside `Machine.edit` it is written at the end of the
    block, and reads as set from then on within it.

    Args:
        name: The attribute's name in VirtualBox.
        kind: Its type: `int`, `bool` or `str`, or anything that makes the Python value.
        doc: Its documentation.
        check: Called with object, attribute and value before anything is changed; see `within`.
        raw: Makes the raw value of a Python one; as it is if left out.
    """

    def __init__(
        self,
        name: str,
        kind: Callable[[Any], T],
        doc: str,
        *,
        check: Callable[[Any, str, Any], None] | None = None,
        raw: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(name, kind, doc)
        self._check = check
        self._raw = raw

    def require(self, obj: ComObject, value: T) -> None:
        """
        Check a value before it is set; changes nothing.

        Raises:
            TypeError: It has another type.
            ApiError: It cannot be set; the hint says which can.
        """
        kind = self._convert
        if isinstance(kind, type) and self._raw is None and type(value) is not kind:
            msg = (
                f"{obj._subject()}: {self._python_name} is {kind.__name__},"
                f" not {type(value).__name__}"
            )
            raise TypeError(msg)
        if isinstance(value, str):
            require_text(obj, self._python_name, value)
        if self._check is not None:
            self._check(obj, self._python_name, value)

    def __set__(self, obj: ComObject, value: T) -> None:
        with translated(
            obj._api,
            f"set {self._python_name} to {value!r}",
            subject=obj._subject(),
            state=obj._state,
        ):
            self.require(obj, value)
            with obj._changing() as com:
                self._note(obj, value)
                self._write(obj, com, self._to_raw(obj, value))

    def _note(self, obj: ComObject, value: T) -> None:
        if obj._api.audit is not None:
            name = f"{obj._subject()}: {self._python_name}"
            obj._note_change(name, self._from_raw(obj, self._read(obj)), value)

    def _write(self, _obj: ComObject, com: Any, raw: Any) -> None:
        setattr(com, self._name, raw)

    def _to_raw(self, _obj: ComObject, value: T) -> Any:
        return value if self._raw is None else self._raw(value)


class Choice(Setting[S]):
    """
    A setting whose values are the names of an enumeration of VirtualBox.

    Args:
        name: The attribute's name in VirtualBox.
        enumeration: The enumeration's name, as ``FirmwareType``.
        doc: Its documentation.
    """

    def __init__(
        self,
        name: str,
        enumeration: str,
        doc: str,
        *,
        check: Callable[[Any, str, Any], None] | None = None,
    ) -> None:
        super().__init__(name, str, doc, check=check)  # type: ignore[arg-type]  # see _from_raw
        self._enumeration = enumeration

    def _from_raw(self, obj: ComObject, raw: Any) -> S:
        return obj._api.name(self._enumeration, raw)  # type: ignore[return-value]  # its own names

    def _to_raw(self, obj: ComObject, value: S) -> Any:
        return choose(obj, self._enumeration, value)


def choose(obj: ComObject, enumeration: str, name: str) -> Any:
    """
    Return the running version's value of an enumeration's member, for a setting of an object.

    Raises:
        ApiError: There is no such member; the hint has the near ones, or all.
    """
    names = [n for n in obj._api.names(enumeration) if not n.startswith(("First", "Last"))]
    if name in names:
        return obj._api.value(enumeration, name)
    close = near(str(name), names)
    # Members that stand for "no value": some may be set, none is what anybody wants.
    others = ", ".join(each for each in names if each not in {"Invalid", "NotSet"})
    version = ".".join(map(str, obj._api.version))
    raise invalid(
        obj,
        f"VirtualBox {version} has no {enumeration} {name!r}",
        hint=f"did you mean {' or '.join(close)}?" if close else f"one of {others}",
    )


def near(text: str, known: Iterable[str]) -> list[str]:
    """Return the three names at most that a mistyped one may mean, capitals or not."""
    folded = {name.casefold(): name for name in known}
    return [folded[name] for name in difflib.get_close_matches(text.casefold(), folded, n=3)]


def require_text(obj: ComObject, what: str, value: object, *, longest: int | None = None) -> None:
    """
    Refuse a value that is no text, too long, or would not come back as it was.

    Args:
        obj: Whose text it is, for the message.
        what: The kind of text, for the message.
        value: The text; it may be empty.
        longest: Bytes.
    """
    if not isinstance(value, str):
        raise TypeError(f"{obj._subject()}: {what} is str, not {type(value).__name__}")
    size = len(value.encode(errors="replace"))
    if longest is not None and size > longest:
        raise invalid(
            obj,
            f"{what} cannot have {size} bytes",
            hint=f"0 to {longest} bytes",
            operation="set it",
        )
    bad = NO_TEXT.search(value)
    if bad is not None:
        raise invalid(
            obj,
            f"{what} cannot hold the character U+{ord(bad[0]):04X}",
            hint="leave out control characters; encode binary data",
            operation="set it",
        )


def within(
    low: int | Callable[[Any], int], high: int | Callable[[Any], int], unit: str = ""
) -> Callable[[Any, str, Any], None]:
    """
    Return a check that a number is in a range.

    Args:
        low: The least value, or a function that gets it from the object.
        high: The greatest value, likewise.
        unit: For the message.
    """

    def check(obj: ComObject, name: str, value: Any) -> None:
        least = low(obj) if callable(low) else low
        most = high(obj) if callable(high) else high
        if not least <= value <= most:
            what = f"{value} {unit}".strip()
            raise invalid(obj, f"{name} cannot be {what}", hint=f"{least} to {most} {unit}".strip())

    return check


def invalid(obj: ComObject, text: str, *, hint: str, operation: str = "change it") -> ApiError:
    """Return the error for a value that an object cannot take."""
    state = obj._state()
    who = f"{obj._subject()} ({state})" if state else obj._subject()
    return ApiError(
        f"{who}: {text}", symbol="E_INVALIDARG", text=text, operation=operation, hint=hint
    )

"""Names and values that VirtualBox keeps, as mappings that behave like `dict`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import ItemsView, Iterator, Mapping, MutableMapping, ValuesView
from typing import TYPE_CHECKING, Any, TypeVar

from vboxkit.errors import NotFoundError
from vboxkit.machines.base import ComObject, api_call
from vboxkit.machines.parts import Part, invalid, near

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["LiveMapping", "MappingPart", "require_printable"]

V = TypeVar("V")
P = TypeVar("P")


class LiveMapping(ComObject, MutableMapping[str, V]):
    """
    A mapping whose every look is a look into VirtualBox.

    It has all that `dict` has; `copy` and ``|`` give a `dict` of what was there at that moment.
    Several changes at once (`update`, `clear`, ``|=``) are one change: all of it is made, or
    nothing. What is missing is a `NotFoundError`, which is a `KeyError`.

    A subclass gives `_all`, `_write` and `_remove`, and `_read` where one value is cheaper to get
    than all of them.

    Args:
        owner: The machine, or VirtualBox, that has it.
    """

    #: What one entry is called in messages.
    noun = "entry"

    def __init__(self, owner: ComObject) -> None:
        super().__init__(owner._api, owner.com)
        self._owner = owner

    @abstractmethod
    def _all(self) -> dict[str, V]:
        """Read everything."""

    def _read(self, name: str) -> V | None:
        """Read one value, if it is there."""
        return self._all().get(name)

    @abstractmethod
    def _write(self, name: str, value: Any) -> None:
        """Write one value; called inside `_changing`."""

    @abstractmethod
    def _remove(self, name: str) -> None:
        """Remove one that is there; called inside `_changing`."""

    def _subject(self) -> str:
        return f"{self._owner._subject()}: {self.noun}"

    def _state(self) -> str:
        return self._owner._state()

    def _current(self) -> Any:
        return self._owner._current()

    def _changing(self) -> AbstractContextManager[Any]:
        return self._owner._changing()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._owner!r}>"

    # Reading. Not from the mixin where that takes a foreign KeyError for a missing name.

    @api_call("read it")
    def __getitem__(self, name: str) -> V:
        found = self._look(name)
        if found is None:
            raise self._missing(name)
        return found

    def _look(self, name: object) -> V | None:
        return self._read(name) if isinstance(name, str) else None

    def _missing(self, name: object) -> NotFoundError:
        known = sorted(self._all())
        close = near(str(name), known)
        shown = f"only {known}" if len(known) <= 20 else f"but {len(known)} others"
        return NotFoundError(
            f"{self._owner._subject()} has no {self.noun} {name!r}, {shown}"
            if known
            else f"{self._owner._subject()} has no {self.noun} {name!r}, and no other one either",
            kind=self.noun,
            wanted=str(name),
            available=known,
            hint=f"did you mean {' or '.join(map(repr, close))}?"
            if close
            else "get() returns None if there is none",
        )

    def __contains__(self, name: object) -> bool:
        with self._translated("read it"):
            return self._look(name) is not None

    @api_call("read it")
    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, or the default if there is none of that name."""
        found = self._look(name)
        return default if found is None else found

    @api_call("list them")
    def copy(self) -> dict[str, V]:
        """Return all that is there now as a `dict`; what happens later does not change it."""
        return self._all()

    def __iter__(self) -> Iterator[str]:
        return iter(self.copy())

    def __reversed__(self) -> Iterator[str]:
        return reversed(self.copy())

    def __len__(self) -> int:
        return len(self.copy())

    def items(self) -> ItemsView[str, V]:
        """Return a view of names and values; an iteration shows one moment."""
        return _Items(self)

    def values(self) -> ValuesView[V]:
        """Return a view of the values; an iteration shows one moment."""
        return _Values(self)

    def __eq__(self, other: object) -> bool:
        return self.copy() == dict(other) if isinstance(other, Mapping) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as a dict's

    # Changing

    def __setitem__(self, name: str, value: Any) -> None:
        self._check(name, value)
        with self._translated(f"set {name!r}"), self._changing():
            self._write(name, value)

    def _check(self, name: str, value: Any) -> None:
        """Refuse what cannot be written, before anything is changed."""

    def __delitem__(self, name: str) -> None:
        with self._translated(f"remove {name!r}"), self._changing():
            if self._look(name) is None:
                raise self._missing(name)
            self._remove(name)

    _NO_DEFAULT = object()

    def pop(self, name: str, default: Any = _NO_DEFAULT) -> Any:
        """Remove one and return its value, or the default if there is none of that name."""
        if name not in self and default is not self._NO_DEFAULT:
            return default
        value = self[name]
        del self[name]
        return value

    def popitem(self) -> tuple[str, V]:
        """Remove the last one, and return its name and value."""
        everything = self.copy()
        if not everything:
            raise self._missing("")
        name, value = everything.popitem()
        del self[name]
        return name, value

    def setdefault(self, name: str, default: Any = None) -> V:
        """Return a value; it is the default, and is written, if there is none of that name."""
        if name not in self:
            self[name] = default
        return self[name]

    def clear(self) -> None:
        """Remove all, as one change."""
        with self._translated("remove all"), self._changing():
            for name in self._all():
                self._remove(name)

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Write all that another mapping, or an iterable of pairs, has, as one change."""
        new = {**dict(other), **more}
        for name, value in new.items():
            self._check(name, value)
        if not new:
            return
        with self._translated("write them"), self._changing():
            for name, value in new.items():
                self._write(name, value)

    def __or__(self, other: object) -> dict[str, V]:
        return {**self.copy(), **other} if isinstance(other, Mapping) else NotImplemented

    def __ror__(self, other: object) -> dict[str, V]:
        return {**other, **self.copy()} if isinstance(other, Mapping) else NotImplemented

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]  # pairs, too, as a dict's
        self.update(other)
        return self


class _Items(ItemsView[str, V]):
    _mapping: LiveMapping[V]

    def __iter__(self) -> Iterator[tuple[str, V]]:
        return iter(self._mapping.copy().items())


class _Values(ValuesView[V]):
    _mapping: LiveMapping[V]

    def __iter__(self) -> Iterator[V]:
        return iter(self._mapping.copy().values())


class MappingPart(Part[P]):
    """A `Part` that nobody can replace by a `dict`, which would be silently lost."""

    def __get__(self, obj: Any, owner: type) -> P:
        if obj is not None and (found := obj.__dict__.get(self._name)) is not None:
            return found  # type: ignore[no-any-return]
        return super().__get__(obj, owner)

    def __set__(self, obj: Any, value: object) -> None:
        # `machine.extra_data |= {...}` assigns what is there already.
        if value is not self.__get__(obj, type(obj)):
            raise AttributeError(
                f"{type(obj).__name__}.{self._name} cannot be replaced:"
                f" use .{self._name}.update(...), or .clear() first"
            )


def require_printable(obj: ComObject, what: str, name: str, *, longest: int | None = None) -> None:
    """
    Refuse a name that is empty, too long, or has characters that settings files cannot hold.

    Args:
        obj: Whose name it is, for the message.
        what: The kind of name, for the message.
        name: The name.
        longest: Bytes.
    """
    if not isinstance(name, str):
        raise TypeError(f"{obj._subject()}: {what} is str, not {type(name).__name__}")
    size = len(name.encode(errors="replace"))
    if not name or not name.isprintable() or (longest is not None and size > longest):
        raise invalid(
            obj,
            f"{what} cannot be {name!r}" if len(name) < 100 else f"{what} cannot have {size} bytes",
            hint="printable characters" + (f", 1 to {longest} bytes" if longest else ", not none"),
            operation="set it",
        )

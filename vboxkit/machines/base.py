"""What all objects over a raw VirtualBox object share."""

from __future__ import annotations

import difflib
import functools
import sys
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from vboxkit.com.translation import translated, translation

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from typing_extensions import ParamSpec, Self

    from vboxkit.com.api import Api

    P = ParamSpec("P")

__all__ = ["Attribute", "ComObject", "api_call"]

T = TypeVar("T")


class ComObject:
    """
    An object of VirtualBox.

    Attributes:
        com: The raw object.
    """

    def __init__(self, api: Api, com: Any) -> None:
        self._api = api
        self.com = com

    def __setattr__(self, name: str, value: object) -> None:
        # A mistyped setting would be taken without a word, and change nothing. Constructors may
        # add what they like, those of a user's subclass, too.
        if (
            name.startswith("_")
            or hasattr(type(self), name)
            or name in self.__dict__
            or sys._getframe(1).f_code.co_name == "__init__"
        ):
            super().__setattr__(name, value)
            return
        known = [each for each in dir(type(self)) if not each.startswith("_")]
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{hint}")

    def __reduce__(self) -> str | tuple[Any, ...]:
        # The raw object is this process's; pickling it would fail somewhere deep, or not at all.
        msg = (
            f"{self!r} cannot be pickled or copied: it belongs to this process's connection. Pass"
            " on a Machine or VirtualBox, which connect anew where they are unpickled, or a name"
        )
        raise TypeError(msg)

    def _subject(self) -> str:
        """Name this object in a message; must not call VirtualBox."""
        return type(self).__name__.lower()

    def _state(self) -> str:
        """Read the state that belongs into a message, if the object has one."""
        return ""

    def _current(self) -> Any:
        """Return the raw object to read: inside a change of this thread, the changed one."""
        return self.com

    def _changing(self) -> AbstractContextManager[Any]:
        """Take the lock that a change needs, and yield the changeable raw object."""
        raise NotImplementedError(f"{type(self).__name__} has nothing that can be changed")

    def _note_change(self, name: str, before: object, now: object) -> None:
        """Add a value to the line of the audit log that this change will be."""
        log = self._api.audit
        if log is not None and log.current is not None:
            log.current.note(name, before, now)

    def _translated(self, operation: str) -> AbstractContextManager[None]:
        return translated(self._api, operation, subject=self._subject(), state=self._state)


def api_call(operation: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """
    Translate the foreign errors that leave a method.

    Args:
        operation: What the method does, after "cannot".
    """

    def decorate(method: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(method)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
            self: Any = args[0]
            with self._translated(operation):
                result = method(*args, **kwargs)
                if isinstance(result, ComObject) and result is not self:
                    result._note_change("gave", None, result._subject())
                return result

        return wrapper

    return decorate


class Attribute(Generic[T]):
    """
    A live, read-only attribute of the raw object, under a Python name.

    Args:
        name: The attribute's name in VirtualBox.
        convert: Makes the Python value of the raw one.
    """

    def __init__(self, name: str, convert: Callable[[Any], T], doc: str) -> None:
        self._name = name
        self._convert = convert
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._python_name = name

    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: ComObject, owner: type) -> T: ...
    def __get__(self, obj: ComObject | None, owner: type) -> Self | T:
        if obj is None:
            return self
        try:
            return self._from_raw(obj, self._read(obj))
        except Exception as error:
            foreign = obj._api.foreign(error)
            if foreign is None:
                raise
            raise translation(
                foreign,
                operation=f"read {self._python_name}",
                subject=obj._subject(),
            ) from error

    def _read(self, obj: ComObject) -> Any:
        return getattr(obj._current(), self._name)

    def _from_raw(self, _obj: ComObject, raw: Any) -> T:
        return self._convert(raw)

    def __set__(self, obj: ComObject, value: T) -> None:
        msg = f"{type(obj).__name__}.{self._python_name} is read-only"
        raise AttributeError(msg)

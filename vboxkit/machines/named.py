"""Collections of VirtualBox's own objects (not a machine's), by name."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vboxkit.errors import AlreadyExistsError, InvalidStateError
from vboxkit.machines.attachments import not_found
from vboxkit.machines.base import ComObject
from vboxkit.machines.forwards import slots
from vboxkit.machines.parts import invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vboxkit.com.api import Api

__all__ = ["Named", "NamedObject", "require_unused"]

N = TypeVar("N", bound="NamedObject")


class NamedObject(ComObject):
    """
    An object that VirtualBox keeps in a list of its own, under a name.

    Its settings need no lock; each is saved at once.
    """

    #: What it is called in messages.
    noun = "network"
    #: The attribute that has its name.
    name_attribute = "networkName"

    def __init__(self, api: Api, com: Any) -> None:
        super().__init__(api, com)
        self._name = "?"
        with self._translated("read its name"):
            self._name = str(getattr(com, self.name_attribute))

    def _subject(self) -> str:
        return f"{self.noun} {self._name!r}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name!r}>"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._name == self._name

    def __hash__(self) -> int:
        return hash((type(self), self._name))

    @property
    def name(self) -> str:
        """Its name."""
        with self._translated("read its name"):
            return str(getattr(self.com, self.name_attribute))

    def _siblings(self) -> list[str]:
        """Return the names of all objects of its kind."""
        raise NotImplementedError

    @contextmanager
    def _changing(self) -> Iterator[Any]:
        # An object that was removed takes changes without a word.
        known = self._siblings()
        if self._name not in known:
            raise not_found("VirtualBox", self.noun, self._name, known, hint="it was deleted")
        yield self.com


class Named(ComObject, Generic[N]):
    """Objects by name: ``["name"]``, ``in``, iteration, ``len``."""

    #: The class of its objects.
    element: Callable[[Api, Any], N]
    #: What one of them is called in messages.
    noun = "network"

    def __init__(self, api: Api) -> None:
        super().__init__(api, api.virtualbox)

    @abstractmethod
    def _list(self) -> list[Any]:
        """Return the raw objects."""

    def _subject(self) -> str:
        return "VirtualBox"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __iter__(self) -> Iterator[N]:
        with self._translated(f"list each {self.noun}"):
            found = self._list()
        return (type(self).element(self._api, com) for com in found)

    def __len__(self) -> int:
        with self._translated(f"count each {self.noun}"):
            return len(self._list())

    def names(self) -> list[str]:
        """Return their names, sorted."""
        return sorted(each._name for each in self)

    def find(self, name: str) -> N | None:
        """Return the one of this name, or `None`."""
        return next((each for each in self if each._name == name), None)

    def __getitem__(self, name: str) -> N:
        found = self.find(name)
        if found is None:
            raise not_found("VirtualBox", self.noun, name, self.names(), hint=self._how())
        return found

    def _how(self) -> str | None:
        """Say how to make one, for the message that there is none."""
        return "create() makes one"

    def __contains__(self, name: object) -> bool:
        return any(each._name == name for each in self)

    def _require_new(self, name: str) -> None:
        if not name or not name.isprintable() or len(name) > 200:
            raise invalid(
                self,
                f"a {self.noun} cannot be named {str(name)[:40]!r}",
                hint="1 to 200 printable characters",
                operation="create it",
            )
        if name in self:
            raise AlreadyExistsError(
                f"there is a {self.noun} {name!r} already",
                kind=self.noun,
                wanted=name,
                operation="create it",
                hint="choose another name, or delete() that one",
            )


def require_unused(obj: NamedObject, attachment: str, attribute: str) -> None:
    """
    Refuse to remove a network that machines are attached to: VirtualBox would not mind.

    Raises:
        InvalidStateError: The error names them.
    """
    api = obj._api
    value = api.value("NetworkAttachmentType", attachment)
    users = []
    for com in api.array(api.virtualbox, "machines"):
        if not com.accessible:
            continue
        for slot in range(slots(api, com)):
            adapter = com.getNetworkAdapter(slot)
            if adapter.attachmentType == value and str(getattr(adapter, attribute)) == obj._name:
                users.append(str(com.name))
                break
    if users:
        raise InvalidStateError(
            f"{obj._subject()} is used by {', '.join(f'machine {name!r}' for name in users)}",
            state="in use",
            operation="delete it",
            hint="attach their adapters to something else first",
        )

"""What all events have, and how they are read from VirtualBox."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit.com.api import Api

__all__ = ["Event", "array", "choice", "flag", "kinds", "number", "part", "read", "text"]

#: How each kind of `VBoxEventType` is read; filled by the modules that define them, see `kinds`.
KINDS: dict[str, type[Event]] = {}


@dataclass(frozen=True, kw_only=True)
class Event:
    """
    Something that happened; kinds that have no class of their own are plain `Event`.

    Attributes:
        kind: VirtualBox's name of the kind, as ``OnMachineStateChanged``.
        time: When it was received, with time zone (VirtualBox's events have no time of their own).
        machine_id: The UUID of the machine that it is about, if it is about one.
        com: The raw event.
    """

    kind: str
    time: datetime
    machine_id: str | None = None
    com: Any = field(repr=False, compare=False)

    #: The kind that a class stands for; the base classes stand for none.
    KIND: ClassVar[str] = ""
    #: Who tells of it: VirtualBox itself, or a part of a running machine's console.
    SOURCE: ClassVar[str] = "virtualbox"

    def __init_subclass__(cls, *, kind: str = "", source: str = "") -> None:
        super().__init_subclass__()
        cls.KIND = kind
        if source:
            cls.SOURCE = source
        if kind:
            KINDS[kind] = cls


def kinds() -> dict[str, type[Event]]:
    """Return all kinds that have a class; the first call loads them, which takes 30 ms."""
    from vboxkit.machines import event_kinds, vm_event_kinds

    # Importing them has filled the table.
    _ = event_kinds, vm_event_kinds
    return KINDS


def _field(raw: str, convert: Callable[[Api, Any, str], Any]) -> Any:
    return field(metadata={"raw": raw, "convert": convert})


def text(raw: str) -> Any:
    """Return a field for a text; an empty one is kept as it is."""
    return _field(raw, lambda _, com, name: str(getattr(com, name) or ""))


def ident(raw: str) -> Any:
    """Return a field for a machine's UUID, which is `None` where VirtualBox gives none."""

    def convert(_: Api, com: Any, name: str) -> str | None:
        uuid = str(getattr(com, name) or "")
        return uuid if uuid.strip("0-") else None

    return _field(raw, convert)


def number(raw: str) -> Any:
    """Return a field for a whole number."""
    return _field(raw, lambda _, com, name: int(getattr(com, name)))


def flag(raw: str) -> Any:
    """Return a field for something that is so or not."""
    return _field(raw, lambda _, com, name: bool(getattr(com, name)))


def array(raw: str, kind: Callable[[Any], Any] = tuple) -> Any:
    """Return a field for an array."""
    return _field(raw, lambda api, com, name: kind(api.array(com, name)))


def choice(raw: str, enumeration: str, kind: Callable[[str], Any] = str) -> Any:
    """Return a field for a member of an enumeration, by its name."""
    return _field(raw, lambda api, com, name: kind(api.name(enumeration, getattr(com, name))))


def part(path: str, kind: Callable[[Any], Any] = str) -> Any:
    """Return a field for an attribute of an object of the event, which may be missing: `None`."""

    def follow(_: Api, com: Any, path: str) -> Any:
        for name in path.split("."):
            com = getattr(com, name)
            if com is None:
                return None
        return kind(com)

    return _field(path, follow)


def read(api: Api, com: Any, machine_id: str | None) -> Event:
    """
    Make the typed event of a raw one, with all its values.

    Args:
        api: The way in.
        com: The raw event, as ``getEvent`` gives it.
        machine_id: The machine whose console told of it, if one did.
    """
    now = datetime.now(timezone.utc)
    kind = api.name("VBoxEventType", com.type)
    cls = kinds().get(kind, Event)
    values: dict[str, Any] = {"machine_id": machine_id}
    if cls is not Event:
        try:
            com = api.cast(com, f"I{cls.__name__}")
            for each in fields(cls):
                if each.metadata:
                    convert = each.metadata["convert"]
                    values[each.name] = convert(api, com, each.metadata["raw"])
        except Exception as error:
            # What it is about has gone with it (a device, a session): its name is left.
            if api.foreign(error) is None:
                raise
            return Event(kind=kind, time=now, machine_id=machine_id, com=com)
    return cls(kind=kind, time=now, com=com, **values)

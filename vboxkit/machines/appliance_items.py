"""What VirtualBox would make of an appliance, item by item."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.errors import NotFoundError
from vboxkit.machines.appliance_checks import ALWAYS, NAMED, checked_extra, checked_value
from vboxkit.machines.base import ComObject
from vboxkit.machines.parts import invalid, near

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vboxkit.machines.virtualbox import VirtualBox

__all__ = ["Draft", "PlanItem", "PlannedMachine", "disk_place"]

_MIB = 1 << 20


class Draft(ComObject):
    """An appliance that is about to be imported, for messages."""

    def __init__(self, vbox: VirtualBox, subject: str) -> None:
        super().__init__(vbox._api, vbox.com)
        self.vbox = vbox
        self._words = subject

    def _subject(self) -> str:
        return self._words


class PlanItem:
    """
    One item of what would be made.

    Attributes:
        type: VirtualBox's name of its kind, of `VirtualSystemDescriptionType`: ``Memory``.
        ref: The id that the package has for it, if it is referred to.
        ovf: The package's value.
    """

    def __init__(
        self, machine: PlannedMachine, index: int, row: tuple[str, str, str, str, str]
    ) -> None:
        self._machine = machine
        self.index = index
        self.type, self.ref, self.ovf, self._raw, self._extra = row
        self._included = True
        self._value_set = False

    @property
    def value(self) -> str:
        """
        What VirtualBox makes of it; can be set.

        Memory is in bytes (`PlannedMachine.memory_mb`); network adapters and sound cards are the
        names of their models, disks the names of their files in the machine's folder.

        Raises:
            ApiError: It cannot be that; the hint says what can.
            NotFoundError: There is no such operating system; the hint has the near ones.
        """
        kind = NAMED.get(self.type)
        if kind is not None and self._raw.isdigit():
            return self._machine._draft._api.name(kind, int(self._raw))
        return self._raw

    @value.setter
    def value(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"{self._subject}: the value is str, not {type(value).__name__}")
        self._raw = checked_value(self, value)
        self._value_set = True

    @property
    def extra(self) -> str:
        """
        What else VirtualBox notes of it; can be set for disks and network adapters.

        Of a disk ``controller=8;channel=0``: the `index` of its controller, and the port. Of an
        adapter ``slot=0;type=NAT``.

        Raises:
            ApiError: It cannot be that; the hint says what can.
        """
        return self._extra

    @extra.setter
    def extra(self, extra: str) -> None:
        self._extra = checked_extra(self, extra)

    @property
    def included(self) -> bool:
        """
        Whether it is made; can be set.

        Raises:
            ApiError: There is no machine without it.
        """
        return self._included

    @included.setter
    def included(self, included: bool) -> None:
        if not isinstance(included, bool):
            raise TypeError(f"{self._subject}: included is bool, not {type(included).__name__}")
        if not included and self.type in ALWAYS:
            raise invalid(
                self._machine._draft,
                f"{self.type} cannot be left out",
                hint="leave out a device, a disk or a text",
                operation="plan the import",
            )
        self._included = included

    @property
    def _subject(self) -> str:
        return f"{self._machine._draft._subject()}: {self.type}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {
            "index": self.index,
            "type": self.type,
            "ref": self.ref,
            "ovf": self.ovf,
            "value": self.value,
            "extra": self.extra,
            "included": self.included,
        }

    def __repr__(self) -> str:
        return f"<PlanItem {self.type} {self._raw!r}>"


class PlannedMachine:
    """
    A machine that would be made.

    Attributes:
        items: All items that VirtualBox offers, in its order.
        original_name: The machine's name in the package.
    """

    def __init__(self, draft: Draft, com: Any) -> None:
        self._draft = draft
        self._com = com
        api = draft._api
        kinds, *columns = (list(column) for column in com.getDescription())
        names = [api.name("VirtualSystemDescriptionType", kind) for kind in kinds]
        rows = zip(names, *(map(str, column) for column in columns), strict=True)
        self.items = tuple(PlanItem(self, index, row) for index, row in enumerate(rows))
        self.original_name = self["Name"].ovf
        for item in self.all("HardDiskImage"):
            # A name with folders in it would leave them behind when the machine is destroyed.
            item._raw = item._raw.replace("\\", "/").rpartition("/")[2]
        _make_unique(self.all("HardDiskImage"))

    def all(self, type: str) -> tuple[PlanItem, ...]:  # noqa: A002 - VirtualBox's word
        """Return the items of a type, ``NetworkAdapter``; none if there are none."""
        return tuple(item for item in self.items if item.type == type)

    def __getitem__(self, type: str) -> PlanItem:  # noqa: A002 - likewise
        """
        Return the one item of a type.

        Raises:
            NotFoundError: There is none; the error has those there are.
            ApiError: There are several.
        """
        found = self.all(type)
        if len(found) == 1:
            return found[0]
        known = list(dict.fromkeys(item.type for item in self.items))
        if found:
            raise invalid(
                self._draft,
                f"there are {len(found)} items {type}",
                hint=f"all({type!r}) has them",
                operation="plan the import",
            )
        close = near(str(type), known)
        raise NotFoundError(
            f"{self._draft._subject()}: there is no item {type!r}, only {', '.join(known)}",
            kind="item",
            wanted=str(type),
            available=known,
            hint=f"did you mean {' or '.join(close)}?" if close else "print(plan) shows all",
        )

    @property
    def name(self) -> str:
        """The machine's name; can be set."""
        return self["Name"].value

    @name.setter
    def name(self, name: str) -> None:
        self["Name"].value = name

    @property
    def memory_mb(self) -> int:
        """Its RAM in MiB; can be set."""
        return int(self["Memory"].value) // _MIB

    @memory_mb.setter
    def memory_mb(self, memory_mb: int) -> None:
        limits = self._draft.vbox.com.systemProperties
        self._require_range("memory_mb", memory_mb, limits.minGuestRAM, limits.maxGuestRAM)
        self["Memory"].value = str(memory_mb * _MIB)

    @property
    def cpus(self) -> int:
        """Its virtual CPUs; can be set."""
        return int(self["CPU"].value)

    @cpus.setter
    def cpus(self, cpus: int) -> None:
        limits = self._draft.vbox.com.systemProperties
        self._require_range("cpus", cpus, limits.minGuestCPUCount, limits.maxGuestCPUCount)
        self["CPU"].value = str(cpus)

    def _require_range(self, what: str, value: int, least: int, most: int) -> None:
        # The import takes any number; a machine with a wrong one never starts.
        if isinstance(value, bool) or not isinstance(value, int):
            msg = f"{self._draft._subject()}: {what} is int, not {type(value).__name__}"
            raise TypeError(msg)
        if not least <= value <= most:
            raise invalid(
                self._draft,
                f"cannot import with {what} = {value}",
                hint=f"{least} to {most}",
                operation="import",
            )

    def __repr__(self) -> str:
        return f"<PlannedMachine {self.original_name!r}: {len(self.items)} items>"


def disk_place(machine: PlannedMachine, item: PlanItem) -> Path:
    """Return where a disk goes, once the machine's `SettingsFile` is set."""
    return Path(machine["SettingsFile"]._raw).parent / item._raw


def _make_unique(items: Sequence[PlanItem]) -> None:
    taken: set[str] = set()
    for item in items:
        stem, dot, end = item._raw.rpartition(".")
        number = 1
        # VirtualBox gives a disk made of one called like another a new end.
        while item._raw.casefold() in taken:
            number += 1
            item._raw = f"{stem}-{number}{dot}{end}"
        taken.add(item._raw.casefold())

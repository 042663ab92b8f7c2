"""What an import would make: to look at, and to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vboxkit.errors import InvalidStateError, NotFoundError, OvfError
from vboxkit.machines.appliance_checks import CONTROLLERS, DISK
from vboxkit.machines.appliance_items import PlanItem, PlannedMachine
from vboxkit.machines.parts import invalid, near

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vboxkit.machines.appliance_items import Draft

__all__ = ["Plan", "adapters"]

_COLUMNS = ("", "#", "item", "in the package", "would be made", "more")
_LONGEST = 48


class Plan:
    """
    What an import would make, as VirtualBox describes it; ``print(plan)`` shows a table.

    It is imported once, by `Appliance.import_` or `Appliance.import_all`.

    Attributes:
        machines: The machines, in the package's order.
        warnings: What VirtualBox says of the package, and what it takes for something else.
    """

    def __init__(self, draft: Draft, com: Any, path: str, *, own: bool) -> None:
        # own: each machine has VirtualBox's settings with it, which count instead of the items.
        self._draft = draft
        self._com = com
        self._path = path
        self._used = False
        api = draft._api
        self.machines = tuple(
            PlannedMachine(draft, one) for one in api.array(com, "virtualSystemDescriptions")
        )
        said = tuple(str(text).strip() for text in api.array(com, "warnings"))
        #: By warning: the slot and the network that it is about.
        self._about = {
            text: about for one in self.machines if not own for text, about in _misread(one)
        }
        self.warnings = (*said, *self._about)

    @property
    def machine(self) -> PlannedMachine:
        """
        The one machine of the package.

        Raises:
            OvfError: It has several.
        """
        if len(self.machines) != 1:
            raise OvfError(
                self._path,
                f"it holds {len(self.machines)} machines, not one",
                hint="import_all() imports all; plan.machines has each",
            )
        return self.machines[0]

    def __getitem__(self, name: str) -> PlannedMachine:
        """
        Return the machine that has this name in the package.

        Raises:
            NotFoundError: There is none.
        """
        for machine in self.machines:
            if machine.original_name == name:
                return machine
        known = [machine.original_name for machine in self.machines]
        close = near(str(name), known)
        raise NotFoundError(
            f"{self._draft._subject()}: there is no machine {name!r} in it, only {known}",
            kind="machine",
            wanted=str(name),
            available=known,
            hint=f"did you mean {' or '.join(map(repr, close))}?" if close else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as dictionaries, lists and plain values, for JSON."""
        return {
            "path": self._path,
            "machines": [
                {"name": one.original_name, "items": [item.to_dict() for item in one.items]}
                for one in self.machines
            ],
            "warnings": list(self.warnings),
        }

    def rows(self, machine: PlannedMachine) -> list[tuple[str, ...]]:
        """Return the rows of a machine's table, without its heading: mark, index, item, ..."""
        return [
            (
                "" if item.included else "-",
                str(item.index),
                item.type,
                _short(item.ovf),
                _short(item.value),
                _short(item.extra),
            )
            for item in machine.items
        ]

    def __str__(self) -> str:
        lines: list[str] = []
        for machine in self.machines:
            lines += [f"machine {machine.original_name!r}", *_table(self.rows(machine))]
        lines += [f"warning: {text}" for text in self.warnings]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Plan of {self._draft._subject()}: {len(self.machines)} machines>"

    def _require_whole(self) -> None:
        """
        Check what an item alone does not show.

        Raises:
            ApiError: A disk is to be on a controller that is left out.
            InvalidStateError: The plan was imported already.
        """
        if self._used:
            raise InvalidStateError(
                f"{self._draft._subject()}: this plan was imported already",
                state="imported",
                operation="import",
                hint="appliance.plan() makes another one",
            )
        for machine in self.machines:
            items = {str(item.index): item for item in machine.items}
            for disk in machine.all("HardDiskImage"):
                match = DISK.search(disk.extra)
                on = items.get(match[1]) if match else None
                if disk.included and (on is None or not on.included or on.type not in CONTROLLERS):
                    raise invalid(
                        self._draft,
                        f"the disk {disk.value!r} is on a controller that is left out",
                        hint="leave out the disk, too, or set its extra to another controller",
                        operation="import",
                    )


def adapters(machine: PlannedMachine) -> Iterator[tuple[int, PlanItem]]:
    """Yield slot and item of the network adapters that are to be made."""
    for number, item in enumerate(one for one in machine.all("NetworkAdapter") if one.included):
        slot = item.extra.partition("slot=")[2].partition(";")[0]
        yield int(slot) if slot.isdigit() else number, item


def _misread(machine: PlannedMachine) -> Iterator[tuple[str, set[int | str]]]:
    """Yield warnings of what VirtualBox makes of the package, and the adapters they are about."""
    name = machine.original_name
    for slot, item in adapters(machine):
        kind = item.extra.rpartition("type=")[2]
        if kind == "Bridged" and item.ovf.casefold() != "bridged":
            text = (
                f"machine {name!r}: VirtualBox knows no network {item.ovf!r}, and bridges adapter"
                f" {slot} to the host's network; networks={{{item.ovf!r}: ...}} says what is meant"
            )
            yield text, {slot, item.ovf}
    if machine.all("CDROM"):
        yield f"machine {name!r}: VirtualBox makes no CD drive for the one in the package", set()


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [_COLUMNS, *rows]
    widths = [max(len(row[number]) for row in cells) for number in range(len(_COLUMNS))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]

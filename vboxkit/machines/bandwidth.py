"""Bandwidth groups: limits that disks or network adapters of a machine share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from vboxkit.errors import AlreadyExistsError, InvalidStateError
from vboxkit.machines.accessors import INT64, one_of
from vboxkit.machines.attachments import not_found
from vboxkit.machines.base import ComObject, api_call
from vboxkit.machines.parts import MachinePart, Setting, choose, invalid, within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.com.interfaces import IBandwidthControl, IBandwidthGroup
    from vboxkit.machines.properties import MachineProperties

__all__ = ["BandwidthGroup", "BandwidthGroups", "BandwidthKind"]

BandwidthKind = Literal["Disk", "Network"]


class BandwidthGroup(MachinePart):
    """
    A limit that some disks or network adapters of a machine share.

    Attributes:
        name: Its name.
    """

    com: IBandwidthGroup

    limit_bytes_per_s = Setting(
        "maxBytesPerSec",
        int,
        "Bytes a second for all of them together; 0 is no limit. Can be set at any time.",
        check=within(0, INT64, "bytes a second"),
    )

    def __init__(self, machine: MachineProperties, name: str) -> None:
        self.name = name
        self.noun = f"bandwidth group {name!r}"
        self._machine = machine
        # Made in an edit(), it is not yet part of the machine as others see it.
        ComObject.__init__(self, machine._api, self._locate(machine._current()))

    def _current(self) -> Any:
        self.com = self._locate(self._machine._current())
        return self.com

    def _locate(self, machine: Any) -> Any:
        return machine.bandwidthControl.getBandwidthGroup(self.name)

    def __repr__(self) -> str:
        return f"<BandwidthGroup {self.name!r} of {self._machine!r}>"

    @property
    @api_call("read its kind")
    def kind(self) -> str:
        """What it limits: ``Disk`` or ``Network``."""
        return self._api.name("BandwidthGroupType", self._current().type)

    @property
    @api_call("read what uses it")
    def adapters(self) -> list[int]:
        """The slots of the network adapters in it."""
        return [each.slot for each in self._machine.network if each.bandwidth_group == self.name]


class BandwidthGroups(MachinePart):
    """
    The bandwidth groups of a machine: ``["name"]``, ``in``, iteration, ``len``.

    Groups are made, removed and given to adapters while the machine does not run; their limits can
    be changed at any time.

    Example:
        ``machine.bandwidth_groups.add("slow", kind="Network", limit_bytes_per_s=100_000)``
    """

    noun = "bandwidth groups"
    com: IBandwidthControl

    def _locate(self, machine: Any) -> Any:
        return machine.bandwidthControl

    @api_call("list the bandwidth groups")
    def names(self) -> list[str]:
        """Return their names, sorted."""
        return sorted(str(group.name) for group in self._current().getAllBandwidthGroups())

    def find(self, name: str) -> BandwidthGroup | None:
        """Return the group of this name, or `None`."""
        return self[name] if name in self.names() else None

    def __getitem__(self, name: str) -> BandwidthGroup:
        known = self.names()
        if name not in known:
            raise not_found(
                self._machine._subject(),
                "bandwidth group",
                name,
                known,
                hint=f"bandwidth_groups.add({name!r}, ...) makes it",
            )
        with self._translated(f"read bandwidth group {name!r}"):
            return BandwidthGroup(self._machine, name)

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __iter__(self) -> Iterator[BandwidthGroup]:
        return (self[name] for name in self.names())

    def __len__(self) -> int:
        return len(self.names())

    @api_call("add a bandwidth group")
    def add(self, name: str, *, kind: BandwidthKind, limit_bytes_per_s: int = 0) -> BandwidthGroup:
        """
        Make a group.

        Args:
            name: Its name.
            kind: ``Disk`` or ``Network``.
            limit_bytes_per_s: Bytes a second for all its members together; 0 is no limit.

        Raises:
            AlreadyExistsError: There is one of that name.
            InvalidStateError: The machine runs.
        """
        one_of(self, "kind of bandwidth group", kind, ("Disk", "Network"))
        within(0, INT64, "bytes a second")(self, "limit_bytes_per_s", limit_bytes_per_s)
        if not name or not name.isprintable():
            raise invalid(self, f"a group cannot be named {name!r}", hint="printable characters")
        if name in self:
            raise AlreadyExistsError(
                f"{self._machine._subject()} has a bandwidth group {name!r}",
                kind="bandwidth group",
                wanted=name,
                hint="set its limit_bytes_per_s, or choose another name",
            )
        with self._changing() as com:
            value = choose(self, "BandwidthGroupType", kind)
            com.createBandwidthGroup(name, value, limit_bytes_per_s)
        return BandwidthGroup(self._machine, name)

    @api_call("remove a bandwidth group")
    def remove(self, group: BandwidthGroup | str) -> None:
        """
        Remove a group.

        Raises:
            NotFoundError: There is none of that name.
            InvalidStateError: Something is in it, or the machine runs.
        """
        found = self[group if isinstance(group, str) else group.name]
        if members := found.adapters:
            raise InvalidStateError(
                f"{found._subject()} is used by network adapters {members}",
                state="in use",
                operation="remove it",
                hint="machine.network[...].bandwidth_group = None",
            )
        with self._changing() as com:
            com.deleteBandwidthGroup(found.name)

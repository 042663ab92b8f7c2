"""Groups of machines: paths such as ``/team/web``, which are folders on the disk, too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableSet
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

from vboxkit.errors import NotFoundError
from vboxkit.machines.base import ComObject, api_call
from vboxkit.machines.parts import invalid

if TYPE_CHECKING:
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.properties import MachineProperties
    from vboxkit.machines.virtualbox import VirtualBox

__all__ = ["GroupTree", "Groups", "GroupsPart", "read_groups"]

#: What VirtualBox says for a machine without a group. The same as none.
_ROOT = "/"
#: What no group can have, by VirtualBox's own rules.
_FORBIDDEN = frozenset("!\"#$%&'*+,:;<=>?@[\\]^`{|}~")
#: Bytes; each part of a group is a folder.
_LONGEST_PART = 240


def read_groups(obj: ComObject, groups: Iterable[str]) -> list[str]:
    """
    Return the paths of groups, each once, without ``/``, which means none.

    Raises:
        TypeError: They are one text, or not texts.
        ApiError: One cannot be a group.
    """
    if isinstance(groups, str):
        raise TypeError(f"{obj._subject()}: groups are several: [{groups!r}]")
    return [_check_group(obj, group) for group in dict.fromkeys(groups) if group != _ROOT]


def _check_group(obj: ComObject, group: object) -> str:
    """
    Return a group's path, if it can be one.

    Raises:
        ApiError: It cannot.
    """
    if not isinstance(group, str):
        raise TypeError(f"{obj._subject()}: a group is str, not {type(group).__name__}")
    parts = group.split("/")[1:]
    # VirtualBox says only that the group is invalid.
    bad = {c for c in group if c in _FORBIDDEN or c > "\uffff" or not c.isprintable()}
    if (
        bad
        or not group.startswith("/")
        or not parts
        or any(
            not part or part != part.strip(" .") or len(part.encode()) > _LONGEST_PART
            for part in parts
        )
    ):
        raise invalid(
            obj,
            f"a group cannot be {group!r}",
            hint=f"leave out {sorted(bad)}" if bad else "a path of names, such as /team/web",
            operation="set the groups",
        )
    return group


class Groups(MutableSet[str]):
    """
    The groups of a machine, as a live set that keeps its order; empty for none.

    The first one is the folder in which the machine's own folder is: a change of it moves the
    machine's files, if it does not run. Each change is one; assign ``machine.groups = [...]`` for
    several.

    Example:
        ``machine.groups.add("/team/web")``
    """

    def __init__(self, machine: MachineProperties) -> None:
        self._machine = machine

    def __repr__(self) -> str:
        return f"<Groups of {self._machine!r}>"

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> set[Any]:  # for & | - ^
        return set(it)

    def _read(self) -> list[str]:
        machine = self._machine
        with machine._translated("read the groups"):
            found = [str(group) for group in machine._api.array(machine._current(), "groups")]
        return [group for group in found if group != _ROOT]

    def _set(self, groups: Iterable[str]) -> None:
        machine = self._machine
        wanted = read_groups(machine, groups)
        with machine._translated(f"set the groups to {wanted}"), machine._changing() as com:
            machine._api.set_array(com, "groups", wanted or [_ROOT])

    def __eq__(self, other: object) -> bool:
        return set(self._read()) == set(other) if isinstance(other, AbstractSet) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as a set's

    def __contains__(self, group: object) -> bool:
        return group in self._read()

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def add(self, value: str) -> None:
        """Put the machine into a group, beside those in which it is."""
        found = self._read()
        if value not in found:
            self._set([*found, value])

    def discard(self, value: str) -> None:
        """Take the machine out of a group, if it is in it."""
        found = self._read()
        if value in found:
            self._set([group for group in found if group != value])

    def remove(self, value: str) -> None:
        """
        Take the machine out of a group.

        Raises:
            NotFoundError: It is not in it.
        """
        found = self._read()
        if value not in found:
            raise NotFoundError(
                f"{self._machine._subject()} is not in group {value!r}, only in {found}",
                kind="group",
                wanted=str(value),
                available=found,
                hint="discard() takes it out if it is in it",
            )
        self.discard(value)

    def clear(self) -> None:
        """Take the machine out of all groups."""
        self._set([])

    def update(self, *others: Iterable[str]) -> None:
        """Put the machine into several groups at once."""
        self._set([*self._read(), *(group for other in others for group in other)])


class GroupsPart:
    """The attribute ``groups`` of a machine: reads as `Groups`, and takes any iterable."""

    __doc__ = "The groups in which it is, as ``/team/web``: a set; assign an iterable to replace."

    def __get__(self, obj: MachineProperties | None, owner: type) -> Groups:
        return self if obj is None else Groups(obj)  # type: ignore[return-value]  # for tools only

    def __set__(self, obj: MachineProperties, value: Iterable[str]) -> None:
        Groups(obj)._set(list(value) if not isinstance(value, str) else value)


class GroupTree(Mapping[str, "list[Machine]"]):
    """
    All groups in which machines are: ``vbox.groups["/team"]`` are the machines in it.

    Groups that only have groups in them are there, too, and ``/`` with the machines in none.
    There is no way to make an empty group: VirtualBox forgets it.

    Example:
        ``for machine in vbox.groups.below("/team"): machine.shutdown()``
    """

    def __init__(self, vbox: VirtualBox) -> None:
        self._vbox = vbox

    def __repr__(self) -> str:
        return f"<GroupTree of {self._vbox!r}>"

    @api_call("list the groups")
    def _read(self) -> dict[str, list[Machine]]:
        found: dict[str, list[Machine]] = {_ROOT: []}
        for machine in self._vbox.machines:
            for group in list(machine.groups) or [_ROOT]:
                parts = group.strip("/").split("/")
                for end in range(1, len(parts) + (group != _ROOT)):
                    found.setdefault("/" + "/".join(parts[:end]), [])
                found[group].append(machine)
        return dict(sorted(found.items()))

    def _translated(self, operation: str) -> Any:
        return self._vbox._translated(operation)

    def __getitem__(self, group: str) -> list[Machine]:
        found = self._read()
        if group not in found:
            raise NotFoundError(
                f"there is no group {group!r}, only {list(found)}",
                kind="group",
                wanted=str(group),
                available=list(found),
                hint="a group is made by the first machine in it: machine.groups.add(...)",
            )
        return found[group]

    def __contains__(self, group: object) -> bool:
        return group in self._read()

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def below(self, group: str) -> list[Machine]:
        """Return the machines in a group and in all groups within it, each once."""
        start = group.rstrip("/") + "/"
        found = self._read()
        inside = [m for name in found if f"{name}/".startswith(start) for m in found[name]]
        return list(dict.fromkeys(inside)) if group in found else self[group]

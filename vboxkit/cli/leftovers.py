"""What there is in a lab beside its images: looked up, not remembered."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.core import processes
from vboxkit.lab import leases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.lab.lab import Lab

__all__ = ["Leftovers", "survey"]

_VM_ARGUMENT = "--startvm"


@dataclass(frozen=True)
class Leftovers:
    """
    Names of what is there.

    Attributes:
        machines: Machines.
        processes: VM processes, as ``pid of machine's UUID``.
        leases: Leases.
        media: Disks that VirtualBox knows, by their files.
        folders: Folders of machines.
    """

    machines: frozenset[str]
    processes: frozenset[str]
    leases: frozenset[str]
    media: frozenset[str]
    folders: frozenset[str]

    def __sub__(self, earlier: Leftovers) -> Leftovers:
        return Leftovers(
            *(getattr(self, f.name) - getattr(earlier, f.name) for f in fields(Leftovers))
        )

    def __bool__(self) -> bool:
        return any(getattr(self, f.name) for f in fields(Leftovers))

    def as_dict(self) -> dict[str, list[str]]:
        """Return sorted lists, for JSON."""
        return {f.name: sorted(getattr(self, f.name)) for f in fields(Leftovers)}

    def __str__(self) -> str:
        return ", ".join(f"{len(names)} {kind}" for kind, names in self.as_dict().items())


def survey(lab: Lab) -> Leftovers:
    """
    Look for everything in a lab's home that is not an image.

    What other processes are working with (their leases say so) and what was kept on purpose is
    left out.
    """
    images = lab.images(layers=True)
    known = leases.all_leases(lab.places.leases)
    me = processes.ProcessId.current().pid
    theirs = {it.name for it in known if it.keep or (it.owner_alive and it.pid != me)}
    theirs |= {image.machine_name for image in images}
    ids, names = set(), set()
    for machine in lab.vbox.machines:
        if machine.name in theirs:
            ids.add(machine.id)
        else:
            names.add(machine.name)
    running = [
        (process.pid, arguments[arguments.index(_VM_ARGUMENT) + 1])
        for process, arguments in processes.find(
            argument=_VM_ARGUMENT,
            environment=lab.vbox._api.environment,  # noqa: SLF001 - what leads to this VBoxSVC
        )
    ]
    folder = lab.places.machines
    folders = [it.name for it in folder.iterdir()] if folder.is_dir() else []
    return Leftovers(
        machines=frozenset(names),
        processes=frozenset(f"{pid} of {uuid}" for pid, uuid in running if uuid not in ids),
        leases=frozenset(it.name for it in known if it.name not in theirs),
        media=frozenset(
            str(path)
            for path in _media(lab)
            if path.is_relative_to(folder) and path.relative_to(folder).parts[0] not in theirs
        ),
        folders=frozenset(folders) - theirs,
    )


def _media(lab: Lab) -> Iterator[Path]:
    api = lab.vbox._api  # noqa: SLF001 - the media have no noun of their own yet
    pending: list[Any] = api.array(lab.vbox.com, "hardDisks")
    while pending:
        medium = pending.pop()
        pending += api.array(medium, "children")
        yield Path(str(medium.location))

"""Removing what processes that died left behind."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from vboxkit.core import processes
from vboxkit.core.locks import lock_file
from vboxkit.core.steps import step
from vboxkit.errors import CleanupError, VBoxKitError
from vboxkit.lab import leases
from vboxkit.lab.places import TAG_LEASE

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit.lab.leases import Lease
    from vboxkit.lab.places import Places
    from vboxkit.machines.virtualbox import VirtualBox

__all__ = ["collect", "reclaim"]

_VM_ARGUMENT = "--startvm"


def collect(
    vbox: VirtualBox, places: Places, *, kept: bool = False, dry_run: bool = False
) -> list[str]:
    """
    Remove the machines whose owner is gone, with their disks, files and processes.

    Never touches what vboxkit did not make: only machines with a lease are looked at.

    Args:
        vbox: The VirtualBox of the lab.
        places: The lab's folders.
        kept: Remove machines that were kept, too.
        dry_run: Only say what would be removed.

    Returns:
        A line for each machine.

    Raises:
        CleanupError: Something could not be removed; the rest was.
    """
    with lock_file(places.locks / "gc.lock", what="another clean-up", timeout=120):
        leases.drop_drafts(places.leases)
        doomed = [
            lease
            for lease in leases.all_leases(places.leases)
            if lease.abandoned or (kept and not lease.owner_alive)
        ]
        lines = [_line(lease) for lease in doomed]
        if dry_run:
            return lines
        left = []
        # Forks before the images that they stand on.
        for lease in sorted(doomed, key=lambda it: it.purpose == "image"):
            try:
                reclaim(vbox, places, lease)
            except VBoxKitError as error:
                left.append(f"{lease.name}: {error}")
        _kill_strays(vbox)
        if left:
            raise CleanupError(
                "not all leftovers could be removed:", left=left, hint="vboxkit gc, once more"
            )
        return lines


def _line(lease: Lease) -> str:
    what = f"{lease.name} ({lease.purpose}, of process {lease.pid}"
    return f"{what}, {lease.test})" if lease.test else f"{what})"


def reclaim(vbox: VirtualBox, places: Places, lease: Lease) -> None:
    """Remove all that there may be of a machine whose owner is gone."""
    with step(f"remove leftover {lease.name}"):
        machine = vbox.machines.find(lease.name)
        if (
            machine is not None
            and machine.get_extra_data(TAG_LEASE) is None
            and (lease.purpose == "image")
        ):
            # Its build was over but for this file: the image is whole.
            leases.release(places.leases, lease.name)
            return
        if machine is not None:
            machine.destroy()
        folder = places.machines / lease.name
        _close_media(vbox, folder)
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            raise CleanupError(f"leftover {lease.name} is not gone:", left=[str(folder)])
        leases.release(places.leases, lease.name)


def _close_media(vbox: VirtualBox, folder: Path) -> None:
    """Let VirtualBox forget disks of a clone that was never registered."""
    api = vbox._api  # noqa: SLF001 - the media have no noun of their own yet
    with vbox._translated(f"close the disks in {folder}"):  # noqa: SLF001
        pending = api.array(vbox.com, "hardDisks")
        while pending:
            medium = pending.pop()
            pending += api.array(medium, "children")
            if str(medium.location).startswith(f"{folder}/"):
                medium.close()


def _kill_strays(vbox: VirtualBox) -> None:
    """End VM processes of this home whose machine does not exist any more."""
    known = {machine.id for machine in vbox.machines}
    for process, arguments in processes.find(
        argument=_VM_ARGUMENT,
        environment=vbox._api.environment,  # noqa: SLF001 - what leads to this VBoxSVC
    ):
        if arguments[arguments.index(_VM_ARGUMENT) + 1] not in known:
            processes.kill(process)

"""Removing what processes that died left behind."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.core import processes
from vboxkit.core.locks import lock_file, try_lock
from vboxkit.core.steps import step
from vboxkit.core.waiting import wait_until
from vboxkit.errors import CleanupError, VBoxKitError
from vboxkit.lab import images, leases
from vboxkit.lab.places import TAG_IMAGE, TAG_LEASE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from vboxkit.core.waiting import Timeout
    from vboxkit.lab.leases import Lease
    from vboxkit.lab.places import Places
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.virtualbox import VirtualBox

__all__ = ["collect", "destroy_with_clones", "reclaim"]

_VM_ARGUMENT = "--startvm"
#: Seconds to wait for what VirtualBox still does for a client that was killed. A large import takes
#: longer: then the leftover stays until somebody looks again.
_PATIENCE = 60.0


def collect(
    vbox: VirtualBox, places: Places, *, kept: bool = False, dry_run: bool = False
) -> list[str]:
    """
    Remove the machines whose owner is gone, with their disks, files and processes.

    Never touches what vboxkit did not make: only machines with a lease are looked at, and they
    must be those that were made under it, not others of the same name.

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
        if dry_run:
            return [_line(lease) for lease in doomed]
        lines, left = [], []
        # Forks before what they stand on: younger ones, and images last.
        for lease in sorted(doomed, key=lambda it: (it.purpose == "image", -it.created)):
            try:
                with _nobody_builds(places, lease) as free:
                    if free:
                        reclaim(vbox, places, lease)
                        lines.append(_line(lease))
            except VBoxKitError as error:
                left.append(f"{lease.name}: {error}")
        _kill_strays(vbox, places, {lease.machine for lease in doomed})
        if left:
            raise CleanupError(
                "not all leftovers could be removed:", left=left, hint="vboxkit gc, once more"
            )
        return lines


def _line(lease: Lease) -> str:
    what = f"{lease.name} ({lease.purpose}, of process {lease.pid}"
    return f"{what}, {lease.test})" if lease.test else f"{what})"


def reclaim(
    vbox: VirtualBox, places: Places, lease: Lease, *, timeout: Timeout = _PATIENCE
) -> None:
    """
    Remove all that there may be of a machine whose owner is gone.

    Args:
        vbox: The VirtualBox of the lab.
        places: The lab's folders.
        lease: What is known of it.
        timeout: Seconds, `timedelta` or `Deadline` for the import or clone that VirtualBox may
            still be at.

    Raises:
        WaitTimeoutError: VirtualBox still works on something; the lease stays.
        CleanupError: Something of it could not be removed; the lease stays.
    """
    folder = places.machines / lease.name
    if folder.parent != places.machines or lease.name in {"", ".", ".."}:
        # Not a name that we would give: what lies there is not ours to remove.
        leases.release(places.leases, lease.name)
        return
    with step(f"remove leftover {lease.name}"):
        (places.pool / f"{lease.name}.json").unlink(missing_ok=True)
        machine = _find(vbox, places, lease)
        if machine is None or lease.purpose == "image":
            _let_end(vbox, lease, timeout)
            machine = _find(vbox, places, lease)
        if machine is not None and _is_whole_image(places, machine):
            # Its build was over but for this file.
            leases.release(places.leases, lease.name)
            return
        if machine is not None:
            machine.destroy()
        other = vbox.machines.find(lease.name)
        if other is None or other.folder.resolve() != folder.resolve():
            vbox.machines.forget_inaccessible(folder)
            _close_media(vbox, folder)
            shutil.rmtree(folder, ignore_errors=True)
            if folder.exists():
                raise CleanupError(f"leftover {lease.name} is not gone:", left=[str(folder)])
        leases.release(places.leases, lease.name)


def _find(vbox: VirtualBox, places: Places, lease: Lease) -> Machine | None:
    """Return the machine of a lease, if there is one."""
    for wanted in (lease.machine, lease.name):
        machine = vbox.machines.find(wanted) if wanted else None
        if machine is not None and _is_ours(places, lease, machine):
            return machine
    return None


def _is_ours(places: Places, lease: Lease, machine: Machine) -> bool:
    """Tell whether a machine was made under a lease; another one may have got its name since."""
    if places.machine_folder is not None and not machine.folder.resolve().is_relative_to(
        places.machines.resolve()
    ):
        return False
    if machine.id == lease.machine or lease.purpose == "image":
        return True
    # A fork carries its lease from the moment that it is known; a copy of one, that of the other.
    return leases.name_in(machine.get_extra_data(TAG_LEASE) or "") == lease.name


def _let_end(vbox: VirtualBox, lease: Lease, timeout: Timeout) -> None:
    """
    Wait until all that VirtualBox is at now is over.

    VBoxSVC goes on with the import or clone of a client that was killed, and registers the machine
    at its end. It does not tell which machine an operation will make: so we wait for all of them,
    and not for those that begin later.
    """
    api = vbox._api  # noqa: SLF001 - operations of others have no noun
    with vbox._translated("list what VirtualBox is at"):  # noqa: SLF001
        working = api.array(vbox.com, "progressOperations")

    def over(operation: Any) -> bool:
        try:
            return bool(operation.completed)
        except Exception as error:
            if api.foreign(error) is None:
                raise
            return True  # it is not even there any more

    wait_until(
        lambda: None if any(not over(operation) for operation in working) else True,
        what=f"VirtualBox to end what it is at, before leftover {lease.name} is removed",
        timeout=timeout,
        poll=0.1,
        hint="vboxkit gc, once that is over",
    )


@contextmanager
def _nobody_builds(places: Places, lease: Lease) -> Iterator[bool]:
    """
    Tell whether a leftover is still nobody's, and hold it.

    Who builds an image again removes what is there of it first, and takes a lease of this name. A
    pool adopts what waits in it, whoever made it.
    """
    if lease.purpose != "image":
        yield leases.find(places.leases, lease.name) == lease
        return
    lock = try_lock(places.image_lock(lease.name.rpartition("-")[2]))
    if lock is None:
        yield False
        return
    try:
        yield leases.find(places.leases, lease.name) == lease
    finally:
        lock.release()


def destroy_with_clones(vbox: VirtualBox, machine: Machine) -> None:
    """Destroy a machine, and before it those that stand on it, the last ones first."""
    for name in machine.linked_clones():
        clone = vbox.machines.find(name)
        if clone is not None:
            destroy_with_clones(vbox, clone)
    machine.destroy()


def _is_whole_image(places: Places, machine: Machine) -> bool:
    digest = machine.get_extra_data(TAG_IMAGE)
    image = images.read(places, digest) if digest else None
    return image is not None and image.machine == machine.id


def _close_media(vbox: VirtualBox, folder: Path) -> None:
    """Let VirtualBox forget disks of a clone that was never registered, children first."""
    api = vbox._api  # noqa: SLF001 - the media have no noun of their own yet

    def close(medium: Any) -> None:
        for child in api.array(medium, "children"):
            close(child)
        if Path(str(medium.location)).is_relative_to(folder):
            medium.close()

    with vbox._translated(f"close the disks in {folder}"):  # noqa: SLF001
        for medium in api.array(vbox.com, "hardDisks"):
            close(medium)


def _kill_strays(vbox: VirtualBox, places: Places, ours: Collection[str]) -> None:
    """
    End VM processes of this home whose machine does not exist any more.

    Args:
        vbox: The VirtualBox.
        places: The lab's folders.
        ours: The UUIDs of what was removed: in the user's own VirtualBox only these are ended.
            Processes of other homes look there as if they belonged to it.
    """
    for process, arguments in processes.find(
        argument=_VM_ARGUMENT,
        environment=vbox._api.environment,  # noqa: SLF001 - what leads to this VBoxSVC
    ):
        machine = arguments[arguments.index(_VM_ARGUMENT) + 1]
        if places.machine_folder is not None and machine not in ours:
            continue
        # Looked up now: other processes register machines and start them meanwhile.
        if machine not in vbox.machines:
            processes.kill(process)

"""Removing a machine whole."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.core import processes
from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline
from vboxkit.errors import (
    ApiError,
    CleanupError,
    InvalidStateError,
    LockedError,
    WaitTimeoutError,
)
from vboxkit.host import driverless
from vboxkit.machines import power
from vboxkit.machines.progress import Progress
from vboxkit.machines.states import ONLINE, STEADY, SessionState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.machines.machine import Machine
    from vboxkit.machines.snapshots import Snapshot

__all__ = ["dependents", "destroy"]

#: What VirtualBox and we write below a machine's folder, and deleteConfig() may leave there.
_OWN_FILES = {
    "Logs": ("*",),
    "Snapshots": ("*.sav", "*.nvram"),
    "": ("*.vbox", "*.vbox-prev", "*.vbox-tmp", "*.nvram", "serial.log"),
}


def destroy(machine: Machine) -> None:
    """See `Machine.destroy`."""
    if not machine.registered:
        # Its folder may belong to a new machine of the same name by now.
        return
    clones = machine.linked_clones()
    if clones:
        raise InvalidStateError(
            f"{machine._subject()} ({machine.state}) cannot be destroyed: linked clones stand on"
            f" it: {', '.join(map(repr, clones))}",
            state=str(machine.state),
            operation="destroy",
            hint="destroy those machines first",
        )
    folder = machine.folder
    api = machine._api
    with step(f"{machine._subject()}: destroy"):
        _end_process(machine)
        mode = api.value("CleanupMode", "DetachAllReturnHardDisksOnly")
        media = list(machine.com.unregister(mode))
        # From here on it is out of the registry: what fails now is a leftover, not a refusal.
        left: list[str] = []
        try:
            Progress(
                api,
                machine.com.deleteConfig(media),
                what="delete its files",
                subject=machine._subject(),
            ).wait(timeout=machine.settings.progress_timeout)
        except (ApiError, WaitTimeoutError) as error:
            left.append(f"{folder}: {error}")
        left += _remove_folder(folder)
        _remove_groups(
            folder.parent, Path(str(api.virtualbox.systemProperties.defaultMachineFolder))
        )
        if left:
            raise CleanupError(
                f"{machine._subject()} is not registered any more, but not all of it is gone:",
                left=left,
                hint="remove these files",
            )


def _end_process(machine: Machine) -> None:
    """Power off if it runs; kill the process if it does not obey."""
    if machine.session_state is SessionState.UNLOCKED:
        return
    pid = machine.session_pid
    # A process that is just starting (its maker may have been killed) cannot be powered off yet.
    with suppress(WaitTimeoutError):
        power.wait_for_state(machine, STEADY, timeout=machine.settings.lock_timeout)
    if machine.state in ONLINE:
        try:
            machine.power_off()
        except (ApiError, WaitTimeoutError):
            if machine.state in ONLINE:
                _kill(machine, pid)
        return
    # Off, and yet locked: somebody edits it. Never kill a stranger.
    try:
        power.wait_unlocked(machine, Deadline(machine.settings.lock_timeout))
    except LockedError:
        if pid is None or driverless.process_of(pid) is None:
            raise
        _kill(machine, pid)


def _kill(machine: Machine, pid: int | None) -> None:
    if pid is None:
        return
    try:
        processes.kill(processes.ProcessId.of(pid))
    except ProcessLookupError:
        return
    power.wait_unlocked(machine, Deadline(machine.settings.lock_timeout))


def _remove_folder(folder: Path) -> list[str]:
    """Remove the machine's folder with what belongs to the machine; keep foreign files."""
    left = []
    for name, patterns in _OWN_FILES.items():
        place = folder / name
        for pattern in patterns:
            for file in place.glob(pattern):
                try:
                    file.unlink(missing_ok=True)
                except OSError as error:
                    left.append(f"{file}: {error}")
        try:
            place.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            # Not empty: somebody put files there that are not VirtualBox's to delete.
            left += [f"{file}: not VirtualBox's" for file in place.iterdir() if place == folder]
    return left


def _remove_groups(folder: Path, top: Path) -> None:
    """Remove the folders of groups in which no machine is left; VirtualBox keeps them."""
    while top in folder.parents:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def dependents(machine: Machine, snapshot: Snapshot | None = None) -> list[str]:
    """Return the names of other machines whose disks stand on this machine's."""
    api = machine._api
    com = machine.com if snapshot is None else snapshot.com.machine
    ids = {
        str(user) for medium in _hard_disks(machine, com) for user in _users_below(machine, medium)
    }
    ids.discard(machine.id)
    if snapshot is None:
        ids |= _users_of_snapshots(machine) - {machine.id}
    vbox = api.virtualbox
    names = []
    for uuid in sorted(ids):
        try:
            names.append(str(vbox.findMachine(uuid).name))
        except Exception as error:
            foreign = api.foreign(error)
            if foreign is None or foreign.symbol != "VBOX_E_OBJECT_NOT_FOUND":
                raise
    return sorted(names)


def _users_of_snapshots(machine: Machine) -> set[str]:
    return {
        str(user)
        for snapshot in machine.snapshots
        for medium in _hard_disks(machine, snapshot.com.machine)
        for user in _users_below(machine, medium)
    }


def _hard_disks(machine: Machine, com: Any) -> Iterator[Any]:
    api = machine._api
    hard_disk = api.value("DeviceType", "HardDisk")
    for attachment in api.array(com, "mediumAttachments"):
        if attachment.type == hard_disk and attachment.medium is not None:
            yield attachment.medium


def _users_below(machine: Machine, medium: Any) -> Iterator[Any]:
    api = machine._api
    for child in api.array(medium, "children"):
        yield from api.array(child, "machineIds")
        yield from _users_below(machine, child)

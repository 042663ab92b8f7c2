"""Removing a machine whole."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.core import processes
from vboxkit.core.signals import held
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
from vboxkit.machines.forwards import release_ports
from vboxkit.machines.locks import require_no_edit
from vboxkit.machines.opening import registered
from vboxkit.machines.progress import Progress, unhooked
from vboxkit.machines.properties import MachineProperties
from vboxkit.machines.states import ONLINE, STEADY, SessionState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.machines.machine import Machine
    from vboxkit.machines.snapshots import Snapshot

__all__ = ["dependents", "destroy"]


def destroy(machine: Machine) -> None:
    """See `Machine.destroy`."""
    if not machine.registered:
        # Its folder may belong to a new machine of the same name by now.
        return
    require_no_edit(machine, "destroy it")
    clones = machine.linked_clones()
    if clones:
        raise InvalidStateError(
            f"{machine._subject()} ({machine.state}) cannot be destroyed: linked clones stand on"
            f" it: {', '.join(map(repr, clones))}",
            state=str(machine.state),
            operation="destroy",
            hint="destroy those machines first",
        )
    api = machine._api
    folder = machine.folder
    orphans = _orphans(machine)
    foreign = [at for com in orphans if folder not in (at := Path(str(com.location))).parents]
    if foreign:
        raise InvalidStateError(
            f"{machine._subject()} ({machine.state}) cannot be destroyed: differencing images that"
            f" no machine uses stand on its disks: {', '.join(map(str, foreign))}",
            state=str(machine.state),
            operation="destroy",
            hint="delete() them first; machine.storage.disks and vbox.media.tree() show them",
        )
    files = _own_files(machine)
    shared = any(other.folder == folder for other in _others(machine))
    with step(f"{machine._subject()}: destroy"):
        _end_process(machine)
        with unhooked():
            for com in orphans:
                Progress(
                    api, com.deleteStorage(), what="delete an orphan", subject=machine._subject()
                ).wait(timeout=machine.settings.progress_timeout)
        # Half of it done, it would be in no list any more, and its disks still there.
        with held():
            _remove(machine, files, shared=shared)


def _remove(machine: Machine, files: list[Path], *, shared: bool) -> None:
    """
    Take a machine that does not run out of the registry, and delete what it is made of.

    Args:
        machine: The machine.
        files: What may be left of it, beside its disks.
        shared: Another machine is in its folder.
    """
    api = machine._api
    folder = machine.folder
    mode = api.value("CleanupMode", "DetachAllReturnHardDisksOnly")
    release_ports(api, machine.com)
    media = list(machine.com.unregister(mode))
    # From here on it is out of the registry: what fails now is a leftover, not a refusal.
    left: list[str] = []
    try:
        progress = Progress(
            api,
            machine.com.deleteConfig(media),
            what="delete its files",
            subject=machine._subject(),
        )
        with unhooked():  # a hook that raises would leave the rest
            progress.wait(timeout=machine.settings.progress_timeout)
    except (ApiError, WaitTimeoutError) as error:
        left.append(f"{folder}: {error}")
    left += [
        f"{file}: a medium that was not attached to it"
        if registered(api, Path(file)) is not None
        else f"{file}: {why}"
        for file, why in _remove_files(folder, files, shared=shared)
    ]
    _remove_groups(folder.parent, Path(str(api.virtualbox.systemProperties.defaultMachineFolder)))
    if left:
        raise CleanupError(
            f"{machine._subject()} is not registered any more, but not all of it is gone:",
            left=left,
            hint="remove these files, media by vbox.media[path].delete()",
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


def _others(machine: Machine) -> Iterator[MachineProperties]:
    api = machine._api
    for com in api.array(api.virtualbox, "machines"):
        if com.accessible and str(com.id) != machine.id:
            yield MachineProperties(api, com, machine.settings)


def _own_files(machine: Machine) -> list[Path]:
    """Return the files of a machine, beside its disks, that deleteConfig() may leave."""
    settings = machine.settings_file
    names = (".vbox", ".vbox-prev", ".vbox-tmp", ".nvram")
    files = [settings.with_suffix(suffix) for suffix in names]
    states = [machine.com, *(snapshot.com.machine for snapshot in machine.snapshots)]
    files += [Path(str(com.stateFilePath)) for com in states if com.stateFilePath]
    console = machine.serial.file
    if console is not None and console.parent == machine.folder:
        files.append(console)
    # The names that the lab gives to consoles (the port may lead elsewhere by now), and to what it
    # tells other tools.
    told = ("serial.log", "known_hosts", "ssh_config")
    return [*files, *(machine.folder / name for name in told)]


def _remove_files(folder: Path, files: list[Path], *, shared: bool) -> list[tuple[Path, str]]:
    """
    Remove what belongs to the machine; keep foreign files, and name them.

    Args:
        folder: The machine's folder.
        files: Its files.
        shared: Another machine is in that folder: its logs and snapshots are there, too.
    """
    if not shared:
        files = [*files, *(folder / "Logs").glob("*")]
    left = []
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            left.append((file, str(error)))
    if shared:
        return left
    for place in (folder / "Logs", folder / "Snapshots", folder):
        try:
            place.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            # Not empty: somebody put files there that are not VirtualBox's to delete.
            left += [(file, "not VirtualBox's") for file in place.iterdir() if place == folder]
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


def _orphans(machine: Machine) -> list[Any]:
    """Return the differencing images that stand on its disks and nobody uses, children first."""
    api = machine._api

    def used(medium: Any) -> bool:
        return bool(api.array(medium, "machineIds")) or any(
            map(used, api.array(medium, "children"))
        )

    def whole(medium: Any) -> Iterator[Any]:
        for child in api.array(medium, "children"):
            yield from whole(child)
        yield medium

    states = [machine.com, *(snapshot.com.machine for snapshot in machine.snapshots)]
    disks = {str(medium.id): medium for com in states for medium in _hard_disks(machine, com)}
    return [
        orphan
        for disk in disks.values()
        for child in api.array(disk, "children")
        if not used(child)
        for orphan in whole(child)
    ]


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


def _users_below(machine: Machine, medium: Any) -> Iterator[str]:
    """
    Yield the machines whose disks stand on this one.

    Not by way of the machine's own disks: what stands on those stands on a later snapshot, which
    is asked about by itself.
    """
    for child in machine._api.array(medium, "children"):
        users = [str(uuid) for uuid in machine._api.array(child, "machineIds")]
        if machine.id not in users:
            yield from users
            yield from _users_below(machine, child)

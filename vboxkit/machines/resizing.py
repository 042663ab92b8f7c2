"""Giving a machine more, or less, memory, CPUs and disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vboxkit.errors import CleanupError, InvalidStateError, NotFoundError, VBoxKitError
from vboxkit.machines.medium import Medium
from vboxkit.machines.parts import invalid
from vboxkit.machines.states import OFFLINE, ONLINE, MachineState

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.hardware import MachineHardware

__all__ = ["resize"]

_OFF = (MachineState.POWERED_OFF, MachineState.ABORTED, MachineState.TELEPORTED)


@dataclass(frozen=True)
class _Before:
    """What a resize may change and can take back; a disk that has grown stays so."""

    memory_mb: int
    cpus: int
    plugged: tuple[int, ...]


def resize(
    machine: MachineHardware,
    *,
    memory_mb: int | None,
    cpus: int | None,
    disk_mb: int | None,
    disk: Medium | Path | str | None,
    rollback_on_failure: bool,
    timeout: Timeout | None,
) -> None:
    """See `Machine.resize`."""
    if disk is not None and disk_mb is None:
        msg = f"{machine._subject()}: resize(disk=...) needs disk_mb"
        raise TypeError(msg)
    if memory_mb is not None:
        type(machine).memory_mb.require(machine, memory_mb)
    if cpus is not None:
        type(machine).cpus.require(machine, cpus)
    target = None if disk_mb is None else _disk(machine, disk, disk_mb)
    before = _Before(machine.memory_mb, machine.cpus, machine.cpu.plugged)
    _require_state(machine, before, memory_mb=memory_mb, cpus=cpus, disk=target, disk_mb=disk_mb)
    done: list[str] = []
    finished = False
    try:
        if memory_mb is not None or cpus is not None:
            _hardware(machine, before, memory_mb=memory_mb, cpus=cpus, done=done)
        if target is not None and disk_mb is not None:
            # Last, for it cannot be taken back.
            target.resize(disk_mb, timeout=timeout)
        finished = True
    except VBoxKitError as error:
        if done and not rollback_on_failure:
            error.message += f"\n  done before, and stays: {', '.join(done)}"
        raise
    finally:
        if not finished and rollback_on_failure:
            _restore(machine, before)


def _disk(machine: MachineHardware, wanted: Medium | Path | str | None, size_mb: int) -> Medium:
    disks = machine.storage.disks
    known = [str(each.location) for each in disks]
    if wanted is None:
        if len(disks) != 1:
            raise invalid(
                machine,
                f"it has {len(disks)} hard disks: {known}",
                hint="say which one by disk=..." if disks else "storage.attach() one first",
                operation="resize",
            )
        (found,) = disks
    else:
        names = {str(wanted.location) if isinstance(wanted, Medium) else str(wanted)}
        matching = [each for each in disks if names & _names(each) | names & _names(each.base)]
        if len(matching) != 1:
            raise NotFoundError(
                f"{machine._subject()} has no hard disk {next(iter(names))!r}, only {known}",
                kind="hard disk",
                wanted=next(iter(names)),
                available=known,
                operation="resize",
                hint="give the path of one of those",
            )
        (found,) = matching
    if size_mb < found.size_mb:
        raise invalid(
            machine,
            f"disk {found.location} has {found.size_mb} MiB and cannot be made smaller:"
            " VirtualBox has no way to",
            hint="attach a new disk of that size, copy the files inside the guest, and detach"
            " this one",
            operation="resize",
        )
    if size_mb > found.size_mb:
        _require_no_differences(machine, found)
    return found


def _names(disk: Medium) -> set[str]:
    return {str(disk.location), disk.name, disk.id}


def _require_no_differences(machine: MachineHardware, disk: Medium) -> None:
    """Images of differences have the size of their parents, and VirtualBox leaves those behind."""
    if disk.parent is None and not disk.children:
        return
    if count := machine.snapshot_count:
        why = f"the machine has {count} snapshot{'s' if count > 1 else ''}"
        hint = "delete the snapshots first, or resize() a full clone()"
    elif disk.parent is not None:
        why = f"it holds only the differences to {disk.parent.location}"
        hint = "make a full clone() of the machine, and resize() that"
    else:
        why = "other disks hold differences to it"
        hint = "destroy the clones that stand on it first: linked_clones() names them"
    raise InvalidStateError(
        f"{machine._subject()} ({machine.state}): disk {disk.location} cannot be resized: {why}",
        state=str(machine.state),
        operation="resize",
        hint=hint,
    )


def _require_state(
    machine: MachineHardware,
    before: _Before,
    *,
    memory_mb: int | None,
    cpus: int | None,
    disk: Medium | None,
    disk_mb: int | None,
) -> None:
    """Say at once all for which the machine has to be powered off."""
    state = machine.state
    if state in _OFF:
        return
    blocked = []
    hint = "shutdown() or power_off() the machine, resize() it, and start() it again"
    if memory_mb not in {None, before.memory_mb}:
        blocked.append(f"memory_mb {before.memory_mb} -> {memory_mb}")
    if cpus not in {None, len(before.plugged)}:
        change = f"cpus {len(before.plugged)} -> {cpus}"
        if state not in ONLINE or cpus is None:
            blocked.append(change)
        elif not machine.cpu.hot_plug:
            blocked.append(change)
            hint += "; for CPUs, cpu.hot_plug = True lets it run the next time"
        elif cpus > before.cpus:
            blocked.append(f"{change} (at most {before.cpus} can be plugged in)")
    if disk is not None and disk_mb != disk.size_mb:
        blocked.append(f"disk_mb {disk.size_mb} -> {disk_mb}")
    if not blocked:
        return
    if state in OFFLINE:
        hint = "start() and shut it down, or discard_state(), first"
    raise InvalidStateError(
        f"{machine._subject()} ({state}) must be powered off for {', '.join(blocked)}",
        state=str(state),
        needed=list(map(str, _OFF)),
        operation="resize",
        hint=hint,
    )


def _hardware(
    machine: MachineHardware,
    before: _Before,
    *,
    memory_mb: int | None,
    cpus: int | None,
    done: list[str],
) -> None:
    changes = []
    if machine.state in ONLINE:
        # Each plugging holds at once, and no edit() takes it back.
        _plug(machine, cpus)
    else:
        with machine.edit():
            if memory_mb is not None and memory_mb != before.memory_mb:
                machine.memory_mb = memory_mb
                changes.append(f"memory_mb {before.memory_mb} -> {memory_mb}")
            if machine.cpu.hot_plug:
                if cpus is not None and cpus > machine.cpus:
                    machine.cpus = cpus
                _plug(machine, cpus)
            elif cpus is not None:
                machine.cpus = cpus
    if cpus not in {None, len(before.plugged)}:
        changes.append(f"cpus {len(before.plugged)} -> {cpus}")
    done += changes


def _plug(machine: MachineHardware, cpus: int | None) -> None:
    """Plug CPUs in, or out from the last, until there are so many."""
    if cpus is None:
        return
    plugged = machine.cpu.plugged
    free = [number for number in range(machine.cpus) if number not in plugged]
    for number in free[: max(cpus - len(plugged), 0)]:
        machine.cpu.plug(number)
    for number in reversed(plugged[cpus:]):
        machine.cpu.unplug(number)


def _restore(machine: MachineHardware, before: _Before) -> None:
    if _Before(machine.memory_mb, machine.cpus, machine.cpu.plugged) == before:
        return  # nothing was changed yet: the machine was locked, for one
    try:
        if machine.state in ONLINE:
            _replug(machine, before)
            return
        with machine.edit():
            machine.memory_mb = before.memory_mb
            _replug(machine, before)
            if machine.cpus != before.cpus:
                machine.cpus = before.cpus
    except VBoxKitError as error:
        raise CleanupError(
            f"{machine._subject()}: resize failed, and could not be taken back",
            left=[
                f"memory_mb {machine.memory_mb}, not {before.memory_mb}",
                f"cpus {len(machine.cpu.plugged)}, not {len(before.plugged)}",
            ],
            hint="resize() it again",
        ) from error


def _replug(machine: MachineHardware, before: _Before) -> None:
    if not machine.cpu.hot_plug:
        return
    there = machine.cpu.plugged
    for number in sorted(set(there) - set(before.plugged), reverse=True):
        machine.cpu.unplug(number)
    for number in sorted(set(before.plugged) - set(there)):
        machine.cpu.plug(number)

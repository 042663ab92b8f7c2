"""Trying something with a machine, and going back to where it was."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vboxkit.errors import CleanupError, VBoxKitError
from vboxkit.machines.progress import unhooked
from vboxkit.machines.states import ONLINE, MachineState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.core.waiting import Deadline
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.snapshots import Snapshot
    from vboxkit.settings import StartMode

__all__ = ["restore_to_running", "rollback"]

_log = logging.getLogger("vboxkit.machines")


@contextmanager
def rollback(machine: Machine) -> Iterator[Snapshot]:
    """See `Machine.rollback`."""
    was = machine.state
    snapshot = machine.snapshots.take("vboxkit rollback")
    first: BaseException | None = None
    try:
        yield snapshot
    except BaseException as error:
        first = error
        raise
    finally:
        _go_back(machine, snapshot, was, first)


def restore_to_running(
    snapshot: Snapshot, *, mode: StartMode | None, keep: bool, deadline: Deadline
) -> None:
    """See `Snapshot.restore_to_running`."""
    machine = snapshot.machine
    was = machine.state
    kept = None
    if keep:
        kept = machine.snapshots.take("vboxkit before restore", timeout=deadline)
    try:
        if machine.state in ONLINE:
            machine.power_off()
        snapshot.restore(timeout=deadline)
        machine.start(mode=mode, timeout=min(machine.settings.start_timeout, deadline.remaining))
    except BaseException as error:
        if kept is not None:
            _go_back(machine, kept, was, error)
        raise
    if kept is not None:
        try:
            with unhooked():
                kept.delete()
        except VBoxKitError as error:
            raise CleanupError(
                f"{machine._subject()} runs, but the snapshot of what it was is still there:",
                left=[f"snapshot {kept.id} of {machine._subject()}: {error}"],
                hint=f"machine.snapshots[{kept.id!r}].delete()",
            ) from error


def _go_back(
    machine: Machine, snapshot: Snapshot, was: MachineState, first: BaseException | None
) -> None:
    """
    Restore a snapshot, delete it, and let the machine run if it ran.

    Args:
        machine: The machine.
        snapshot: Taken of it before; what was taken after it goes, too.
        was: The machine's state then.
        first: What went wrong before; it comes first, and what goes wrong here is a note of it.

    Raises:
        CleanupError: It went wrong, and nothing else had.
    """
    failed: VBoxKitError | None = None
    try:
        with unhooked():
            if machine.state in ONLINE:
                machine.power_off()
            snapshot.restore()
            try:
                snapshot.delete(children=True)
            except VBoxKitError as error:
                failed = CleanupError(
                    f"{machine._subject()} was rolled back, but this is left:",
                    left=[f"snapshot {snapshot.id} of {machine._subject()}: {error}"],
                    hint=f"machine.snapshots[{snapshot.id!r}].delete(children=True)",
                )
                failed.__cause__ = error
            if was in {MachineState.RUNNING, MachineState.PAUSED}:
                machine.start()
            if was is MachineState.PAUSED:
                machine.pause()
    except VBoxKitError as error:
        failed = CleanupError(
            f"{machine._subject()} could not be rolled back: {error}",
            left=[f"snapshot {snapshot.id} of {machine._subject()}"],
            hint=f"machine.snapshots[{snapshot.id!r}].restore()",
        )
        failed.__cause__ = error
    if failed is None:
        return
    if first is None:
        raise failed
    _log.error("%s", failed)
    if hasattr(first, "add_note"):  # Python 3.11
        first.add_note(str(failed))

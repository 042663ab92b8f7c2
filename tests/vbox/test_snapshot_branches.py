"""Ranges of snapshots deleted, states restored and rolled back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.vbox.conftest import shape
from vboxkit.errors import (
    InvalidStateError,
    NotFoundError,
    StartError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, Snapshot

pytestmark = pytest.mark.vbox


def test_delete_a_range(machine: Machine) -> None:
    """Those between two, and the two, go; the others are joined."""
    snapshots = machine.snapshots
    for name in "abcde":
        snapshots.take(name)
    snapshots.delete_range("b", "d")
    assert shape(machine) == ["a", ".e"]
    snapshots.delete_range(snapshots["a"], snapshots["e"])
    assert len(snapshots) == 0


def test_a_range_that_is_none(
    machine: Machine, tree: dict[str, Snapshot], make: Callable[..., Machine]
) -> None:
    """One was not taken after the other, a branch is in the way, or another machine's is given."""
    snapshots = machine.snapshots
    with pytest.raises(NotFoundError, match="was not taken after 'c'") as caught:
        snapshots.delete_range("c", "a")
    assert "older one first" in str(caught.value.hint)
    with pytest.raises(NotFoundError, match="was not taken after 'e'"):
        snapshots.delete_range("e", "c")
    with pytest.raises(InvalidStateError, match="snapshot 'b'"):
        snapshots.delete_range("b", "c")
    with pytest.raises(NotFoundError, match="no snapshot 'x'"):
        snapshots.delete_range("x", "c")
    with pytest.raises(NotFoundError, match="is none of machine"):
        snapshots.delete_range(tree["a"], make().snapshots.take("a"))
    assert shape(machine) == ["a", ".b", "..c", "..d", ".e"]


def test_delete_with_children_under_a_linked_clone(
    machine: Machine, tree: dict[str, Snapshot], label: Callable[[str], str]
) -> None:
    """A clone on one of the branch: refused before any is deleted, and the clone is named."""
    clone = machine.clone(label("clone"), linked=True, snapshot="d")
    with pytest.raises(InvalidStateError, match=clone.name) as caught:
        tree["a"].delete(children=True)
    assert "snapshot 'd'" in str(caught.value)
    assert len(machine.snapshots) == 5


def test_what_was_deleted_says_so(machine: Machine) -> None:
    """Every verb of a deleted snapshot is refused by name, and VBoxSVC lives on."""
    snapshot = machine.snapshots.take("gone")
    snapshot.delete()
    for verb in (snapshot.restore, snapshot.delete, snapshot.restore_to_running):
        with pytest.raises(NotFoundError, match="'gone' does not exist any more") as caught:
            verb()
        assert caught.value.hint
    with pytest.raises(NotFoundError, match="does not exist"):
        snapshot.name = "new"
    with pytest.raises(InvalidStateError, match=r"'gone' \(deleted\)"):
        _ = snapshot.children
    assert machine.state == "PoweredOff"
    assert len(machine.snapshots) == 0


def test_another_machines_snapshot_is_refused(
    machine: Machine, make: Callable[..., Machine], label: Callable[[str], str]
) -> None:
    """It is named with its own machine; no clone is made."""
    foreign = make().snapshots.take("theirs")
    with pytest.raises(NotFoundError, match=r"theirs.* is none of machine") as caught:
        machine.clone(label("copy"), snapshot=foreign)
    assert foreign.machine.name in str(caught.value)
    assert foreign not in machine.snapshots


def test_restore_to_running_that_cannot_start_goes_back(machine: Machine) -> None:
    """Snapshot of a machine that cannot start: it is as it was before, with its snapshots."""
    snapshot = broken(machine)
    with pytest.raises(StartError):
        snapshot.restore_to_running()
    assert machine.state == "PoweredOff"
    assert machine.memory_mb == 80
    assert shape(machine) == ["good", ".broken"]
    assert machine.snapshots.current == machine.snapshots["good"]
    assert machine.serial.file != Path("/nonexistent/folder/serial.log")


def test_restore_to_running_without_rollback_stays_there(machine: Machine) -> None:
    """Asked not to go back: the machine is at the snapshot, off, and no other one was taken."""
    snapshot = broken(machine)
    with pytest.raises(StartError):
        snapshot.restore_to_running(rollback_on_failure=False)
    assert machine.state in {"PoweredOff", "Aborted"}
    assert machine.snapshots.current == snapshot
    assert shape(machine) == ["good", ".broken"]


def broken(machine: Machine) -> Snapshot:
    """Take a snapshot with which the VM process ends at once, and go back to a good one."""
    good = machine.snapshots.take("good")
    with machine._changing() as com:
        port = com.getSerialPort(0)
        port.path = "/nonexistent/folder/serial.log"
        port.hostMode = machine._api.value("PortMode", "RawFile")
        port.enabled = True
    snapshot = machine.snapshots.take("broken")
    good.restore()
    machine.memory_mb = 80
    return snapshot


def test_rollback_takes_its_blocks_snapshots_along(machine: Machine) -> None:
    """Snapshots taken in the block are undone with the rest; older ones stay."""
    machine.snapshots.take("before")
    with machine.rollback():
        machine.memory_mb = 96
        machine.snapshots.take("inside")
        machine.snapshots.take("deeper")
    assert shape(machine) == ["before"]
    assert machine.memory_mb == 64


def test_rollback_after_a_restore_within(machine: Machine) -> None:
    """A block that restores another snapshot comes back to its beginning all the same."""
    old = machine.snapshots.take("old")
    machine.memory_mb = 80
    machine.snapshots.take("new")
    with machine.rollback():
        old.restore()
        assert machine.memory_mb == 64
    assert machine.memory_mb == 80
    assert shape(machine) == ["old", ".new"]

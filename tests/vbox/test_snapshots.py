"""Snapshots of machines that do not run, and rollback()."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit.errors import InvalidStateError, NotFoundError, VBoxKitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine

pytestmark = pytest.mark.vbox


def test_take_reads_back_what_was_given(machine: Machine) -> None:
    """Name, description and kind are VirtualBox's; it is the current one."""
    taken = machine.snapshots.take("first", description="as imported")
    snapshot = machine.snapshots["first"]
    assert snapshot == taken
    assert hash(snapshot) == hash(taken)
    assert (snapshot.name, snapshot.description) == ("first", "as imported")
    assert not snapshot.online
    assert snapshot.time_ms > 0
    assert machine.snapshots.current == taken
    assert machine.snapshot_count == len(machine.snapshots) == 1


def test_a_machine_without_snapshots(machine: Machine) -> None:
    """No current one, nothing to iterate, nothing found."""
    assert machine.snapshots.current is None
    assert list(machine.snapshots) == []
    assert len(machine.snapshots) == 0
    assert machine.snapshots.find("x") is None
    assert "x" not in machine.snapshots


def test_restore_brings_the_hardware_back(machine: Machine) -> None:
    """Memory, CPUs and forwards are as they were; the machine is powered off and unlocked."""
    before = machine.network.forwards()
    snapshot = machine.snapshots.take("small")
    with machine.edit():
        machine.memory_mb, machine.cpus = 128, 2
    machine.network[0].forward(guest=8080).release()
    snapshot.restore()
    assert (machine.memory_mb, machine.cpus) == (64, 1)
    assert machine.network.forwards() == before
    assert machine.state == "PoweredOff"
    assert machine.session_state == "Unlocked"
    assert machine.snapshots.current == snapshot


def test_name_and_description_are_not_part_of_a_snapshot(machine: Machine) -> None:
    """VirtualBox keeps them with the machine: a restore leaves them as they are."""
    snapshot = machine.snapshots.take("before")
    machine.description = "written later"
    snapshot.restore()
    assert machine.description == "written later"


def test_the_tree_is_walked_parents_first(machine: Machine) -> None:
    """Parent, children and order follow the restores between the takes."""
    snapshots = machine.snapshots
    root = snapshots.take("root")
    left = snapshots.take("left")
    leaf = snapshots.take("leaf")
    root.restore()
    right = snapshots.take("right")
    assert [s.name for s in snapshots] == ["root", "left", "leaf", "right"]
    assert root.parent is None
    assert leaf.parent == left
    assert root.children == [left, right]
    assert right.children == []
    assert snapshots.current == right


def test_delete_in_the_middle_joins_the_tree(machine: Machine) -> None:
    """The children of a deleted snapshot belong to its parent."""
    snapshots = machine.snapshots
    root, middle, leaf = (snapshots.take(name) for name in ("root", "middle", "leaf"))
    middle.delete()
    assert [s.name for s in snapshots] == ["root", "leaf"]
    assert leaf.parent == root
    assert snapshots.current == leaf


def test_delete_all_leaves_one_disk(machine: Machine, inventory: Callable[[], set[str]]) -> None:
    """Deleting merges the differencing disks: none is left on the disk."""
    before = inventory()
    for name in ("a", "b"):
        machine.snapshots.take(name)
    assert sum(line.startswith("medium") for line in inventory()) == 3
    for snapshot in list(machine.snapshots):
        snapshot.delete()
    assert len(machine.snapshots) == 0
    assert inventory() == before


def test_unknown_name_lists_those_there_are(machine: Machine) -> None:
    """`NotFoundError` names machine, wanted and available snapshots."""
    machine.snapshots.take("one")
    with pytest.raises(NotFoundError) as caught:
        machine.snapshots["two"]
    assert caught.value.available == ("/one",)
    assert caught.value.wanted == "two"
    assert machine.name in str(caught.value)
    assert "two" not in machine.snapshots
    assert 3 not in machine.snapshots


def test_delete_under_a_linked_clone_is_refused(
    machine: Machine, label: Callable[[str], str]
) -> None:
    """The error names the clone; snapshot and clone are as before."""
    snapshot = machine.snapshots.take("base")
    clone = machine.clone(label("clone"), linked=True)
    with pytest.raises(InvalidStateError) as caught:
        snapshot.delete()
    assert repr(clone.name) in str(caught.value)
    assert "base" in str(caught.value)
    assert caught.value.hint
    assert "base" in machine.snapshots
    clone.destroy()
    snapshot.delete()
    assert len(machine.snapshots) == 0


def test_a_deleted_snapshot_cannot_be_restored(machine: Machine) -> None:
    """A stale snapshot gives a typed error with its name; the machine keeps its settings."""
    snapshot = machine.snapshots.take("gone")
    snapshot.delete()
    machine.memory_mb = 80
    with pytest.raises(Exception, match="gone") as caught:
        snapshot.restore()
    assert isinstance(caught.value, VBoxKitError)
    assert machine.memory_mb == 80
    assert machine.session_state == "Unlocked"


def test_setters_work_while_there_are_snapshots(machine: Machine) -> None:
    """A change is one of the present state; the snapshot keeps the old value."""
    snapshot = machine.snapshots.take("old")
    machine.memory_mb = 80
    assert machine.memory_mb == 80
    assert int(snapshot.com.machine.memorySize) == 64


def test_rollback_undoes_what_the_block_did(machine: Machine) -> None:
    """After the block the hardware is as before, and no snapshot is left."""
    with machine.rollback() as snapshot:
        assert machine.snapshots.current == snapshot
        machine.memory_mb = 128
        assert machine.memory_mb == 128
    assert machine.memory_mb == 64
    assert len(machine.snapshots) == 0
    assert machine.state == "PoweredOff"


def test_rollback_undoes_when_the_block_raises(machine: Machine) -> None:
    """The block's own error passes, after the way back."""
    with pytest.raises(ZeroDivisionError), machine.rollback():
        machine.cpus = 2
        _ = 1 / 0
    assert machine.cpus == 1
    assert len(machine.snapshots) == 0


def test_rollbacks_nest(machine: Machine) -> None:
    """The inner one goes back to its own beginning."""
    with machine.rollback():
        machine.memory_mb = 80
        with machine.rollback():
            machine.memory_mb = 96
        assert machine.memory_mb == 80
    assert machine.memory_mb == 64
    assert len(machine.snapshots) == 0

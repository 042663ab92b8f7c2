"""Snapshots of running guests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit import MachineState
from vboxkit.errors import CleanupError, InvalidStateError

if TYPE_CHECKING:
    from vboxkit import VM

pytestmark = pytest.mark.vm


def test_an_online_snapshot_leaves_the_guest_running(vm: VM) -> None:
    """Taking a snapshot does not stop the guest, nor break an open connection."""
    vm.ssh.succeed("true")
    snapshot = vm.snapshots.take("now")
    assert snapshot.online
    assert vm.state == MachineState.RUNNING
    assert vm.ssh.run("true").ok
    assert vm.snapshots.current == snapshot


def test_restore_brings_memory_and_disk_back(vm: VM) -> None:
    """After a restore both the disk and the guest's memory are those of the snapshot."""
    vm.ssh.succeed("mkdir -p /run/m && mount -t tmpfs none /run/m; echo 1 | tee /run/m/x /root/x")
    snapshot = vm.snapshots.take("one")
    vm.ssh.succeed("echo 2 | tee /run/m/x /root/x; sync")
    vm.power_off()
    snapshot.restore()
    assert vm.state == MachineState.SAVED
    vm.start()
    assert vm.ssh.succeed("cat /run/m/x /root/x").split() == ["1", "1"]


def test_restoring_a_running_machine_is_refused(vm: VM) -> None:
    """A running machine is not restored under its guest: the error says what to do first."""
    snapshot = vm.snapshots.take("one")
    with pytest.raises(InvalidStateError) as caught:
        snapshot.restore()
    assert caught.value.state == "Running"
    assert "power_off()" in str(caught.value)
    assert vm.ssh.run("true").ok


def test_deleting_under_a_running_guest_merges(vm: VM) -> None:
    """A snapshot can be deleted while the guest runs; what it wrote since is still there."""
    snapshot = vm.snapshots.take("one")
    vm.ssh.succeed("echo after > /root/after; sync")
    snapshot.delete()
    assert len(vm.snapshots) == 0
    assert vm.state == MachineState.RUNNING
    assert vm.ssh.succeed("cat /root/after").strip() == "after"


@pytest.mark.smoke
def test_rollback_of_a_running_machine(vm: VM) -> None:
    """After the block the guest runs, without what was done in it, and no snapshot is left."""
    with vm.rollback():
        vm.ssh.succeed("echo oops > /root/oops; sync")
    assert vm.state == MachineState.RUNNING
    assert vm.ssh.run("cat /root/oops").exit_code == 1
    assert len(vm.snapshots) == 0


def test_rollback_also_after_an_error(vm: VM) -> None:
    """An exception in the block passes, and the machine is back all the same."""
    with pytest.raises(RuntimeError, match="mine"), vm.rollback():
        vm.ssh.succeed("echo oops > /root/oops; sync")
        raise RuntimeError("mine")
    assert vm.ssh.run("cat /root/oops").exit_code == 1
    assert len(vm.snapshots) == 0


def test_rollback_when_the_machine_was_turned_off_inside(vm: VM) -> None:
    """A block that ends with the machine off brings it back running."""
    with vm.rollback():
        vm.power_off()
    assert vm.state == MachineState.RUNNING
    assert vm.ssh.run("true").ok


def test_a_tree_of_states(vm: VM) -> None:
    """Snapshots taken after a restore branch off: parents and children say so."""
    first = vm.snapshots.take("first")
    vm.snapshots.take("second")
    vm.power_off()
    first.restore()
    third = vm.snapshots.take("third")
    assert third.parent == first
    assert {s.name for s in first.children} == {"second", "third"}
    assert next(s.name for s in vm.snapshots) == "first"
    assert vm.snapshots.current == third
    for name in ("third", "second", "first"):
        vm.snapshots[name].delete()
    assert len(vm.snapshots) == 0


def test_a_paused_machine_stays_paused_over_a_snapshot(vm: VM) -> None:
    """A snapshot of a paused machine does not resume it."""
    vm.pause()
    vm.snapshots.take("paused")
    assert vm.state == MachineState.PAUSED


def test_a_rollback_that_fails_after_an_error_says_both(vm: VM) -> None:
    """The error of the block passes, and tells that the machine could not be rolled back."""
    with pytest.raises(RuntimeError, match="mine") as caught, vm.rollback() as snapshot:
        snapshot.delete()
        raise RuntimeError("mine")
    notes = "\n".join(getattr(caught.value, "__notes__", ["could not be rolled back"]))
    assert "could not be rolled back" in notes


def test_a_rollback_that_fails_says_what_is_left(vm: VM) -> None:
    """Without another error, CleanupError names machine and snapshot."""
    with pytest.raises(CleanupError, match=vm.name) as caught, vm.rollback() as snapshot:
        snapshot.delete()
    assert snapshot.id in caught.value.left[0]

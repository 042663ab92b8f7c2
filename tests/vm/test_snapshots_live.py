"""Snapshots of running guests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vboxkit import MachineState
from vboxkit.errors import CleanupError, InvalidStateError, StartError

if TYPE_CHECKING:
    from vboxkit import VM
    from vboxkit.machines.progress import Progress

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


def write(vm: VM, text: str) -> None:
    """Put a text into the guest's memory and on its disk."""
    vm.ssh.succeed(
        "mkdir -p /run/m; grep -q /run/m /proc/mounts || mount -t tmpfs none /run/m;"
        f" echo {text} | tee /run/m/x /root/x; sync"
    )


def texts(vm: VM) -> list[str]:
    """Read both back."""
    return vm.ssh.succeed("cat /run/m/x /root/x").split()


@pytest.mark.parametrize("pause", [False, True])
def test_live_and_paused_snapshots(vm: VM, *, pause: bool) -> None:
    """Both kinds are online, leave the guest running, and show their progress up to the end."""
    seen: list[int] = []
    snapshot = vm.snapshots.take("x", pause=pause, on_update=lambda p: seen.append(p.percent))
    assert snapshot.online
    assert "online" in vm.snapshots.tree()
    assert "* now: Running" in vm.snapshots.tree()
    assert seen[-1] == 100
    assert vm.ssh.run("true").ok


def test_restore_to_running_goes_on_where_the_guest_stood(vm: VM) -> None:
    """From running to running: memory and disk are the snapshot's, and no snapshot is added."""
    write(vm, "1")
    snapshot = vm.snapshots.take("one")
    write(vm, "2")
    whats: list[str] = []
    snapshot.restore_to_running(on_update=lambda p: whats.append(p.what))
    assert vm.state == MachineState.RUNNING
    assert texts(vm) == ["1", "1"]
    assert [s.name for s in vm.snapshots] == ["one"]
    assert vm.snapshots.current == snapshot
    assert list(dict.fromkeys(whats)) == [
        "take snapshot 'vboxkit before restore'",
        "power off",
        "restore the snapshot",
    ]


def test_restore_to_running_that_fails_leaves_the_guest_as_it_was(vm: VM) -> None:
    """The snapshot's memory is damaged: the guest runs on, with what was in its own."""
    snapshot = vm.snapshots.take("broken")
    Path(str(snapshot.com.machine.stateFilePath)).write_bytes(b"damaged")
    write(vm, "kept")
    with pytest.raises(StartError):
        snapshot.restore_to_running()
    assert vm.state == MachineState.RUNNING
    assert texts(vm) == ["kept", "kept"]
    assert [s.name for s in vm.snapshots] == ["broken"]


def test_restore_to_running_of_an_offline_snapshot_boots(vm: VM) -> None:
    """Without memory in the snapshot the guest boots, from the disk of then."""
    write(vm, "1")
    vm.shutdown()
    snapshot = vm.snapshots.take("off")
    assert not snapshot.online
    vm.start()
    vm.ssh.succeed("echo 2 > /root/x; sync")
    snapshot.restore_to_running(rollback_on_failure=False)
    assert vm.ssh.succeed("cat /root/x").strip() == "1"
    assert not vm.ssh.run("test -e /run/m/x").ok


def test_a_saved_machine_is_rolled_back_to_saved(vm: VM) -> None:
    """Its snapshot is an online one; after the block it is Saved and goes on from there."""
    write(vm, "1")
    seen: list[int] = []
    vm.save_state(on_update=lambda p: seen.append(p.percent))
    assert seen[-1] == 100
    with vm.rollback() as snapshot:
        assert snapshot.online
        vm.start()
        write(vm, "2")
    assert vm.state == MachineState.SAVED
    assert len(vm.snapshots) == 0
    vm.start()
    assert texts(vm) == ["1", "1"]


def test_a_paused_machine_is_rolled_back_to_paused(vm: VM) -> None:
    """What the block did is gone, and the guest waits as before."""
    write(vm, "1")
    vm.pause()
    with vm.rollback():
        vm.resume()
        write(vm, "2")
    assert vm.state == MachineState.PAUSED
    vm.resume()
    assert texts(vm) == ["1", "1"]


def test_rollback_with_a_fork_that_stays(vm: VM) -> None:
    """A fork of the block's snapshot keeps it: the machine is back and runs, and that is said."""
    write(vm, "1")
    with pytest.raises(CleanupError, match="was rolled back, but") as caught, vm.rollback() as s:
        fork = vm.fork(snapshot=s, start=False)
        write(vm, "2")
    assert fork.name in str(caught.value)
    assert vm.state == MachineState.RUNNING
    assert texts(vm) == ["1", "1"]
    fork.destroy()
    vm.snapshots[s.id].delete()
    assert len(vm.snapshots) == 0


def test_a_canceled_online_snapshot_leaves_the_guest_running(vm: VM) -> None:
    """A hook that raises while memory is written: no snapshot, and the guest goes on."""
    write(vm, "1")

    def stop(progress: Progress) -> None:
        raise RuntimeError(f"at {progress.percent}")

    with pytest.raises(RuntimeError, match="at 0"):
        vm.snapshots.take("x", on_update=stop)
    assert len(vm.snapshots) == 0
    assert vm.state == MachineState.RUNNING
    assert texts(vm) == ["1", "1"]
    assert vm.snapshots.take("x").online


def test_a_save_cannot_be_canceled(vm: VM) -> None:
    """VirtualBox saves on: the hook's exception passes after that, and the guest can go on."""
    write(vm, "1")
    seen: list[bool] = []

    def stop(progress: Progress) -> None:
        seen.append(progress.cancelable)
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        vm.save_state(on_update=stop)
    assert seen == [False]
    assert vm.state == MachineState.SAVED
    vm.start()
    assert texts(vm) == ["1", "1"]


def test_rename_and_branch_deletion_while_it_runs(vm: VM) -> None:
    """Names change and a chain is merged under the guest, with progress; its files stay."""
    for name in "abc":
        vm.snapshots.take(name)
        write(vm, name)
    vm.snapshots["b"].name = "middle"
    seen: list[int] = []
    vm.snapshots["a"].delete(children=True, on_update=lambda p: seen.append(p.percent))
    assert len(vm.snapshots) == 0
    assert max(seen) == 100
    assert texts(vm) == ["c", "c"]


def test_clones_of_a_running_machine(vm: VM) -> None:
    """Of its snapshots only: its present state can be linked to or forked, but not copied."""
    first = vm.snapshots.take("first")
    vm.snapshots.take("second")
    name = f"{vm.name}-copy"
    for options in ({}, {"mode": "all"}, {"mode": "machine and children", "snapshot": first}):
        with pytest.raises(InvalidStateError, match="is Running: a full clone") as caught:
            vm.clone(name, **options)
        assert "clone a snapshot" in str(caught.value.hint)
        assert not (vm.folder.parent / name).exists()
    copy = vm.clone(name, snapshot=first)
    try:
        assert copy.state == MachineState.SAVED
        assert len(copy.snapshots) == 0
        assert vm.state == MachineState.RUNNING
    finally:
        copy.destroy()
    assert vm.ssh.run("true").ok

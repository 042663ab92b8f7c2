"""Machines that cannot go back to their image, or not as they are; and checkpoints in any order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from vboxkit.core import processes
from vboxkit.errors import InvalidStateError, NotFoundError, StartError

if TYPE_CHECKING:
    from vboxkit import VM, Lab

pytestmark = pytest.mark.vm


def test_a_fork_of_a_fork(vm: VM) -> None:
    """The image's memory does not go with the other fork's disks: refused, and it goes on."""
    with vm.branch() as other:
        with pytest.raises(InvalidStateError, match="another fork's disks") as caught:
            other.rewind()
        assert caught.value.hint
        assert other.ssh.succeed("echo on") == "on\n"
    vm.rewind().ssh.succeed("true")


def test_after_a_new_host_key(vm: VM) -> None:
    """The guest shows the image's key again, and that one is expected."""
    vm.refresh("ssh-host-key")
    own = vm.credentials.host_key
    assert own != vm.image.credentials.host_key
    assert vm.rewind().ssh.succeed("echo back") == "back\n"
    assert vm.credentials.host_key == vm.image.credentials.host_key


def test_after_a_power_cut(vm: VM) -> None:
    """A machine whose process was killed comes back."""
    pid = vm.session_pid
    assert pid is not None
    processes.kill(processes.ProcessId.of(pid))
    assert processes.wait_gone(pid, timeout=10)
    vm.rewind().ssh.succeed("true")


def test_with_other_hardware(vm: VM) -> None:
    """It does not start, says why, and is still there with its disks: to be put right."""
    vm.power_off()
    vm.memory_mb += 32
    with pytest.raises(StartError, match="Ram config mismatch"):
        vm.rewind()
    assert vm.registered
    vm.discard_state()
    vm.memory_mb -= 32
    vm.rewind().ssh.succeed("true")


def test_with_one_more_disk(vm_lab: Lab, vm: VM) -> None:
    """It does not start, and the disk is not lost."""
    vm.power_off()
    disk = vm.folder / "extra.vdi"
    vm.storage.attach(vm_lab.vbox.media.create(disk, size_mb=8))
    with pytest.raises(StartError, match="storage configurations"):
        vm.rewind()
    assert disk.exists()
    vm.discard_state()
    vm.storage.detach(disk)
    vm_lab.vbox.media[disk].delete()
    vm.rewind().ssh.succeed("true")


def test_when_the_image_is_gone(vm: VM) -> None:
    """It is said before anything is done."""
    gone = msgspec.structs.replace(vm.image, machine="00000000-0000-0000-0000-000000000001")
    known, vm.image = vm.image, gone
    with pytest.raises(NotFoundError, match="is gone") as caught:
        vm.rewind()
    assert caught.value.hint
    vm.image = msgspec.structs.replace(known, snapshot="00000000-0000-0000-0000-000000000001")
    with pytest.raises(NotFoundError, match="is gone"):
        vm.rewind()
    vm.image = known
    assert vm.ssh.succeed("echo on") == "on\n"


def test_checkpoints_below_a_fork(vm: VM) -> None:
    """The state of a fork, and those before it, stay while it is there; later ones can go."""
    first, second, third = vm.checkpoint("1"), vm.checkpoint("2"), vm.checkpoint("3")
    fork = second.fork()
    third.delete()
    for checkpoint in (first, second):
        with pytest.raises(InvalidStateError, match=fork.name) as caught:
            checkpoint.delete()
        assert caught.value.hint
    fork.destroy()
    first.delete()
    second.delete()
    assert vm.snapshot_count == 0

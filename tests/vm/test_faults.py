"""Things that go wrong under a running guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit import MachineState
from vboxkit.core import processes
from vboxkit.core.processes import ProcessId
from vboxkit.errors import GuestConnectionError, GuestError, InvalidStateError, WaitTimeoutError

if TYPE_CHECKING:
    from vboxkit import VM, Image, Lab

pytestmark = pytest.mark.vm


def kill(vm: VM) -> None:
    """End the VM process as the kernel's out-of-memory killer would."""
    assert vm.session_pid is not None
    assert processes.kill(ProcessId.of(vm.session_pid))


def test_a_killed_vm_is_aborted(vm: VM) -> None:
    """VirtualBox notices, and so does who waits."""
    kill(vm)
    state = vm.wait_for_state(MachineState.ABORTED, timeout=20)
    assert state is MachineState.ABORTED


def test_a_command_on_a_killed_vm_is_a_typed_error(vm: VM) -> None:
    """A command whose machine dies raises within its timeout, and names the machine."""
    vm.ssh.succeed("true")
    kill(vm)
    with pytest.raises(GuestError, match=vm.name):
        vm.ssh.run("true", timeout=20)


def test_a_command_in_flight_when_the_vm_dies(vm: VM) -> None:
    """The error comes when the connection breaks, not at the timeout."""
    from concurrent.futures import ThreadPoolExecutor

    mark = vm.console.mark()
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(vm.ssh.run, "echo under-way > /dev/ttyS0; sleep 300", timeout=120)
        vm.console.wait_for("under-way", timeout=30, start=mark)
        kill(vm)
        with pytest.raises(GuestConnectionError):
            pending.result(timeout=60)


def test_a_killed_vm_can_be_destroyed(vm_lab: Lab, vm_image: Image) -> None:
    """destroy() of an aborted machine leaves nothing."""
    vm = vm_lab.fork(vm_image)
    folder = vm.folder
    kill(vm)
    vm.destroy()
    assert vm._name not in vm_lab.vbox.machines
    assert not folder.exists()


def test_verbs_on_a_killed_vm_name_its_state(vm: VM) -> None:
    """pause() of an aborted machine is refused with its state."""
    kill(vm)
    vm.wait_for_state(MachineState.ABORTED, timeout=20)
    with pytest.raises(InvalidStateError) as caught:
        vm.pause()
    assert caught.value.state == "Aborted"
    assert "start" in str(caught.value)


def test_a_restore_under_an_open_connection(vm: VM) -> None:
    """After a restore the old connection is dead; the next command makes a new one."""
    vm.ssh.succeed("echo 1 > /tmp/x")
    snapshot = vm.snapshots.take("s")
    vm.power_off()
    snapshot.restore()
    vm.start()
    assert vm.ssh.succeed("cat /tmp/x").strip() == "1"


def test_a_guest_that_does_not_go_down_in_time(vm: VM) -> None:
    """shutdown() says which machine did not go down in time, and leaves it to its own."""
    with pytest.raises(WaitTimeoutError) as caught:
        vm.shutdown(timeout=0)
    assert vm.name in str(caught.value)
    assert "Running" in caught.value.last_seen
    assert vm.wait_for_state(MachineState.POWERED_OFF, timeout=30) is MachineState.POWERED_OFF

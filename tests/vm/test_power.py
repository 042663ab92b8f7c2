"""Starting and stopping machines with a running guest."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import pytest

from vboxkit import MachineState
from vboxkit.core import processes
from vboxkit.core.ports import lease_port
from vboxkit.core.processes import ProcessId
from vboxkit.core.waiting import wait_until
from vboxkit.errors import (
    DriverNeededError,
    EmulatedWarning,
    InvalidStateError,
    PortInUseError,
    SettingsError,
    StartError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit import VM

pytestmark = pytest.mark.vm


@pytest.mark.smoke
def test_a_fork_runs_and_answers(vm: VM) -> None:
    """A fork is Running, has a process of its own, and its guest is Linux."""
    assert vm.state == MachineState.RUNNING
    assert vm.session_pid is not None
    assert vm.ssh.run("uname -s").stdout.strip() == "Linux"


def test_pause_stops_the_guest_and_resume_lets_it_go_on(vm: VM) -> None:
    """A paused guest's clock of uptime stands still; a resumed one counts again."""
    before = float(vm.ssh.succeed("cut -d' ' -f1 /proc/uptime"))
    vm.pause()
    assert vm.state == MachineState.PAUSED
    vm.resume()
    assert vm.state == MachineState.RUNNING
    assert float(vm.ssh.succeed("cut -d' ' -f1 /proc/uptime")) >= before


@pytest.mark.smoke
def test_save_state_and_start_go_on_where_the_guest_stood(vm: VM) -> None:
    """What is only in the guest's memory is there after saving and starting."""
    vm.ssh.succeed("mkdir -p /run/t && mount -t tmpfs none /run/t && echo here > /run/t/x")
    pid = vm.session_pid
    vm.save_state()
    assert vm.state == MachineState.SAVED
    assert vm.session_pid is None
    vm.start()
    assert vm.session_pid != pid
    assert vm.ssh.succeed("cat /run/t/x").strip() == "here"


def test_discard_state_makes_the_next_start_a_boot(vm: VM) -> None:
    """After the saved state is thrown away the machine is off, and the guest boots anew."""
    boot = vm.ssh.succeed("cat /proc/sys/kernel/random/boot_id")
    vm.save_state()
    vm.discard_state()
    assert vm.state == MachineState.POWERED_OFF
    vm.start()
    assert vm.wait_ready().ssh.succeed("cat /proc/sys/kernel/random/boot_id") != boot


def test_shutdown_is_clean(vm: VM) -> None:
    """The power button shuts the guest down: what it wrote without sync is on the disk."""
    vm.ssh.succeed("echo kept > /root/kept")
    vm.shutdown()
    assert vm.state == MachineState.POWERED_OFF
    vm.start()
    assert vm.wait_ready().ssh.succeed("cat /root/kept").strip() == "kept"


def test_shutdown_of_a_paused_machine_says_what_to_do(vm: VM) -> None:
    """A paused guest cannot see the power button: the error names object, state and remedy."""
    vm.pause()
    with pytest.raises(InvalidStateError) as caught:
        vm.shutdown()
    assert vm.name in str(caught.value)
    assert caught.value.state == "Paused"
    assert "resume()" in str(caught.value)


def test_power_off_ends_the_process(vm: VM) -> None:
    """After power_off() returned, the VM process is gone and the lock is free."""
    assert vm.session_pid is not None
    process = ProcessId.of(vm.session_pid)
    vm.power_off()
    assert vm.state == MachineState.POWERED_OFF
    assert not process.alive
    assert vm.session_state == "Unlocked"


def test_a_vm_process_leaves_no_zombie(vm: VM) -> None:
    """A VM process that this process started is reaped at once, also when it was killed."""
    import psutil

    for end in (vm.power_off, lambda: processes.kill(ProcessId.of(vm.session_pid or 0))):
        assert vm.session_pid in {child.pid for child in psutil.Process().children()}
        pid = vm.session_pid
        end()
        vm.wait_for_state(MachineState.POWERED_OFF, MachineState.ABORTED, timeout=20)
        assert pid is not None
        wait_until(partial(_gone, pid), what="the process to be reaped", timeout=10)
        vm.start()


def _gone(pid: int) -> bool | None:
    import psutil

    return None if psutil.pid_exists(pid) else True


def test_starting_a_running_machine_is_refused(vm: VM) -> None:
    """start() of a running machine names its state and the states that are needed."""
    with pytest.raises(InvalidStateError) as caught:
        vm.start()
    assert caught.value.state == "Running"
    assert "PoweredOff" in caught.value.needed
    assert vm.state == MachineState.RUNNING


def test_a_taken_port_is_found_before_the_start(vm: VM) -> None:
    """VirtualBox would start and forward nothing; we say which port and which forward."""
    import socket

    vm.power_off()
    forward = vm.network[0].forward(guest=80)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", forward.host_port))
        taken.listen()
        with pytest.raises(PortInUseError) as caught:
            vm.start()
    assert caught.value.port == forward.host_port
    assert "tcp-80" in str(caught.value)
    assert vm.state == MachineState.POWERED_OFF


def test_a_forward_works_on_a_running_machine(vm: VM) -> None:
    """A forward added to a running machine reaches the guest at once."""
    import socket

    vm.ssh.succeed("(echo hello | nc -l -p 8080) >/dev/null 2>&1 &")
    vm.ssh.succeed("until grep -q ':1F90 .* 0A ' /proc/net/tcp*; do :; done", timeout=30)
    forward = vm.network[0].forward(guest=8080)
    assert forward in vm.network[0].forwards
    with socket.create_connection(("127.0.0.1", forward.host_port), timeout=20) as sock:
        sock.settimeout(20)
        assert sock.recv(100).strip() == b"hello"
    vm.network[0].remove(forward)
    assert "tcp-8080" not in [rule.name for rule in vm.network[0].forwards]


def test_a_removed_forward_gives_its_port_back(vm: VM) -> None:
    """After remove() the same port can be leased again."""
    forward = vm.network[0].forward(guest=8081)
    vm.network[0].remove(forward)
    with lease_port(forward.host_port) as lease:
        assert lease.port == forward.host_port


def test_a_driverless_start_says_so(vm: VM) -> None:
    """Without the kernel driver a start warns that the machine is emulated."""
    vm.power_off()
    with pytest.warns(EmulatedWarning, match="emulated"):
        vm.start(mode="driverless")
    log = (vm.log_folder / "VBox.log").read_text(errors="replace")
    assert "Driverless" in log or "driverless" in log


def test_what_needs_the_driver_is_refused_before_the_start(vm: VM) -> None:
    """A network that goes through the kernel driver gives DriverNeededError, not a dead VM."""
    vm.power_off()
    with vm._changing() as com:
        com.getNetworkAdapter(1).enabled = True
        com.getNetworkAdapter(1).attachmentType = vm._api.value("NetworkAttachmentType", "Internal")
    with pytest.raises(DriverNeededError) as caught:
        vm.start(mode="driverless")
    assert "adapter 1" in str(caught.value)
    assert "Internal" in str(caught.value)
    assert vm.state == MachineState.POWERED_OFF


@pytest.mark.parametrize("mode", ["headless", "gui"])
def test_modes_that_need_the_driver(vm: VM, mode: Literal["headless", "gui"]) -> None:
    """Where the kernel driver is missing, a start that wants it says so, and what works instead."""
    from vboxkit.com import installation

    if installation.driver_available():
        pytest.skip("the kernel driver is here")
    vm.power_off()
    with pytest.raises(DriverNeededError, match="driverless") as caught:
        vm.start(mode=mode)
    assert vm.name in str(caught.value)
    assert vm.state is MachineState.POWERED_OFF


def test_a_wrong_mode_is_refused(vm: VM) -> None:
    """An unknown start mode is an error of the caller, named before anything is started."""
    vm.power_off()
    with pytest.raises(SettingsError, match="driverless"):
        vm.start(mode="headles")  # type: ignore[arg-type]  # the mistake
    assert vm.state == MachineState.POWERED_OFF


def test_a_machine_whose_disk_is_gone_does_not_start(vm: VM) -> None:
    """A VM process that gives up gives StartError with the end of its log, and no process."""
    vm.discard_state() if vm.state == MachineState.SAVED else vm.power_off()
    disk = next(
        a.medium for a in vm._api.array(vm.com, "mediumAttachments") if a.medium is not None
    )
    from pathlib import Path

    path = Path(str(disk.location))
    hidden = path.rename(path.with_suffix(".hidden"))
    try:
        with pytest.raises(StartError) as caught:
            vm.start()
    finally:
        hidden.rename(path)
    assert vm.name in str(caught.value)
    assert vm.state == MachineState.POWERED_OFF
    assert vm.session_pid is None


def test_the_screen_can_be_seen(vm: VM, tmp_path: Path) -> None:
    """A screenshot is a PNG of the guest's screen."""
    shot = vm.screenshot(tmp_path / "shot.png")
    assert shot.read_bytes().startswith(b"\x89PNG")


def test_wait_for_state_returns_at_once_when_it_is_there(vm: VM) -> None:
    """A state that the machine is in already is not waited for."""
    assert vm.wait_for_state(MachineState.RUNNING, timeout=0) is MachineState.RUNNING


def test_wait_for_state_fails_early_in_a_hopeless_state(vm: VM) -> None:
    """Waiting for Running and seeing Aborted does not wait for the timeout."""
    assert vm.session_pid is not None
    processes.kill(ProcessId.of(vm.session_pid))
    with pytest.raises(InvalidStateError) as caught:
        vm.wait_for_state(MachineState.SAVED, timeout=60)
    assert caught.value.state == "Aborted"


def test_reset_boots_the_guest_anew(vm: VM) -> None:
    """The machine goes on running, and the guest starts again with what was on its disk."""
    vm.power_off()
    vm.start()  # see the method: not one that goes on from a saved state
    vm.wait_ready(timeout=60)
    boot = vm.ssh.succeed("cat /proc/sys/kernel/random/boot_id")
    pid = vm.session_pid
    since = vm.state_since
    vm.ssh.succeed("echo kept > /root/kept; sync")
    vm.reset()
    vm.ssh.close()
    vm.wait_ready(timeout=60)
    assert vm.ssh.succeed("cat /proc/sys/kernel/random/boot_id") != boot
    assert vm.ssh.succeed("cat /root/kept") == "kept\n"
    assert vm.session_pid == pid
    assert vm.state_since == since
    vm.power_off()
    assert vm.state_since > since
    with pytest.raises(InvalidStateError, match="PoweredOff"):
        vm.reset()

"""Hardware of a running machine: what holds at once, what is refused, what is undone."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from vboxkit import diff
from vboxkit.core.ports import is_free, lease_port
from vboxkit.core.waiting import wait_until
from vboxkit.errors import ApiError, InvalidStateError, PortInUseError, StartError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit import VM

pytestmark = pytest.mark.vm


def test_what_can_be_changed_while_it_runs(vm: VM) -> None:
    """Execution cap, clipboard and sound hold at once; apply() takes them back."""
    before = vm.describe()
    with vm.edit():
        vm.cpu.execution_cap_percent = 50
        vm.clipboard = "Bidirectional"
        vm.audio.input = not vm.audio.input
    assert diff(before, vm).paths == ("clipboard", "cpu.execution_cap_percent", "audio.input")
    assert vm.ssh.run("true").ok
    with pytest.raises(RuntimeError, match="mine"), vm.edit():
        vm.cpu.execution_cap_percent = 10
        raise RuntimeError("mine")
    assert vm.cpu.execution_cap_percent == 50
    vm.apply(before)
    assert str(diff(before, vm)) == "no difference"


def test_what_cannot_be_changed_while_it_runs(vm: VM) -> None:
    """The error names the machine, its state and what to do; of an edit nothing is left."""
    before = vm.describe()
    with pytest.raises(InvalidStateError, match=r"shutdown\(\) or power_off\(\)") as caught:
        vm.cpu.pae = True
    assert caught.value.state == "Running"
    assert vm.name in str(caught.value)
    with pytest.raises(InvalidStateError):
        vm.apply({"cpu": {"execution_cap_percent": 50}, "memory_mb": 96})
    assert str(diff(before, vm)) == "no difference"


def test_resize_says_what_must_be_powered_off(vm: VM) -> None:
    """All of it in one error; what is already so is no reason. Saved, there is another remedy."""
    with pytest.raises(InvalidStateError, match="memory_mb 64 -> 96, cpus 1 -> 2") as caught:
        vm.resize(memory_mb=96, cpus=2)
    assert "cpu.hot_plug" in str(caught.value)
    assert "PoweredOff" in caught.value.needed
    vm.resize(memory_mb=64, cpus=1)
    vm.save_state()
    with pytest.raises(InvalidStateError, match=r"discard_state\(\)") as saved:
        vm.resize(memory_mb=96)
    assert saved.value.state == "Saved"
    assert vm.memory_mb == 64


def test_the_guest_has_what_was_set(vm: VM) -> None:
    """After resize() it has more memory, and it sees the devices that were added."""
    small = int(vm.ssh.succeed("awk '/MemTotal/ {print $2}' /proc/meminfo"))
    vm.power_off()
    vm.resize(memory_mb=96)
    with vm.edit():
        vm.tpm.kind = "v2_0"
        vm.graphics.controller, vm.graphics.vram_mb, vm.graphics.monitors = "VBoxSVGA", 16, 2
        vm.audio.enabled, vm.audio.controller, vm.audio.driver = True, "HDA", "Null"
        vm.usb.add_controller("XHCI")
        vm.serial_ports[1].enabled = True
    vm.start()
    vm.wait_ready()
    assert int(vm.ssh.succeed("awk '/MemTotal/ {print $2}' /proc/meminfo")) > small + 24_000
    classes = vm.ssh.succeed("cat /sys/bus/pci/devices/*/class").split()
    assert {"0x040300", "0x0c0330"} <= set(classes)  # HD audio and xHCI


def test_hardware_that_cannot_be_emulated(vm: VM) -> None:
    """Nested virtualisation needs a processor that has it: StartError says so, and it is off."""
    vm.power_off()
    vm.cpu.nested_hw_virt = True
    with pytest.raises(StartError, match="VERR_CPUM_INVALID_HWVIRT_CONFIG"):
        vm.start(mode="driverless")
    assert vm.state == "PoweredOff"
    vm.cpu.nested_hw_virt = False
    vm.start()
    assert vm.state == "Running"


def test_cpus_are_plugged_into_a_running_machine(vm: VM) -> None:
    """In at once; out only if the guest lets go, and the built-in one has a kernel for one CPU."""
    vm.power_off()
    with vm.edit():
        vm.cpus = 2
        vm.cpu.hot_plug = True
    vm.cpu.unplug(1)
    vm.start()
    with pytest.raises(InvalidStateError, match="at most 2"):
        vm.resize(cpus=3)
    vm.wait_ready()
    vm.resize(cpus=2)
    assert vm.cpu.plugged == (0, 1)
    with pytest.raises(ApiError, match=r"does not let go of CPU 1\b") as caught:
        vm.resize(cpus=1, rollback_on_failure=True)
    assert vm.name in str(caught.value)
    assert vm.cpu.plugged == (0, 1)
    assert vm.ssh.run("true").ok


def test_a_serial_port_is_led_elsewhere_while_it_runs(vm: VM, tmp_path: Path) -> None:
    """To a file, to TCP; after an edit that fails the running machine writes where it did."""

    def says(path: Path, word: str) -> None:
        vm.ssh.succeed(f"echo {word} > /dev/ttyS0")
        wait_until(
            lambda: True if path.exists() and word in path.read_text() else None,
            what=f"{word} in {path}",
            timeout=20,
        )

    first, second = tmp_path / "first", tmp_path / "second"
    vm.serial.to_file(first)
    says(first, "one")
    with pytest.raises(RuntimeError, match="mine"), vm.edit():
        vm.serial.to_file(second)
        raise RuntimeError("mine")
    says(first, "two")
    assert "two" not in second.read_text()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        vm.serial.to_tcp(server.getsockname()[1], host="127.0.0.1")
        connection, _ = server.accept()
        with connection:
            connection.settimeout(20)
            vm.ssh.succeed("echo three > /dev/ttyS0")
            assert connection.recv(100).strip() == b"three"
    with pytest.raises(StorageError, match="does not exist"):
        vm.serial.to_file(tmp_path / "no" / "folder")
    assert vm.serial.mode == "TCP"
    vm.serial.disconnect()
    assert vm.serial_ports[0].mode == "Disconnected"


def test_the_vrde_server_comes_and_goes(vm: VM) -> None:
    """It listens as soon as it is on, not after an edit that fails, and not on a taken port."""
    if not vm.vrde.extension_packs:
        pytest.skip("no extension pack is installed")
    with lease_port() as lease:
        vm.vrde.ports, vm.vrde.address = str(lease.port), "127.0.0.1"
        with pytest.raises(RuntimeError, match="mine"), vm.edit():
            vm.vrde.enabled = True
            assert not is_free(lease.port)
            raise RuntimeError("mine")
        assert is_free(lease.port)
        vm.vrde.enabled = True
        assert not is_free(lease.port)
        vm.vrde.enabled = False
        assert is_free(lease.port)
        with socket.create_server(("127.0.0.1", lease.port)):
            with pytest.raises(PortInUseError, match=str(lease.port)) as caught:
                vm.vrde.enabled = True
        assert vm.name in str(caught.value)
        assert not vm.vrde.enabled

"""The network of a running guest: cable, attachment, policy, forwards, trace, bandwidth."""

from __future__ import annotations

import socket
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from vboxkit.com.installation import driver_available
from vboxkit.core.waiting import wait_until
from vboxkit.errors import DriverNeededError, GuestError, InvalidStateError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vboxkit import VM

pytestmark = pytest.mark.vm


def banner(port: int) -> bytes | None:
    """Return what the guest's SSH server says first, or `None` if nobody says anything."""
    with socket.socket() as client:
        client.settimeout(3)
        try:
            client.connect(("127.0.0.1", port))
            return client.recv(4) or None
        except OSError:
            return None


def packets(path: Path) -> list[bytes]:
    """Read a pcap file."""
    data = path.read_bytes()
    magic, major, _, _, _, _, link = struct.unpack_from("<IHHiIII", data)
    assert magic in {0xA1B2C3D4, 0xA1B23C4D}
    assert (major, link) == (2, 1)
    found, at = [], 24
    while at + 16 <= len(data):
        length = struct.unpack_from("<IIII", data, at)[2]
        found.append(data[at + 16 : at + 16 + length])
        at += 16 + length
    return found


@pytest.fixture
def outside() -> Iterator[tuple[int, list[str]]]:
    """Listen on this host, which the guest sees as 10.0.2.2; yields the port and who came."""
    came: list[str] = []
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    client, peer = server.accept()
                except OSError:
                    return
                came.append(str(peer))
                client.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], came
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_cable(vm: VM) -> None:
    """Out, nobody gets in; in again, the guest goes on."""
    assert banner(vm.ssh_port) == b"SSH-"
    vm.network[0].cable_connected = False
    assert vm.network.policy().name == "isolated"
    assert banner(vm.ssh_port) is None
    vm.network[0].cable_connected = True
    assert wait_until(lambda: banner(vm.ssh_port), what="the guest", timeout=20) == b"SSH-"


def test_isolated_is_isolated(vm: VM, outside: tuple[int, list[str]]) -> None:
    """A guest that tries to get out all the time stops doing so, and comes back with `nat`."""
    port, came = outside
    vm.ssh.succeed(
        f"(while true; do echo | nc -w 1 10.0.2.2 {port}; sleep 0.2; done) >/dev/null 2>&1 &"
    )
    wait_until(lambda: came or None, what="the guest to come", timeout=20)
    policy = vm.network.policy("isolated")
    assert (policy.name, vm.network.policy()) == ("isolated", policy)
    assert banner(vm.ssh_port) is None
    before = len(came)
    with pytest.raises(GuestError):
        vm.ssh.run("true", timeout=3)
    # Not a moment that happens to be quiet: it had seconds to try.
    assert len(came) <= before + 1
    assert vm.network.policy("nat").name == "nat"
    before = len(came)
    wait_until(lambda: len(came) > before or None, what="the guest to come", timeout=20)
    assert vm.ssh.run("echo back").stdout == "back\n"


def test_a_saved_guest_cannot_be_isolated(vm: VM) -> None:
    """VirtualBox does not heed a cable that is pulled while the machine is saved: refused."""
    vm.save_state()
    for change in (
        lambda: vm.network.policy("isolated"),
        lambda: setattr(vm.network[0], "cable_connected", False),
    ):
        with pytest.raises(InvalidStateError, match="does not heed a cable") as caught:
            change()
        assert (caught.value.state, caught.value.needed) == ("Saved", ("PoweredOff", "Running"))
        assert vm.name in str(caught.value)
    assert vm.network.policy().name == "nat"
    assert vm.session_state == "Unlocked"


def test_isolation_outlives_saving(vm: VM) -> None:
    """A guest that was isolated while it ran goes on so, and can be let out while it runs."""
    vm.network.policy("isolated")
    vm.save_state()
    vm.network.policy("isolated")
    vm.start()
    assert vm.network.policy().name == "isolated"
    assert banner(vm.ssh_port) is None
    vm.network.policy("nat")
    assert wait_until(lambda: banner(vm.ssh_port), what="the guest", timeout=20) == b"SSH-"


def test_a_policy_that_holds_already_costs_nothing(vm: VM) -> None:
    """The connection that is open stays open."""
    with socket.create_connection(("127.0.0.1", vm.ssh_port), timeout=10) as client:
        assert client.recv(4) == b"SSH-"
        assert vm.network.policy("nat").name == "nat"
        client.sendall(b"not ssh\r\n")
        client.settimeout(10)
        assert client.recv(100)


def test_an_edit_that_fails_leaves_the_running_guest_as_it_was(vm: VM, tmp_path: Path) -> None:
    """discardSettings() undoes the settings only: attachment and forwards are put back, too."""
    kept = vm.network[0].forward(guest=22, name="kept")
    with pytest.raises(KeyError), vm.edit():
        vm.network.policy("isolated")
        vm.network[0].attach("Null")
        raise KeyError
    assert vm.network.policy().name == "nat"
    assert wait_until(lambda: banner(vm.ssh_port), what="the guest", timeout=20) == b"SSH-"
    with pytest.raises(KeyError), vm.edit():
        new = vm.network[0].forward(guest=22, name="new")
        vm.network[0].remove(kept)
        trace = vm.network[0].trace(tmp_path / "x.pcap")
        raise KeyError
    assert {rule.name for rule in vm.network[0].forwards} == {"ssh", "kept"}
    assert wait_until(lambda: banner(kept.host_port), what="the guest", timeout=20) == b"SSH-"
    assert banner(new.host_port) is None
    assert vm.network[0].trace_file is None
    size = trace.path.stat().st_size
    assert banner(vm.ssh_port) == b"SSH-"
    assert trace.path.stat().st_size == size


def test_forwards_come_and_go(vm: VM) -> None:
    """A new one leads to the guest at once, a removed one nowhere."""
    rule = vm.network[0].forward(guest=22, name="second")
    assert wait_until(lambda: banner(rule.host_port), what="the guest", timeout=20) == b"SSH-"
    vm.network[0].remove("second")
    assert banner(rule.host_port) is None
    assert banner(vm.ssh_port) == b"SSH-"


def test_a_trace_has_the_packets(vm: VM, tmp_path: Path) -> None:
    """A pcap file with the guest's frames, which ends when the block does."""
    path = tmp_path / "a folder" / "ssh.pcap"
    path.parent.mkdir()
    with vm.network[0].trace(path) as trace:
        assert vm.network[0].trace_file == trace.path == path
        wait_until(lambda: banner(vm.ssh_port), what="the guest", timeout=20)
    frames = packets(path)
    assert any(b"SSH-2.0-" in frame for frame in frames)
    assert any(bytes([10, 0, 2, 15]) in frame[14:34] for frame in frames)
    assert vm.network[0].trace_file is None
    wait_until(lambda: banner(vm.ssh_port), what="the guest", timeout=20)
    assert len(packets(path)) == len(frames)


def test_a_trace_that_cannot_be_written_changes_nothing(vm: VM, tmp_path: Path) -> None:
    """VirtualBox would cut the guest off."""
    with pytest.raises(StorageError, match="cannot write packets"):
        vm.network[0].trace(tmp_path / "nowhere" / "x.pcap")
    assert vm.network[0].trace_file is None
    assert banner(vm.ssh_port) == b"SSH-"


@pytest.mark.skipif(driver_available(), reason="with the driver it works")
def test_attachments_that_need_the_driver(vm: VM) -> None:
    """VirtualBox would report success, and the guest have no network."""
    adapter = vm.network[0]
    for attach in (
        lambda: adapter.attach("Internal", network="lab"),
        lambda: vm.network.policy("internal", network="lab"),
    ):
        with pytest.raises(DriverNeededError, match="kernel driver") as caught:
            attach()
        assert vm.name in str(caught.value)
        assert adapter.attachment == "NAT"
    assert banner(vm.ssh_port) == b"SSH-"


def test_nat_settings_hold_when_attached_anew(vm: VM) -> None:
    """On a running machine they wait; the guest that keeps its address is then cut off."""
    vm.network[0].nat.network = "10.99.0.0/24"
    assert banner(vm.ssh_port) == b"SSH-"
    vm.network[0].attach("NAT")
    assert banner(vm.ssh_port) is None
    vm.network[0].nat.network = ""
    vm.network[0].attach("NAT")
    assert wait_until(lambda: banner(vm.ssh_port), what="the guest", timeout=20) == b"SSH-"


CHANGES: dict[str, Callable[[VM], object]] = {
    "enabled": lambda vm: setattr(vm.network[1], "enabled", True),
    "kind": lambda vm: setattr(vm.network[0], "kind", "I82540EM"),
    "mac": lambda vm: vm.network[0].regenerate_mac(),
    "boot_priority": lambda vm: setattr(vm.network[0], "boot_priority", 1),
    "line_speed": lambda vm: setattr(vm.network[0], "line_speed_kbps", 10),
    "bandwidth_group": lambda vm: vm.bandwidth_groups.add("x", kind="Network"),
}


def test_what_needs_a_machine_at_rest(vm: VM) -> None:
    """`InvalidStateError` with the state and the remedy; promiscuous mode is not among them."""
    before = [(a.enabled, a.kind, a.mac, a.boot_priority) for a in vm.network]
    for name, change in CHANGES.items():
        with pytest.raises(InvalidStateError, match=r"power_off\(\)") as caught:
            change(vm)
        assert caught.value.state == "Running", name
        assert vm.name in str(caught.value)
    assert [(a.enabled, a.kind, a.mac, a.boot_priority) for a in vm.network] == before
    assert vm.bandwidth_groups.names() == []
    vm.network[0].promiscuous = "AllowAll"
    assert vm.network[0].promiscuous == "AllowAll"
    assert banner(vm.ssh_port) == b"SSH-"


def test_a_limit_slows_a_running_guest(vm: VM) -> None:
    """Groups are given at rest; what they allow can be changed while the guest runs."""
    vm.save_state()
    vm.discard_state()
    group = vm.bandwidth_groups.add("slow", kind="Network")
    vm.network[0].bandwidth_group = "slow"
    vm.start()
    vm.wait_ready()
    group.limit_bytes_per_s = 40_000
    slow = vm.ssh.run("dd if=/dev/zero bs=1000 count=150 2>/dev/null", timeout=60)
    group.limit_bytes_per_s = 0
    assert len(slow.stdout) == 150_000
    # VirtualBox lets the first 64 KiB through, and then what the limit says.
    assert slow.duration > (150_000 - 65_536) / 40_000

"""Private networks of real guests: joined in user space, with faults, and gone with their owner."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from dpkt import arp, ethernet, icmp, ip, pcap

from vboxkit.com.installation import driver_available
from vboxkit.core.processes import ProcessId
from vboxkit.core.waiting import wait_until
from vboxkit.errors import (
    AlreadyExistsError,
    CommandFailedError,
    DriverNeededError,
    InvalidStateError,
    NotFoundError,
    SettingsError,
    SwitchError,
)
from vboxkit.lab import ImageSource, network_guest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vboxkit import VM, Image, Lab
    from vboxkit.lab.network import PrivateNetwork
    from vboxkit.lab.network_member import Member

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def image(vm_lab: Lab) -> Image:
    """Build the guest with a second adapter."""
    return vm_lab.image(ImageSource(base="tiny", adapters=2))


@pytest.fixture(scope="module")
def shared(vm_lab: Lab, image: Image) -> Iterator[PrivateNetwork]:
    """Make one network with a, b and c for the tests of faults; each leaves it whole."""
    with vm_lab.network("shared", seed=5) as net:
        net.fork("a", "b", "c", image=image)
        yield net


@pytest.fixture
def net(shared: PrivateNetwork) -> Iterator[PrivateNetwork]:
    """Give the shared network, whole before and after."""
    shared.heal()
    yield shared
    shared.heal()


def pings(
    member: Member, to: str, *, count: int = 2, more: str = "-i 0.2 -W 1"
) -> dict[int, float]:
    """Ping; return which came back, and after how many ms."""
    said = member.vm.ssh.run(f"ping -c {count} {more} {to}").stdout
    found = re.findall(r"seq=(\d+) ttl=\d+ time=([\d.]+) ms$", said, re.MULTILINE)
    return {int(number): float(time) for number, time in found}


def test_guests_reach_each_other_by_name(net: PrivateNetwork) -> None:
    """By name, by name with domain, by address; and the way out is as it was."""
    a, b = net["a"], net["b"]
    assert (a.ip, b.ip, net["c"].ip) == ("10.77.0.2", "10.77.0.3", "10.77.0.4")
    for name in ("b", "b.internal", b.ip, "switch"):
        assert len(pings(a, name)) == 2, name
    assert len(pings(b, "a")) == 2
    assert a.vm.ssh.succeed("cat /sys/class/net/eth1/address").strip() == a.mac.lower()
    assert len({member.mac for member in net}) == 3
    assert "10.0.2.2" in a.vm.ssh.succeed("ip route show default")
    assert a.vm.ssh.run("nslookup nobody.internal").exit_code == 1
    assert "name = c.internal" in a.vm.ssh.succeed(f"nslookup {net['c'].ip}")


def test_a_file_goes_through(net: PrivateNetwork) -> None:
    """TCP with full segments arrives whole, also ICMP in fragments."""
    a, b = net["a"], net["b"]
    b.vm.ssh.succeed("mkdir -p /srv && head -c 100000 /dev/urandom > /srv/file && httpd -h /srv")
    wanted = b.vm.ssh.succeed("md5sum < /srv/file")
    assert a.vm.ssh.succeed("wget -q -O - http://b/file | md5sum") == wanted
    assert len(pings(a, "b", more="-i 0.2 -s 4000")) == 2


def test_partition_and_heal(net: PrivateNetwork) -> None:
    """A hears nobody, b and c hear each other; then all do again."""
    a, b = net["a"], net["b"]
    net.partition({"a"}, {"b", "c"})
    assert pings(a, "b") == pings(a, "c") == {}
    assert len(pings(b, "c")) == 2
    net.heal()
    assert len(pings(a, "b")) == len(pings(b, "c")) == 2
    net.partition("b", {"c"})
    assert pings(b, "c") == {}
    assert len(pings(a, "b")) == 2
    net.partition()
    assert len(pings(b, "c")) == 2


def test_drop_all_and_none(net: PrivateNetwork) -> None:
    """100 % between two, and 0 % again; a third one is not met."""
    a = net["a"]
    before = net.counts()["a", "b", "drop"]
    net.drop(100, "a", "b")
    assert pings(a, "b") == {}
    assert net.counts()["a", "b", "drop"] > before
    assert len(pings(a, "c")) == 2
    net.drop(0, "a", "b")
    assert len(pings(a, "b")) == 2
    net.drop(100)
    assert pings(a, "c") == {}


def test_delay(net: PrivateNetwork) -> None:
    """A ping takes twice the delay more, in the guest's own measure."""
    a = net["a"]
    net.delay("a", "b", 200)
    slow = pings(a, "b", more="-i 0.2 -W 5")
    assert len(slow) == 2
    assert min(slow.values()) >= 400
    assert min(pings(a, "c", more="-i 0.2 -W 5").values()) < 400
    net.delay("a", "b", 0)
    assert min(pings(a, "b", more="-i 0.2 -W 5").values()) < 400


def test_duplicates(net: PrivateNetwork) -> None:
    """The guest says so."""
    net.duplicate(100, "a", "b")
    assert "DUP!" in net["a"].vm.ssh.succeed("ping -c 2 -i 0.5 b")


def test_corrupted_frames_are_noticed(net: PrivateNetwork) -> None:
    """The guest throws them away: no ping comes back, though all went through the switch."""
    a = net["a"]
    assert len(pings(a, "b")) == 2  # the guests know each other's cards
    before = net.counts()
    # Not the padding of a short frame, which nobody checks: a ping of many bytes.
    net.corrupt(100, "a", "b")
    assert len(pings(a, "b", count=3, more="-i 0.2 -W 1 -s 1400")) <= 1
    assert net.counts()["a", "b", "corrupt"] >= before["a", "b", "corrupt"] + 3


def test_bandwidth(net: PrivateNetwork) -> None:
    """30 KB take at least as long as the line needs for them."""
    a, b = net["a"], net["b"]
    b.vm.ssh.succeed(
        "mkdir -p /srv/n && head -c 30000 /dev/zero > /srv/n/f && httpd -p 8 -h /srv/n"
    )
    net.bandwidth(60, "a", "b")
    found = a.vm.ssh.run("wget -q -O - http://b:8/f | wc -c", timeout=120)
    assert found.stdout.strip() == "30000"
    assert found.duration > 30_000 * 8 / 60_000


def test_the_same_seed_repeats(vm_lab: Lab, image: Image) -> None:
    """Two networks of one seed lose the same pings, one of another seed others."""
    lost = []
    vms = [vm_lab.fork(image) for _ in range(2)]
    try:
        for seed in (11, 11, 12):
            with vm_lab.network(seed=seed) as net:
                a, _ = (net.add(vm, name=name) for name, vm in zip("ab", vms, strict=True))
                assert len(pings(a, "b")) == 2
                net.drop(40, "a", "b")
                came = pings(a, "b", count=16, more="-i 0.2 -W 1")
                lost.append(set(range(16)) - came.keys())
    finally:
        for vm in vms:
            vm.destroy()
    assert lost[0] == lost[1] != lost[2]
    assert 0 < len(lost[0]) < 16


def test_a_recording_has_what_was_sent(net: PrivateNetwork, tmp_path: Path) -> None:
    """ARP and ICMP, both ways, with right addresses; nothing once it has stopped."""
    a, b = net["a"], net["b"]
    a.vm.ssh.succeed("ip neigh flush dev eth1")
    with net.record(tmp_path / "x.pcap") as recording:
        assert len(pings(a, b.ip)) == 2
    assert len(pings(a, b.ip)) == 2
    recording.stop()
    with (tmp_path / "x.pcap").open("rb") as file:
        frames: list[Any] = [ethernet.Ethernet(data) for _, data in pcap.Reader(file)]
    asked = [
        it.data.tpa
        for it in frames
        if isinstance(it.data, arp.ARP) and it.data.op == arp.ARP_OP_REQUEST
    ]
    assert socket.inet_aton(b.ip) in asked
    kinds = [
        (socket.inet_ntoa(it.data.src), it.data.data.type)
        for it in frames
        if isinstance(it.data, ip.IP) and isinstance(it.data.data, icmp.ICMP)
    ]
    assert kinds == [(a.ip, icmp.ICMP_ECHO), (b.ip, icmp.ICMP_ECHOREPLY)] * 2
    assert {it.src.hex(":") for it in frames} >= {a.mac.lower(), b.mac.lower()}


def test_a_guest_fetches_its_address(vm_lab: Lab, image: Image) -> None:
    """By DHCP: the same address that it would have been given, and names resolved."""
    with vm_lab.fork(image) as vm, vm_lab.network(subnet="10.88.0.0/16") as net:
        a = net.add(vm, name="a", ip="10.88.7.7", dhcp=True)
        (b,) = net.fork("b", image=image)
        assert "inet 10.88.7.7/16" in vm.ssh.succeed("ip addr show dev eth1")
        assert len(pings(a, "b")) == len(pings(b, "a")) == 2
        said = vm.ssh.run("udhcpc -i eth1 -n -q -s /bin/true 2>&1").stdout
        assert "lease of 10.88.7.7 obtained from 10.88.0.1, lease time 86400" in said


def test_members_go_on_from_what_they_were(vm_lab: Lab, image: Image) -> None:
    """Saved and started a member is there again; after a rewind or a boot it is told again."""
    with vm_lab.network() as net:
        a, b = net.fork("a", "b", image=image)
        a.vm.save_state()
        a.vm.start()
        assert len(pings(a, "b")) == 2
        a.vm.rewind()
        assert pings(b, "a") == {}
        a.configure()
        assert len(pings(b, "a")) == len(pings(a, "b")) == 2
        a.vm.power_off()
        a.vm.start()
        a.vm.wait_ready()
        a.configure()
        assert len(pings(b, "a")) == 2


def test_a_copy_of_a_member_joins_by_itself(vm_lab: Lab, image: Image) -> None:
    """It is in no network until it is added, and takes nothing from the one it was made of."""
    with vm_lab.network() as net:
        a, b = net.fork("a", "b", image=image)
        with a.vm.fork() as copy:
            assert copy.network[1].attachment == "NAT"
            assert len(pings(a, "b", count=4)) == 4
            c = net.add(copy, name="c")
            assert len(pings(b, "c")) == len(pings(c, "a")) == len(pings(a, "b")) == 2
        with pytest.raises(NotFoundError, match="no member 'd'"):
            net.remove("d")


def test_a_machine_that_is_off_gets_an_adapter(vm_lab: Lab) -> None:
    """And takes part once its guest is up."""
    with vm_lab.fork("tiny") as vm, vm_lab.network() as net:
        vm.power_off()
        a = net.add(vm, name="a")
        assert (a.slot, vm.network[1].driver, vm.network[1].kind) == (1, "UDPTunnel", "Virtio")
        vm.start()
        vm.wait_ready()
        a.configure()
        assert len(pings(a, "switch")) == 2


def test_what_cannot_join(vm_lab: Lab, vm: VM, net: PrivateNetwork) -> None:
    """Refused with the reason and the way out, and nothing has changed."""
    before = [(it.attachment, it.enabled, it.cable_connected) for it in vm.network]
    with pytest.raises(InvalidStateError, match="adapters=2"):
        net.add(vm, name="d")
    with pytest.raises(AlreadyExistsError, match="'a'"):
        net.add(vm, name="a")
    vm.save_state()
    with pytest.raises(InvalidStateError, match="Saved"):
        net.add(vm, name="d")
    assert [(it.attachment, it.enabled, it.cable_connected) for it in vm.network] == before
    assert len(net) == 3
    for words, order in (
        ("no member 'x'", lambda: net.drop(10, "x")),
        ("no member 'x'", lambda: net.partition({"a"}, {"x"})),
        ("0 to 100", lambda: net.drop(101)),
        ("kind 'bus'", lambda: vm_lab.network(kind="bus")),  # type: ignore[arg-type]
        ("no IPv4 network", lambda: vm_lab.network(subnet="x")),
    ):
        with pytest.raises((NotFoundError, SettingsError)) as caught:
            order()
        assert words in str(caught.value)


def test_a_guest_that_cannot_is_left_as_it_was(vm_lab: Lab, image: Image) -> None:
    """The error is the guest's own; the machine is in no network, and its name is free."""
    with vm_lab.fork(image) as vm, vm_lab.network() as net:
        vm.ssh.succeed("rm /etc/resolv.conf && mkdir /etc/resolv.conf")
        with pytest.raises(CommandFailedError, match=r"resolv\.conf"):
            net.add(vm, name="a")
        assert len(net) == 0
        assert (vm.network[1].attachment, vm.network[1].cable_connected) == ("NAT", False)
        vm.ssh.succeed("rmdir /etc/resolv.conf")
        a = net.add(vm, name="a")
        assert a.ip == "10.77.0.2"
        assert len(pings(a, "switch")) == 2


def test_the_end(vm_lab: Lab, image: Image) -> None:
    """Machines that were added go on, alone; those it made are gone, and so is the switch."""
    names = set(vm_lab.vbox.machines.names())
    with vm_lab.fork(image) as vm:
        with vm_lab.network() as net:
            net.add(vm, name="a")
            (b,) = net.fork("b", image=image)
            process = ProcessId.of(net._switch.pid)  # type: ignore[union-attr]
            port = int(vm.network[1].driver_properties["dport"])
        net.close()
        assert b.vm.gone
        assert not process.alive
        assert vm.ssh.succeed("echo on").strip() == "on"
        assert (vm.network[1].attachment, vm.network[1].cable_connected) == ("NAT", False)
        with pytest.raises(SwitchError, match="was closed"):
            net.drop(1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", port))
        with vm_lab.network() as again:
            assert len(pings(again.add(vm, name="a"), "switch")) == 2
    assert set(vm_lab.vbox.machines.names()) == names


@pytest.mark.skipif(driver_available(), reason="with the driver it works")
def test_virtualbox_own_network_needs_the_driver(vm_lab: Lab, image: Image) -> None:
    """It says so, and the machine is as it was; faults are none of VirtualBox's."""
    with vm_lab.fork(image) as vm, vm_lab.network(kind="internal") as net:
        with pytest.raises(DriverNeededError):
            net.add(vm, name="a")
        assert (vm.network[1].attachment, vm.network[1].cable_connected) == ("NAT", False)
        for order in (lambda: net.drop(1), net.counts, lambda: net.record("x.pcap")):
            with pytest.raises(SwitchError, match="internal network"):
                order()
        assert len(net) == 0


def test_names_without_a_name_server(net: PrivateNetwork) -> None:
    """In ``/etc/hosts``, as for VirtualBox's own network: those of now, once each, and the rest."""
    ssh = net["c"].vm.ssh
    before = ssh.succeed("cat /etc/hosts")
    try:
        for hosts in ({"old": "10.77.0.9"}, {"b2": net["b"].ip, "x": "10.77.0.8"}):
            network_guest.write_hosts(ssh, hosts, domain="internal")
        added = f"{net['b'].ip} b2 b2.internal # vboxkit network\n10.77.0.8 x x.internal"
        assert ssh.succeed("cat /etc/hosts") == f"{before}{added} # vboxkit network\n"
        assert len(pings(net["c"], "b2.internal")) == 2
    finally:
        ssh.succeed("cat > /etc/hosts", input=before)


OWNER = """
import signal, sys
from pathlib import Path
from vboxkit.lab import Lab
from vboxkit.settings import Settings
lab = Lab(Settings.load(home=Path(sys.argv[1])))
net = lab.network()
(a,) = net.fork("a")
print(net._switch.pid, a.vm.network[1].driver_properties["dport"], a.vm.name, flush=True)
signal.pause()
"""


def test_a_killed_owner_leaves_nothing(vm_lab: Lab, image: Image) -> None:
    """Killed with -9: no process and no port of the switch; the machine goes by the reaper."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(vm_lab.settings.home)],
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        pid, port, name = owner.stdout.readline().split()
        switch = ProcessId.of(int(pid))
        owner.send_signal(signal.SIGKILL)
    wait_until(lambda: None if switch.alive else True, what="the switch to end", timeout=20)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", int(port)))

    def removed() -> bool | None:
        vm_lab.gc()
        return True if name not in vm_lab.vbox.machines else None

    wait_until(removed, what="the machine to be removed", timeout=60)

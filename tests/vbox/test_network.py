"""Network adapters and port forwards of machines at rest."""

from __future__ import annotations

import socket
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.com.installation import driver_available
from vboxkit.core.ports import is_free
from vboxkit.errors import (
    AlreadyExistsError,
    ApiError,
    DriverNeededError,
    InvalidStateError,
    LockedError,
    NotFoundError,
    PortInUseError,
    StorageError,
    VBoxKitError,
)
from vboxkit.machines.machine import Machine

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import VirtualBox

pytestmark = pytest.mark.vbox

_LEASE = """
import sys
from vboxkit.core.ports import lease_port
from vboxkit.errors import PortInUseError
try:
    lease_port(int(sys.argv[1]), protocol=(sys.argv[2:] or ["tcp"])[0])
except PortInUseError as error:
    print(error.holder)
else:
    print("leased")
"""

_HOLD = """
import sys, vboxkit
machine = vboxkit.connect(sys.argv[1]).machines[sys.argv[2]]
with machine.edit():
    print("locked", flush=True)
    sys.stdin.readline()
"""


def rules(vbox: VirtualBox, machine: Machine) -> list[str]:
    """Return the raw rules of the first adapter as VirtualBox keeps them."""
    engine = vbox.machines[machine.id].com.getNetworkAdapter(0).NATEngine
    return [str(line) for line in vbox._api.array(engine, "redirects")]


def test_adapters_are_those_of_the_machine(machine: Machine) -> None:
    """Eight slots; the first is NAT, the others are off."""
    adapters = list(machine.network)
    assert len(machine.network) == len(adapters) == 8
    assert [adapter.slot for adapter in adapters] == list(range(8))
    assert [adapter.enabled for adapter in adapters] == [True] + [False] * 7
    assert adapters[0].attachment == "NAT"
    assert adapters[0].kind == "Virtio"
    assert adapters[0].mac.replace(":", "").upper() == str(adapters[0].com.MACAddress)


@pytest.mark.parametrize("slot", [8, 99, -1])
def test_a_slot_that_is_not_there(machine: Machine, slot: int) -> None:
    """`NotFoundError` names the slots that there are."""
    with pytest.raises(NotFoundError) as caught:
        machine.network[slot]
    assert caught.value.available == tuple("01234567")
    assert machine.name in str(caught.value)


def test_a_rule_that_somebody_else_made_is_read(vbox: VirtualBox, machine: Machine) -> None:
    """All parts of a rule are read, those that are left empty too."""
    tcp = vbox._api.value("NATProtocol", "TCP")
    with machine._changing() as com:
        com.getNetworkAdapter(0).NATEngine.addRedirect("theirs", tcp, "", 2222, "10.0.2.15", 22)
    rule = next(rule for rule in machine.network[0].forwards if rule.name == "theirs")
    assert rule in machine.network.forwards()
    assert (rule.protocol, rule.host_ip, rule.host_port) == ("tcp", "", 2222)
    assert (rule.guest_ip, rule.guest_port) == ("10.0.2.15", 22)


def test_forward_picks_a_free_port(vbox: VirtualBox, machine: Machine) -> None:
    """The rule is saved, with a host port on which nothing listens."""
    rule = machine.network[0].forward(guest=8080)
    assert rules(vbox, machine)[-1] == f"tcp-8080,1,127.0.0.1,{rule.host_port},,8080"
    assert rule in machine.network.forwards()
    assert is_free(rule.host_port)
    rule.release()


def test_forward_as_asked_for(vbox: VirtualBox, machine: Machine) -> None:
    """Host port, name and protocol are the given ones."""
    adapter = machine.network[0]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    web = adapter.forward(guest=80, host=port, name="web")
    dns = adapter.forward(guest=53, protocol="udp")
    assert f"web,1,127.0.0.1,{port},,80" in rules(vbox, machine)
    assert f"udp-53,0,127.0.0.1,{dns.host_port},,53" in rules(vbox, machine)
    assert [rule.protocol for rule in adapter.forwards if rule.guest_port == 53] == ["udp"]
    web.release()
    dns.release()


def test_no_other_process_gets_the_port(machine: Machine, answer: Callable[..., str]) -> None:
    """The port is leased from forward() until remove()."""
    rule = machine.network[0].forward(guest=8080)
    assert answer(_LEASE, rule.host_port).strip() == "another vboxkit process"
    machine.network[0].remove(rule)
    assert answer(_LEASE, rule.host_port).strip() == "leased"


@pytest.mark.parametrize("by_name", [True, False])
def test_remove(vbox: VirtualBox, machine: Machine, *, by_name: bool) -> None:
    """A rule is removed by itself or by its name; the others stay."""
    adapter = machine.network[0]
    before = rules(vbox, machine)
    rule = adapter.forward(guest=80)
    adapter.remove(rule.name if by_name else rule)
    rule.release()
    assert rules(vbox, machine) == before


def test_remove_what_is_not_there(machine: Machine) -> None:
    """`NotFoundError` with the names of the rules there are."""
    machine.network[0].forward(guest=80).release()
    known = tuple(rule.name for rule in machine.network.forwards())
    with pytest.raises(NotFoundError) as caught:
        machine.network[0].remove("nothing")
    assert (caught.value.wanted, caught.value.available) == ("nothing", known)


def test_name_taken(vbox: VirtualBox, machine: Machine) -> None:
    """`AlreadyExistsError`; the first rule is untouched."""
    rule = machine.network[0].forward(guest=80, name="web")
    before = rules(vbox, machine)
    with pytest.raises(AlreadyExistsError) as caught:
        machine.network[0].forward(guest=81, name="web")
    assert (caught.value.kind, caught.value.wanted) == ("forward", "web")
    assert rules(vbox, machine) == before
    rule.release()


def test_port_taken_by_a_program(vbox: VirtualBox, machine: Machine) -> None:
    """A port on which a program listens is refused, and no rule is made."""
    before = rules(vbox, machine)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(PortInUseError) as caught:
            machine.network[0].forward(guest=80, host=port)
    assert (caught.value.port, caught.value.holder) == (port, "a program")
    assert caught.value.hint
    assert rules(vbox, machine) == before


def test_port_taken_by_another_machine(
    vbox: VirtualBox, machine: Machine, make: Callable[..., Machine]
) -> None:
    """VirtualBox would accept a second rule that silently does not work; we name the machine."""
    other = make()
    rule = other.network[0].forward(guest=80)
    rule.release()
    before = rules(vbox, machine)
    with pytest.raises(PortInUseError) as caught:
        machine.network[0].forward(guest=80, host=rule.host_port)
    assert other.name in caught.value.holder
    assert other.name in str(caught.value)
    assert rules(vbox, machine) == before


def test_port_leased_by_another_process(
    vbox: VirtualBox, machine: Machine, child: Callable[..., subprocess.Popen[str]]
) -> None:
    """A port that another vboxkit process has chosen is refused, also before it is used."""
    other = child("""
        from vboxkit.core.ports import lease_port
        lease = lease_port()
        print(lease.port, flush=True)
        input()
        """)
    assert other.stdout is not None
    port = int(other.stdout.readline())
    with pytest.raises(PortInUseError, match=str(port)) as caught:
        machine.network[0].forward(guest=80, host=port)
    assert caught.value.holder == "another vboxkit process"
    assert not any(f",{port}," in line for line in rules(vbox, machine))


@pytest.mark.parametrize(
    "wrong",
    [
        {"guest": 0},
        {"guest": 70_000},
        {"guest": 80, "host": 70_000},
        {"guest": 80, "host": 0},
        {"guest": 80, "name": "a,b"},
        {"guest": 80, "protocol": "icmp"},
        {"guest": 80, "host_ip": "999.1.1.1"},
        {"guest": 80, "host_ip": "192.0.2.7"},
    ],
)
def test_impossible_rules(vbox: VirtualBox, machine: Machine, wrong: dict[str, Any]) -> None:
    """Ports, names, protocols and addresses that cannot be: a typed error, and no rule."""
    before = rules(vbox, machine)
    with pytest.raises(VBoxKitError):
        machine.network[0].forward(**wrong)
    assert rules(vbox, machine) == before
    assert machine.session_state == "Unlocked"


def test_only_nat_forwards(machine: Machine) -> None:
    """An adapter that is not attached to NAT has no forwards: the error says what it is."""
    with pytest.raises(InvalidStateError) as caught:
        machine.network[1].forward(guest=80)
    assert (caught.value.state, caught.value.needed) == ("Null", ("NAT",))
    assert isinstance(caught.value, ApiError)


# Leases


def test_removing_by_name_gives_the_port_back(machine: Machine, answer: Callable[..., str]) -> None:
    """Also while the record of the rule is still at hand."""
    rule = machine.network[0].forward(guest=8080)
    machine.network[0].remove(rule.name)
    assert answer(_LEASE, rule.host_port).strip() == "leased"


def test_destroying_gives_the_ports_back(machine: Machine, answer: Callable[..., str]) -> None:
    """The ports of a machine that is gone are free, whoever holds their records."""
    rules = [machine.network[0].forward(guest=8080, protocol=p) for p in ("tcp", "udp")]
    machine.destroy()
    for rule in rules:
        assert answer(_LEASE, rule.host_port, rule.protocol).strip() == "leased"


def test_a_forward_in_an_edit_that_fails(
    vbox: VirtualBox, machine: Machine, answer: Callable[..., str]
) -> None:
    """Rule and lease are undone with the rest."""
    before = rules(vbox, machine)
    with pytest.raises(RuntimeError), machine.edit():
        rule = machine.network[0].forward(guest=8080)
        assert rule in machine.network[0].forwards
        raise RuntimeError
    assert rules(vbox, machine) == before
    assert answer(_LEASE, rule.host_port).strip() == "leased"


def test_a_udp_port_that_a_program_has(vbox: VirtualBox, machine: Machine) -> None:
    """UDP ports are looked at as such: taken for UDP is free for TCP."""
    before = rules(vbox, machine)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        with pytest.raises(PortInUseError) as caught:
            machine.network[0].forward(guest=53, host=port, protocol="udp")
        assert caught.value.holder == "a program"
        assert rules(vbox, machine) == before
        machine.network[0].forward(guest=53, host=port).release()


def test_one_port_for_tcp_and_udp(machine: Machine) -> None:
    """A name server has the same port for both."""
    adapter = machine.network[0]
    tcp = adapter.forward(guest=53)
    udp = adapter.forward(guest=53, host=tcp.host_port, protocol="udp")
    assert {rule.name for rule in adapter.forwards} >= {"tcp-53", "udp-53"}
    tcp.release()
    udp.release()


def test_forwards_of_a_machine_that_is_another_class(
    vbox: VirtualBox, machine: Machine, make: Callable[..., Machine]
) -> None:
    """A given port is looked for in all machines, whatever class this one has."""

    class Odd(Machine):
        def __init__(self, api: Any, com: Any, settings: Any, *, more: int) -> None:
            super().__init__(api, com, settings)
            self.more = more

    odd = Odd(vbox._api, machine.com, vbox.settings, more=1)
    rule = make().network[0].forward(guest=80)
    rule.release()
    with pytest.raises(PortInUseError, match=str(rule.host_port)):
        odd.network[0].forward(guest=80, host=rule.host_port)


def test_one_port_on_two_addresses(machine: Machine, make: Callable[..., Machine]) -> None:
    """Rules that listen on different addresses are not in each other's way."""
    rule = machine.network[0].forward(guest=80)
    rule.release()
    other = make().network[0].forward(guest=80, host=rule.host_port, host_ip="127.0.0.9")
    assert (other.host_ip, other.host_port) == ("127.0.0.9", rule.host_port)
    other.release()


def test_forward_to_a_guests_address(machine: Machine) -> None:
    """The address is kept; one that cannot be is refused before anything is made."""
    rule = machine.network[0].forward(guest=80, guest_ip="10.0.2.77")
    rule.release()
    assert machine.network[0].forwards[-1].guest_ip == "10.0.2.77"
    with pytest.raises(ApiError, match=r"'10\.0\.2' is no IP address"):
        machine.network[0].forward(guest=81, guest_ip="10.0.2")
    assert machine.network[0].forwards[-1] == rule


# Attachments

ATTACHMENTS: list[tuple[str, dict[str, Any]]] = [
    ("Null", {}),
    ("Internal", {"network": "a lab"}),
    ("Bridged", {"interface": "vk-none0", "missing_ok": True}),
    ("HostOnly", {"interface": "vboxnet7", "missing_ok": True}),
    ("NATNetwork", {"network": "vk-none", "missing_ok": True}),
    ("HostOnlyNetwork", {"network": "vk-none", "missing_ok": True}),
    ("Cloud", {"network": "vk-none", "missing_ok": True}),
    ("Generic", {"driver": "UDPTunnel", "properties": {"dest": "127.0.0.1", "sport": 7001}}),
    ("NAT", {}),
]


@pytest.mark.parametrize(("kind", "where"), ATTACHMENTS, ids=[kind for kind, _ in ATTACHMENTS])
def test_attach(vbox: VirtualBox, machine: Machine, kind: Any, where: dict[str, Any]) -> None:
    """Every attachment of the running version is saved, with where it leads."""
    assert {kind for kind, _ in ATTACHMENTS} == {
        name for name in vbox._api.names("NetworkAttachmentType") if not name.startswith("First")
    }
    if kind == "HostOnlyNetwork" and sys.platform != "darwin":
        with pytest.raises(ApiError, match=r"no host-only networks(.|\n)*networks\.host_only"):
            machine.network[0].attach(kind, **where)
        assert vbox.machines[machine.id].network[0].attachment == "NAT"
        return
    machine.network[0].attach(kind, **where)
    again = vbox.machines[machine.id].network[0]
    assert again.attachment == kind
    assert again.interface == where.get("interface")
    assert again.network == where.get("network")
    assert again.driver == where.get("driver")
    if kind == "Generic":
        assert again.driver_properties == {"dest": "127.0.0.1", "sport": "7001"}
        again.attach("Generic", driver="UDPTunnel", properties={"dport": 7002})
        assert again.driver_properties == {"dport": "7002"}


@pytest.mark.parametrize(("kind", "where"), ATTACHMENTS, ids=[kind for kind, _ in ATTACHMENTS])
def test_what_needs_the_driver_does_not_start(
    machine: Machine, kind: Any, where: dict[str, Any]
) -> None:
    """Without the driver's network switch only NAT, Null and Generic run: said at the start."""
    if driver_available() or kind in {"NAT", "Null", "Generic", "HostOnlyNetwork"}:
        pytest.skip("it can start")
    machine.network[0].attach(kind, **where)
    with pytest.raises(DriverNeededError, match=f"adapter 0 is attached as {kind}") as caught:
        machine.start()
    assert caught.value.hint
    assert machine.session_state == "Unlocked"


@pytest.mark.parametrize(
    ("kind", "where", "text"),
    [
        ("Bridged", {"interface": "eth-none"}, "no Bridged interface 'eth-none'"),
        ("HostOnly", {"interface": "vboxnet77"}, "no HostOnly interface 'vboxnet77'"),
        ("NATNetwork", {"network": "vk-none"}, "no NATNetwork network 'vk-none'"),
        ("HostOnlyNetwork", {"network": "vk-none"}, "no HostOnlyNetwork network 'vk-none'"),
        ("Cloud", {"network": "vk-none"}, "no Cloud network 'vk-none'"),
    ],
)
def test_attach_to_what_is_not_there(
    vbox: VirtualBox, machine: Machine, kind: Any, where: dict[str, str], text: str
) -> None:
    """VirtualBox would take any name; the error has those there are, and nothing is changed."""
    with pytest.raises(NotFoundError, match=text) as caught:
        machine.network[0].attach(kind, **where)
    assert machine.name in str(caught.value)
    if kind == "Bridged":
        assert caught.value.available == tuple(each.name for each in vbox.networks.bridged)
    assert vbox.machines[machine.id].network[0].attachment == "NAT"


def test_attach_near_misses(vbox: VirtualBox, machine: Machine) -> None:
    """A mistyped kind or interface gets the near ones."""
    with pytest.raises(ApiError, match=r"did you mean NATNetwork\?") as caught:
        machine.network[0].attach("NATNetwrk")  # type: ignore[call-overload]
    assert caught.value.symbol == "E_INVALIDARG"
    known = next(iter(vbox.networks.bridged), None)
    if known is not None:
        with pytest.raises(NotFoundError, match=f"did you mean .*{known.name!r}"):
            machine.network[0].attach("Bridged", interface=known.name + "x")
        machine.network[0].attach("Bridged", interface=known.name)
        assert machine.network[0].interface == known.name


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        ("NAT", {"interface": "eth0"}),
        ("Bridged", {}),
        ("Bridged", {"network": "x"}),
        ("Internal", {"network": "x", "interface": "eth0"}),
        ("Internal", {"network": "x", "properties": {}}),
    ],
)
def test_attach_with_what_does_not_belong(machine: Machine, kind: Any, where: Any) -> None:
    """`TypeError`, as for any wrong call; it says what the kind takes."""
    with pytest.raises(TypeError, match=rf"adapter 0: attach\('{kind}'\) takes"):
        machine.network[0].attach(kind, **where)
    assert machine.network[0].attachment == "NAT"


@pytest.mark.parametrize("where", [{"network": ""}, {"driver": ""}])
def test_attach_to_an_empty_name(machine: Machine, where: Any) -> None:
    """An empty name is refused."""
    kind: Any = "Internal" if "network" in where else "Generic"
    with pytest.raises(ApiError, match="needs the name of its"):
        machine.network[0].attach(kind, **where)
    assert machine.network[0].attachment == "NAT"


def test_attach_inside_an_edit(vbox: VirtualBox, machine: Machine) -> None:
    """It reads as set within the block; all of it is undone when the block fails."""
    with pytest.raises(KeyError), machine.edit():
        machine.network[1].enabled = True
        machine.network[1].attach("Internal", network="lab")
        assert (machine.network[1].attachment, machine.network[1].network) == ("Internal", "lab")
        raise KeyError
    again = vbox.machines[machine.id].network[1]
    assert (again.enabled, again.attachment) == (False, "Null")


# Settings of an adapter


def test_settings_are_saved(vbox: VirtualBox, machine: Machine) -> None:
    """Each setting reads back from the settings, all in one edit."""
    with machine.edit():
        adapter = machine.network[1]
        adapter.enabled = True
        adapter.kind = "I82540EM"
        adapter.mac = "02:AB:00:00:00:01"
        adapter.cable_connected = False
        adapter.promiscuous = "AllowNetwork"
        adapter.boot_priority = 1
        adapter.line_speed_kbps = 100_000
        assert adapter.mac == "02:ab:00:00:00:01"
    again = vbox.machines[machine.id].network[1]
    assert (again.enabled, again.kind, again.mac) == (True, "I82540EM", "02:ab:00:00:00:01")
    assert (again.cable_connected, again.promiscuous) == (False, "AllowNetwork")
    assert (again.boot_priority, again.line_speed_kbps) == (1, 100_000)
    again.enabled = False
    assert not machine.network[1].enabled


@pytest.mark.parametrize("text", ["020000abcdef", "02-00-00-AB-CD-EF", "0200.00ab.cdef"])
def test_macs_as_people_write_them(machine: Machine, text: str) -> None:
    """All usual ways of writing are understood."""
    machine.network[0].mac = text
    assert machine.network[0].mac == "02:00:00:ab:cd:ef"


def test_a_new_mac(machine: Machine) -> None:
    """VirtualBox chooses one of its own range."""
    before = machine.network[0].mac
    new = machine.network[0].regenerate_mac()
    assert new != before
    assert new == machine.network[0].mac
    assert new.startswith("08:00:27:")


def test_macs_that_are_there_twice(machine: Machine, make: Callable[..., Machine]) -> None:
    """VirtualBox allows it; the other adapter is named."""
    other = make()
    other.network[0].mac = machine.network[0].mac
    assert f"machine {other.name!r}: network adapter 0" in machine.network[0].same_mac
    machine.network[0].regenerate_mac()
    assert not any(other.name in line for line in machine.network[0].same_mac)


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("mac", "08:00:27:12:34", "MAC address cannot be '08:00:27:12:34'"),
        ("mac", "08:00:27:12:34:zz", "six bytes"),
        ("mac", "01:00:27:12:34:56", "the first one even"),
        ("mac", "00:00:00:00:00:00", "not all zero"),
        ("mac", "", "six bytes"),
        ("kind", "Virtoi", "did you mean Virtio"),
        ("kind", "Null", "enabled = False"),
        ("promiscuous", "Allow", "did you mean Allow"),
        ("boot_priority", 5, "0 to 4"),
        ("boot_priority", -1, "0 to 4"),
        ("line_speed_kbps", -1, "0 to 4294967295"),
        ("line_speed_kbps", 2**32, "kbit/s"),
        ("bandwidth_group", "nothing", "no bandwidth group 'nothing'"),
    ],
)
def test_settings_that_cannot_be(machine: Machine, setting: str, value: Any, text: str) -> None:
    """A typed error names machine, slot, value and remedy; nothing is changed."""
    before = getattr(machine.network[0], setting)
    with pytest.raises(ApiError, match=text) as caught:
        setattr(machine.network[0], setting, value)
    assert machine.name in str(caught.value)
    assert "network adapter 0" in str(caught.value)
    assert caught.value.hint
    assert getattr(machine.network[0], setting) == before
    assert machine.session_state == "Unlocked"


@pytest.mark.parametrize("setting", ["enabled", "cable_connected"])
def test_settings_of_a_wrong_type(machine: Machine, setting: str) -> None:
    """A text is no switch."""
    with pytest.raises(TypeError, match=f"{setting} is bool, not str"):
        setattr(machine.network[0], setting, "yes")


# The trace


def test_trace_of_a_machine_at_rest(vbox: VirtualBox, machine: Machine, tmp_path: Path) -> None:
    """It is kept for the next start, until it is stopped; nothing is written yet."""
    path = tmp_path / "a folder" / "packets.pcap"
    path.parent.mkdir()
    with machine.network[0].trace(path) as trace:
        assert trace.path == path
        assert vbox.machines[machine.id].network[0].trace_file == path
        assert not path.exists()
    assert vbox.machines[machine.id].network[0].trace_file is None
    trace.stop()


def test_a_second_trace_takes_the_place_of_the_first(machine: Machine, tmp_path: Path) -> None:
    """Stopping the first one leaves the second one alone."""
    first = machine.network[0].trace(tmp_path / "1.pcap")
    second = machine.network[0].trace(tmp_path / "2.pcap")
    first.stop()
    assert machine.network[0].trace_file == second.path
    second.stop()
    assert machine.network[0].trace_file is None


@pytest.mark.parametrize("where", ["nowhere/x.pcap", ".", "/proc/x.pcap"])
def test_trace_that_cannot_be_written(machine: Machine, tmp_path: Path, where: str) -> None:
    """A missing or read-only folder, or a folder itself: the error names it."""
    with pytest.raises(StorageError, match="cannot write packets") as caught:
        machine.network[0].trace(tmp_path / where)
    assert isinstance(caught.value, OSError)
    assert machine.name in str(caught.value)
    assert machine.network[0].trace_file is None
    assert list(tmp_path.iterdir()) == []


def test_a_trace_ends_with_its_machine(machine: Machine, tmp_path: Path) -> None:
    """Leaving the block after the machine was destroyed is no error."""
    with machine.network[0].trace(tmp_path / "x.pcap"):
        machine.destroy()
    assert not machine.registered


# The NAT engine


def test_nat_settings_are_saved(vbox: VirtualBox, machine: Machine) -> None:
    """Each setting reads back from the settings."""
    wanted: dict[str, Any] = {
        "network": "10.9.0.0/24",
        "host_ip": "127.0.0.1",
        "localhost_reachable": False,
        "forward_broadcast": True,
        "dns_pass_domain": False,
        "dns_proxy": True,
        "dns_use_host_resolver": True,
        "tftp_enabled": True,
        "tftp_prefix": "/srv/a folder",
        "tftp_boot_file": "pxelinux.0",
        "tftp_next_server": "10.9.0.9",
        "alias_modes": frozenset({"AliasLog", "AliasUseSamePorts"}),
        "mtu": 1400,
        "socket_buffer_kb": 128,
        "tcp_send_window_kb": 64,
        "tcp_receive_window_kb": 32,
    }
    with machine.edit():
        for name, value in wanted.items():
            setattr(machine.network[0].nat, name, value)
            assert getattr(machine.network[0].nat, name) == value
    nat = vbox.machines[machine.id].network[0].nat
    assert {name: getattr(nat, name) for name in wanted} == wanted
    nat.network = nat.host_ip = nat.tftp_next_server = ""
    nat.alias_modes = ()
    assert (nat.network, nat.host_ip, nat.tftp_next_server) == ("", "", "")
    assert nat.alias_modes == frozenset()


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("network", "bogus", "such as 10.9.0.0/24"),
        ("network", "10.9.0.5/24", "host bits"),
        ("network", "300.1.1.0/24", "300"),
        ("network", "10.9.0.0", "/8 to /27"),
        ("network", "10.9.0.0/28", "/8 to /27"),
        ("network", "fd17::/64", "such as"),
        ("host_ip", "999.1.1.1", "no IPv4 address"),
        ("host_ip", "::1", "no IPv4 address"),
        ("tftp_next_server", "bogus", "no IPv4 address"),
        ("alias_modes", ["AliasSamePorts"], "did you mean AliasUseSamePorts"),
        ("mtu", 20, "68 to 16000 bytes"),
        ("socket_buffer_kb", 2000, "8 to 1024 KiB"),
    ],
)
def test_nat_settings_that_cannot_be(machine: Machine, setting: str, value: Any, text: str) -> None:
    """VirtualBox takes most of them, and fails at the start: refused here, nothing is changed."""
    before = getattr(machine.network[0].nat, setting)
    with pytest.raises(ApiError, match=text) as caught:
        setattr(machine.network[0].nat, setting, value)
    assert f"{machine.name!r}: network adapter 0: NAT engine" in str(caught.value)
    assert getattr(machine.network[0].nat, setting) == before


# Machines that cannot be changed


CHANGES: dict[str, Callable[[Machine], object]] = {
    "cable": lambda m: setattr(m.network[0], "cable_connected", False),
    "attach": lambda m: m.network[0].attach("Null"),
    "mac": lambda m: m.network[0].regenerate_mac(),
    "forward": lambda m: m.network[0].forward(guest=80),
    "nat": lambda m: setattr(m.network[0].nat, "dns_proxy", True),
    "policy": lambda m: m.network.policy("isolated"),
    "bandwidth": lambda m: m.bandwidth_groups.add("x", kind="Network"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_locked_machine(
    vbox: VirtualBox,
    machine: Machine,
    child: Callable[..., subprocess.Popen[str]],
    change: Callable[[Machine], object],
) -> None:
    """`LockedError` names the holder; nothing is changed."""
    holder = child(_HOLD, vbox.settings.home, machine.id)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    hasty = Machine(vbox._api, machine.com, replace(vbox.settings, lock_timeout=0.05))
    with pytest.raises(LockedError, match=str(holder.pid)):
        change(hasty)
    assert rules(vbox, machine) == rules(vbox, hasty)
    assert (hasty.network[0].attachment, hasty.network[0].cable_connected) == ("NAT", True)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_destroyed_machine(machine: Machine, change: Callable[[Machine], object]) -> None:
    """A typed error, not a change of something else."""
    machine.destroy()
    with pytest.raises(ApiError, match=machine._name):
        change(machine)

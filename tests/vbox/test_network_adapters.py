"""Adapters of a machine: attachments, settings, traces, and NAT's own settings."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.com.installation import driver_available
from vboxkit.errors import (
    ApiError,
    DriverNeededError,
    NotFoundError,
    StorageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import VirtualBox
    from vboxkit.machines.machine import Machine

pytestmark = pytest.mark.vbox


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

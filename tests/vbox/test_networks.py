"""The networks of the host: NAT networks, DHCP servers, interfaces, and the others."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.vbox.conftest import PREFIX
from vboxkit.com.installation import driver_available
from vboxkit.errors import (
    AlreadyExistsError,
    ApiError,
    DriverNeededError,
    InvalidStateError,
    NotFoundError,
    PortInUseError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vboxkit import Machine, VirtualBox
    from vboxkit.machines.dhcp import DhcpServer
    from vboxkit.machines.nat_networks import NatNetwork

pytestmark = pytest.mark.vbox


def networks(vbox: VirtualBox) -> set[str]:
    """Return the networks of these tests, a line each."""
    every: dict[str, Any] = {
        "nat": vbox.networks.nat,
        "dhcp": vbox.networks.dhcp,
        "cloud": vbox.networks.cloud,
    }
    return {f"{kind} {n}" for kind, each in every.items() for n in each.names() if PREFIX in n}


@pytest.fixture(autouse=True)
def no_network_left(vbox: VirtualBox, nothing_left: None) -> Iterator[None]:
    """Delete the networks that a test made."""
    yield
    for each in (vbox.networks.nat, vbox.networks.dhcp, vbox.networks.cloud):
        for network in each:
            if PREFIX in network.name:
                for machine in vbox.machines:
                    if PREFIX in machine.name:
                        machine.network.policy("isolated")
                network.delete()
    assert networks(vbox) == set()


@pytest.fixture
def nat(vbox: VirtualBox, label: Callable[[str], str]) -> NatNetwork:
    """Make a NAT network."""
    return vbox.networks.nat.create(label("net"), network="10.9.0.0/24")


@pytest.fixture
def dhcp(vbox: VirtualBox, label: Callable[[str], str]) -> DhcpServer:
    """Make a DHCP server for an internal network."""
    return vbox.networks.dhcp.create(
        label("lab"), ip_address="10.7.0.1", lower_ip="10.7.0.100", upper_ip="10.7.0.200"
    )


# NAT networks


def test_create_and_find(vbox: VirtualBox, label: Callable[[str], str]) -> None:
    """A new network is in the collection, as it was asked for; deleted, it is not."""
    name = label("net")
    made = vbox.networks.nat.create(name, network="10.8.0.0/16", dhcp=False, ipv6=True)
    assert name in vbox.networks.nat
    found = vbox.networks.nat[name]
    assert found == made
    assert (found.network, found.gateway, found.dhcp, found.ipv6_enabled, found.enabled) == (
        "10.8.0.0/16",
        "10.8.0.1",
        False,
        True,
        True,
    )
    assert repr(found) == f"<NatNetwork {name!r}>"
    assert len(vbox.networks.nat) == len(vbox.networks.nat.names())
    made.delete()
    assert name not in vbox.networks.nat
    assert vbox.networks.nat.find(name) is None


def test_settings_of_a_nat_network(vbox: VirtualBox, nat: NatNetwork) -> None:
    """Each is saved at once."""
    nat.network = "10.77.0.0/24"
    nat.enabled = False
    nat.ipv6_enabled = True
    nat.ipv6_prefix = "fd17:1:2:3::/64"
    nat.ipv6_default_route = True
    nat.ipv6_loopback = 2
    again = vbox.networks.nat[nat.name]
    assert (again.network, again.enabled, again.ipv6_enabled) == ("10.77.0.0/24", False, True)
    assert (again.ipv6_prefix, again.ipv6_default_route) == ("fd17:1:2:3::/64", True)
    assert again.ipv6_loopback == 2


def test_loopback_addresses(nat: NatNetwork) -> None:
    """One can be added; VirtualBox can take none away."""
    assert nat.loopbacks == {"127.0.0.1": 2}
    nat.map_loopback("127.0.0.7", offset=7)
    assert nat.loopbacks == {"127.0.0.1": 2, "127.0.0.7": 7}
    for address, offset in (("127.0.0.7", 8), ("127.0.0.8", 7)):
        with pytest.raises(AlreadyExistsError, match="maps that already"):
            nat.map_loopback(address, offset=offset)
    for address, offset in (("10.0.0.1", 9), ("127.0.0.9", 0), ("127.0.0.9", 255)):
        with pytest.raises(ApiError, match="1 to 254"):
            nat.map_loopback(address, offset=offset)
    assert nat.loopbacks == {"127.0.0.1": 2, "127.0.0.7": 7}


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("network", "bogus", "such as 10.9.0.0/24"),
        ("network", "10.9.0.5/24", "host bits set"),
        ("network", "10.9.0.0/31", "/8 to /29"),
        ("network", "10.9.0.0", "/8 to /29"),
        ("ipv6_prefix", "bogus", "such as fd17"),
        ("ipv6_prefix", "fd17:1:2::/48", "/64"),
    ],
)
def test_nat_networks_that_cannot_be(
    vbox: VirtualBox, nat: NatNetwork, setting: str, value: str, text: str
) -> None:
    """A typed error names the network and what it takes; nothing is changed."""
    before = getattr(nat, setting)
    with pytest.raises(ApiError, match=text) as caught:
        setattr(nat, setting, value)
    assert nat.name in str(caught.value)
    assert getattr(vbox.networks.nat[nat.name], setting) == before


@pytest.mark.parametrize(
    ("name", "network"),
    [("", "10.9.0.0/24"), ("a\tb", "10.9.0.0/24"), ("x" * 300, "10.9.0.0/24"), (None, "10.9")],
)
def test_creating_what_cannot_be(
    vbox: VirtualBox, label: Callable[[str], str], name: str | None, network: str
) -> None:
    """Bad names and networks are refused before anything is made."""
    before = vbox.networks.nat.names()
    with pytest.raises(ApiError):
        vbox.networks.nat.create(label("net") if name is None else name, network=network)
    assert vbox.networks.nat.names() == before


def test_a_name_that_is_taken(vbox: VirtualBox, nat: NatNetwork) -> None:
    """VirtualBox would make a second network of the same name."""
    with pytest.raises(AlreadyExistsError, match=nat.name) as caught:
        vbox.networks.nat.create(nat.name)
    assert caught.value.wanted == nat.name
    assert vbox.networks.nat.names().count(nat.name) == 1


def test_a_name_that_is_not_there(vbox: VirtualBox, nat: NatNetwork) -> None:
    """`NotFoundError` has the near names."""
    with pytest.raises(NotFoundError, match=f"did you mean .*{nat.name}") as caught:
        vbox.networks.nat[nat.name + "x"]
    assert nat.name in caught.value.available


def test_a_deleted_network_cannot_be_changed(nat: NatNetwork) -> None:
    """VirtualBox would take changes of it without a word."""
    nat.delete()
    for change in (nat.delete, nat.stop, lambda: setattr(nat, "network", "10.1.0.0/24")):
        with pytest.raises(NotFoundError, match=nat._name):
            change()


def test_a_network_that_machines_use(vbox: VirtualBox, nat: NatNetwork, machine: Machine) -> None:
    """It is not deleted; the error names the machines."""
    machine.network[0].attach("NATNetwork", network=nat.name)
    assert machine.network[0].network == nat.name
    with pytest.raises(InvalidStateError, match=machine.name) as caught:
        nat.delete()
    assert caught.value.hint
    assert nat.name in vbox.networks.nat
    machine.network[0].attach("NAT")
    nat.delete()


def test_forwards_of_a_nat_network(vbox: VirtualBox, nat: NatNetwork) -> None:
    """IPv4 and IPv6 rules, with free ports of this host, until they are removed."""
    first = nat.forward(guest=22, guest_ip="10.9.0.5")
    second = nat.forward(guest=53, guest_ip="10.9.0.6", protocol="udp", name="dns: 1")
    third = nat.forward(guest=22, guest_ip="fd17:625c:f037:2::5", host_ip="::1", name="ssh6")
    # VirtualBox sorts them by name.
    assert vbox.networks.nat[nat.name].forwards == [second, first, third]
    assert (first.name, first.host_ip, first.guest_ip) == ("tcp-22", "127.0.0.1", "10.9.0.5")
    nat.remove(first)
    nat.remove("ssh6")
    assert nat.forwards == [second]
    nat.forward(guest=80, guest_ip="10.9.0.5", host=first.host_port)
    with pytest.raises(NotFoundError, match="ssh6"):
        nat.remove("ssh6")


@pytest.mark.parametrize(
    "wrong",
    [
        {"guest": 0},
        {"guest": 70_000},
        {"guest": 22, "host": 0},
        {"guest": 22, "guest_ip": ""},
        {"guest": 22, "guest_ip": "bogus"},
        {"guest": 22, "host_ip": "::1"},
        {"guest": 22, "protocol": "icmp"},
    ],
)
def test_forwards_that_cannot_be(nat: NatNetwork, wrong: dict[str, Any]) -> None:
    """VirtualBox takes most of these; nothing is made."""
    with pytest.raises(ApiError, match=nat.name):
        nat.forward(**{"guest_ip": "10.9.0.5", **wrong})
    assert nat.forwards == []


def test_forwards_that_are_taken(nat: NatNetwork, machine: Machine) -> None:
    """A name, a port of a program, and one of a machine's forward."""
    rule = nat.forward(guest=22, guest_ip="10.9.0.5")
    with pytest.raises(AlreadyExistsError, match="tcp-22"):
        nat.forward(guest=22, guest_ip="10.9.0.6")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with pytest.raises(PortInUseError):
            nat.forward(guest=80, guest_ip="10.9.0.5", host=server.getsockname()[1])
    other = machine.network[0].forward(guest=80)
    other.release()
    with pytest.raises(PortInUseError, match=machine.name):
        nat.forward(guest=80, guest_ip="10.9.0.5", host=other.host_port)
    assert nat.forwards == [rule]


@pytest.mark.skipif(driver_available(), reason="with the driver it starts")
def test_engines_need_the_driver(nat: NatNetwork, dhcp: DhcpServer) -> None:
    """VirtualBox reports success, and the process ends at once: we say what is missing."""
    for each in (nat, dhcp):
        with pytest.raises(DriverNeededError, match=each.name) as caught:
            each.start()
        assert caught.value.hint
        each.stop()
        each.stop()
    with pytest.raises(ApiError, match="not running"):
        dhcp.restart()


# DHCP servers


def test_dhcp_server(vbox: VirtualBox, dhcp: DhcpServer) -> None:
    """Address, range and state are as asked for; all can be changed."""
    found = vbox.networks.dhcp[dhcp.name]
    assert (found.ip_address, found.network_mask) == ("10.7.0.1", "255.255.255.0")
    assert (found.lower_ip, found.upper_ip, found.enabled) == ("10.7.0.100", "10.7.0.200", True)
    assert str(found.network) == "10.7.0.0/24"
    found.configure(
        "10.6.0.1", lower_ip="10.6.1.0", upper_ip="10.6.2.0", network_mask="255.255.0.0"
    )
    found.enabled = False
    assert (dhcp.ip_address, dhcp.lower_ip, dhcp.enabled) == ("10.6.0.1", "10.6.1.0", False)
    assert dhcp.lease("08:00:27:00:00:01") is None
    dhcp.delete()
    assert dhcp.name not in vbox.networks.dhcp


def test_dhcp_options(vbox: VirtualBox, dhcp: DhcpServer) -> None:
    """They behave like a `dict`, by VirtualBox's names."""
    options = dhcp.config.options
    assert options == {"SubnetMask": "255.255.255.0"}
    options["DomainNameServers"] = "10.7.0.1 10.7.0.2"
    options.update(DomainName="lab.test", NTPServers="10.7.0.3")
    options.set_bytes("VendorSpecificInfo", b"\x01\x02")
    again = vbox.networks.dhcp[dhcp.name].config
    assert dict(again.options) == {
        "SubnetMask": "255.255.255.0",
        "DomainNameServers": "10.7.0.1 10.7.0.2",
        "DomainName": "lab.test",
        "NTPServers": "10.7.0.3",
        "VendorSpecificInfo": "01:02",
    }
    del options["NTPServers"]
    assert "NTPServers" not in again.options
    with pytest.raises(KeyError, match="NTPServers"):
        del options["NTPServers"]
    options.clear()
    assert set(options) == {"SubnetMask"}


def test_dhcp_lease_times_and_lists(dhcp: DhcpServer) -> None:
    """Lease times, and options that everybody or nobody is told."""
    config = dhcp.config
    config.min_lease_s, config.default_lease_s, config.max_lease_s = 60, 600, 6000
    config.forced_options = ["DomainName"]
    config.suppressed_options = ["Routers", "NTPServers"]
    again = dhcp.config
    assert (again.min_lease_s, again.default_lease_s, again.max_lease_s) == (60, 600, 6000)
    assert again.forced_options == ["DomainName"]
    assert sorted(again.suppressed_options) == ["NTPServers", "Routers"]
    with pytest.raises(ApiError, match="did you mean Routers"):
        config.forced_options = ["Router"]
    assert again.forced_options == ["DomainName"]


def test_fixed_addresses(dhcp: DhcpServer, machine: Machine) -> None:
    """An adapter, or a MAC address, always gets the same address."""
    own = dhcp.for_adapter(machine.network[0])
    own.fixed_address = "10.7.0.50"
    own.options["HostName"] = "web"
    by_mac = dhcp.for_mac("08-00-27-00-00-01")
    by_mac.fixed_address = "10.7.0.51"
    assert dhcp.for_adapter(machine.network[0]).fixed_address == "10.7.0.50"
    assert dhcp.for_mac("08:00:27:00:00:01").fixed_address == "10.7.0.51"
    assert dhcp.for_adapter(machine.network[0]).options["HostName"] == "web"
    assert {each.fixed_address for each in dhcp.adapters} == {"10.7.0.50", "10.7.0.51"}
    with pytest.raises(ApiError, match=r"10\.8\.0\.1 is not in 10\.7\.0\.0/24"):
        own.fixed_address = "10.8.0.1"
    with pytest.raises(ApiError, match="no IPv4 address"):
        own.fixed_address = "bogus"
    assert own.fixed_address == "10.7.0.50"
    own.fixed_address = None
    assert dhcp.for_adapter(machine.network[0]).fixed_address is None
    by_mac.delete()
    assert len(dhcp.adapters) == 1


def test_dhcp_groups(dhcp: DhcpServer) -> None:
    """A group is made by its name, with conditions."""
    group = dhcp.group("phones")
    group.add_condition("MACWildcard", "08:00:27:*")
    group.add_condition("MAC", "08:00:27:00:00:01", inclusive=False)
    group.options["DomainName"] = "phones.test"
    assert len(dhcp.groups) == 1
    again = dhcp.groups[0]
    assert again.conditions == [
        ("MACWildcard", "08:00:27:*", True),
        ("MAC", "08:00:27:00:00:01", False),
    ]
    assert again.options["DomainName"] == "phones.test"
    with pytest.raises(ApiError, match="did you mean MACWildcard"):
        group.add_condition("MACWildcrd", "*")  # type: ignore[arg-type]
    with pytest.raises(ApiError, match="Not a valid MAC address: bogus"):
        group.add_condition("MAC", "bogus")
    group.clear_conditions()
    assert again.conditions == []
    group.delete()
    assert dhcp.groups == []


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"ip_address": "bogus"}, "no IPv4 address"),
        ({"ip_address": ""}, "missing"),
        ({"lower_ip": "10.8.0.1"}, "no range in"),
        ({"lower_ip": "10.7.0.201"}, "no range in"),
        ({"network_mask": "255.0.255.0"}, "no network mask"),
        ({"upper_ip": "fd17::1"}, "no IPv4 address"),
    ],
)
def test_dhcp_ranges_that_cannot_be(
    vbox: VirtualBox, label: Callable[[str], str], dhcp: DhcpServer, wrong: Any, text: str
) -> None:
    """Refused when a server is made, and when it is changed; nothing is half made."""
    good = {"ip_address": "10.7.0.1", "lower_ip": "10.7.0.100", "upper_ip": "10.7.0.200"}
    before = vbox.networks.dhcp.names()
    with pytest.raises(ApiError, match=text):
        vbox.networks.dhcp.create(label("lab"), **{**good, **wrong})
    with pytest.raises(ApiError, match=text):
        dhcp.configure(**{**good, **wrong})
    assert vbox.networks.dhcp.names() == before
    assert (dhcp.ip_address, dhcp.lower_ip) == ("10.7.0.1", "10.7.0.100")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: d.config.options.update(DomainNameServers="bogus"), "bogus"),
        (lambda d: d.config.options.update(DomainNameServer="10.7.0.1"), "did you mean"),
        (lambda d: d.for_mac("bogus"), "MAC address cannot be"),
        (lambda d: d.lease("bogus"), "MAC address cannot be"),
        (lambda d: d.group(""), "cannot be named"),
        (lambda d: setattr(d.config, "max_lease_s", -1), "0 to 4294967295 s"),
        (lambda d: d.config.delete(), "delete it"),
    ],
)
def test_dhcp_settings_that_cannot_be(
    dhcp: DhcpServer, change: Callable[[DhcpServer], object], text: str
) -> None:
    """A typed error that names the server; nothing is changed."""
    with pytest.raises(ApiError, match=text) as caught:
        change(dhcp)
    assert dhcp.name in str(caught.value)
    assert dict(dhcp.config.options) == {"SubnetMask": "255.255.255.0"}
    assert (dhcp.adapters, dhcp.groups) == ([], [])


def test_a_second_dhcp_server(vbox: VirtualBox, dhcp: DhcpServer) -> None:
    """A network has one; a deleted one cannot be changed."""
    with pytest.raises(AlreadyExistsError, match=dhcp.name):
        vbox.networks.dhcp.create(
            dhcp.name, ip_address="10.7.0.1", lower_ip="10.7.0.2", upper_ip="10.7.0.3"
        )
    assert vbox.networks.dhcp.names().count(dhcp.name) == 1
    dhcp.delete()
    with pytest.raises(NotFoundError, match="DHCP server"):
        dhcp.config.options["DomainName"] = "x"


def test_the_dhcp_server_of_a_nat_network_goes_with_it(vbox: VirtualBox, nat: NatNetwork) -> None:
    """VirtualBox would leave it."""
    vbox.networks.dhcp.create(
        nat.name, ip_address="10.9.0.3", lower_ip="10.9.0.4", upper_ip="10.9.0.9"
    )
    nat.delete()
    assert nat._name not in vbox.networks.dhcp


# The others


def test_interfaces_to_bridge_to(vbox: VirtualBox) -> None:
    """They are this host's, with their state."""
    found = {each.name: each for each in vbox.networks.bridged}
    here = {name for _, name in socket.if_nameindex()}
    if sys.platform.startswith("linux"):
        assert set(found) <= here
    for each in found.values():
        assert each.kind == "Bridged"
        assert each.status in {"Up", "Down", "Unknown"}
        assert each.medium in {"Ethernet", "PPP", "SLIP", "Unknown"}
        assert len(each.mac) == 17
        assert each.network_name == f"HostInterfaceNetworking-{each.name}"
        assert vbox.networks.bridged[each.name].id == each.id
    with pytest.raises(NotFoundError, match="no interface to bridge to 'nowhere0'") as caught:
        vbox.networks.bridged["nowhere0"]
    assert caught.value.available == tuple(sorted(found))


@pytest.mark.skipif(driver_available(), reason="with the driver it makes one")
def test_host_only_interfaces_need_the_driver(vbox: VirtualBox) -> None:
    """There are none, and none can be made: the error says what is missing, and what else to do."""
    assert list(vbox.networks.host_only) == []
    with pytest.raises(DriverNeededError, match="kernel driver") as caught:
        vbox.networks.host_only.create()
    assert "UDPTunnel" in str(caught.value)
    assert list(vbox.networks.host_only) == []


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has them")
def test_host_only_networks_are_of_macos(vbox: VirtualBox) -> None:
    """Elsewhere the list is empty, and making one says what to use."""
    assert list(vbox.networks.host_only_networks) == []
    with pytest.raises(ApiError, match=r"networks\.host_only has") as caught:
        vbox.networks.host_only_networks.create(
            "x", lower_ip="192.168.60.1", upper_ip="192.168.60.9"
        )
    assert caught.value.symbol == "E_NOTIMPL"


def test_internal_networks_and_drivers(vbox: VirtualBox, machine: Machine) -> None:
    """Both are there as long as adapters name them."""
    machine.network[0].attach("Internal", network=f"{PREFIX}lab")
    machine.network[1].attach("Generic", driver="UDPTunnel")
    assert f"{PREFIX}lab" in vbox.networks.internal
    assert "UDPTunnel" in vbox.networks.generic_drivers
    machine.destroy()
    assert f"{PREFIX}lab" not in vbox.networks.internal


def test_cloud_networks(vbox: VirtualBox, label: Callable[[str], str], machine: Machine) -> None:
    """They are kept with what tells where they are; used ones are not deleted."""
    made = vbox.networks.cloud.create(label("cloud"), profile="mine", network_id="ocid1.x")
    found = vbox.networks.cloud[made.name]
    assert (found.provider, found.profile, found.network_id) == ("OCI", "mine", "ocid1.x")
    machine.network[0].attach("Cloud", network=made.name)
    with pytest.raises(InvalidStateError, match=machine.name):
        made.delete()
    machine.network[0].attach("NAT")
    made.delete()
    assert made._name not in vbox.networks.cloud

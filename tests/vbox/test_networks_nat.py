"""NAT networks of the host: settings, forwards, names, and who uses them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

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
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox
    from vboxkit.machines.dhcp import DhcpServer
    from vboxkit.machines.nat_networks import NatNetwork

pytestmark = [pytest.mark.vbox, pytest.mark.usefixtures("no_network_left")]


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


def test_the_dhcp_server_of_a_nat_network_goes_with_it(vbox: VirtualBox, nat: NatNetwork) -> None:
    """VirtualBox would leave it."""
    vbox.networks.dhcp.create(
        nat.name, ip_address="10.9.0.3", lower_ip="10.9.0.4", upper_ip="10.9.0.9"
    )
    nat.delete()
    assert nat._name not in vbox.networks.dhcp

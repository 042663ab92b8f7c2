"""DHCP servers of the host's networks: ranges, options, fixed addresses, groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.errors import AlreadyExistsError, ApiError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox
    from vboxkit.machines.dhcp import DhcpServer

pytestmark = [pytest.mark.vbox, pytest.mark.usefixtures("no_network_left")]


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

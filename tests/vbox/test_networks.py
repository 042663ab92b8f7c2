"""The networks of the host that are neither NAT networks nor DHCP servers."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import pytest

from tests.vbox.conftest import PREFIX
from vboxkit.com.installation import driver_available
from vboxkit.errors import ApiError, DriverNeededError, InvalidStateError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox

pytestmark = [pytest.mark.vbox, pytest.mark.usefixtures("no_network_left")]


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

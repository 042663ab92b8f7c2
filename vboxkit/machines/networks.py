"""The networks that machines can be attached to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vboxkit.machines.attachments import listed, without_host_only_networks
from vboxkit.machines.base import Attribute, ComObject, api_call
from vboxkit.machines.dhcp import DhcpServers
from vboxkit.machines.forwards import check_address
from vboxkit.machines.host_interfaces import BridgedInterfaces, HostOnlyInterfaces
from vboxkit.machines.named import Named, NamedObject, require_unused
from vboxkit.machines.nat_networks import NatNetworks
from vboxkit.machines.parts import Setting, invalid

if TYPE_CHECKING:
    from vboxkit.com.interfaces import ICloudNetwork, IHostOnlyNetwork
    from vboxkit.machines.virtualbox import VirtualBox

__all__ = ["CloudNetwork", "CloudNetworks", "HostOnlyNetwork", "HostOnlyNetworks", "Networks"]


def _check_address(obj: ComObject, name: str, value: str) -> None:
    if not value:
        raise invalid(obj, f"{name} cannot be empty", hint="such as 192.168.60.1")
    check_address(obj, value, version=4)


class HostOnlyNetwork(NamedObject):
    """A network of the host and virtual machines; macOS has them instead of interfaces."""

    com: IHostOnlyNetwork
    noun = "host-only network"

    id = Attribute("id", str, "Its UUID.")
    enabled = Setting("enabled", bool, "Whether machines can be on it.")
    network_mask = Setting("networkMask", str, "Its network mask.", check=_check_address)
    host_ip = Attribute("hostIP", str, "The host's address on it.")
    lower_ip = Setting("lowerIP", str, "The first address.", check=_check_address)
    upper_ip = Setting("upperIP", str, "The last address.", check=_check_address)

    def _siblings(self) -> list[str]:
        return [str(com.networkName) for com in listed(self._api, "hostOnlyNetworks")]

    @api_call("delete it")
    def delete(self) -> None:
        """
        Remove it.

        Raises:
            InvalidStateError: Machines are attached to it.
        """
        require_unused(self, "HostOnlyNetwork", "hostOnlyNetwork")
        with self._changing() as com:
            self._api.virtualbox.removeHostOnlyNetwork(com)


class HostOnlyNetworks(Named[HostOnlyNetwork]):
    """The host-only networks; there are none where VirtualBox has host-only interfaces instead."""

    element = HostOnlyNetwork
    noun = "host-only network"

    def _list(self) -> list[Any]:
        return listed(self._api, "hostOnlyNetworks")

    @api_call("create a host-only network")
    def create(
        self, name: str, *, lower_ip: str, upper_ip: str, network_mask: str = "255.255.255.0"
    ) -> HostOnlyNetwork:
        """
        Make a host-only network.

        Args:
            name: Its name.
            lower_ip: The first address; it is the host's.
            upper_ip: The last address.
            network_mask: Its network mask.

        Raises:
            ApiError: This VirtualBox has none (``E_NOTIMPL``); they are macOS's.
        """
        self._require_new(name)
        for text in (lower_ip, upper_ip, network_mask):
            _check_address(self, "an address", text)
        with without_host_only_networks(self._api):
            com = self._api.virtualbox.createHostOnlyNetwork(name)
        made = HostOnlyNetwork(self._api, com)
        done = False
        try:
            made.network_mask, made.lower_ip, made.upper_ip = network_mask, lower_ip, upper_ip
            done = True
        finally:
            if not done:
                made.delete()
        return made


class CloudNetwork(NamedObject):
    """A network of a cloud provider; using it needs VirtualBox's extension pack."""

    com: ICloudNetwork
    noun = "cloud network"

    enabled = Setting("enabled", bool, "Whether machines can be on it.")
    provider = Setting("provider", str, "The provider's short name, as ``OCI``.")
    profile = Setting("profile", str, "The profile with the way in.")
    network_id = Setting("networkId", str, "The provider's id of the network.")

    def _siblings(self) -> list[str]:
        return [str(com.networkName) for com in listed(self._api, "cloudNetworks")]

    @api_call("delete it")
    def delete(self) -> None:
        """
        Remove it here, not at the provider.

        Raises:
            InvalidStateError: Machines are attached to it.
        """
        require_unused(self, "Cloud", "cloudNetwork")
        with self._changing() as com:
            self._api.virtualbox.removeCloudNetwork(com)


class CloudNetworks(Named[CloudNetwork]):
    """The networks of cloud providers."""

    element = CloudNetwork
    noun = "cloud network"

    def _list(self) -> list[Any]:
        return listed(self._api, "cloudNetworks")

    @api_call("create a cloud network")
    def create(
        self, name: str, *, provider: str = "OCI", profile: str = "Default", network_id: str = ""
    ) -> CloudNetwork:
        """
        Make a cloud network known here.

        Args:
            name: Its name.
            provider: The provider's short name.
            profile: The profile with the way in.
            network_id: The provider's id of the network.
        """
        self._require_new(name)
        made = CloudNetwork(self._api, self._api.virtualbox.createCloudNetwork(name))
        made.provider, made.profile, made.network_id = provider, profile, network_id
        return made


class Networks:
    """
    The networks of this host that machines can be attached to.

    Attributes:
        bridged: The host's own interfaces.
        host_only: The host-only interfaces.
        host_only_networks: The host-only networks, where VirtualBox has them.
        nat: The NAT networks.
        cloud: The networks of cloud providers.
        dhcp: The DHCP servers of all kinds of networks.

    Example:
        ``print([each.name for each in vbox.networks.bridged if each.status == "Up"])``
    """

    def __init__(self, vbox: VirtualBox) -> None:
        self._vbox = vbox
        api = vbox._api
        self.bridged = BridgedInterfaces(api)
        self.host_only = HostOnlyInterfaces(api, vbox.settings)
        self.host_only_networks = HostOnlyNetworks(api)
        self.nat = NatNetworks(api)
        self.cloud = CloudNetworks(api)
        self.dhcp = DhcpServers(api)

    def __repr__(self) -> str:
        return f"<Networks of {self._vbox!r}>"

    @property
    def internal(self) -> list[str]:
        """
        The internal networks: every name that an adapter of a machine has been given.

        They are there as long as somebody names them: ``adapter.attach("Internal", network=...)``.
        """
        return self._names("internalNetworks")

    @property
    def generic_drivers(self) -> list[str]:
        """The generic drivers that adapters have been given; VirtualBox cannot list all it has."""
        return self._names("genericNetworkDrivers")

    def _names(self, attribute: str) -> list[str]:
        with self._vbox._translated("list the networks"):
            return sorted({str(n) for n in self._vbox._api.array(self._vbox.com, attribute) if n})

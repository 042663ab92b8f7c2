"""DHCP servers of VirtualBox's networks."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

from vboxkit.com.installation import driver_available
from vboxkit.errors import DriverNeededError
from vboxkit.machines import macs
from vboxkit.machines.accessors import one_of
from vboxkit.machines.base import Attribute, api_call
from vboxkit.machines.dhcp_config import DhcpAdapterConfig, DhcpConfig, DhcpGroup, whose
from vboxkit.machines.forwards import check_address
from vboxkit.machines.named import Named, NamedObject
from vboxkit.machines.parts import Setting, invalid

if TYPE_CHECKING:
    from vboxkit.com.interfaces import IDHCPServer
    from vboxkit.machines.base import ComObject
    from vboxkit.machines.network_adapter import NetworkAdapter

__all__ = ["DhcpLease", "DhcpServer", "DhcpServers"]


@dataclass(frozen=True)
class DhcpLease:
    """
    An address that was given out.

    Attributes:
        ip_address: The address.
        state: VirtualBox's word for it, as ``acked``.
        issued: When it was given out.
        expires: When it ends.
    """

    ip_address: str
    state: str
    issued: datetime
    expires: datetime


class DhcpServer(NamedObject):
    """
    A DHCP server, by the name of the network that it serves.

    It runs while machines are on its network, and needs VirtualBox's kernel driver.
    """

    com: IDHCPServer
    noun = "DHCP server"

    enabled = Setting("enabled", bool, "Whether it is started with the first machine.")
    ip_address = Attribute("IPAddress", str, "Its own address.")
    network_mask = Attribute("networkMask", str, "The network mask.")
    lower_ip = Attribute("lowerIP", str, "The first address that it gives out.")
    upper_ip = Attribute("upperIP", str, "The last address that it gives out.")

    def _siblings(self) -> list[str]:
        api = self._api
        return [str(com.networkName) for com in api.array(api.virtualbox, "DHCPServers")]

    @property
    def network(self) -> ipaddress.IPv4Network | None:
        """Its network; `None` before it has an address."""
        if self.ip_address in {"", "0.0.0.0"}:  # noqa: S104 - compared
            return None
        return ipaddress.IPv4Network(f"{self.ip_address}/{self.network_mask}", strict=False)

    @api_call("configure it")
    def configure(
        self, ip_address: str, *, lower_ip: str, upper_ip: str, network_mask: str = "255.255.255.0"
    ) -> None:
        """
        Set its address and the range that it gives out.

        Raises:
            ApiError: An address cannot be, or is not in the network.
        """
        _check_range(self, ip_address, network_mask, lower_ip, upper_ip)
        with self._changing() as com:
            com.setConfiguration(ip_address, network_mask, lower_ip, upper_ip)

    # What it tells

    @property
    def config(self) -> DhcpConfig:
        """What it tells everybody."""
        with self._translated("read its configuration"):
            return DhcpConfig(self, self.com.globalConfig, noun="everybody")

    @property
    def groups(self) -> list[DhcpGroup]:
        """Its groups."""
        with self._translated("list its groups"):
            found = self._api.array(self.com, "groupConfigs")
            return [DhcpGroup(self, com, noun=f"group {str(com.name)!r}") for com in found]

    @property
    def adapters(self) -> list[DhcpAdapterConfig]:
        """What it has for single adapters."""
        with self._translated("list its adapters"):
            found = self._api.array(self.com, "individualConfigs")
            return [DhcpAdapterConfig(self, com, noun=whose(self._api, com)) for com in found]

    def group(self, name: str) -> DhcpGroup:
        """Return a group; it is made if there is none of that name."""
        if not name or not name.isprintable():
            raise invalid(self, f"a group cannot be named {name!r}", hint="printable characters")
        com = self._config("Group", name, 0, add=True)
        return DhcpGroup(self, com, noun=f"group {name!r}")

    def for_adapter(self, adapter: NetworkAdapter) -> DhcpAdapterConfig:
        """Return what it has for an adapter of a machine, whatever its MAC address; made if new."""
        com = self._config("MachineNIC", adapter._machine.id, adapter.slot, add=True)
        return DhcpAdapterConfig(self, com, noun=whose(self._api, com))

    def for_mac(self, mac: str) -> DhcpAdapterConfig:
        """Return what it has for a MAC address; made if new."""
        macs.check(self, "mac", mac)
        com = self._config("MAC", macs.with_colons(macs.bare(mac)), 0, add=True)
        return DhcpAdapterConfig(self, com, noun=whose(self._api, com))

    def _config(self, scope: str, name: str, slot: int, *, add: bool) -> Any:
        value = self._api.value("DHCPConfigScope", scope)
        with self._translated("read its configuration"), self._changing() as com:
            return com.getConfig(value, name, slot, add)

    @api_call("look for a lease")
    def lease(self, mac: str) -> DhcpLease | None:
        """Return the address that a MAC address was given, or `None`."""
        macs.check(self, "mac", mac)
        try:
            found = self.com.findLeaseByMAC(macs.with_colons(macs.bare(mac)), 0)
        except Exception as error:
            foreign = self._api.foreign(error)
            # There is no file with leases before the first one.
            if foreign is None or foreign.symbol not in {
                "VBOX_E_FILE_ERROR",
                "VBOX_E_OBJECT_NOT_FOUND",
            }:
                raise
            return None
        address, state, issued, expires = found
        times = [datetime.fromtimestamp(int(t), timezone.utc) for t in (issued, expires)]
        return DhcpLease(str(address), str(state), times[0], times[1])

    # Its process

    @api_call("start it")
    def start(self, *, trunk: str = "", trunk_kind: Literal["", "netadp", "netflt"] = "") -> None:
        """
        Start it, which VirtualBox otherwise does when the first machine comes.

        Args:
            trunk: The host's interface that the network is joined to, for host-only ones.
            trunk_kind: Its kind: ``netadp`` on Windows, ``netflt`` elsewhere.

        Raises:
            DriverNeededError: The kernel driver is missing. (VirtualBox would report success, and
                the server's process end at once.)
        """
        one_of(self, "kind of trunk", trunk_kind, ("", "netadp", "netflt"))
        if not driver_available():
            raise DriverNeededError(
                f"{self._subject()} cannot be started: that needs VirtualBox's kernel driver,"
                " which is missing",
                hint="install the kernel driver",
            )
        with self._changing() as com:
            com.start(trunk, trunk_kind)

    @api_call("stop it")
    def stop(self) -> None:
        """Stop it; doing it twice does no harm."""
        with self._changing() as com:
            com.stop()

    @api_call("restart it")
    def restart(self) -> None:
        """
        Stop it and start it, so that a new configuration holds.

        Raises:
            ApiError: It does not run.
        """
        with self._changing() as com:
            com.restart()

    @api_call("delete it")
    def delete(self) -> None:
        """Stop it and remove it."""
        with self._changing() as com:
            com.stop()
            self._api.virtualbox.removeDHCPServer(com)


def _check_range(obj: ComObject, address: str, mask: str, lower: str, upper: str) -> None:
    for text in (address, mask, lower, upper):
        check_address(obj, text, version=4)
        if not text:
            raise invalid(obj, "an address is missing", hint="such as 10.7.0.1")
    try:
        network = ipaddress.IPv4Network(f"{address}/{mask}", strict=False)
    except ValueError:
        raise invalid(obj, f"{mask!r} is no network mask", hint="such as 255.255.255.0") from None
    first, last = ipaddress.IPv4Address(lower), ipaddress.IPv4Address(upper)
    if first not in network or last not in network or first > last:
        raise invalid(
            obj, f"{lower} to {upper} is no range in {network}", hint="the lower address first"
        )


class DhcpServers(Named[DhcpServer]):
    """
    The DHCP servers, by the name of their networks.

    An internal or NAT network's is its own name, a host-only interface's its `network_name`.

    Example:
        ``vbox.networks.dhcp.create("lab", ip_address="10.7.0.1", lower_ip="10.7.0.100",
        upper_ip="10.7.0.200")``
    """

    element = DhcpServer
    noun = "DHCP server"

    def _list(self) -> list[Any]:
        return self._api.array(self._api.virtualbox, "DHCPServers")

    @api_call("create a DHCP server")
    def create(
        self,
        network_name: str,
        *,
        ip_address: str,
        lower_ip: str,
        upper_ip: str,
        network_mask: str = "255.255.255.0",
        enabled: bool = True,
    ) -> DhcpServer:
        """
        Make a DHCP server for a network.

        Args:
            network_name: The network's name.
            ip_address: The server's own address.
            lower_ip: The first address that it gives out.
            upper_ip: The last address that it gives out.
            network_mask: The network mask.
            enabled: Whether it is started with the first machine.

        Raises:
            AlreadyExistsError: The network has one.
            ApiError: An address cannot be, or is not in the network.
        """
        self._require_new(network_name)
        _check_range(self, ip_address, network_mask, lower_ip, upper_ip)
        made = DhcpServer(self._api, self._api.virtualbox.createDHCPServer(network_name))
        done = False
        try:
            made.configure(
                ip_address, lower_ip=lower_ip, upper_ip=upper_ip, network_mask=network_mask
            )
            made.enabled = enabled
            done = True
        finally:
            if not done:
                made.delete()
        return made

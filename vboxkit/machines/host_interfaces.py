"""Network interfaces of the host: those to bridge to, and host-only ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vboxkit.com.installation import driver_available
from vboxkit.errors import DriverNeededError
from vboxkit.machines.attachments import interfaces
from vboxkit.machines.base import Attribute, api_call
from vboxkit.machines.forwards import check_address
from vboxkit.machines.macs import with_colons
from vboxkit.machines.named import Named, NamedObject, require_unused
from vboxkit.machines.parts import invalid
from vboxkit.machines.progress import Progress

if TYPE_CHECKING:
    from vboxkit.com.api import Api
    from vboxkit.com.interfaces import IHostNetworkInterface
    from vboxkit.settings import Settings

__all__ = ["BridgedInterfaces", "HostInterface", "HostOnlyInterface", "HostOnlyInterfaces"]


class HostInterface(NamedObject):
    """A network interface of this host, as it was when it was looked up."""

    com: IHostNetworkInterface
    noun = "host interface"
    name_attribute = "name"

    id = Attribute("id", str, "Its UUID.")
    short_name = Attribute("shortName", str, "Its short name, where the system has one.")
    network_name = Attribute(
        "networkName", str, "The name by which a DHCP server serves it: see `Networks.dhcp`."
    )
    ip_address = Attribute("IPAddress", str, "Its IPv4 address; ``0.0.0.0`` if it has none.")
    network_mask = Attribute("networkMask", str, "Its IPv4 network mask.")
    ipv6_address = Attribute("IPV6Address", str, "Its IPv6 address; empty if it has none.")
    ipv6_prefix_length = Attribute("IPV6NetworkMaskPrefixLength", int, "Its IPv6 prefix.")
    mac = Attribute("hardwareAddress", with_colons, "Its MAC address.")
    wireless = Attribute("wireless", bool, "Whether it is wireless.")
    dhcp_enabled = Attribute("DHCPEnabled", bool, "Whether the host gets its address by DHCP.")

    @property
    @api_call("read the status")
    def status(self) -> str:
        """``Up``, ``Down`` or ``Unknown``."""
        return self._api.name("HostNetworkInterfaceStatus", self.com.status)

    @property
    @api_call("read the kind")
    def kind(self) -> str:
        """``Bridged`` (a real one) or ``HostOnly``."""
        return self._api.name("HostNetworkInterfaceType", self.com.interfaceType)

    @property
    @api_call("read the medium")
    def medium(self) -> str:
        """``Ethernet``, ``PPP``, ``SLIP`` or ``Unknown``."""
        return self._api.name("HostNetworkInterfaceMediumType", self.com.mediumType)

    def _siblings(self) -> list[str]:
        return [str(com.name) for com in interfaces(self._api, self.kind)]


class HostOnlyInterface(HostInterface):
    """
    An interface of the host that leads to virtual machines only.

    Changing it needs VirtualBox's kernel driver (`DriverNeededError`).
    """

    noun = "host-only interface"

    @api_call("set its address")
    def configure(self, ip_address: str, *, network_mask: str = "255.255.255.0") -> None:
        """
        Give it an IPv4 address.

        VirtualBox allows 192.168.56.0/21 only, unless its ``networks.conf`` says otherwise.
        """
        for text in (ip_address, network_mask):
            _require_address(self, text, 4)
        with self._changing() as com:
            com.enableStaticIPConfig(ip_address, network_mask)

    @api_call("set its address")
    def configure_ipv6(self, ip_address: str, *, prefix_length: int = 64) -> None:
        """Give it an IPv6 address."""
        _require_address(self, ip_address, 6)
        with self._changing() as com:
            com.enableStaticIPConfigV6(ip_address, prefix_length)

    @api_call("let it ask for an address")
    def configure_dhcp(self) -> None:
        """Let it ask a DHCP server for its address."""
        with self._changing() as com:
            com.enableDynamicIPConfig()

    @api_call("delete it")
    def delete(self, *, timeout: float = 60) -> None:
        """
        Remove it from the host.

        Args:
            timeout: Seconds.

        Raises:
            InvalidStateError: Machines are attached to it.
        """
        require_unused(self, "HostOnly", "hostOnlyInterface")
        _require_driver("remove a host-only interface")
        with self._changing():
            progress = self._api.virtualbox.host.removeHostOnlyNetworkInterface(self.id)
            Progress(self._api, progress, what="delete it", subject=self._subject()).wait(
                timeout=timeout
            )


class BridgedInterfaces(Named[HostInterface]):
    """The host's own interfaces, to which ``Bridged`` adapters are attached."""

    element = HostInterface
    noun = "interface to bridge to"

    def _list(self) -> list[Any]:
        return interfaces(self._api, "Bridged")

    def _how(self) -> str | None:
        return "the host makes them, VirtualBox cannot"


class HostOnlyInterfaces(Named[HostOnlyInterface]):
    """The host-only interfaces; there are none without VirtualBox's kernel driver."""

    element = HostOnlyInterface
    noun = "host-only interface"

    def __init__(self, api: Api, settings: Settings) -> None:
        super().__init__(api)
        self._settings = settings

    def _list(self) -> list[Any]:
        return interfaces(self._api, "HostOnly")

    @api_call("create a host-only interface")
    def create(self, *, timeout: float | None = None) -> HostOnlyInterface:
        """
        Make one; VirtualBox chooses its name (``vboxnet0``, ...), and gives it an address.

        Args:
            timeout: Seconds; `Settings.progress_timeout` if left out.

        Raises:
            DriverNeededError: The kernel driver is missing.
        """
        _require_driver("create a host-only interface")
        progress, com = self._api.virtualbox.host.createHostOnlyNetworkInterface()
        Progress(self._api, progress, what="create it", subject=self.noun).wait(
            timeout=self._settings.progress_timeout if timeout is None else timeout
        )
        return HostOnlyInterface(self._api, com)


def _require_driver(operation: str) -> None:
    if not driver_available():
        raise DriverNeededError(
            f"cannot {operation}: that needs VirtualBox's kernel driver, which is missing",
            hint="install the kernel driver, or join machines by attach('Generic',"
            " driver='UDPTunnel', ...)",
        )


def _require_address(obj: HostInterface, text: str, version: int) -> None:
    check_address(obj, text, version=version)
    if not text:
        raise invalid(obj, "its address cannot be empty", hint="configure_dhcp() asks for one")

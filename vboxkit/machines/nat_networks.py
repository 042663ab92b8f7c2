"""NAT networks: several machines behind one NAT engine, which see each other."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from vboxkit.com.installation import driver_available
from vboxkit.core.ports import lease_port, release_port
from vboxkit.errors import AlreadyExistsError, DriverNeededError, NotFoundError, PortInUseError
from vboxkit.machines import forwards
from vboxkit.machines.base import Attribute, api_call
from vboxkit.machines.forwards import Forward
from vboxkit.machines.named import Named, NamedObject, require_unused
from vboxkit.machines.nat import check_network
from vboxkit.machines.parts import Setting, invalid

if TYPE_CHECKING:
    from vboxkit.com.interfaces import INATNetwork
    from vboxkit.core.ports import Protocol
    from vboxkit.machines.base import ComObject

__all__ = ["NatNetwork", "NatNetworks"]


#: "ssh:tcp:[127.0.0.1]:2222:[10.0.2.5]:22"; a name may have colons, too.
_RULE = re.compile(r"(.*):(tcp|udp):\[(.*)\]:(\d+):\[(.*)\]:(\d+)", re.DOTALL)

_check_network = check_network(29)


def _check_prefix(obj: ComObject, name: str, value: str) -> None:
    try:
        network = ipaddress.IPv6Network(value)
    except ValueError as error:
        raise invalid(
            obj, f"{name} cannot be {value!r}: {error}", hint="such as fd17:625c:f037:2::/64"
        ) from None
    if network.prefixlen != 64:
        raise invalid(obj, f"{name} cannot be {value!r}", hint="a prefix of /64")


class NatNetwork(NamedObject):
    """
    A NAT network. Its settings can be changed at any time; each is saved at once.

    Its engine runs while machines are on it, and needs VirtualBox's kernel driver.
    """

    com: INATNetwork
    noun = "NAT network"

    enabled = Setting("enabled", bool, "Whether machines can be on it.")
    network = Setting("network", str, "Its network, as ``10.9.0.0/24``.", check=_check_network)
    gateway = Attribute("gateway", str, "The engine's own address.")
    dhcp = Setting("needDhcpServer", bool, "Whether it has a DHCP server, see `Networks.dhcp`.")
    ipv6_enabled = Setting("IPv6Enabled", bool, "Whether it has IPv6 as well.")
    ipv6_prefix = Setting(
        "IPv6Prefix", str, "Its IPv6 network, as ``fd17:625c:f037:2::/64``.", check=_check_prefix
    )
    ipv6_default_route = Setting(
        "advertiseDefaultIPv6RouteEnabled", bool, "Whether it advertises itself as a way out."
    )
    ipv6_loopback = Setting(
        "loopbackIp6", int, "The number in its IPv6 network that means the host's ::1; 0 is none."
    )

    def _siblings(self) -> list[str]:
        api = self._api
        return [str(com.networkName) for com in api.array(api.virtualbox, "NATNetworks")]

    @property
    @api_call("read the loopback addresses")
    def loopbacks(self) -> dict[str, int]:
        """The host's loopback addresses that guests reach, and their numbers in the network."""
        lines = [str(line) for line in self._api.array(self.com, "localMappings")]
        return {host: int(number) for host, number in (line.split("=") for line in lines)}

    @api_call("map a loopback address")
    def map_loopback(self, host_ip: str, *, offset: int) -> None:
        """
        Let guests reach a loopback address of the host.

        VirtualBox can add one, but neither change nor remove one.

        Args:
            host_ip: The host's address, in 127.0.0.0/8.
            offset: The number, in the network, by which guests reach it.

        Raises:
            AlreadyExistsError: The address, or the number, is in use.
        """
        forwards.check_address(self, host_ip, version=4)
        size = ipaddress.IPv4Network(str(self.com.network)).num_addresses
        if not host_ip.startswith("127.") or not 0 < offset < size - 1:
            raise invalid(
                self,
                f"cannot map {host_ip!r} to number {offset}",
                hint=f"an address in 127.0.0.0/8, and a number from 1 to {size - 2}",
            )
        known = self.loopbacks
        if host_ip in known or offset in known.values():
            raise AlreadyExistsError(
                f"{self._subject()} maps that already: {known}",
                kind="loopback address",
                wanted=host_ip,
                hint="choose another address and number",
            )
        with self._changing() as com:
            com.addLocalMapping(host_ip, offset)

    # Port forwards

    @property
    @api_call("read the port forwards")
    def forwards(self) -> list[Forward]:
        """Its port forwards, IPv4 first."""
        return [*self._rules("portForwardRules4"), *self._rules("portForwardRules6")]

    def _rules(self, attribute: str) -> list[Forward]:
        found = []
        for line in self._api.array(self.com, attribute):
            if match := _RULE.fullmatch(str(line)):
                name, protocol, host_ip, host, guest_ip, guest = match.groups()
                kind: Protocol = "udp" if protocol == "udp" else "tcp"
                found.append(Forward(name, kind, host_ip, int(host), guest_ip, int(guest)))
        return found

    def forward(
        self,
        *,
        guest: int,
        guest_ip: str,
        host: int | None = None,
        host_ip: str = "127.0.0.1",
        protocol: Protocol = "tcp",
        name: str | None = None,
    ) -> Forward:
        """
        Forward a port of the host to a machine on the network.

        Args:
            guest: The guest's port.
            guest_ip: The guest's address; an IPv6 one makes it an IPv6 forward.
            host: The host's port; a free one if left out, see `NetworkAdapter.forward`.
            host_ip: The address to listen on, of the same family.
            protocol: ``tcp`` or ``udp``.
            name: The rule's name; ``tcp-22`` and the like if left out.

        Raises:
            PortInUseError: The port is taken.
            AlreadyExistsError: There is a forward of that name.
        """
        forwards.check_protocol(self, protocol)
        for port in (guest, guest if host is None else host):
            forwards.check_port(self, port)
        if not guest_ip:
            raise invalid(self, "a forward needs the guest's address", hint="guest_ip='10.0.2.5'")
        forwards.check_address(self, guest_ip)
        version = ipaddress.ip_address(guest_ip).version
        forwards.check_address(self, host_ip, version=version)
        label = name or f"{protocol}-{guest}"
        if any(rule.name == label for rule in self.forwards):
            raise AlreadyExistsError(
                f"{self._subject()} has a forward {label!r}",
                kind="forward",
                wanted=label,
                hint="remove() it first, or give another name",
            )
        if host is not None and (owner := forwards.conflict(self._api, protocol, host_ip, host)):
            raise PortInUseError(
                f"{self._subject()}: host port {host} is forwarded to {owner} already",
                host_ip=host_ip,
                port=host,
                holder=owner,
                hint="leave host out to get a free port",
            )
        everywhere = "::" if version == 6 else "0.0.0.0"  # noqa: S104 - asked for
        lease = lease_port(host, host_ip=host_ip or everywhere, protocol=protocol)
        rule = Forward(label, protocol, host_ip, lease.port, guest_ip, guest, lease)
        added = False
        try:
            with self._translated("forward a port"), self._changing() as com:
                value = self._api.value("NATProtocol", protocol.upper())
                com.addPortForwardRule(
                    version == 6, label, value, host_ip, lease.port, guest_ip, guest
                )
            added = True
        finally:
            if not added:
                lease.release()
        return rule

    @api_call("remove a port forward")
    def remove(self, forward: Forward | str) -> None:
        """
        Remove a port forward, by itself or by its name, and give its port back.

        Raises:
            NotFoundError: There is none of that name; the error lists those there are.
        """
        name = forward if isinstance(forward, str) else forward.name
        rules = {rule.name: rule for rule in self.forwards}
        if name not in rules:
            raise NotFoundError(
                f"{self._subject()} has no forward {name!r}, only {list(rules)}",
                kind="forward",
                wanted=name,
                available=list(rules),
                hint="their names are in .forwards",
            )
        rule = rules[name]
        with self._changing() as com:
            com.removePortForwardRule(":" in rule.guest_ip, name)
        release_port(rule.host_port, protocol=rule.protocol)

    # Its engine

    @api_call("start it")
    def start(self) -> None:
        """
        Start its engine, which VirtualBox otherwise does when the first machine comes.

        Raises:
            DriverNeededError: The kernel driver is missing. (VirtualBox would report success, and
                the engine's process end at once.)
        """
        if not driver_available():
            raise DriverNeededError(
                f"{self._subject()} cannot be started: that needs VirtualBox's kernel driver,"
                " which is missing",
                hint="attach machines as NAT, or install the kernel driver",
            )
        with self._changing() as com:
            com.start()

    @api_call("stop it")
    def stop(self) -> None:
        """Stop its engine; machines on it are cut off. Doing it twice does no harm."""
        with self._changing() as com:
            com.stop()

    @api_call("delete it")
    def delete(self) -> None:
        """
        Remove it, and its DHCP server, which VirtualBox would leave.

        Raises:
            InvalidStateError: Machines are attached to it; the error names them.
        """
        require_unused(self, "NATNetwork", "NATNetwork")
        with self._changing() as com:
            rules = self.forwards
            com.stop()
            self._api.virtualbox.removeNATNetwork(com)
            remove_dhcp(self._api, self._name)
        for rule in rules:
            release_port(rule.host_port, protocol=rule.protocol)


def remove_dhcp(api: Any, name: str) -> None:
    """Remove the DHCP server of a network, if it has one."""
    for server in api.array(api.virtualbox, "DHCPServers"):
        if str(server.networkName) == name:
            server.stop()
            api.virtualbox.removeDHCPServer(server)


class NatNetworks(Named[NatNetwork]):
    """
    The NAT networks.

    Example:
        ``vbox.networks.nat.create("lab", network="10.9.0.0/24")``
    """

    element = NatNetwork
    noun = "NAT network"

    def _list(self) -> list[Any]:
        return self._api.array(self._api.virtualbox, "NATNetworks")

    @api_call("create a NAT network")
    def create(
        self, name: str, *, network: str = "10.0.2.0/24", dhcp: bool = True, ipv6: bool = False
    ) -> NatNetwork:
        """
        Make a NAT network.

        Args:
            name: Its name.
            network: Its network.
            dhcp: Whether it has a DHCP server.
            ipv6: Whether it has IPv6 as well.

        Raises:
            AlreadyExistsError: There is one of that name. (VirtualBox would make a second one.)
            ApiError: The name or the network cannot be.
        """
        self._require_new(name)
        _check_network(self, "network", network)
        made = NatNetwork(self._api, self._api.virtualbox.createNATNetwork(name))
        done = False
        try:
            made.network, made.dhcp, made.ipv6_enabled = network, dhcp, ipv6
            done = True
        finally:
            if not done:
                made.delete()
        return made

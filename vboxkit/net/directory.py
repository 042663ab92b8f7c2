"""Who is in a network: names, addresses, MAC addresses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from vboxkit.errors import AlreadyExistsError, SettingsError

__all__ = ["Directory", "Entry", "mac_bytes", "mac_text"]

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)


def mac_bytes(text: str) -> bytes:
    """Return the six bytes of ``08:00:27:12:34:56``."""
    found = bytes.fromhex(text.replace(":", "").replace("-", ""))
    if len(found) != 6:
        raise ValueError(f"not a MAC address: {text!r}")
    return found


def mac_text(mac: bytes) -> str:
    """Return a MAC address as ``08:00:27:12:34:56``."""
    return mac.hex(":")


@dataclass(frozen=True)
class Entry:
    """
    A member.

    Attributes:
        name: Its name.
        ip: Its address.
        mac: Its card's address.
    """

    name: str
    ip: IPv4Address
    mac: bytes


class Directory:
    """
    The members of a network; the first address of the network is the switch's own.

    Args:
        network: The addresses, as ``10.77.0.0/24``.
        domain: Members are known by their name, and by their name below this.

    Attributes:
        network: The addresses.
        domain: What was given.
        own: The switch's address, for DHCP and DNS.

    Raises:
        SettingsError: It is no network, or too small for two members.
    """

    def __init__(self, network: str | IPv4Network, *, domain: str = "internal") -> None:
        try:
            self.network = IPv4Network(network)
        except ValueError as error:
            raise SettingsError(
                f"{network!r} is no IPv4 network: {error}", hint="as 10.77.0.0/24"
            ) from error
        if not 16 <= self.network.prefixlen <= 29:
            raise SettingsError(
                f"a private network of {self.network} has too few or too many addresses",
                hint="/16 to /29",
            )
        self.domain = domain
        self.own = self.network.network_address + 1
        self._by_name: dict[str, Entry] = {}
        self._by_mac: dict[bytes, Entry] = {}
        self._by_ip: dict[IPv4Address, Entry] = {}

    def __len__(self) -> int:
        return len(self._by_name)

    def add(self, name: str, mac: bytes, ip: str | IPv4Address | None = None) -> Entry:
        """
        Add a member.

        Args:
            name: A host name: letters, digits, hyphens; what is upper case counts as lower case.
            mac: Its card's address.
            ip: Its address; the lowest that is free if left out.

        Raises:
            SettingsError: The name or address cannot be.
            AlreadyExistsError: There is one of this name, address or MAC address.
        """
        if not _NAME.fullmatch(name):
            raise SettingsError(
                f"a member cannot be named {name!r}",
                hint="1 to 63 letters, digits and hyphens, as of a host",
            )
        address = self._address(ip)
        for kind, wanted, known in (
            ("name", name, self._by_name.get(name.lower())),
            ("address", str(address), self._by_ip.get(address)),
            ("MAC address", mac_text(mac), self._by_mac.get(mac)),
        ):
            if known is not None:
                raise AlreadyExistsError(
                    f"{self.network}: member {known.name!r} has the {kind} {wanted} already",
                    kind="member",
                    wanted=wanted,
                    hint="machine.network[1].regenerate_mac() while it is off"
                    if kind == "MAC address"
                    else f"choose another {kind}",
                )
        entry = Entry(name, address, mac)
        self._by_name[name.lower()] = entry
        self._by_mac[mac] = entry
        self._by_ip[address] = entry
        return entry

    def remove(self, name: str) -> None:
        """Forget a member; doing it twice does no harm."""
        entry = self._by_name.pop(name.lower(), None)
        if entry is not None:
            del self._by_mac[entry.mac], self._by_ip[entry.ip]

    def by_name(self, name: str) -> Entry | None:
        """Return a member by its name, alone or with the domain, in any case; `None` if none."""
        return self._by_name.get(name.lower().removesuffix(f".{self.domain}"))

    def by_mac(self, mac: bytes) -> Entry | None:
        """Return the member with this card, or `None`."""
        return self._by_mac.get(mac)

    def by_ip(self, ip: IPv4Address) -> Entry | None:
        """Return the member with this address, or `None`."""
        return self._by_ip.get(ip)

    def is_free(self, ip: IPv4Address) -> bool:
        """Tell whether an address can be given out."""
        edges = {self.network.network_address, self.network.broadcast_address, self.own}
        return ip in self.network and ip not in edges and ip not in self._by_ip

    def _address(self, ip: str | IPv4Address | None) -> IPv4Address:
        if ip is None:
            for free in self.network.hosts():
                if self.is_free(free):
                    return free
            raise SettingsError(f"{self.network} is full", hint="give a larger subnet=")
        try:
            address = IPv4Address(ip)
        except ValueError as error:
            raise SettingsError(f"{ip!r} is no IPv4 address", hint="as 10.77.0.5") from error
        if address not in self._by_ip and not self.is_free(address):
            raise SettingsError(
                f"{address} cannot be given to a member of {self.network}",
                hint=f"one of it, but not {self.own}, which is the switch's",
            )
        return address

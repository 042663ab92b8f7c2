"""
A DHCP server, as far as RFC 2131 is used in a network without routers and relays.

Members have the address of the directory; strangers get one of those that are free, for a while.
No gateway is given out: the guest's way out is another card.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import dpkt
from dpkt import dhcp

if TYPE_CHECKING:
    from vboxkit.net.directory import Directory

__all__ = ["LEASE", "DhcpServer", "Reply"]

#: Seconds for which an address is given out.
LEASE = 86_400
#: Seconds for which an address is reserved that was only offered.
_OFFER = 60
#: Seconds for which an address is not given out that somebody uses without having been given it.
_DECLINED = 3600

_ZERO = IPv4Address(0)
_ALL = IPv4Address("255.255.255.255")


@dataclass(frozen=True)
class Reply:
    """
    What the server answers.

    Attributes:
        data: The message.
        to: The card, or `None` for all.
        ip: The address.
    """

    data: bytes
    to: bytes | None
    ip: IPv4Address


class DhcpServer:
    """
    Gives addresses out.

    Args:
        directory: Who is known, and the addresses.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        #: Of strangers: who has an address, and until when.
        self._given: dict[IPv4Address, tuple[bytes, float]] = {}

    def leases(self, now: float) -> dict[IPv4Address, bytes]:
        """Return the addresses that strangers have, and their cards."""
        return {ip: mac for ip, (mac, until) in self._given.items() if until > now and mac}

    def answer(self, data: bytes, now: float) -> Reply | None:
        """
        Answer a client's message.

        Args:
            data: The message.
            now: The time, in seconds.

        Returns:
            The answer; `None` if none is due, or it is no message that one could understand.
        """
        try:
            request: Any = dhcp.DHCP(data)
        except (dpkt.Error, struct.error, IndexError):
            return None
        if request.op != dhcp.DHCP_OP_REQUEST or request.hln != 6:
            return None
        if request.magic != dhcp.DHCP_MAGIC:
            return None
        options = dict(reversed(request.opts))  # the first of each kind counts
        kind = options.get(dhcp.DHCP_OPT_MSGTYPE, b"\0")[:1]
        server = options.get(dhcp.DHCP_OPT_SERVER_ID)
        if server is not None and server != self._directory.own.packed:
            return None  # for another server
        mac = bytes(request.chaddr)
        if kind == bytes([dhcp.DHCPDISCOVER]):
            return self._discovered(request, mac, options, now)
        if kind == bytes([dhcp.DHCPREQUEST]):
            return self._requested(request, mac, options, now)
        if kind == bytes([dhcp.DHCPINFORM]):
            return self._reply(request, dhcp.DHCPACK, None)
        if kind == bytes([dhcp.DHCPRELEASE]):
            self._free(IPv4Address(request.ciaddr), mac)
        elif kind == bytes([dhcp.DHCPDECLINE]):
            wanted = _address(options.get(dhcp.DHCP_OPT_REQ_IP))
            if wanted is not None and self._directory.is_free(wanted):
                self._given[wanted] = (b"", now + _DECLINED)
        return None

    def _discovered(
        self, request: Any, mac: bytes, options: dict[int, bytes], now: float
    ) -> Reply | None:
        ip = self._choose(mac, _address(options.get(dhcp.DHCP_OPT_REQ_IP)), now)
        if ip is None:
            return None  # all given out: another server may have one
        self._give(ip, mac, now, _OFFER)
        return self._reply(request, dhcp.DHCPOFFER, ip)

    def _requested(
        self, request: Any, mac: bytes, options: dict[int, bytes], now: float
    ) -> Reply | None:
        wanted = _address(options.get(dhcp.DHCP_OPT_REQ_IP)) or IPv4Address(request.ciaddr)
        if wanted == self._choose(mac, wanted, now):
            self._give(wanted, mac, now, LEASE)
            return self._reply(request, dhcp.DHCPACK, wanted)
        return self._reply(request, dhcp.DHCPNAK, None)

    def _choose(self, mac: bytes, wanted: IPv4Address | None, now: float) -> IPv4Address | None:
        """Return the address that a card is to have."""
        member = self._directory.by_mac(mac)
        if member is not None:
            return member.ip
        for ip, (owner, until) in self._given.items():
            if owner == mac and until > now and self._directory.is_free(ip):
                return ip
        if wanted is not None and self._is_free(wanted, now):
            return wanted
        # From the end, as members are numbered from the beginning.
        network = self._directory.network
        for number in range(network.num_addresses - 2, 1, -1):
            if self._is_free(network[number], now):
                return network[number]
        return None

    def _is_free(self, ip: IPv4Address, now: float) -> bool:
        return self._directory.is_free(ip) and self._given.get(ip, (b"", 0.0))[1] <= now

    def _give(self, ip: IPv4Address, mac: bytes, now: float, seconds: float) -> None:
        if self._directory.by_mac(mac) is None:
            self._given[ip] = (mac, now + seconds)

    def _free(self, ip: IPv4Address, mac: bytes) -> None:
        if self._given.get(ip, (b"", 0.0))[0] == mac:
            del self._given[ip]

    def _reply(self, request: Any, kind: int, ip: IPv4Address | None) -> Reply:
        directory = self._directory
        own = directory.own.packed
        options: list[tuple[int, bytes]] = [
            (dhcp.DHCP_OPT_MSGTYPE, bytes([kind])),
            (dhcp.DHCP_OPT_SERVER_ID, own),
        ]
        if ip is not None:
            options += [
                (dhcp.DHCP_OPT_LEASE_SEC, struct.pack(">I", LEASE)),
                (dhcp.DHCP_OPT_RENEWTIME, struct.pack(">I", LEASE // 2)),
                (dhcp.DHCP_OPT_REBINDTIME, struct.pack(">I", LEASE * 7 // 8)),
            ]
        if kind != dhcp.DHCPNAK:
            network = directory.network
            options += [
                (dhcp.DHCP_OPT_NETMASK, network.netmask.packed),
                (dhcp.DHCP_OPT_BROADCASTADDR, network.broadcast_address.packed),
                (dhcp.DHCP_OPT_DNS_SVRS, own),
                (dhcp.DHCP_OPT_DOMAIN, directory.domain.encode()),
            ]
            member = directory.by_mac(bytes(request.chaddr))
            if member is not None:
                options.append((dhcp.DHCP_OPT_HOSTNAME, member.name.encode()))
        answer = dhcp.DHCP(
            op=dhcp.DHCP_OP_REPLY,
            xid=request.xid,
            flags=request.flags,
            ciaddr=request.ciaddr if kind == dhcp.DHCPACK else 0,
            yiaddr=int(ip) if ip is not None else 0,
            siaddr=int(directory.own),
            chaddr=bytes(request.chaddr).ljust(16, b"\0"),
            opts=options,
        )
        data = bytes(answer).ljust(300, b"\0")  # BOOTP's least, which old clients insist on
        mac = bytes(request.chaddr)
        if kind == dhcp.DHCPNAK:
            return Reply(data, None, _ALL)
        if request.ciaddr:
            return Reply(data, mac, IPv4Address(request.ciaddr))
        if request.flags & 0x8000 or ip is None:
            return Reply(data, None, _ALL)
        return Reply(data, mac, ip)


def _address(option: bytes | None) -> IPv4Address | None:
    if option is None or len(option) != 4:
        return None
    found = IPv4Address(option)
    return None if found == _ZERO else found

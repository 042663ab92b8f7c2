"""Ethernet frames, as far as the switch's own services read and write them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

import dpkt
from dpkt import arp, ethernet, icmp, ip, udp

__all__ = [
    "BROADCAST",
    "Datagram",
    "arp_reply",
    "as_datagram",
    "datagram",
    "echo_reply",
    "parse",
]

BROADCAST = b"\xff" * 6


@dataclass(frozen=True)
class Datagram:
    """
    A UDP datagram in a frame.

    Attributes:
        mac: Of the card that sent it.
        source: The sender's address.
        source_port: The sender's port.
        target: The address it was sent to.
        target_port: The port it was sent to.
        data: What is in it.
    """

    mac: bytes
    source: IPv4Address
    source_port: int
    target: IPv4Address
    target_port: int
    data: bytes


def parse(frame: bytes) -> Any:
    """Return a frame in dpkt's form, or `None` if it is none that it understands."""
    try:
        return ethernet.Ethernet(frame)
    # What guests send is anything; dpkt lets some of Python's own errors through.
    except (dpkt.Error, struct.error, IndexError, ValueError, TypeError):
        return None


def as_datagram(parsed: Any) -> Datagram | None:
    """Return the UDP datagram of a frame, if it is one and in one piece."""
    packet: Any = parsed.data
    if not _is(packet, ip.IP) or not _is(packet.data, udp.UDP):
        return None
    inner: Any = packet.data
    return Datagram(
        mac=parsed.src,
        source=IPv4Address(packet.src),
        source_port=inner.sport,
        target=IPv4Address(packet.dst),
        target_port=inner.dport,
        data=bytes(inner.data),
    )


def arp_reply(parsed: Any, *, mac: bytes, address: IPv4Address) -> bytes | None:
    """Return the answer to an ARP request for an address of ours, or `None`."""
    request: Any = parsed.data
    if (
        not _is(request, arp.ARP)
        or request.op != arp.ARP_OP_REQUEST
        or request.tpa != address.packed
    ):
        return None
    answer: Any = arp.ARP(
        op=arp.ARP_OP_REPLY, sha=mac, spa=address.packed, tha=request.sha, tpa=request.spa
    )
    return _padded(
        ethernet.Ethernet(dst=parsed.src, src=mac, type=ethernet.ETH_TYPE_ARP, data=answer)
    )


def echo_reply(parsed: Any, *, mac: bytes, address: IPv4Address) -> bytes | None:
    """Return the answer to a ping of an address of ours, or `None`."""
    packet: Any = parsed.data
    if not _is(packet, ip.IP) or packet.dst != address.packed:
        return None
    request: Any = packet.data
    if not _is(request, icmp.ICMP) or request.type != icmp.ICMP_ECHO:
        return None
    answer: Any = icmp.ICMP(type=icmp.ICMP_ECHOREPLY, code=0, data=request.data)
    reply: Any = ip.IP(src=packet.dst, dst=packet.src, p=ip.IP_PROTO_ICMP, data=answer)
    reply.len = len(reply)
    return _padded(ethernet.Ethernet(dst=parsed.src, src=mac, data=reply))


def datagram(
    data: bytes,
    *,
    source: tuple[IPv4Address, int],
    target: tuple[IPv4Address, int],
    mac: bytes,
    to: bytes,
) -> bytes:
    """Return a frame from the card `mac` to the card `to`, with a UDP datagram."""
    inner: Any = udp.UDP(sport=source[1], dport=target[1], data=data)
    inner.ulen = len(inner)
    packet: Any = ip.IP(src=source[0].packed, dst=target[0].packed, p=ip.IP_PROTO_UDP, data=inner)
    packet.len = len(packet)
    return _padded(ethernet.Ethernet(dst=to, src=mac, data=packet))


def _is(part: Any, kind: type) -> bool:
    """Tell whether dpkt has understood a part; its classes declare none of their attributes."""
    return isinstance(part, kind)


def _padded(frame: Any) -> bytes:
    """Return a frame's bytes; no Ethernet frame is shorter than 60."""
    return bytes(frame).ljust(60, b"\0")

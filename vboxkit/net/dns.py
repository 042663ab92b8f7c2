"""
A name server for the members of a network, and for nothing else.

What it does not know it refuses, so that a resolver asks the next server of its list.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import dpkt
from dpkt import dns

if TYPE_CHECKING:
    from vboxkit.net.directory import Directory, Entry

__all__ = ["DnsServer"]

#: Seconds for which an answer may be kept: members come and go.
_TTL = 5
_REVERSE = ".in-addr.arpa"
_ANY = 255


class DnsServer:
    """
    Answers A and PTR questions.

    Args:
        directory: Who is known.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def answer(self, data: bytes) -> bytes | None:
        """Answer a query; `None` if it is none that one could understand."""
        try:
            query: Any = dns.DNS(data)
        except (dpkt.Error, struct.error, IndexError, ValueError, TypeError):
            return None
        if query.qr or not query.qd:
            return None
        reply: Any = dns.DNS(id=query.id, op=query.op & (dns.DNS_RD | 0x7800))
        reply.qr = 1
        # dpkt's defaults are lists that all of its messages share.
        reply.qd, reply.an, reply.ns, reply.ar = query.qd[:1], [], [], []
        if query.opcode != dns.DNS_QUERY:
            reply.rcode = dns.DNS_RCODE_NOTIMP
            return bytes(reply)
        question = query.qd[0]
        name = question.name.lower().rstrip(".")
        if question.cls not in {dns.DNS_IN, _ANY}:
            reply.rcode = dns.DNS_RCODE_REFUSED
        elif name.endswith(_REVERSE):
            self._reverse(reply, question, name.removesuffix(_REVERSE))
        else:
            self._forward(reply, question, name)
        return bytes(reply)

    def _forward(self, reply: Any, question: Any, name: str) -> None:
        domain = self._directory.domain
        entry = self._directory.by_name(name)
        if entry is None and name in {"switch", f"switch.{domain}"}:
            self._a(reply, question, self._directory.own)
        elif entry is not None:
            self._a(reply, question, entry.ip)
        elif name == domain or name.endswith(f".{domain}"):
            reply.aa = 1
            if name != domain:
                reply.rcode = dns.DNS_RCODE_NXDOMAIN
        else:
            reply.rcode = dns.DNS_RCODE_REFUSED

    @staticmethod
    def _a(reply: Any, question: Any, ip: IPv4Address) -> None:
        # Of another type (AAAA) there is nothing, which is not the same as no such name.
        reply.aa = 1
        if question.type in {dns.DNS_A, _ANY}:
            reply.an.append(
                dns.DNS.RR(name=question.name, type=dns.DNS_A, ttl=_TTL, rdata=ip.packed)
            )

    def _reverse(self, reply: Any, question: Any, name: str) -> None:
        try:
            ip = IPv4Address(".".join(reversed(name.split("."))))
        except ValueError:
            reply.rcode = dns.DNS_RCODE_REFUSED
            return
        if ip not in self._directory.network:
            reply.rcode = dns.DNS_RCODE_REFUSED
            return
        reply.aa = 1
        entry: Entry | None = self._directory.by_ip(ip)
        known = "switch" if ip == self._directory.own else entry.name if entry else None
        if known is None:
            reply.rcode = dns.DNS_RCODE_NXDOMAIN
        elif question.type in {dns.DNS_PTR, _ANY}:
            pointer = dns.DNS.RR(name=question.name, type=dns.DNS_PTR, ttl=_TTL)
            pointer.ptrname = f"{known}.{self._directory.domain}"
            reply.an.append(pointer)

"""What the switch itself answers, under an address of its own: ARP, ping, DHCP, DNS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.net import frames
from vboxkit.net.dhcp import DhcpServer
from vboxkit.net.dns import DnsServer

if TYPE_CHECKING:
    from vboxkit.net.directory import Directory

__all__ = ["MAC", "Services"]

#: The switch's own card: a locally administered address, "vbkit" behind it.
MAC = b"\x02vbkit"

_DNS, _DHCP_SERVER, _DHCP_CLIENT = 53, 67, 68


class Services:
    """
    The services of a switch.

    Args:
        directory: Who is in its network.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self.dhcp = DhcpServer(directory)
        self.dns = DnsServer(directory)

    def answer(self, frame: bytes, now: float) -> bytes | None:
        """
        Answer a frame that came to the switch's own card, or to all.

        Args:
            frame: The frame.
            now: The time, in seconds.

        Returns:
            A frame, or `None` if there is nothing to say.
        """
        parsed = frames.parse(frame)
        if parsed is None:
            return None
        own = self._directory.own
        found = frames.arp_reply(parsed, mac=MAC, address=own)
        found = found or frames.echo_reply(parsed, mac=MAC, address=own)
        return found or self._serve(parsed, now)

    def _serve(self, parsed: object, now: float) -> bytes | None:
        asked = frames.as_datagram(parsed)
        if asked is None:
            return None
        own = self._directory.own
        if asked.target_port == _DNS and asked.target == own:
            answer = self.dns.answer(asked.data)
            if answer is None:
                return None
            return frames.datagram(
                answer,
                source=(own, _DNS),
                target=(asked.source, asked.source_port),
                mac=MAC,
                to=asked.mac,
            )
        if asked.target_port == _DHCP_SERVER and asked.source_port == _DHCP_CLIENT:
            reply = self.dhcp.answer(asked.data, now)
            if reply is None:
                return None
            return frames.datagram(
                reply.data,
                source=(own, _DHCP_SERVER),
                target=(reply.ip, _DHCP_CLIENT),
                mac=MAC,
                to=reply.to or frames.BROADCAST,
            )
        return None

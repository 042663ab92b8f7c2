"""Which address a running guest has, from whoever knows; most need nothing in the guest."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vboxkit.errors import ApiError
from vboxkit.machines import macs
from vboxkit.machines.dhcp import DhcpServers
from vboxkit.machines.locks import locked
from vboxkit.machines.states import ONLINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit.machines.machine import Machine
    from vboxkit.machines.network_adapter import NetworkAdapter

__all__ = ["GuestAddress", "guest_address", "neighbours"]

#: The host's own list of neighbours.
_HOST_ARP = Path("/proc/net/arp")
_NEIGHBOUR = re.compile(
    r"(?P<ip>\d+\.\d+\.\d+\.\d+)\s.*?(?P<mac>(?:[0-9a-f]{2}:){5}[0-9a-f]{2})"
    r"|(?P<mac2>(?:[0-9a-f]{2}:){5}[0-9a-f]{2})\s+(?P<ip2>\d+\.\d+\.\d+\.\d+)",
    re.IGNORECASE,
)
_NAMELESS = {"0.0.0.0", "255.255.255.255"}  # noqa: S104 - nothing is bound to it


@dataclass(frozen=True)
class GuestAddress:
    """
    An address of a guest, and who told it.

    Attributes:
        ip: The address.
        source: ``guest property`` (of the Guest Additions), ``DHCP lease`` (of VirtualBox's DHCP
            server), ``NAT`` (the neighbours of VirtualBox's NAT) or ``ARP`` (those of this host).
    """

    ip: str
    source: Literal["guest property", "DHCP lease", "NAT", "ARP"]


def neighbours(text: str) -> dict[str, str]:
    """
    Read addresses by MAC address from a table of neighbours: Linux's, or that of VirtualBox's NAT.

    Example:
        >>> neighbours("  ARP  08:00:27:00:00:01  10.0.2.15")
        {'08:00:27:00:00:01': '10.0.2.15'}
    """
    found = {}
    for line in text.splitlines():
        match = _NEIGHBOUR.search(line)
        if match is None:
            continue
        mac, ip = match["mac"] or match["mac2"], match["ip"] or match["ip2"]
        if mac != "00:00:00:00:00:00" and ip not in _NAMELESS:
            found[mac.lower()] = ip
    return found


def guest_address(machine: Machine, *, slot: int | None = None) -> GuestAddress | None:
    """
    Return an address of the guest, as the first one knows who is asked; `None` if nobody does.

    Args:
        machine: The machine.
        slot: The network adapter; the first one that has an address if left out.
    """
    if machine.state not in ONLINE:
        return None
    adapters = [a for a in machine.network if a.enabled and slot in {None, a.slot}]
    sources: tuple[Callable[[Machine, NetworkAdapter], GuestAddress | None], ...] = (
        _by_property,
        _by_lease,
        _by_nat,
        _by_host,
    )
    for source in sources:
        for adapter in adapters:
            found = source(machine, adapter)
            if found is not None:
                return found
    return None


def _by_property(machine: Machine, adapter: NetworkAdapter) -> GuestAddress | None:
    entries = machine.guest_properties.matching("/VirtualBox/GuestInfo/Net/*")
    known = {
        name: entry.value
        for name, entry in entries.items()
        if name.endswith("/V4/IP") and _address(entry.value)
    }
    # The guest counts its own interfaces: only their MAC addresses tell which adapter one is. A
    # guest that was resumed in a fork still has its parent's.
    for name, ip in known.items():
        mac = entries.get(name.replace("/V4/IP", "/MAC"))
        if mac is not None and macs.bare(mac.value) == macs.bare(adapter.mac):
            return GuestAddress(ip, "guest property")
    return GuestAddress(next(iter(known.values())), "guest property") if len(known) == 1 else None


def _by_lease(machine: Machine, adapter: NetworkAdapter) -> GuestAddress | None:
    kind = adapter.attachment
    if kind not in {"HostOnly", "NATNetwork", "Internal"}:
        return None
    name = f"HostInterfaceNetworking-{adapter.interface}" if kind == "HostOnly" else adapter.network
    server = DhcpServers(machine._api).find(name or "")
    lease = None if server is None else server.lease(adapter.mac)
    return None if lease is None else GuestAddress(lease.ip_address, "DHCP lease")


def _by_nat(machine: Machine, adapter: NetworkAdapter) -> GuestAddress | None:
    if adapter.attachment != "NAT":
        return None
    # NAT keeps no list of leases that one could ask for, but knows who is behind it.
    with suppress(ApiError), machine._translated("ask NAT for its neighbours"):
        with locked(machine, timeout=machine.settings.lock_timeout, needs_vm=True) as session:
            text = str(session.console.debugger.info(f"nat{adapter.slot}", ""))
        known = neighbours(text)
        # A guest that was resumed in a fork goes on with the MAC address of its parent.
        found = known.get(adapter.mac.lower()) or (
            next(iter(known.values())) if len(known) == 1 else None
        )
        return None if found is None else GuestAddress(found, "NAT")
    return None


def _by_host(_machine: Machine, adapter: NetworkAdapter) -> GuestAddress | None:
    if adapter.attachment not in {"Bridged", "HostOnly", "HostOnlyNetwork"}:
        return None
    try:
        known = neighbours(_HOST_ARP.read_text())
    except OSError:
        return None  # no Linux
    found = known.get(adapter.mac.lower())
    return None if found is None else GuestAddress(found, "ARP")


def _address(text: str) -> bool:
    try:
        return not ipaddress.ip_address(text).is_unspecified
    except ValueError:
        return False

"""Port forwards of the NAT engine: ports of the host that lead to the guest."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args
from weakref import WeakKeyDictionary

from vboxkit.com.versions import holder, platform_properties
from vboxkit.core.ports import PortLease, Protocol, lease_port, release_port
from vboxkit.errors import (
    AlreadyExistsError,
    InvalidStateError,
    NotFoundError,
    PortInUseError,
)
from vboxkit.machines.locks import pending_undo
from vboxkit.machines.parts import invalid
from vboxkit.machines.states import ONLINE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.com.api import Api
    from vboxkit.machines.base import ComObject
    from vboxkit.machines.network_adapter import NetworkAdapter

__all__ = [
    "Forward",
    "Protocol",
    "add",
    "check_address",
    "check_port",
    "check_protocol",
    "conflict",
    "read_forwards",
    "release_ports",
    "remove",
    "slots",
    "write_forward",
]

#: Addresses of a rule that mean every address of the host.
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - VirtualBox's own default, compared only


@dataclass(frozen=True)
class Forward:
    """
    A port of the host that leads to a port of the guest.

    Attributes:
        name: Its name, one of a kind on its adapter.
        protocol: ``tcp`` or ``udp``.
        host_ip: The address it listens on; an empty string means all.
        host_port: The port it listens on.
        guest_ip: The guest's address; an empty string means the one VirtualBox gave out.
        guest_port: The guest's port.
    """

    name: str
    protocol: Protocol
    host_ip: str
    host_port: int
    guest_ip: str
    guest_port: int
    #: Keeps the port ours for as long as this record lives.
    _lease: PortLease | None = field(default=None, repr=False, compare=False)

    def release(self) -> None:
        """Let other vboxkit processes choose the port again."""
        if self._lease is not None:
            self._lease.release()


def add(
    adapter: NetworkAdapter,
    *,
    guest: int,
    host: int | None,
    host_ip: str,
    guest_ip: str,
    protocol: Protocol,
    name: str | None,
) -> Forward:
    """See `NetworkAdapter.forward`."""
    check_protocol(adapter, protocol)
    for port in (guest, guest if host is None else host):
        check_port(adapter, port)
    for address in (host_ip, guest_ip):
        check_address(adapter, address)
    label = name or f"{protocol}-{guest}"
    if adapter.attachment != "NAT":
        raise InvalidStateError(
            f"{adapter._subject()} is attached as {adapter.attachment}: it forwards no ports",
            state=adapter.attachment,
            needed=["NAT"],
            operation="forward a port",
            hint="attach('NAT') first; what is attached otherwise is reached by address",
        )
    if any(known.name == label for known in adapter.forwards):
        raise AlreadyExistsError(
            f"{adapter._subject()} has a forward {label!r}",
            kind="forward",
            wanted=label,
            hint="remove() it first, or give another name",
        )
    if host is not None and (owner := conflict(adapter._api, protocol, host_ip, host)):
        # VirtualBox accepts two rules with one port; the second then silently does not work.
        raise PortInUseError(
            f"{adapter._subject()}: host port {host} is forwarded to {owner} already",
            host_ip=host_ip,
            port=host,
            holder=owner,
            hint="leave host out to get a free port",
        )
    lease = lease_port(host, host_ip=host_ip or "0.0.0.0", protocol=protocol)  # noqa: S104 - asked for
    rule = Forward(label, protocol, host_ip, lease.port, guest_ip, guest, lease)
    added = False
    try:
        with adapter._translated("forward a port"), adapter._changing() as com:
            undo = pending_undo(adapter._machine)
            undo.append(lambda _: lease.release())
            write_forward(adapter._api, com.NATEngine, rule)
            if adapter._machine.state in ONLINE:
                undo.append(lambda raw: _take_back(adapter, raw, rule))
        added = True
    finally:
        if not added:
            lease.release()
    return rule


def remove(adapter: NetworkAdapter, forward: Forward | str) -> None:
    """See `NetworkAdapter.remove`."""
    name = forward if isinstance(forward, str) else forward.name
    rules = {rule.name: rule for rule in adapter.forwards}
    if name not in rules:
        raise NotFoundError(
            f"{adapter._subject()} has no forward {name!r}, only {list(rules)}",
            kind="forward",
            wanted=name,
            available=list(rules),
            hint="their names are in .forwards",
        )
    with adapter._changing() as com:
        com.NATEngine.removeRedirect(name)
        if adapter._machine.state in ONLINE:
            rule = rules[name]
            pending_undo(adapter._machine).append(lambda raw: _put_back(adapter, raw, rule))
    release_port(rules[name].host_port, protocol=rules[name].protocol)


# discardSettings() undoes the settings of a running machine, but its NAT engine goes on with the
# rules as they were changed. Changing them once more, to and fro, brings it back in line.


def _take_back(adapter: NetworkAdapter, machine: Any, rule: Forward) -> None:
    if adapter._machine.state in ONLINE:
        engine = adapter._locate(machine).NATEngine
        write_forward(adapter._api, engine, rule)
        engine.removeRedirect(rule.name)
        machine.saveSettings()


def _put_back(adapter: NetworkAdapter, machine: Any, rule: Forward) -> None:
    if adapter._machine.state in ONLINE:
        engine = adapter._locate(machine).NATEngine
        engine.removeRedirect(rule.name)
        write_forward(adapter._api, engine, rule)
        machine.saveSettings()


def read_forwards(api: Api, engine: Any) -> list[Forward]:
    """Return the port forwards of a raw NAT engine."""
    found = []
    for line in api.array(engine, "redirects"):
        name, protocol, host_ip, host_port, guest_ip, guest_port = str(line).rsplit(",", 5)
        kind: Protocol = "tcp" if api.name("NATProtocol", int(protocol)) == "TCP" else "udp"
        found.append(Forward(name, kind, host_ip, int(host_port), guest_ip, int(guest_port)))
    return found


def write_forward(api: Api, engine: Any, rule: Forward) -> None:
    """Add a port forward to a raw NAT engine that may be changed."""
    engine.addRedirect(
        rule.name,
        api.value("NATProtocol", rule.protocol.upper()),
        rule.host_ip,
        rule.host_port,
        rule.guest_ip,
        rule.guest_port,
    )


def conflict(api: Api, protocol: Protocol, host_ip: str, port: int) -> str:
    """Return which machine has a forward that listens there, or an empty string."""
    for com in api.array(api.virtualbox, "machines"):
        if not com.accessible:
            continue
        for rule in _rules(api, com):
            if (rule.protocol, rule.host_port) == (protocol, port) and (
                rule.host_ip == host_ip or {rule.host_ip, host_ip} & set(_EVERYWHERE)
            ):
                return f"machine {str(com.name)!r}"
    return ""


def release_ports(api: Api, machine: Any) -> None:
    """Give the ports back that this process has leased for the forwards of a raw machine."""
    for rule in _rules(api, machine, used=False):
        release_port(rule.host_port, protocol=rule.protocol)


def _rules(api: Api, machine: Any, *, used: bool = True) -> Iterator[Forward]:
    nat = api.value("NetworkAttachmentType", "NAT")
    for slot in range(slots(api, machine)):
        adapter = machine.getNetworkAdapter(slot)
        if adapter.enabled and (not used or adapter.attachmentType == nat):
            yield from read_forwards(api, adapter.NATEngine)


#: The number by chipset: asking for it takes four calls, for each machine of a list.
_slots: WeakKeyDictionary[Api, dict[Any, int]] = WeakKeyDictionary()


def slots(api: Api, machine: Any) -> int:
    """Return how many network adapters a raw machine has room for."""
    chipset = holder(api, machine, "chipsetType").chipsetType
    known = _slots.setdefault(api, {})
    if chipset not in known:
        known[chipset] = int(platform_properties(api, machine).getMaxNetworkAdapters(chipset))
    return known[chipset]


# What VirtualBox does not check, or not in words


def check_protocol(obj: ComObject, protocol: str) -> None:
    """Refuse what is not ``tcp`` or ``udp``."""
    if protocol not in get_args(Protocol):
        raise invalid(
            obj,
            f"there is no protocol {protocol!r}",
            hint=f"one of {', '.join(get_args(Protocol))}",
            operation="forward a port",
        )


def check_port(obj: ComObject, port: int) -> None:
    """Refuse what is no port."""
    if not isinstance(port, int):
        raise TypeError(f"{obj._subject()}: a port is int, not {type(port).__name__}")
    if not 0 < port < 65_536:
        # VirtualBox takes it modulo 65536.
        raise invalid(
            obj, f"there is no port {port}", hint="1 to 65535", operation="forward a port"
        )


def check_address(obj: ComObject, address: str, *, version: int | None = None) -> None:
    """Refuse what is neither an IP address nor empty."""
    try:
        if address and version in {None, ipaddress.ip_address(address).version}:
            return
    except ValueError:
        pass
    if address:
        raise invalid(
            obj,
            f"{address!r} is no IP{f'v{version}' if version else ''} address",
            hint="such as fd17:625c:f037:2::5" if version == 6 else "such as 127.0.0.1",
        )

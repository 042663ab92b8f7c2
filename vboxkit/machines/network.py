"""Network adapters and the NAT engine's port forwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from vboxkit.core.ports import PortLease, lease_port
from vboxkit.errors import (
    AlreadyExistsError,
    ApiError,
    InvalidStateError,
    NotFoundError,
    PortInUseError,
)
from vboxkit.machines.base import ComObject, api_call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.com.api import Api
    from vboxkit.machines.properties import MachineProperties

__all__ = ["Forward", "Network", "NetworkAdapter"]

Protocol = Literal["tcp", "udp"]


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


class NetworkAdapter(ComObject):
    """
    One network adapter of a machine, by its slot.

    Attributes:
        slot: 0 for the first.
    """

    def __init__(self, machine: MachineProperties, slot: int) -> None:
        super().__init__(machine._api, machine.com.getNetworkAdapter(slot))
        self._machine = machine
        self.slot = slot

    def _subject(self) -> str:
        return f"{self._machine._subject()}: network adapter {self.slot}"

    def _state(self) -> str:
        return str(self._machine.state)

    def __repr__(self) -> str:
        return f"<NetworkAdapter {self.slot} of {self._machine!r}>"

    @property
    @api_call("read whether the adapter is enabled")
    def enabled(self) -> bool:
        """Whether the guest sees it."""
        return bool(self.com.enabled)

    @property
    @api_call("read the attachment")
    def attachment(self) -> str:
        """What it is attached to: ``NAT``, ``Bridged``, ``Internal``, ``Null``, ..."""
        return self._api.name("NetworkAttachmentType", self.com.attachmentType)

    @property
    @api_call("read the kind of adapter")
    def kind(self) -> str:
        """The hardware it shows to the guest: ``Virtio``, ``I82540EM``, ..."""
        return self._api.name("NetworkAdapterType", self.com.adapterType)

    @property
    @api_call("read the MAC address")
    def mac(self) -> str:
        """The MAC address, as ``08:00:27:12:34:56``."""
        raw = str(self.com.MACAddress)
        return ":".join(raw[i : i + 2] for i in range(0, len(raw), 2)).lower()

    @property
    @api_call("read the port forwards")
    def forwards(self) -> list[Forward]:
        """The NAT engine's port forwards."""
        return read_forwards(self._api, self.com.NATEngine)

    def forward(
        self,
        *,
        guest: int,
        host: int | None = None,
        host_ip: str = "127.0.0.1",
        protocol: Protocol = "tcp",
        name: str | None = None,
    ) -> Forward:
        """
        Forward a port of the host to the guest; works on a running machine too.

        Args:
            guest: The guest's port.
            host: The host's port; a free one if left out. It stays ours, also towards other
                vboxkit processes, for as long as the returned record lives.
            host_ip: The address to listen on; only this machine reaches the default.
            protocol: ``tcp`` or ``udp``.
            name: The rule's name; ``tcp-22`` and the like if left out.

        Raises:
            PortInUseError: The port is taken, by a program or by another machine's forward.
            AlreadyExistsError: There is a forward of that name.
            InvalidStateError: The adapter is not attached to NAT.

        Example:
            ``machine.network[0].forward(guest=80).host_port``
        """
        for port in (guest, guest if host is None else host):
            if not 0 < port < 65_536:
                # VirtualBox takes it modulo 65536.
                raise ApiError(
                    f"{self._subject()}: there is no port {port}",
                    symbol="E_INVALIDARG",
                    operation="forward a port",
                    hint="1 to 65535",
                )
        label = name or f"{protocol}-{guest}"
        if self.attachment != "NAT":
            raise InvalidStateError(
                f"{self._subject()} is attached as {self.attachment}: it forwards no ports",
                state=self.attachment,
                needed=["NAT"],
                operation="forward a port",
                hint="only NAT has port forwards; other attachments are reached by address",
            )
        if any(known.name == label for known in self.forwards):
            raise AlreadyExistsError(
                f"{self._subject()} has a forward {label!r}",
                kind="forward",
                wanted=label,
                hint="remove() it first, or give another name",
            )
        lease = self._lease(host, host_ip, protocol)
        added = False
        try:
            with self._translated("forward a port"), self._machine._changing() as com:
                rule = Forward(label, protocol, host_ip, lease.port, "", guest, lease)
                write_forward(self._api, com.getNetworkAdapter(self.slot).NATEngine, rule)
            added = True
        finally:
            if not added:
                lease.release()
        return rule

    def _lease(self, host: int | None, host_ip: str, protocol: Protocol) -> PortLease:
        taken = _ports_of_all(self._machine) if host is not None else {}
        if host is not None and (owner := taken.get((protocol, host))):
            # VirtualBox accepts two rules with one port; the second then silently does not work.
            raise PortInUseError(
                f"{self._subject()}: host port {host} is forwarded to machine {owner!r} already",
                host_ip=host_ip,
                port=host,
                holder=f"machine {owner!r}",
                hint="leave host out to get a free port",
            )
        return lease_port(host, host_ip=host_ip)

    @api_call("remove a port forward")
    def remove(self, forward: Forward | str) -> None:
        """
        Remove a port forward, by itself or by its name, and give its port back.

        Raises:
            NotFoundError: There is none of that name; the error lists those there are.
        """
        name = forward if isinstance(forward, str) else forward.name
        known = [rule.name for rule in self.forwards]
        if name not in known:
            raise NotFoundError(
                f"{self._subject()} has no forward {name!r}, only {known}",
                kind="forward",
                wanted=name,
                available=known,
            )
        with self._machine._changing() as com:
            com.getNetworkAdapter(self.slot).NATEngine.removeRedirect(name)
        if isinstance(forward, Forward):
            forward.release()


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


def _ports_of_all(machine: MachineProperties) -> dict[tuple[str, int], str]:
    api = machine._api
    taken: dict[tuple[str, int], str] = {}
    for com in api.array(api.virtualbox, "machines"):
        if not com.accessible:
            continue
        other = type(machine)(api, com, machine.settings)
        for rule in other.network.forwards():
            taken[rule.protocol, rule.host_port] = str(com.name)
    return taken


class Network:
    """The network adapters of a machine: ``machine.network[0]``, iteration, ``len``."""

    def __init__(self, machine: MachineProperties) -> None:
        self._machine = machine

    def __len__(self) -> int:
        api = self._machine._api
        with self._machine._translated("count the network adapters"):
            if api.version >= (7, 1):
                # 7.1 moved the limits to the platform and its chipset.
                platform = self._machine.com.platform
                properties = api.virtualbox.getPlatformProperties(platform.architecture)
                return int(properties.getMaxNetworkAdapters(platform.chipsetType))
            chipset = self._machine.com.chipsetType
            return int(api.virtualbox.systemProperties.getMaxNetworkAdapters(chipset))

    def __getitem__(self, slot: int) -> NetworkAdapter:
        if not 0 <= slot < len(self):
            raise NotFoundError(
                f"{self._machine._subject()} has no network adapter {slot}",
                kind="network adapter",
                wanted=str(slot),
                available=[str(n) for n in range(len(self))],
            )
        with self._machine._translated("read a network adapter"):
            return NetworkAdapter(self._machine, slot)

    def __iter__(self) -> Iterator[NetworkAdapter]:
        return (self[slot] for slot in range(len(self)))

    def forwards(self) -> list[Forward]:
        """Return the port forwards of all enabled NAT adapters."""
        return [
            rule
            for adapter in self
            if adapter.enabled and adapter.attachment == "NAT"
            for rule in adapter.forwards
        ]

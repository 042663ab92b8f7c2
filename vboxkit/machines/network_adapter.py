"""Network adapters of a machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from vboxkit.errors import NotFoundError
from vboxkit.machines import attachments, forwards, macs
from vboxkit.machines.accessors import UINT32
from vboxkit.machines.base import api_call
from vboxkit.machines.nat import NatEngine
from vboxkit.machines.parts import Choice, MachinePart, Setting, invalid, within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vboxkit.com.interfaces import INetworkAdapter
    from vboxkit.machines.attachments import Trace
    from vboxkit.machines.base import ComObject
    from vboxkit.machines.forwards import Forward, Protocol
    from vboxkit.machines.properties import MachineProperties

__all__ = ["AdapterKind", "Attachment", "NetworkAdapter", "PromiscuousMode"]

AdapterKind = Literal[
    "Am79C970A",
    "Am79C973",
    "I82540EM",
    "I82543GC",
    "I82545EM",
    "Virtio",
    "Am79C960",
    "NE2000",
    "NE1000",
    "WD8013",
    "WD8003",
    "ELNK2",
    "ELNK1",
    "UsbNet",
    "I82583V",
]
Attachment = Literal[
    "Null",
    "NAT",
    "Bridged",
    "Internal",
    "HostOnly",
    "Generic",
    "NATNetwork",
    "Cloud",
    "HostOnlyNetwork",
]
PromiscuousMode = Literal["Deny", "AllowNetwork", "AllowAll"]


def _check_kind(obj: ComObject, _name: str, value: Any) -> None:
    if value == "Null":
        raise invalid(obj, "kind cannot be 'Null'", hint="enabled = False hides the adapter")


class NetworkAdapter(MachinePart):
    """
    One network adapter of a machine, by its slot.

    While the machine runs, its attachment, cable, promiscuous mode, port forwards and trace can be
    changed; all else needs it powered off (`InvalidStateError`).

    Attributes:
        slot: 0 for the first.
    """

    com: INetworkAdapter

    enabled = Setting(
        "enabled", bool, "Whether the guest sees it; can be set while the machine is powered off."
    )
    kind = Choice[AdapterKind](
        "adapterType",
        "NetworkAdapterType",
        "The hardware that it shows to the guest: ``Virtio``, ``I82540EM``, ...",
        check=_check_kind,
    )
    mac = Setting(
        "MACAddress",
        macs.with_colons,
        "The MAC address, as ``08:00:27:12:34:56``. Others may have it, too: see `same_mac`.",
        check=macs.check,
        raw=macs.bare,
    )
    cable_connected = attachments.Cable(
        "cableConnected",
        bool,
        "Whether its cable is plugged in; can be set unless the machine is saved.",
    )
    promiscuous = Choice[PromiscuousMode](
        "promiscModePolicy",
        "NetworkAdapterPromiscModePolicy",
        "Whether the guest may see what is sent to others; can be set at any time.",
    )
    boot_priority = Setting(
        "bootPriority",
        int,
        "When the BIOS tries to boot from it: 1 is first, 0 last.",
        # VirtualBox takes any number; its manual says these.
        check=within(0, 4),
    )
    line_speed_kbps = Setting(
        "lineSpeed",
        int,
        "The speed that the guest is told, in kbit/s; 0 for the default of its kind.",
        check=within(0, UINT32, "kbit/s"),
    )

    def __init__(self, machine: MachineProperties, slot: int) -> None:
        self.slot = slot
        self.noun = f"network adapter {slot}"
        super().__init__(machine)

    def _locate(self, machine: Any) -> Any:
        return machine.getNetworkAdapter(self.slot)

    def __repr__(self) -> str:
        return f"<NetworkAdapter {self.slot} of {self._machine!r}>"

    # What it is attached to

    @property
    @api_call("read the attachment")
    def attachment(self) -> str:
        """What it is attached to: ``NAT``, ``Bridged``, ``Internal``, ``Null``, ..."""
        return self._api.name("NetworkAttachmentType", self._current().attachmentType)

    @property
    @api_call("read the interface")
    def interface(self) -> str | None:
        """The host's interface, if it is attached as ``Bridged`` or ``HostOnly``."""
        return attachments.target(self, "interface")

    @property
    @api_call("read the network")
    def network(self) -> str | None:
        """The network's name, if it is attached to one of those that have a name."""
        return attachments.target(self, "network")

    @property
    @api_call("read the driver")
    def driver(self) -> str | None:
        """The driver's name, if it is attached as ``Generic``."""
        return attachments.target(self, "driver")

    @property
    @api_call("read the driver's properties")
    def driver_properties(self) -> dict[str, str]:
        """What `attach` handed to the generic driver."""
        return attachments.driver_properties(self._current())

    @overload
    def attach(self, kind: Literal["Null", "NAT"]) -> None: ...
    @overload
    def attach(
        self, kind: Literal["Bridged", "HostOnly"], *, interface: str, missing_ok: bool = False
    ) -> None: ...
    @overload
    def attach(
        self,
        kind: Literal["Internal", "NATNetwork", "HostOnlyNetwork", "Cloud"],
        *,
        network: str,
        missing_ok: bool = False,
    ) -> None: ...
    @overload
    def attach(
        self,
        kind: Literal["Generic"],
        *,
        driver: str,
        properties: Mapping[str, str | int] | None = None,
    ) -> None: ...
    @api_call("attach it")
    def attach(
        self,
        kind: Attachment,
        *,
        interface: str | None = None,
        network: str | None = None,
        driver: str | None = None,
        properties: Mapping[str, str | int] | None = None,
        missing_ok: bool = False,
    ) -> None:
        """
        Attach it to something else; works on a running machine too.

        A running guest sees its cable being pulled and put back, and loses its connections through
        the NAT engine. Attaching it anew as what it is does the same, and makes changed settings
        of the NAT engine hold.

        A ``Virtio`` adapter that is attached to nothing when the machine starts, or goes on from a
        saved state, makes VirtualBox wait 60 s when it is paused, saved, powered off or attached
        again, and stays dead until the guest boots anew. Pulling the cable is better.

        Args:
            kind: ``Null`` leads nowhere.
            interface: The host's interface, for ``Bridged`` and ``HostOnly``.
            network: The network, for ``Internal`` (any name), ``NATNetwork``, ``HostOnlyNetwork``
                and ``Cloud``.
            driver: For ``Generic``: ``UDPTunnel``, ``VDE``, or another one that VirtualBox has.
            properties: The driver's, for ``Generic``; others that it had are removed.
            missing_ok: Take an interface or network that does not exist, or not yet.

        Raises:
            NotFoundError: There is no such interface or network; the error has those there are.
            DriverNeededError: The machine runs, and this attachment needs the kernel driver.
            TypeError: The arguments do not belong to this kind.

        Example:
            ``machine.network[1].attach("Internal", network="lab")``
        """
        wanted = {"interface": interface, "network": network, "driver": driver}
        given = {name: value for name, value in wanted.items() if value is not None}
        attachments.attach(self, kind, given, properties=properties, missing_ok=missing_ok)

    # The MAC address

    @property
    @api_call("look for the MAC address")
    def same_mac(self) -> list[str]:
        """
        The other adapters with this MAC address, as ``machine 'web': network adapter 0``.

        That is no error as long as they are never in one network.
        """
        return macs.others(self)

    @api_call("give it a new MAC address")
    def regenerate_mac(self) -> str:
        """Give it a new MAC address of VirtualBox's own range, and return it."""
        with self._changing() as com:
            com.MACAddress = ""
        return self.mac

    # Bandwidth

    @property
    @api_call("read the bandwidth group")
    def bandwidth_group(self) -> str | None:
        """
        The name of the group that limits what it sends, see `Machine.bandwidth_groups`.

        Can be set while the machine does not run. What the group allows can be changed at any time.
        """
        group = self._current().bandwidthGroup
        return None if group is None else str(group.name)

    @bandwidth_group.setter
    @api_call("set the bandwidth group")
    def bandwidth_group(self, name: str | None) -> None:
        with self._machine._changing() as machine:
            com = self._locate(machine)
            if name is None:
                com.bandwidthGroup = None
                return
            api = self._api
            groups = {
                str(group.name): group
                for group in machine.bandwidthControl.getAllBandwidthGroups()
                # VirtualBox would take a disk's group, too.
                if api.name("BandwidthGroupType", group.type) == "Network"
            }
            if name not in groups:
                raise NotFoundError(
                    f"{self._subject()}: there is no bandwidth group {name!r} for networks,"
                    f" only {sorted(groups)}",
                    kind="bandwidth group",
                    wanted=name,
                    available=sorted(groups),
                    hint=f"machine.bandwidth_groups.add({name!r}, kind='Network', ...)",
                )
            com.bandwidthGroup = groups[name]

    # Packets

    @api_call("trace packets")
    def trace(self, path: Path | str) -> Trace:
        """
        Write all packets into a pcap file, which is made new; works on a running machine too.

        On a running machine the adapter is attached anew, when it begins and when it ends: see
        `attach`. On a machine at rest it begins with the next start.

        Args:
            path: Its folder must exist, and be writable.

        Raises:
            StorageError: The file cannot be written; nothing was changed.

        Example:
            ``with machine.network[0].trace("web.pcap"): ...``
        """
        return attachments.trace(self, Path(path).absolute())

    @property
    @api_call("read the trace")
    def trace_file(self) -> Path | None:
        """The file that packets are written to, or `None`."""
        com = self._current()
        return Path(str(com.traceFile)) if com.traceEnabled else None

    @api_call("stop the trace")
    def stop_trace(self) -> None:
        """Write no more packets; doing it twice does no harm."""
        attachments.stop_trace(self)

    # The NAT engine

    @property
    def nat(self) -> NatEngine:
        """The settings of its NAT engine, which count while it is attached as ``NAT``."""
        with self._translated("read the NAT engine"):
            return NatEngine(self._machine, self.slot)

    @property
    @api_call("read the port forwards")
    def forwards(self) -> list[Forward]:
        """The NAT engine's port forwards."""
        return forwards.read_forwards(self._api, self._current().NATEngine)

    def forward(
        self,
        *,
        guest: int,
        host: int | None = None,
        host_ip: str = "127.0.0.1",
        guest_ip: str = "",
        protocol: Protocol = "tcp",
        name: str | None = None,
    ) -> Forward:
        """
        Forward a port of the host to the guest; works on a running machine too.

        Args:
            guest: The guest's port.
            host: The host's port; a free one if left out. It stays ours, also towards other
                vboxkit processes, for as long as the returned record lives, the rule is not
                removed, and the machine is not destroyed.
            host_ip: The address to listen on; only this machine reaches the default.
            guest_ip: The guest's address; the one that VirtualBox gave out if left out.
            protocol: ``tcp`` or ``udp``.
            name: The rule's name; ``tcp-22`` and the like if left out.

        Raises:
            PortInUseError: The port is taken, by a program or by another machine's forward.
            AlreadyExistsError: There is a forward of that name.
            InvalidStateError: The adapter is not attached to NAT.

        Example:
            ``machine.network[0].forward(guest=80).host_port``
        """
        return forwards.add(
            self,
            guest=guest,
            host=host,
            host_ip=host_ip,
            guest_ip=guest_ip,
            protocol=protocol,
            name=name,
        )

    @api_call("remove a port forward")
    def remove(self, forward: Forward | str) -> None:
        """
        Remove a port forward, by itself or by its name, and give its port back.

        Raises:
            NotFoundError: There is none of that name; the error lists those there are.
        """
        forwards.remove(self, forward)

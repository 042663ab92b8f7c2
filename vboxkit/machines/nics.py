"""The network adapters of a machine that is to be made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

from vboxkit.machines import attachments
from vboxkit.machines.accessors import one_of
from vboxkit.machines.parts import choose, invalid

if TYPE_CHECKING:
    from vboxkit.machines.base import ComObject
    from vboxkit.machines.machine import Machine

__all__ = ["Nic", "NicLike", "apply_nic", "apply_nics", "read_nics", "target_of"]


@dataclass(frozen=True)
class Nic:
    """
    A network adapter that `VirtualBox.create` is to make; see `NetworkAdapter.attach`.

    Attributes:
        attachment: ``NAT``, ``Bridged``, ``Internal``, ``HostOnly``, ``NATNetwork``, ``Null``
            (leads nowhere), ...
        interface: The host's interface, for ``Bridged`` and ``HostOnly``.
        network: The network, for attachments to one.
        driver: For ``Generic``.
        kind: The hardware, as ``Virtio``; what suits the operating system if left out.
        mac: The MAC address, as ``08:00:27:12:34:56``; a new one if left out.
        cable_connected: Whether the cable is plugged in.
    """

    attachment: str = "NAT"
    interface: str | None = None
    network: str | None = None
    driver: str | None = None
    kind: str | None = None
    mac: str | None = None
    cable_connected: bool = True


#: An attachment's name, a `Nic`, or a mapping with the names of its attributes.
NicLike: TypeAlias = str | Nic | Mapping[str, Any]


def read_nics(obj: ComObject, nics: Sequence[NicLike]) -> list[Nic]:
    """
    Return adapters as records.

    Args:
        obj: Whose they are, for messages.
        nics: What the caller gave.

    Raises:
        ApiError: There is no such attachment, kind or attribute; the hint has the near ones.
    """
    if isinstance(nics, (str, Mapping, Nic)):
        raise TypeError(f"{obj._subject()}: nics are several: [{nics!r}]")
    found = []
    for nic in nics:
        if isinstance(nic, str):
            record = Nic(nic)
        elif isinstance(nic, Nic):
            record = nic
        elif isinstance(nic, Mapping):
            for key in nic:
                one_of(obj, "attribute of a network adapter", key, [f.name for f in fields(Nic)])
            record = Nic(**nic)
        else:
            raise TypeError(f"{obj._subject()}: a nic is str, dict or Nic, not {nic!r}")
        choose(obj, "NetworkAttachmentType", record.attachment)
        if record.kind is not None:
            choose(obj, "NetworkAdapterType", record.kind)
        found.append(record)
    return found


def apply_nics(machine: Machine, nics: Sequence[Nic]) -> None:
    """
    Set up the adapters of a machine; switch the others off.

    Raises:
        ApiError: It cannot have so many, or one of them cannot be.
        NotFoundError: There is no such interface or network.
    """
    slots = len(machine.network)
    if len(nics) > slots:
        raise invalid(
            machine,
            f"it cannot have {len(nics)} network adapters",
            hint=f"0 to {slots}; chipset ICH9 has more than PIIX3",
        )
    for slot in range(slots):
        if slot < len(nics):
            apply_nic(machine, slot, nics[slot])
        elif machine.network[slot].enabled:
            machine.network[slot].enabled = False


def apply_nic(machine: Machine, slot: int, nic: Nic) -> None:
    """Set up one adapter of a machine; see `apply_nics`."""
    adapter = machine.network[slot]
    adapter.enabled = True
    if nic.kind is not None:
        adapter.kind = nic.kind  # type: ignore[assignment]  # it checks the name
    if nic.mac is not None:
        adapter.mac = nic.mac
    adapter.cable_connected = nic.cable_connected
    adapter.attach(nic.attachment, **target_of(nic))  # type: ignore[call-overload]  # as above


def target_of(nic: Nic) -> dict[str, str]:
    """Return where an adapter is to lead, as the argument of `NetworkAdapter.attach`."""
    given = {"interface": nic.interface, "network": nic.network, "driver": nic.driver}
    chosen = {name: value for name, value in given.items() if value is not None}
    needed, _ = attachments._TARGETS.get(nic.attachment, ("", ""))
    # Refused with a hint of what is missing.
    return {needed: ""} if needed and not chosen else chosen

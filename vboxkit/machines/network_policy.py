"""The posture of a machine towards the network: where its adapters lead, all together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from vboxkit.errors import NotFoundError
from vboxkit.machines.accessors import one_of
from vboxkit.machines.attachments import interfaces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vboxkit.machines.network_adapter import NetworkAdapter
    from vboxkit.machines.properties import MachineProperties

__all__ = ["NetworkPolicy", "PolicyName", "apply", "read"]

PolicyName = Literal["isolated", "nat", "internal", "open"]

#: The argument that a policy takes.
_ARGUMENTS = {"internal": "network", "open": "interface"}

_ATTACHMENTS: Mapping[PolicyName, Literal["NAT", "Internal", "Bridged"]] = {
    "nat": "NAT",
    "internal": "Internal",
    "open": "Bridged",
}

_MEANINGS = {
    "NAT": "the guest gets out through the host; in only by {forwards}",
    "Internal": "only machines on internal network {target!r} see each other",
    "Bridged": "the network of the host's {target!r} sees the guest, and the other way round",
    "HostOnly": "the host and machines on its {target!r} see each other",
    "HostOnlyNetwork": "the host and machines on {target!r} see each other",
    "NATNetwork": "the guest gets out, and machines on NAT network {target!r} see each other",
    "Cloud": "it leads to cloud network {target!r}",
    "Generic": "where driver {target!r} leads, VirtualBox does not know",
}


@dataclass(frozen=True)
class NetworkPolicy:
    """
    Which posture holds, and why.

    Attributes:
        name: ``isolated``, ``nat``, ``internal``, ``open``; ``mixed`` if none of them holds.
        why: A line for each adapter that the guest sees, or one that says that there is none.
        network: The internal network of ``internal``, the host's interface of ``open`` (the first,
            if there are several); `None` for the others.
    """

    name: Literal["isolated", "nat", "internal", "open", "mixed"]
    why: tuple[str, ...]
    network: str | None = None

    def __str__(self) -> str:
        return "\n  ".join([self.name, *self.why])


def read(machine: MachineProperties) -> NetworkPolicy:
    """See `Network.policy`."""
    with machine._translated("read the network policy"):
        adapters = [adapter for adapter in machine.network if adapter.enabled]
        why = tuple(_reason(adapter) for adapter in adapters)
        ways = [(a.attachment, a.interface or a.network) for a in adapters if _leads(a)]
    kinds = {kind for kind, _ in ways}
    if not ways:
        return NetworkPolicy("isolated", why or ("no adapter is enabled",))
    if "Bridged" in kinds:
        # However the others are: by this one the guest is in the open.
        return NetworkPolicy("open", why, next(name for kind, name in ways if kind == "Bridged"))
    if kinds == {"NAT"}:
        return NetworkPolicy("nat", why)
    if kinds == {"Internal"} and len(set(ways)) == 1:
        return NetworkPolicy("internal", why, ways[0][1])
    return NetworkPolicy("mixed", why)


def _leads(adapter: NetworkAdapter) -> bool:
    return adapter.attachment != "Null" and adapter.cable_connected


def _reason(adapter: NetworkAdapter) -> str:
    kind = adapter.attachment
    if kind == "Null":
        text = "it is attached to nothing"
    elif not adapter.cable_connected:
        text = f"its cable is not connected (it is attached as {kind})"
    else:
        count = len(adapter.forwards)
        text = _MEANINGS.get(kind, "unknown to vboxkit").format(
            target=adapter.interface or adapter.network or adapter.driver,
            forwards=f"{count} port forward{'s' if count != 1 else ''}",
        )
        text = f"attached as {kind}: {text}"
    return f"adapter {adapter.slot}: {text}"


def apply(machine: MachineProperties, name: PolicyName, given: Mapping[str, str]) -> None:
    """See `Network.policy`."""
    one_of(machine, "network policy", name, get_args(PolicyName))
    argument = _ARGUMENTS.get(name)
    if set(given) - {argument} or (name == "internal" and not given):
        wanted = f"takes {argument}=" if argument else "takes nothing else"
        got = ", ".join(given) or "nothing"
        msg = f"{machine._subject()}: policy({name!r}) {wanted}, not {got}"
        raise TypeError(msg)
    with machine.edit():
        adapters = [adapter for adapter in machine.network if adapter.enabled]
        if not adapters and name != "isolated":
            adapters = [machine.network[0]]
            adapters[0].enabled = True
        target = given.get(argument or "")
        if name == "open" and not target:
            target = _first_up(machine)
        for adapter in adapters:
            if name == "isolated":
                _cut_off(adapter)
            else:
                _lead(adapter, _ATTACHMENTS[name], target)


def _cut_off(adapter: NetworkAdapter) -> None:
    # Not attach("Null"): what starts with a Virtio adapter attached to nothing takes 60 s to pause
    # or save. And forwards of an adapter that stays NAT are kept apart in forks.
    if _leads(adapter):
        adapter.cable_connected = False


def _lead(
    adapter: NetworkAdapter, kind: Literal["NAT", "Internal", "Bridged"], target: str | None
) -> None:
    if (adapter.attachment, adapter.interface or adapter.network) != (kind, target):
        # Attaching anew what is attached already would cost a running guest its connections.
        if kind == "Internal":
            adapter.attach(kind, network=target or "")
        elif kind == "Bridged":
            adapter.attach(kind, interface=target or "")
        else:
            adapter.attach(kind)
    if not adapter.cable_connected:
        adapter.cable_connected = True


def _first_up(machine: MachineProperties) -> str:
    api = machine._api
    up = api.value("HostNetworkInterfaceStatus", "Up")
    known = interfaces(api, "Bridged")
    for com in known:
        if com.status == up and str(com.IPAddress) not in {"", "0.0.0.0"}:  # noqa: S104 - compared
            return str(com.name)
    raise NotFoundError(
        f"{machine._subject()}: no interface of this host is up and has an address",
        kind="interface",
        available=[str(com.name) for com in known],
        operation="open the network",
        hint="give one: policy('open', interface=...)",
    )

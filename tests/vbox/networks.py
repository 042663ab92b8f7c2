"""The networks of the host that tests make, and how they go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vboxkit import VirtualBox

__all__ = ["delete_networks", "networks"]


def networks(vbox: VirtualBox, prefix: str) -> set[str]:
    """Return the networks whose names have the tests' prefix, a line each."""
    every: dict[str, Any] = {
        "nat": vbox.networks.nat,
        "dhcp": vbox.networks.dhcp,
        "cloud": vbox.networks.cloud,
    }
    return {f"{kind} {n}" for kind, each in every.items() for n in each.names() if prefix in n}


def delete_networks(vbox: VirtualBox, prefix: str) -> None:
    """Delete them; the tests' machines are cut off first."""
    for each in (vbox.networks.nat, vbox.networks.dhcp, vbox.networks.cloud):
        for network in each:
            if prefix in network.name:
                for machine in vbox.machines:
                    if prefix in machine.name:
                        machine.network.policy("isolated")
                network.delete()

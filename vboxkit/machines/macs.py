"""MAC addresses of network adapters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from vboxkit.machines.forwards import slots
from vboxkit.machines.parts import invalid

if TYPE_CHECKING:
    from vboxkit.machines.base import ComObject
    from vboxkit.machines.network_adapter import NetworkAdapter

__all__ = ["bare", "check", "others", "with_colons"]


def bare(mac: str) -> str:
    """Return an address as VirtualBox writes it."""
    return re.sub("[:.-]", "", str(mac)).upper()


def with_colons(raw: Any) -> str:
    """Return VirtualBox's address as everybody else writes it."""
    text = bare(raw).lower()
    return ":".join(text[i : i + 2] for i in range(0, len(text), 2))


def check(obj: ComObject, _name: str, value: Any) -> None:
    """Refuse what is no MAC address of one adapter."""
    text = bare(value)
    if not re.fullmatch("[0-9A-F]{12}", text) or int(text[1], 16) & 1 or not int(text, 16):
        # VirtualBox would take 00:00:00:00:00:00.
        raise invalid(
            obj,
            f"the MAC address cannot be {value!r}",
            hint="six bytes, the first one even, not all zero: such as 08:00:27:12:34:56",
        )


def others(adapter: NetworkAdapter) -> list[str]:
    """See `NetworkAdapter.same_mac`."""
    mine = bare(adapter.mac)
    found = []
    api = adapter._api
    for com in api.array(api.virtualbox, "machines"):
        if not com.accessible:
            continue
        own = str(com.id) == adapter._machine.id
        for slot in range(slots(api, com)):
            other = com.getNetworkAdapter(slot)
            if (own and slot == adapter.slot) or not other.enabled:
                continue
            if str(other.MACAddress) == mine:
                found.append(f"machine {str(com.name)!r}: network adapter {slot}")
    return found

"""
A private network in user space: a learning Ethernet switch on loopback that can misbehave.

Knows no VirtualBox: each port of the switch is a UDP socket on 127.0.0.1, and a datagram is an
Ethernet frame. `vboxkit.lab` joins machines to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from vboxkit.net.faults import Faults
    from vboxkit.net.process import SwitchProcess
    from vboxkit.net.switch import Switch

__all__ = ["Faults", "Switch", "SwitchProcess"]

_HOMES = {"Faults": "faults", "Switch": "switch", "SwitchProcess": "process"}

__getattr__, __dir__ = lazy_names(globals(), _HOMES)

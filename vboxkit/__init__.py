"""
vboxkit: disposable VirtualBox machines for tests and scripts.

Importing this loads next to nothing: paramiko, rich and VirtualBox's own modules are loaded by
what needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from vboxkit.errors import EmulatedWarning, VBoxKitError
    from vboxkit.guest.credentials import Credentials
    from vboxkit.guest.result import Result
    from vboxkit.lab.images import Image, ImageSource
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.vm import VM
    from vboxkit.machines.fork import Fork
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.network import Forward, NetworkAdapter
    from vboxkit.machines.progress import Progress
    from vboxkit.machines.snapshots import Snapshot
    from vboxkit.machines.states import MachineState, SessionState
    from vboxkit.machines.virtualbox import VirtualBox, connect
    from vboxkit.settings import Settings

__version__ = "0.1.0"

__all__ = [
    "VM",
    "Credentials",
    "EmulatedWarning",
    "Fork",
    "Forward",
    "Image",
    "ImageSource",
    "Lab",
    "Machine",
    "MachineState",
    "NetworkAdapter",
    "Progress",
    "Result",
    "SessionState",
    "Settings",
    "Snapshot",
    "VBoxKitError",
    "VirtualBox",
    "__version__",
    "connect",
]

_HOMES = {
    "VM": "lab.vm",
    "Credentials": "guest.credentials",
    "EmulatedWarning": "errors",
    "Fork": "machines.fork",
    "Forward": "machines.network",
    "Image": "lab.images",
    "ImageSource": "lab.images",
    "Lab": "lab.lab",
    "Machine": "machines.machine",
    "MachineState": "machines.states",
    "NetworkAdapter": "machines.network",
    "Progress": "machines.progress",
    "Result": "guest.result",
    "SessionState": "machines.states",
    "Settings": "settings",
    "Snapshot": "machines.snapshots",
    "VBoxKitError": "errors",
    "VirtualBox": "machines.virtualbox",
    "connect": "machines.virtualbox",
}

__getattr__, __dir__ = lazy_names(globals(), _HOMES)

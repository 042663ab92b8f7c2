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
    from vboxkit.lab.images import ImageSource
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.provisioning import Call, Put, Run
    from vboxkit.lab.records import Image
    from vboxkit.lab.vm import VM
    from vboxkit.machines.fork import Fork
    from vboxkit.machines.guest_properties import GuestProperty
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.network import Forward, NetworkAdapter
    from vboxkit.machines.nics import Nic
    from vboxkit.machines.os_types import OsType
    from vboxkit.machines.progress import Progress, progress_hook
    from vboxkit.machines.record import Diff, Record, diff
    from vboxkit.machines.shared_folders import SharedFolder
    from vboxkit.machines.snapshots import Snapshot
    from vboxkit.machines.states import MachineState, SessionState
    from vboxkit.machines.virtualbox import VirtualBox, connect
    from vboxkit.settings import Settings

__version__ = "0.1.0"

__all__ = [
    "VM",
    "Call",
    "Credentials",
    "Diff",
    "EmulatedWarning",
    "Fork",
    "Forward",
    "GuestProperty",
    "Image",
    "ImageSource",
    "Lab",
    "Machine",
    "MachineState",
    "NetworkAdapter",
    "Nic",
    "OsType",
    "Progress",
    "Put",
    "Record",
    "Result",
    "Run",
    "SessionState",
    "Settings",
    "SharedFolder",
    "Snapshot",
    "VBoxKitError",
    "VirtualBox",
    "__version__",
    "connect",
    "diff",
    "progress_hook",
]

_HOMES = {
    "VM": "lab.vm",
    "Call": "lab.provisioning",
    "Credentials": "guest.credentials",
    "Diff": "machines.record",
    "EmulatedWarning": "errors",
    "Fork": "machines.fork",
    "Forward": "machines.network",
    "GuestProperty": "machines.guest_properties",
    "Image": "lab.records",
    "ImageSource": "lab.images",
    "Lab": "lab.lab",
    "Machine": "machines.machine",
    "MachineState": "machines.states",
    "NetworkAdapter": "machines.network",
    "Nic": "machines.nics",
    "OsType": "machines.os_types",
    "Progress": "machines.progress",
    "Record": "machines.record",
    "Put": "lab.provisioning",
    "Result": "guest.result",
    "Run": "lab.provisioning",
    "SessionState": "machines.states",
    "Settings": "settings",
    "SharedFolder": "machines.shared_folders",
    "Snapshot": "machines.snapshots",
    "VBoxKitError": "errors",
    "VirtualBox": "machines.virtualbox",
    "connect": "machines.virtualbox",
    "diff": "machines.record",
    "progress_hook": "machines.progress",
}

__getattr__, __dir__ = lazy_names(globals(), _HOMES)

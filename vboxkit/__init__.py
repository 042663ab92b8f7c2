"""
vboxkit: disposable VirtualBox machines for tests and scripts.

Importing this loads next to nothing: paramiko, rich and VirtualBox's own modules are loaded by
what needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from vboxkit.core.fault import Fault
    from vboxkit.core.result import Result
    from vboxkit.errors import AuditWarning, EmulatedWarning, VBoxKitError
    from vboxkit.guest.credentials import Credentials
    from vboxkit.lab.images import ImageSource
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.provisioning import Call, Put, Run
    from vboxkit.lab.records import Image
    from vboxkit.lab.vm import VM
    from vboxkit.machines.attachments import Trace
    from vboxkit.machines.bandwidth import BandwidthGroup
    from vboxkit.machines.efi_variables import EfiVariable
    from vboxkit.machines.encryption import Encryption
    from vboxkit.machines.event_base import Event
    from vboxkit.machines.events import EventStream, Subscription
    from vboxkit.machines.exporting import Export
    from vboxkit.machines.fork import Fork
    from vboxkit.machines.guest_properties import GuestProperty
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.media_tree import MediaTree
    from vboxkit.machines.medium import Medium
    from vboxkit.machines.medium_attachment import MediumAttachment
    from vboxkit.machines.medium_formats import MediumFormat
    from vboxkit.machines.metric_values import HostMetrics, MachineMetrics
    from vboxkit.machines.metrics import MetricsStream
    from vboxkit.machines.nat_networks import NatNetwork
    from vboxkit.machines.network import Forward, NetworkAdapter
    from vboxkit.machines.network_policy import NetworkPolicy
    from vboxkit.machines.nics import Nic
    from vboxkit.machines.os_types import OsType
    from vboxkit.machines.progress import Progress, progress_hook
    from vboxkit.machines.record import Change, Diff, Record, diff
    from vboxkit.machines.serial_port import SerialPort
    from vboxkit.machines.shared_folders import SharedFolder
    from vboxkit.machines.snapshots import Snapshot
    from vboxkit.machines.states import MachineState, SessionState
    from vboxkit.machines.storage_controller import StorageController
    from vboxkit.machines.usb import UsbController, UsbDevice, UsbFilter
    from vboxkit.machines.virtualbox import VirtualBox, connect
    from vboxkit.settings import Settings

__version__ = "0.1.0"

__all__ = [
    "VM",
    "AuditWarning",
    "BandwidthGroup",
    "Call",
    "Change",
    "Credentials",
    "Diff",
    "EfiVariable",
    "EmulatedWarning",
    "Encryption",
    "Event",
    "EventStream",
    "Export",
    "Fault",
    "Fork",
    "Forward",
    "GuestProperty",
    "HostMetrics",
    "Image",
    "ImageSource",
    "Lab",
    "Machine",
    "MachineMetrics",
    "MachineState",
    "MediaTree",
    "Medium",
    "MediumAttachment",
    "MediumFormat",
    "MetricsStream",
    "NatNetwork",
    "NetworkAdapter",
    "NetworkPolicy",
    "Nic",
    "OsType",
    "Progress",
    "Put",
    "Record",
    "Result",
    "Run",
    "SerialPort",
    "SessionState",
    "Settings",
    "SharedFolder",
    "Snapshot",
    "StorageController",
    "Subscription",
    "Trace",
    "UsbController",
    "UsbDevice",
    "UsbFilter",
    "VBoxKitError",
    "VirtualBox",
    "__version__",
    "connect",
    "diff",
    "progress_hook",
]

_HOMES = {
    "AuditWarning": "errors",
    "BandwidthGroup": "machines.bandwidth",
    "Call": "lab.provisioning",
    "Change": "machines.record",
    "Credentials": "guest.credentials",
    "Diff": "machines.record",
    "EfiVariable": "machines.efi_variables",
    "EmulatedWarning": "errors",
    "Encryption": "machines.encryption",
    "Event": "machines.event_base",
    "EventStream": "machines.events",
    "Export": "machines.exporting",
    "Fault": "core.fault",
    "Fork": "machines.fork",
    "Forward": "machines.network",
    "GuestProperty": "machines.guest_properties",
    "HostMetrics": "machines.metric_values",
    "Image": "lab.records",
    "ImageSource": "lab.images",
    "Lab": "lab.lab",
    "Machine": "machines.machine",
    "MachineMetrics": "machines.metric_values",
    "MachineState": "machines.states",
    "MediaTree": "machines.media_tree",
    "Medium": "machines.medium",
    "MediumAttachment": "machines.medium_attachment",
    "MediumFormat": "machines.medium_formats",
    "MetricsStream": "machines.metrics",
    "NatNetwork": "machines.nat_networks",
    "NetworkAdapter": "machines.network",
    "NetworkPolicy": "machines.network_policy",
    "Nic": "machines.nics",
    "OsType": "machines.os_types",
    "Progress": "machines.progress",
    "Put": "lab.provisioning",
    "Record": "machines.record",
    "Result": "core.result",
    "Run": "lab.provisioning",
    "SerialPort": "machines.serial_port",
    "SessionState": "machines.states",
    "Settings": "settings",
    "SharedFolder": "machines.shared_folders",
    "Snapshot": "machines.snapshots",
    "StorageController": "machines.storage_controller",
    "Subscription": "machines.events",
    "Trace": "machines.attachments",
    "UsbController": "machines.usb",
    "UsbDevice": "machines.usb",
    "UsbFilter": "machines.usb",
    "VBoxKitError": "errors",
    "VM": "lab.vm",
    "VirtualBox": "machines.virtualbox",
    "connect": "machines.virtualbox",
    "diff": "machines.record",
    "progress_hook": "machines.progress",
}

__getattr__, __dir__ = lazy_names(globals(), _HOMES)

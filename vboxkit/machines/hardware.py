"""The parts of a machine, each an attribute with settings of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from uuid import UUID

from vboxkit.machines.accessors import LiveChoice, LiveSetting
from vboxkit.machines.audio import Audio
from vboxkit.machines.bandwidth import BandwidthGroups
from vboxkit.machines.chipset import Chipset, Paravirt, Tpm
from vboxkit.machines.cpu import Cpu, HwVirt
from vboxkit.machines.efi import Efi
from vboxkit.machines.extra_data import ExtraData
from vboxkit.machines.firmware import BootOrder, Firmware
from vboxkit.machines.graphics import Graphics, Vrde
from vboxkit.machines.groups import GroupsPart
from vboxkit.machines.guest_properties import GuestProperties
from vboxkit.machines.icon import Icon
from vboxkit.machines.machine_encryption import EncryptableMachine
from vboxkit.machines.mappings import MappingPart
from vboxkit.machines.parts import Choice, Part, Setting, invalid, within
from vboxkit.machines.serial_port import SerialPorts
from vboxkit.machines.shared_folders import SharedFolders
from vboxkit.machines.storage import Storage
from vboxkit.machines.usb import Usb

if TYPE_CHECKING:
    from vboxkit.machines.base import ComObject
    from vboxkit.machines.medium import Medium
    from vboxkit.machines.properties import MachineProperties

__all__ = ["KeyboardType", "MachineHardware", "Pointing", "SharedWithGuest"]

Pointing = Literal[
    "None",
    "PS2Mouse",
    "USBMouse",
    "USBTablet",
    "ComboMouse",
    "USBMultiTouch",
    "USBMultiTouchScreenPlusPad",
]
KeyboardType = Literal["None", "PS2Keyboard", "USBKeyboard", "ComboKeyboard"]
SharedWithGuest = Literal["Disabled", "HostToGuest", "GuestToHost", "Bidirectional"]


def _is_uuid(obj: ComObject, name: str, value: str) -> None:
    # VirtualBox says only that the argument is invalid.
    try:
        UUID(value)
    except ValueError:
        raise invalid(
            obj, f"{name} cannot be {value!r}", hint="a UUID, as str(uuid.uuid4())"
        ) from None


def _most_balloon(machine: MachineProperties) -> int:
    # VirtualBox leaves a tenth to the guest.
    return machine.memory_mb * 9 // 10


class MachineHardware(EncryptableMachine):
    """The part of `Machine` that lists what it is made of; a line each."""

    extra_data = MappingPart(ExtraData, "Texts that programs keep with it; a `dict`.")
    guest_properties = MappingPart(GuestProperties, "Names and values shared with the guest.")
    shared_folders = MappingPart(SharedFolders, "Folders of the host that the guest sees.")
    groups = GroupsPart()
    icon = Icon()

    cpu = Part(Cpu, "The virtual processors; how many there are is `cpus`.")
    hw_virt = Part(HwVirt, "How the host's hardware virtualisation is used.")
    chipset = Part(Chipset, "The chipset, its IOMMU and its clocks.")
    firmware = Part(Firmware, "BIOS or EFI.")
    efi = Part(Efi, "EFI's variables, keys and secure boot.")
    tpm = Part(Tpm, "The trusted platform module.")
    paravirt = Part(Paravirt, "The hypervisor interface that the guest sees.")
    graphics = Part(Graphics, "The graphics adapter.")
    vrde = Part(Vrde, "The server that shows the screen to remote clients.")
    audio = Part(Audio, "Sound.")
    usb = Part(Usb, "USB controllers, filters and devices.")
    storage = Part(Storage, "Its storage controllers, and what is attached to them.")
    bandwidth_groups = Part(BandwidthGroups, "Limits that its disks or adapters share.")
    serial_ports = Part(SerialPorts, "The serial ports, by slot; `serial` is the first.")

    boot_order = BootOrder("What it boots from, in order, as ``('DVD', 'HardDisk')``.")
    pointing = Choice[Pointing]("pointingHIDType", "PointingHIDType", "The mouse or tablet.")
    keyboard_type = Choice[KeyboardType](
        "keyboardHIDType", "KeyboardHIDType", "Which keyboard it has."
    )
    clipboard = LiveChoice[SharedWithGuest](
        "clipboardMode", "ClipboardMode", "Who may read whose clipboard; can be set at any time."
    )
    clipboard_files = LiveSetting(
        "clipboardFileTransfersEnabled", bool, "Whether the clipboard takes files along."
    )
    drag_and_drop = LiveChoice[SharedWithGuest](
        "dnDMode", "DnDMode", "Where things can be dragged to; can be set at any time."
    )
    memory_balloon_mb = LiveSetting(
        "memoryBalloonSize",
        int,
        "Guest memory in MiB that the host has back; needs Guest Additions. At any time.",
        check=within(0, _most_balloon, "MiB"),
    )
    page_fusion = Setting(
        "pageFusionEnabled",
        bool,
        "Share equal memory pages of machines; builds without it refuse any value.",
    )
    hardware_id = Setting(
        "hardwareUUID", str, "The UUID that the guest sees in SMBIOS.", check=_is_uuid
    )
    usb_card_reader = Setting(
        "emulatedUSBCardReaderEnabled", bool, "Whether the guest sees a smart card reader."
    )

    @property
    def disks(self) -> list[Medium]:
        """The hard disks that are attached now; see `Storage`."""
        return self.storage.disks

"""What a machine does before its guest's boot loader runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from vboxkit.com.versions import holder
from vboxkit.machines.accessors import INT64, UINT32, MachineChoice, MachineSetting, offered, one_of
from vboxkit.machines.parts import Choice, MachinePart, Setting, invalid, within

if TYPE_CHECKING:
    from vboxkit.machines.base import ComObject

__all__ = ["ApicMode", "BootDevice", "BootMenu", "BootOrder", "Firmware", "FirmwareType"]

FirmwareType = Literal["BIOS", "EFI", "EFI32", "EFI64", "EFIDUAL"]
BootMenu = Literal["Disabled", "MenuOnly", "MessageAndMenu"]
ApicMode = Literal["Disabled", "APIC", "X2APIC"]
BootDevice = Literal["Floppy", "DVD", "HardDisk", "Network", "Null"]

#: What can be booted from; VirtualBox takes a shared folder, too, and 7.0 does not tell.
_BOOTABLE = ("Floppy", "DVD", "HardDisk", "Network", "Null")


def _readable(obj: Any, name: str, value: Any) -> None:
    # VirtualBox takes any path, and the start then fails.
    if value and not Path(value).is_file():
        raise invalid(obj, f"{name}: there is no file {value}", hint="give the path of a BMP file")


class Firmware(MachinePart):
    """
    BIOS or EFI, and what both do; can be set while the machine is powered off.

    EFI's variables and secure boot are `Machine.efi`.

    Example:
        ``machine.firmware.kind = "EFI"``
    """

    noun = "firmware"

    kind = MachineChoice[FirmwareType](
        "firmwareType",
        "FirmwareType",
        "``BIOS``, or ``EFI`` (32 or 64 bits, as the guest's type wants).",
        check=offered("supportedFirmwareTypes", "FirmwareType"),
    )
    boot_menu = Choice[BootMenu](
        "bootMenuMode", "FirmwareBootMenuMode", "Whether F12 shows a menu, and whether it says so."
    )
    acpi = Setting("ACPIEnabled", bool, "Whether the guest sees ACPI; it needs it to shut down.")
    io_apic = Setting("IOAPICEnabled", bool, "Whether the guest sees an I/O APIC.")
    apic_mode = Choice[ApicMode]("APICMode", "APICMode", "The APIC that the firmware announces.")
    logo_fade_in = Setting("logoFadeIn", bool, "Whether the logo fades in.")
    logo_fade_out = Setting("logoFadeOut", bool, "Whether the logo fades out.")
    logo_display_time_ms = Setting(
        "logoDisplayTime",
        int,
        "How long the logo stays, in milliseconds.",
        check=within(0, UINT32, "ms"),
    )
    logo_image = Setting(
        "logoImagePath",
        str,
        "The path of a BMP file that is shown instead; an empty text for VirtualBox's own.",
        check=_readable,
    )
    time_offset_ms = Setting(
        "timeOffset",
        int,
        "How far the guest's clock is ahead of the host's, in milliseconds.",
        check=within(-INT64, INT64, "ms"),
    )
    pxe_debug = Setting("PXEDebugEnabled", bool, "Whether booting by network is logged.")
    smbios_uuid_little_endian = Setting(
        "SMBIOSUuidLittleEndian", bool, "Whether the UUID in SMBIOS is little endian, as it should."
    )
    auto_serial_numbers = MachineSetting(
        "AutoSerialNumGen",
        bool,
        "Whether SMBIOS has serial numbers made of the UUID; VirtualBox 7.1 and newer.",
    )

    def _locate(self, machine: Any) -> Any:
        return holder(self._machine._api, machine, "bootMenuMode")


class BootOrder(Setting["tuple[BootDevice, ...]"]):
    """The devices that a machine boots from, in order; an attribute of the machine."""

    def __init__(self, doc: str) -> None:
        # With a `raw` any sequence can be assigned.
        super().__init__("bootOrder", tuple, doc, check=self._bootable, raw=tuple)

    @staticmethod
    def _positions(obj: ComObject) -> range:
        properties = obj._api.virtualbox.systemProperties
        most = holder(obj._api, properties, "maxBootPosition").maxBootPosition
        return range(1, int(most) + 1)

    @classmethod
    def _bootable(cls, obj: ComObject, name: str, value: Any) -> None:
        if isinstance(value, str):
            msg = f"{obj._subject()}: {name} is a sequence of names, not str"
            raise TypeError(msg)
        for device in value:
            one_of(obj, "boot device", device, _BOOTABLE)
        named = [device for device in value if device != "Null"]
        if len(set(named)) != len(named):
            raise invalid(obj, f"{name} names a device twice: {list(value)}", hint="once each")
        most = len(cls._positions(obj))
        if len(value) > most:
            raise invalid(
                obj, f"{name} cannot have {len(value)} devices", hint=f"at most {most} of them"
            )

    def _read(self, obj: ComObject) -> Any:
        com = obj._current()
        api = obj._api
        found = [api.name("DeviceType", com.getBootOrder(n)) for n in self._positions(obj)]
        while found and found[-1] == "Null":
            found.pop()
        return found

    def _from_raw(self, _obj: ComObject, raw: Any) -> tuple[BootDevice, ...]:
        return cast("tuple[BootDevice, ...]", tuple(raw))

    def _write(self, obj: ComObject, com: Any, raw: Any) -> None:
        for index, position in enumerate(self._positions(obj)):
            device = raw[index] if index < len(raw) else "Null"
            com.setBootOrder(position, obj._api.value("DeviceType", device))

"""The guest operating systems that VirtualBox knows, and how it would set up machines for them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vboxkit.com.versions import has
from vboxkit.errors import NotFoundError
from vboxkit.machines.base import ComObject, api_call

if TYPE_CHECKING:
    from vboxkit.com.api import Api

__all__ = ["OsType", "OsTypes", "Recommended"]

_MIB = 1024 * 1024


@dataclass(frozen=True)
class Recommended:
    """
    The settings that VirtualBox recommends for an operating system.

    Enumerations are VirtualBox's own names.

    Attributes:
        memory_mb: RAM in MiB.
        disk_mb: The size of its disk in MiB.
        cpus: Virtual CPUs.
        video_memory_mb: The graphics card's memory in MiB.
        firmware: ``BIOS``, ``EFI``, ...
        chipset: ``PIIX3``, ``ICH9``, ...
        graphics: The graphics controller.
        network: The kind of network adapter.
        audio: The sound card.
        disk_controller: The storage controller for disks.
        disk_bus: Its bus.
        dvd_controller: The storage controller for DVD drives.
        dvd_bus: Its bus.
        floppy: Whether it wants a floppy drive.
        usb: Whether it can use USB.
        usb3: Whether it can use USB 3.
        usb_tablet: Whether a pointer by USB suits it.
        usb_keyboard: Whether a keyboard by USB suits it.
        clock_in_utc: Whether it expects the hardware clock in UTC.
        io_apic: Whether it needs an I/O APIC.
        x2apic: Whether it can use the newer interrupt controller.
        pae: Whether it needs PAE.
        hpet: Whether it needs the high precision timer.
        accelerated_3d: Whether 3D acceleration suits it.
        tpm: The kind of TPM that it needs.
        secure_boot: Whether it boots with secure boot.
        iommu: The kind of IOMMU that it needs.
    """

    memory_mb: int
    disk_mb: int
    cpus: int
    video_memory_mb: int
    firmware: str
    chipset: str
    graphics: str
    network: str
    audio: str
    disk_controller: str
    disk_bus: str
    dvd_controller: str
    dvd_bus: str
    floppy: bool
    usb: bool
    usb3: bool
    usb_tablet: bool
    usb_keyboard: bool
    clock_in_utc: bool
    io_apic: bool
    x2apic: bool
    pae: bool
    hpet: bool
    accelerated_3d: bool
    tpm: str
    secure_boot: bool
    iommu: str


@dataclass(frozen=True)
class OsType:
    """
    A guest operating system.

    Attributes:
        id: Its name in the API, as ``Debian_64``.
        description: Its name for people, as ``Debian (64-bit)``.
        family: ``Linux``, ``Windows``, ...
        subtype: ``Debian``, ``Ubuntu``, ...; empty where there is none, and before 7.1.
        architecture: The processor's: ``x86`` or ``ARM``.
        is_64bit: Whether it is a 64-bit system.
        recommended: The settings that suit it.
    """

    id: str
    description: str
    family: str
    subtype: str
    architecture: str
    is_64bit: bool
    recommended: Recommended


class OsTypes(ComObject, Mapping[str, OsType]):
    """
    The operating systems by their ids: ``vbox.os_types["Debian_64"]``.

    They are VirtualBox's own and stay as they are, so they are read once for each connection: ids
    and names when first needed, a system's settings when it is first asked for.

    Example:
        ``print(vbox.os_types["Debian_64"].recommended.memory_mb)``
    """

    def __init__(self, api: Api) -> None:
        super().__init__(api, api.virtualbox)
        self._read: dict[str, OsType] = {}

    def _subject(self) -> str:
        return "VirtualBox"

    def __repr__(self) -> str:
        return "<OsTypes>"

    @cached_property
    def _index(self) -> dict[str, tuple[Any, str]]:
        """The raw types, with all text by which they may be looked for."""
        with self._translated("list the operating systems"):
            return {
                str(com.id): (com, f"{com.id} {com.description} {com.familyId}")
                for com in self._api.array(self.com, "guestOSTypes")
            }

    @api_call("read an operating system")
    def __getitem__(self, type_id: str) -> OsType:
        if type_id not in self._read:
            self._read[type_id] = _os_type(self._api, self._find(type_id))
        return self._read[type_id]

    def _find(self, type_id: str) -> Any:
        """Return a raw type; one alone is found faster than by the list."""
        try:
            com = self.com.getGuestOSType(str(type_id))
        except Exception as error:
            foreign = self._api.foreign(error)
            if foreign is None or foreign.symbol != "VBOX_E_OBJECT_NOT_FOUND":
                raise
            com = None
        # VirtualBox also takes "debian_64".
        if com is None or str(com.id) != type_id:
            raise self._missing(str(type_id))
        return com

    def _missing(self, wanted: str) -> NotFoundError:
        near = self.near(wanted)
        return NotFoundError(
            f"VirtualBox knows no operating system {wanted!r}",
            kind="operating system",
            wanted=wanted,
            available=list(self),
            hint=f"did you mean {' or '.join(near)}?"
            if near
            else "vbox.os_types lists them; Other_64 suits all",
        )

    def __contains__(self, type_id: object) -> bool:
        return type_id in self._index

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def find(self, text: str) -> list[OsType]:
        """
        Return the systems in whose id, description or family all these words are.

        Example:
            ``[system.id for system in vbox.os_types.find("debian 64")]``
        """
        words = text.lower().split()
        return [
            self[type_id]
            for type_id, (_, names) in self._index.items()
            if all(word in names.lower() for word in words)
        ]

    def near(self, text: str) -> list[str]:
        """Return the ids, at most five, that look like a text, or whose descriptions do."""
        names: dict[str, str] = {}
        for type_id, (com, _) in self._index.items():
            names.setdefault(type_id.lower(), type_id)
            names.setdefault(str(com.description).lower(), type_id)
        close = difflib.get_close_matches(text.lower(), names, n=5, cutoff=0.6)
        inside = [found for name, found in names.items() if text and text.lower() in name]
        return list(dict.fromkeys(inside + [names[name] for name in close]))[:5]


def _os_type(api: Api, com: Any) -> OsType:
    newer = has(api, "IGuestOSType", "platformArchitecture")
    return OsType(
        id=str(com.id),
        description=str(com.description),
        family=str(com.familyId),
        subtype=str(com.subtype) if newer else "",
        architecture=api.name("PlatformArchitecture", com.platformArchitecture) if newer else "x86",
        is_64bit=bool(com.is64Bit),
        recommended=Recommended(
            memory_mb=int(com.recommendedRAM),
            disk_mb=int(com.recommendedHDD) // _MIB,
            cpus=int(com.recommendedCPUCount),
            video_memory_mb=int(com.recommendedVRAM),
            firmware=api.name("FirmwareType", com.recommendedFirmware),
            chipset=api.name("ChipsetType", com.recommendedChipset),
            graphics=api.name("GraphicsControllerType", com.recommendedGraphicsController),
            network=api.name("NetworkAdapterType", com.adapterType),
            audio=api.name("AudioControllerType", com.recommendedAudioController),
            disk_controller=api.name("StorageControllerType", com.recommendedHDStorageController),
            disk_bus=api.name("StorageBus", com.recommendedHDStorageBus),
            dvd_controller=api.name("StorageControllerType", com.recommendedDVDStorageController),
            dvd_bus=api.name("StorageBus", com.recommendedDVDStorageBus),
            floppy=bool(com.recommendedFloppy),
            usb=bool(com.recommendedUSB),
            usb3=bool(com.recommendedUSB3),
            usb_tablet=bool(com.recommendedUSBTablet),
            usb_keyboard=bool(com.recommendedUSBHID),
            clock_in_utc=bool(com.recommendedRTCUseUTC),
            io_apic=bool(com.recommendedIOAPIC),
            x2apic=bool(com.recommendedX2APIC),
            pae=bool(com.recommendedPAE),
            hpet=bool(com.recommendedHPET),
            accelerated_3d=bool(com.recommended3DAcceleration),
            tpm=api.name("TpmType", com.recommendedTpmType),
            secure_boot=bool(com.recommendedSecureBoot),
            iommu=api.name("IommuType", com.recommendedIommuType),
        ),
    )

"""
What differs from one version of VirtualBox to the next, in one table each.

vboxkit is written for the newest version; names here are its names. 7.1 took what depends on the
processor's architecture out of ``IMachine``, ``ISystemProperties`` and ``IHost``, into objects of
their own. Names are compared with the releases of ``vbox-sdk`` in ``tests/unit/test_versions.py``.

Source: the SDK reference, "Main API change log", and the constants of each release.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

from vboxkit.errors import UnsupportedVersionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vboxkit.com.api import Api
    from vboxkit.com.interfaces import IMachine

__all__ = [
    "accelerated_3d",
    "create_machine",
    "enumeration",
    "has",
    "holder",
    "platform_properties",
    "require",
    "set_accelerated_3d",
    "spelling",
]


class Place(NamedTuple):
    """
    Where a member is, seen from the object that had it in 7.0.

    Attributes:
        before: The attributes that lead there up to 7.0.
        since: The same since 7.1.
    """

    before: str = ""
    since: str = ""


def _all(names: Iterable[str], place: Place) -> dict[str, Place]:
    return dict.fromkeys(names, place)


#: Members that 7.1 moved, by the interface that they are asked of.
MOVED: Mapping[str, Mapping[str, Place]] = {
    "IMachine": {
        **_all(["chipsetType", "iommuType", "RTCUseUTC"], Place(since="platform")),
        **_all(
            [
                "HPETEnabled",
                "getCPUProperty",
                "setCPUProperty",
                "getHWVirtExProperty",
                "setHWVirtExProperty",
                "getCPUIDLeaf",
                "getCPUIDLeafByOrdinal",
                "setCPUIDLeaf",
                "removeCPUIDLeaf",
                "removeAllCPUIDLeaves",
            ],
            Place(since="platform.x86"),
        ),
        "firmwareType": Place(since="firmwareSettings"),
        **_all(
            [
                "ACPIEnabled",
                "APICMode",
                "IOAPICEnabled",
                "PXEDebugEnabled",
                "SMBIOSUuidLittleEndian",
                "bootMenuMode",
                "logoDisplayTime",
                "logoFadeIn",
                "logoFadeOut",
                "logoImagePath",
                "timeOffset",
            ],
            Place("BIOSSettings", "firmwareSettings"),
        ),
        "AutoSerialNumGen": Place(since="firmwareSettings"),
    },
    "ISystemProperties": _all(
        [
            "exclusiveHwVirt",
            "getDeviceTypesForStorageBus",
            "getMaxDevicesPerPortForStorageBus",
            "getMaxInstancesOfStorageBus",
            "getMaxInstancesOfUSBControllerType",
            "getMaxNetworkAdapters",
            "getMaxNetworkAdaptersOfType",
            "getMaxPortCountForStorageBus",
            "getMinPortCountForStorageBus",
            "getStorageBusForControllerType",
            "getStorageControllerHotplugCapable",
            "getStorageControllerTypesForBus",
            "getSupportedGfxFeaturesForType",
            "getSupportedVRAMRange",
            "maxBootPosition",
            "parallelPortCount",
            "rawModeSupported",
            "serialPortCount",
            "supportedAudioControllerTypes",
            "supportedBootDevices",
            "supportedChipsetTypes",
            "supportedFirmwareTypes",
            "supportedGfxControllerTypes",
            "supportedGuestOSTypes",
            "supportedIommuTypes",
            "supportedNetAdpPromiscModePols",
            "supportedNetworkAdapterTypes",
            "supportedParavirtProviders",
            "supportedStorageBuses",
            "supportedStorageControllerTypes",
            "supportedTpmTypes",
            "supportedUSBControllerTypes",
            "supportedUartTypes",
        ],
        Place(since="platform"),
    ),
    "IHost": {"getProcessorCPUIDLeaf": Place(since="x86")},
}

#: Members that 7.1 renamed, and how they are spelled in 7.0.
RENAMED: Mapping[str, str] = {
    "IOAddress": "IOBase",
    "getStorageBusForControllerType": "getStorageBusForStorageControllerType",
    "getStorageControllerTypesForBus": "getStorageControllerTypesForStorageBus",
    "supportedGfxControllerTypes": "supportedGraphicsControllerTypes",
}

#: Enumerations that 7.1 renamed, and their names in 7.0. `Api.value` and the like know it.
ENUMERATIONS: Mapping[str, str] = {
    "CPUPropertyTypeX86": "CPUPropertyType",
    "FirmwareBootMenuMode": "BIOSBootMenuMode",
}

#: The version that brought a member, if that is not 7.0. Not in 7.0 in any other form.
SINCE: Mapping[str, tuple[int, int]] = {
    "IFirmwareSettings.AutoSerialNumGen": (7, 1),
    "IGraphicsAdapter.isFeatureEnabled": (7, 1),
    "IGraphicsAdapter.setFeature": (7, 1),
    "IGuestOSType.platformArchitecture": (7, 1),
    "IGuestOSType.subtype": (7, 1),
    "IHost.architecture": (7, 1),
    "IHost.isExecutionEngineSupported": (7, 1),
    "IMachine.VMExecutionEngine": (7, 1),
    "IMachine.AutoSerialNumGen": (7, 1),
    "INATEngine.forwardBroadcast": (7, 1),
    "INATEngine.IPv6Enabled": (7, 2),
    "INATEngine.IPv6Prefix": (7, 2),
    "INATEngine.enableTFTP": (7, 2),
    "INATEngine.natMRU": (7, 2),
    "INATNetwork.forwardBroadcast": (7, 2),
    "INATNetwork.localhostReachable": (7, 2),
    "INATNetwork.natMRU": (7, 2),
    "INATNetwork.natMTU": (7, 2),
    "IPlatformARM.getCPUProperty": (7, 2),
    "IPlatformARM.setCPUProperty": (7, 2),
    "IRecordingSettings.paused": (7, 2),
    "IRecordingSettings.progress": (7, 1),
    "IRecordingSettings.resume": (7, 2),
    "IRecordingSettings.start": (7, 1),
    "ISharedFolder.symlinkPolicy": (7, 1),
    "ISystemProperties.getExecutionEnginesForVmCpuArchitecture": (7, 1),
    "ISystemProperties.getSupportedGfxFeaturesForType": (7, 1),
    "ISystemProperties.getSupportedVRAMRange": (7, 1),
    "ISystemProperties.supportedBootDevices": (7, 1),
    "ISystemProperties.supportedGraphicsFeatures": (7, 1),
    "ISystemProperties.supportedGuestOSTypes": (7, 1),
    "ISystemProperties.supportedNetAdpPromiscModePols": (7, 1),
    "ISystemProperties.supportedPlatformArchitectures": (7, 1),
    "IUnattended.productKeyRequired": (7, 2),
    "IVirtualBox.getGuestOSDescsBySubtype": (7, 1),
    "IVirtualBox.getGuestOSSubtypesByFamilyId": (7, 1),
    "IVirtualBox.getPlatformProperties": (7, 1),
    "IVirtualBox.getTrackedObject": (7, 2),
    "IVirtualBox.getTrackedObjectIds": (7, 2),
    "IVirtualBox.guestOSFamilies": (7, 1),
}

_NEW = (7, 1)

_places = {member: place for members in MOVED.values() for member, place in members.items()}


def holder(api: Api, com: Any, member: str) -> Any:
    """
    Return the raw object that has a member in the running version.

    For members that never moved it is the object itself.

    Args:
        api: The way in.
        com: The raw object that had the member in 7.0: an ``IMachine``, ``ISystemProperties`` or
            ``IHost``.
        member: The attribute or method, spelled as in the newest version.

    Example:
        ``holder(api, machine.com, "chipsetType").chipsetType``
    """
    place = _places.get(member, Place())
    path = place.since if api.version >= _NEW else place.before
    return reduce(getattr, path.split("."), com) if path else com


def platform_properties(api: Api, machine: Any) -> Any:
    """
    Return the raw object that knows what the platform of a raw machine can have.

    Its members are those of ``IPlatformProperties``; see also `spelling`.
    """
    if api.version >= _NEW:
        return api.virtualbox.getPlatformProperties(machine.platform.architecture)
    return api.virtualbox.systemProperties


def spelling(api: Api, member: str) -> str:
    """Return a member's name in the running version; see `RENAMED`."""
    return member if api.version >= _NEW else RENAMED.get(member, member)


def enumeration(version: tuple[int, ...], name: str) -> str:
    """Return an enumeration's name in a version; see `ENUMERATIONS`."""
    return name if version >= _NEW else ENUMERATIONS.get(name, name)


def has(api: Api, interface: str, member: str) -> bool:
    """Tell whether the running version has a member; see `SINCE`."""
    return api.version >= SINCE.get(f"{interface}.{member}", (7, 0))


def require(api: Api, interface: str, member: str) -> None:
    """
    Refuse what the running version is too old for.

    Raises:
        UnsupportedVersionError: It has no such member; the hint says which version has.
    """
    if not has(api, interface, member):
        version = ".".join(map(str, api.version))
        first = ".".join(map(str, SINCE[f"{interface}.{member}"]))
        raise UnsupportedVersionError(
            f"VirtualBox {version} has no {interface}::{member}",
            hint=f"it came with VirtualBox {first}",
        )


def accelerated_3d(api: Api, adapter: Any) -> bool:
    """Read whether an ``IGraphicsAdapter`` offers 3D; an attribute became a feature in 7.1."""
    if api.version >= _NEW:
        return bool(adapter.isFeatureEnabled(api.value("GraphicsFeature", "Acceleration3D")))
    return bool(adapter.accelerate3DEnabled)


def set_accelerated_3d(api: Api, adapter: Any, enabled: bool) -> None:  # noqa: FBT001 - as COM
    """Set whether an ``IGraphicsAdapter`` offers 3D."""
    if api.version >= _NEW:
        adapter.setFeature(api.value("GraphicsFeature", "Acceleration3D"), enabled)
    else:
        adapter.accelerate3DEnabled = enabled


def create_machine(
    api: Api,
    name: str,
    *,
    os_type: str,
    groups: Sequence[str] = (),
    flags: str = "",
    settings_file: str = "",
    architecture: str = "x86",
) -> IMachine:
    """
    Call ``IVirtualBox::createMachine`` with the arguments of the running version.

    7.1 put the platform's architecture third; cipher, password id and password came with 7.0.
    """
    vbox: Any = api.virtualbox  # the types are the newest version's
    tail = [list(groups), os_type, flags, "", "", ""]
    middle = [api.value("PlatformArchitecture", architecture)] if api.version >= _NEW else []
    machine: IMachine = vbox.createMachine(settings_file, name, *middle, *tail)
    return machine

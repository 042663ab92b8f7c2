"""The kinds of events that VirtualBox itself tells of; see `VirtualBox.events`."""

from __future__ import annotations

from dataclasses import dataclass

from vboxkit.machines.event_base import Event, choice, flag, ident, number, part, text
from vboxkit.machines.states import MachineState, SessionState

__all__ = [
    "CloudProfileChangedEvent",
    "CloudProfileRegisteredEvent",
    "CloudProviderRegisteredEvent",
    "ExtPackInstalledEvent",
    "ExtPackUninstalledEvent",
    "ExtraDataCanChangeEvent",
    "ExtraDataChangedEvent",
    "GuestPropertyChangedEvent",
    "LanguageChangedEvent",
    "MachineDataChangedEvent",
    "MachineEvent",
    "MachineGroupsChangedEvent",
    "MachineRegisteredEvent",
    "MachineStateChangedEvent",
    "MediumChangedEvent",
    "MediumConfigChangedEvent",
    "MediumRegisteredEvent",
    "NATNetworkAlterEvent",
    "NATNetworkChangedEvent",
    "NATNetworkCreationDeletionEvent",
    "NATNetworkPortForwardEvent",
    "NATNetworkSettingEvent",
    "NATNetworkStartStopEvent",
    "NATRedirectEvent",
    "ProgressCreatedEvent",
    "ProgressPercentageChangedEvent",
    "ProgressTaskCompletedEvent",
    "SessionStateChangedEvent",
    "SnapshotChangedEvent",
    "SnapshotDeletedEvent",
    "SnapshotEvent",
    "SnapshotRestoredEvent",
    "SnapshotTakenEvent",
    "StorageControllerChangedEvent",
    "StorageDeviceChangedEvent",
    "VBoxSVCAvailabilityChangedEvent",
]


@dataclass(frozen=True, kw_only=True)
class MachineEvent(Event):
    """Something about one machine."""

    machine_id: str | None = ident("machineId")


@dataclass(frozen=True, kw_only=True)
class MachineStateChangedEvent(MachineEvent, kind="OnMachineStateChanged"):
    """A machine came into a state."""

    state: MachineState = choice("state", "MachineState", MachineState)  # noqa: RUF009


@dataclass(frozen=True, kw_only=True)
class MachineDataChangedEvent(MachineEvent, kind="OnMachineDataChanged"):
    """A machine's settings were changed; only `temporary` for as long as it runs."""

    temporary: bool = flag("temporary")


@dataclass(frozen=True, kw_only=True)
class MachineRegisteredEvent(MachineEvent, kind="OnMachineRegistered"):
    """A machine became known, or was unregistered."""

    registered: bool = flag("registered")


@dataclass(frozen=True, kw_only=True)
class MachineGroupsChangedEvent(MachineEvent, kind="OnMachineGroupsChanged"):
    """A machine is in other groups than before."""


@dataclass(frozen=True, kw_only=True)
class SessionStateChangedEvent(MachineEvent, kind="OnSessionStateChanged"):
    """A machine's lock was taken or given back."""

    state: SessionState = choice("state", "SessionState", SessionState)  # noqa: RUF009


@dataclass(frozen=True, kw_only=True)
class GuestPropertyChangedEvent(MachineEvent, kind="OnGuestPropertyChanged"):
    """A guest property was set, by the host or the guest, or deleted."""

    name: str = text("name")
    value: str = text("value")
    flags: str = text("flags")
    deleted: bool = flag("fWasDeleted")


@dataclass(frozen=True, kw_only=True)
class SnapshotEvent(MachineEvent):
    """Something about a snapshot; its UUID may be empty for one of the present state."""

    snapshot_id: str = text("snapshotId")


@dataclass(frozen=True, kw_only=True)
class SnapshotTakenEvent(SnapshotEvent, kind="OnSnapshotTaken"):
    """A snapshot was taken."""


@dataclass(frozen=True, kw_only=True)
class SnapshotDeletedEvent(SnapshotEvent, kind="OnSnapshotDeleted"):
    """A snapshot was deleted."""


@dataclass(frozen=True, kw_only=True)
class SnapshotRestoredEvent(SnapshotEvent, kind="OnSnapshotRestored"):
    """A machine went back to a snapshot."""


@dataclass(frozen=True, kw_only=True)
class SnapshotChangedEvent(SnapshotEvent, kind="OnSnapshotChanged"):
    """A snapshot has another name or description."""


@dataclass(frozen=True, kw_only=True)
class ExtraDataChangedEvent(Event, kind="OnExtraDataChanged"):
    """Extra data was changed: a machine's, or VirtualBox's own (`machine_id` is `None`)."""

    machine_id: str | None = ident("machineId")
    key: str = text("key")
    value: str = text("value")


@dataclass(frozen=True, kw_only=True)
class ExtraDataCanChangeEvent(ExtraDataChangedEvent, kind="OnExtraDataCanChange"):
    """
    Somebody is about to change extra data, and every listener may forbid it.

    Whoever changes it waits, up to three seconds, for each listener to this kind: so it is
    listened to only when named.
    """


@dataclass(frozen=True, kw_only=True)
class NATRedirectEvent(MachineEvent, kind="OnNATRedirect"):
    """A port forward of a running machine was added or removed."""

    slot: int = number("slot")
    removed: bool = flag("remove")
    name: str = text("name")
    protocol: str = choice("proto", "NATProtocol")
    host_ip: str = text("hostIP")
    host_port: int = number("hostPort")
    guest_ip: str = text("guestIP")
    guest_port: int = number("guestPort")


@dataclass(frozen=True, kw_only=True)
class StorageControllerChangedEvent(Event, kind="OnStorageControllerChanged"):
    """A storage controller of a machine was added, removed or changed."""

    machine_id: str | None = ident("machinId")  # so VirtualBox spells it
    controller: str = text("controllerName")


@dataclass(frozen=True, kw_only=True)
class StorageDeviceChangedEvent(Event, kind="OnStorageDeviceChanged"):
    """A disk or drive was attached to or detached from a machine."""

    machine_id: str | None = part("storageDevice.machine.id")
    controller: str | None = part("storageDevice.controller")
    port: int | None = part("storageDevice.port", int)
    device: int | None = part("storageDevice.device", int)
    removed: bool = flag("removed")
    silent: bool = flag("silent")


@dataclass(frozen=True, kw_only=True)
class MediumChangedEvent(Event, kind="OnMediumChanged"):
    """Another medium, or none (`medium_id` is `None`), is in a drive of a machine."""

    machine_id: str | None = part("mediumAttachment.machine.id")
    controller: str | None = part("mediumAttachment.controller")
    port: int | None = part("mediumAttachment.port", int)
    device: int | None = part("mediumAttachment.device", int)
    medium_id: str | None = part("mediumAttachment.medium.id")


@dataclass(frozen=True, kw_only=True)
class MediumRegisteredEvent(Event, kind="OnMediumRegistered"):
    """A medium became known, or was closed."""

    medium_id: str = text("mediumId")
    medium_type: str = choice("mediumType", "DeviceType")
    registered: bool = flag("registered")


@dataclass(frozen=True, kw_only=True)
class MediumConfigChangedEvent(Event, kind="OnMediumConfigChanged"):
    """A medium has other properties than before; its UUID is `None` if it is gone already."""

    medium_id: str | None = part("medium.id")
    location: str | None = part("medium.location")


@dataclass(frozen=True, kw_only=True)
class NATNetworkChangedEvent(Event, kind="OnNATNetworkChanged"):
    """Something about a NAT network."""

    network_name: str = text("networkName")


@dataclass(frozen=True, kw_only=True)
class NATNetworkStartStopEvent(NATNetworkChangedEvent, kind="OnNATNetworkStartStop"):
    """A NAT network's service was started or stopped."""

    started: bool = flag("startEvent")


@dataclass(frozen=True, kw_only=True)
class NATNetworkAlterEvent(NATNetworkChangedEvent, kind="OnNATNetworkAlter"):
    """A NAT network was changed."""


@dataclass(frozen=True, kw_only=True)
class NATNetworkCreationDeletionEvent(NATNetworkAlterEvent, kind="OnNATNetworkCreationDeletion"):
    """A NAT network was created or deleted."""

    created: bool = flag("creationEvent")


@dataclass(frozen=True, kw_only=True)
class NATNetworkSettingEvent(NATNetworkAlterEvent, kind="OnNATNetworkSetting"):
    """The settings of a NAT network."""

    enabled: bool = flag("enabled")
    network: str = text("network")
    gateway: str = text("gateway")
    ipv6_default_route: bool = flag("advertiseDefaultIPv6RouteEnabled")
    dhcp_server: bool = flag("needDhcpServer")


@dataclass(frozen=True, kw_only=True)
class NATNetworkPortForwardEvent(NATNetworkAlterEvent, kind="OnNATNetworkPortForward"):
    """A port forward of a NAT network was added or removed."""

    created: bool = flag("create")
    ipv6: bool = flag("ipv6")
    name: str = text("name")
    protocol: str = choice("proto", "NATProtocol")
    host_ip: str = text("hostIp")
    host_port: int = number("hostPort")
    guest_ip: str = text("guestIp")
    guest_port: int = number("guestPort")


@dataclass(frozen=True, kw_only=True)
class _ProgressEvent(Event):
    progress_id: str = text("progressId")


@dataclass(frozen=True, kw_only=True)
class ProgressCreatedEvent(_ProgressEvent, kind="OnProgressCreated"):
    """A long operation began, or its object went."""

    created: bool = flag("create")


@dataclass(frozen=True, kw_only=True)
class ProgressPercentageChangedEvent(_ProgressEvent, kind="OnProgressPercentageChanged"):
    """A long operation came further."""

    percent: int = number("percent")


@dataclass(frozen=True, kw_only=True)
class ProgressTaskCompletedEvent(_ProgressEvent, kind="OnProgressTaskCompleted"):
    """A long operation ended."""


@dataclass(frozen=True, kw_only=True)
class VBoxSVCAvailabilityChangedEvent(Event, kind="OnVBoxSVCAvailabilityChanged"):
    """VirtualBox's server process came or went (told by the client object only)."""

    available: bool = flag("available")


@dataclass(frozen=True, kw_only=True)
class ExtPackInstalledEvent(Event, kind="OnExtPackInstalled"):
    """An extension pack was installed (VirtualBox 7.1 and later)."""

    name: str = text("name")


@dataclass(frozen=True, kw_only=True)
class ExtPackUninstalledEvent(Event, kind="OnExtPackUninstalled"):
    """An extension pack was removed (VirtualBox 7.1 and later)."""

    name: str = text("name")


@dataclass(frozen=True, kw_only=True)
class LanguageChangedEvent(Event, kind="OnLanguageChanged"):
    """VirtualBox has another language for its messages."""

    language: str = text("languageId")


@dataclass(frozen=True, kw_only=True)
class CloudProviderRegisteredEvent(Event, kind="OnCloudProviderRegistered"):
    """A cloud provider became known, or went."""

    provider_id: str = text("id")
    registered: bool = flag("registered")


@dataclass(frozen=True, kw_only=True)
class CloudProfileRegisteredEvent(Event, kind="OnCloudProfileRegistered"):
    """A cloud profile became known, or went."""

    provider_id: str = text("providerId")
    name: str = text("name")
    registered: bool = flag("registered")


@dataclass(frozen=True, kw_only=True)
class CloudProfileChangedEvent(Event, kind="OnCloudProfileChanged"):
    """A cloud profile was changed."""

    provider_id: str = text("providerId")
    name: str = text("name")

"""The kinds of events that a running machine tells of; see `Machine.events`."""

from __future__ import annotations

from dataclasses import dataclass

from vboxkit.machines.event_base import Event, array, choice, flag, number, part, text
from vboxkit.machines.states import MachineState

__all__ = [
    "AdditionsStateChangedEvent",
    "AudioAdapterChangedEvent",
    "BandwidthGroupChangedEvent",
    "CPUChangedEvent",
    "CPUExecutionCapChangedEvent",
    "CanShowWindowEvent",
    "ClipboardFileTransferModeChangedEvent",
    "ClipboardModeChangedEvent",
    "ConsoleEvent",
    "CursorPositionChangedEvent",
    "DnDModeChangedEvent",
    "GuestAdditionsStatusChangedEvent",
    "GuestKeyboardEvent",
    "GuestMonitorChangedEvent",
    "GuestMouseEvent",
    "GuestMultiTouchEvent",
    "GuestSessionRegisteredEvent",
    "GuestUserStateChangedEvent",
    "KeyboardLedsChangedEvent",
    "MouseCapabilityChangedEvent",
    "MousePointerShapeChangedEvent",
    "NetworkAdapterChangedEvent",
    "ParallelPortChangedEvent",
    "RecordingStateChangedEvent",
    "RuntimeErrorEvent",
    "SerialPortChangedEvent",
    "SharedFolderChangedEvent",
    "ShowWindowEvent",
    "StateChangedEvent",
    "USBControllerChangedEvent",
    "USBDeviceStateChangedEvent",
    "VRDEServerChangedEvent",
    "VRDEServerInfoChangedEvent",
]


@dataclass(frozen=True, kw_only=True)
class ConsoleEvent(Event, source="console"):
    """Something about a running machine."""


@dataclass(frozen=True, kw_only=True)
class StateChangedEvent(ConsoleEvent, kind="OnStateChanged"):
    """The machine came into a state, as its own process tells it."""

    state: MachineState = choice("state", "MachineState", MachineState)  # noqa: RUF009


@dataclass(frozen=True, kw_only=True)
class AdditionsStateChangedEvent(ConsoleEvent, kind="OnAdditionsStateChanged"):
    """The Guest Additions came up, went down, or can do other things than before."""


@dataclass(frozen=True, kw_only=True)
class NetworkAdapterChangedEvent(ConsoleEvent, kind="OnNetworkAdapterChanged"):
    """A network adapter was changed: its cable, its attachment, ..."""

    slot: int | None = part("networkAdapter.slot", int)


@dataclass(frozen=True, kw_only=True)
class SerialPortChangedEvent(ConsoleEvent, kind="OnSerialPortChanged"):
    """A serial port was changed."""

    slot: int | None = part("serialPort.slot", int)


@dataclass(frozen=True, kw_only=True)
class ParallelPortChangedEvent(ConsoleEvent, kind="OnParallelPortChanged"):
    """A parallel port was changed."""

    slot: int | None = part("parallelPort.slot", int)


@dataclass(frozen=True, kw_only=True)
class AudioAdapterChangedEvent(ConsoleEvent, kind="OnAudioAdapterChanged"):
    """Sound was switched on or off, for playing or recording."""


@dataclass(frozen=True, kw_only=True)
class KeyboardLedsChangedEvent(ConsoleEvent, kind="OnKeyboardLedsChanged"):
    """The guest has switched the keyboard's lights."""

    num_lock: bool = flag("numLock")
    caps_lock: bool = flag("capsLock")
    scroll_lock: bool = flag("scrollLock")


@dataclass(frozen=True, kw_only=True)
class MouseCapabilityChangedEvent(ConsoleEvent, kind="OnMouseCapabilityChanged"):
    """The guest can take other kinds of pointer than before."""

    absolute: bool = flag("supportsAbsolute")
    relative: bool = flag("supportsRelative")
    touch_screen: bool = flag("supportsTouchScreen")
    touch_pad: bool = flag("supportsTouchPad")
    needs_host_cursor: bool = flag("needsHostCursor")


@dataclass(frozen=True, kw_only=True)
class MousePointerShapeChangedEvent(ConsoleEvent, kind="OnMousePointerShapeChanged"):
    """The guest's pointer looks another way."""

    visible: bool = flag("visible")
    alpha: bool = flag("alpha")
    hot_x: int = number("xhot")
    hot_y: int = number("yhot")
    width: int = number("width")
    height: int = number("height")
    shape: bytes = array("shape", bytes)


@dataclass(frozen=True, kw_only=True)
class CursorPositionChangedEvent(ConsoleEvent, kind="OnCursorPositionChanged"):
    """The guest tells where its cursor is."""

    has_data: bool = flag("hasData")
    x: int = number("x")
    y: int = number("y")


@dataclass(frozen=True, kw_only=True)
class CPUChangedEvent(ConsoleEvent, kind="OnCPUChanged"):
    """A CPU was plugged in or taken out."""

    cpu: int = number("CPU")
    added: bool = flag("add")


@dataclass(frozen=True, kw_only=True)
class CPUExecutionCapChangedEvent(ConsoleEvent, kind="OnCPUExecutionCapChanged"):
    """The machine may use another share of the host's CPU time."""

    execution_cap_percent: int = number("executionCap")


@dataclass(frozen=True, kw_only=True)
class SharedFolderChangedEvent(ConsoleEvent, kind="OnSharedFolderChanged"):
    """A shared folder was added or removed; `scope` is ``Global``, ``Machine`` or ``Session``."""

    scope: str = choice("scope", "Scope")


@dataclass(frozen=True, kw_only=True)
class VRDEServerChangedEvent(ConsoleEvent, kind="OnVRDEServerChanged"):
    """The remote desktop server was changed."""


@dataclass(frozen=True, kw_only=True)
class VRDEServerInfoChangedEvent(ConsoleEvent, kind="OnVRDEServerInfoChanged"):
    """The remote desktop server has news: a client, a port."""


@dataclass(frozen=True, kw_only=True)
class ClipboardModeChangedEvent(ConsoleEvent, kind="OnClipboardModeChanged"):
    """The shared clipboard works another way than before."""

    mode: str = choice("clipboardMode", "ClipboardMode")


@dataclass(frozen=True, kw_only=True)
class ClipboardFileTransferModeChangedEvent(
    ConsoleEvent, kind="OnClipboardFileTransferModeChanged"
):
    """Files can, or cannot, be moved by the clipboard."""

    enabled: bool = flag("enabled")


@dataclass(frozen=True, kw_only=True)
class DnDModeChangedEvent(ConsoleEvent, kind="OnDnDModeChanged"):
    """Drag and drop works another way than before."""

    mode: str = choice("dndMode", "DnDMode")


@dataclass(frozen=True, kw_only=True)
class BandwidthGroupChangedEvent(ConsoleEvent, kind="OnBandwidthGroupChanged"):
    """A limit of bandwidth was changed."""

    name: str | None = part("bandwidthGroup.name")


@dataclass(frozen=True, kw_only=True)
class USBControllerChangedEvent(ConsoleEvent, kind="OnUSBControllerChanged"):
    """USB controllers were changed."""


@dataclass(frozen=True, kw_only=True)
class USBDeviceStateChangedEvent(ConsoleEvent, kind="OnUSBDeviceStateChanged"):
    """A USB device was given to the guest, or taken from it; `error` tells why that failed."""

    device_id: str | None = part("device.id")
    product: str | None = part("device.product")
    attached: bool = flag("attached")
    error: str | None = part("error.text")


@dataclass(frozen=True, kw_only=True)
class RuntimeErrorEvent(ConsoleEvent, kind="OnRuntimeError"):
    """Something went wrong while the guest ran, as a host disk that is full."""

    fatal: bool = flag("fatal")
    id: str = text("id")
    message: str = text("message")


@dataclass(frozen=True, kw_only=True)
class RecordingStateChangedEvent(ConsoleEvent, kind="OnRecordingStateChanged"):
    """The recording of the screen was started, stopped or paused (VirtualBox 7.1 and later)."""

    state: str = choice("state", "RecordingState")


@dataclass(frozen=True, kw_only=True)
class CanShowWindowEvent(ConsoleEvent, kind="OnCanShowWindow"):
    """
    Somebody asks whether the machine's window can be shown, and every listener may forbid it.

    Who asks waits for each listener to this kind: so it is listened to only when named.
    """


@dataclass(frozen=True, kw_only=True)
class ShowWindowEvent(ConsoleEvent, kind="OnShowWindow"):
    """Somebody wants the machine's window to be shown."""

    window_id: int = number("winId")


@dataclass(frozen=True, kw_only=True)
class GuestMonitorChangedEvent(ConsoleEvent, kind="OnGuestMonitorChanged"):
    """A screen of the guest was switched on or off, or has another place or size (pixels)."""

    change: str = choice("changeType", "GuestMonitorChangedEventType")
    screen: int = number("screenId")
    x: int = number("originX")
    y: int = number("originY")
    width: int = number("width")
    height: int = number("height")


@dataclass(frozen=True, kw_only=True)
class GuestKeyboardEvent(ConsoleEvent, kind="OnGuestKeyboard", source="keyboard"):
    """Keys were sent to the guest."""

    scancodes: tuple[int, ...] = array("scancodes")


@dataclass(frozen=True, kw_only=True)
class GuestMouseEvent(ConsoleEvent, kind="OnGuestMouse", source="mouse"):
    """The pointer was moved, or a button pressed; `mode` is ``Relative`` or ``Absolute``."""

    mode: str = choice("mode", "GuestMouseEventMode")
    x: int = number("x")
    y: int = number("y")
    z: int = number("z")
    w: int = number("w")
    buttons: int = number("buttons")


@dataclass(frozen=True, kw_only=True)
class GuestMultiTouchEvent(ConsoleEvent, kind="OnGuestMultiTouch", source="mouse"):
    """Fingers moved on the guest's touch screen or pad."""

    contact_count: int = number("contactCount")
    x_positions: tuple[int, ...] = array("xPositions")
    y_positions: tuple[int, ...] = array("yPositions")
    contact_ids: tuple[int, ...] = array("contactIds")
    contact_flags: tuple[int, ...] = array("contactFlags")
    touch_screen: bool = flag("isTouchScreen")
    scan_time_ms: int = number("scanTime")


@dataclass(frozen=True, kw_only=True)
class GuestAdditionsStatusChangedEvent(
    ConsoleEvent, kind="OnGuestAdditionsStatusChanged", source="guest"
):
    """A part of the Guest Additions came up or went down."""

    facility: str = choice("facility", "AdditionsFacilityType")
    status: str = choice("status", "AdditionsFacilityStatus")
    run_level: str = choice("runLevel", "AdditionsRunLevelType")
    timestamp_ns: int = number("timestamp")


@dataclass(frozen=True, kw_only=True)
class GuestUserStateChangedEvent(ConsoleEvent, kind="OnGuestUserStateChanged", source="guest"):
    """A user of the guest logged in, went idle, ..."""

    name: str = text("name")
    domain: str = text("domain")
    state: str = choice("state", "GuestUserState")
    details: str = text("stateDetails")


@dataclass(frozen=True, kw_only=True)
class GuestSessionRegisteredEvent(ConsoleEvent, kind="OnGuestSessionRegistered", source="guest"):
    """A session of guest control was opened or closed."""

    session_id: int | None = part("session.id", int)
    name: str | None = part("session.name")
    registered: bool = flag("registered")

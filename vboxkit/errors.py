"""
Every error that vboxkit raises.

VBoxKitError                      catch this to catch all
├── SetupError                    the host is not ready; the message ends with what mends it
│   ├── VirtualBoxNotFoundError   (also ImportError)
│   ├── UnsupportedVersionError
│   └── DriverNeededError         only VirtualBox's kernel driver can do this
├── SettingsError                 (also ValueError)   a setting with a wrong name or value
├── ApiError                      VirtualBox refused: .code .symbol .text .operation
│   ├── NotFoundError             (also LookupError)  .kind .wanted .available
│   ├── AlreadyExistsError        (also FileExistsError)  .kind .wanted
│   ├── InvalidStateError         .state .needed
│   ├── LockedError               .holder
│   ├── StorageError              (also OSError)
│   ├── ConnectionLostError       (also ConnectionError)  VBoxSVC or the VM process went away
│   ├── StartError                the VM process ended before the machine ran; .log
│   └── ProgressFailedError       a long operation failed; the whole error-info chain
│       └── ProgressCanceledError
├── PortInUseError                (also OSError)      .host_ip .port .holder
├── WaitTimeoutError              (also TimeoutError) .what .waited .last_seen .evidence
├── GuestError                    something inside the guest
│   ├── GuestConnectionError      (also ConnectionError)
│   │   ├── GuestAuthError
│   │   └── HostKeyError
│   ├── GuestFileError            (also OSError)      a file copy to or from the guest failed
│   ├── CommandFailedError        .result
│   └── CommandTimeoutError       (also TimeoutError) .result (what came before the time was up)
├── OvfError                      (also ValueError)   .file .element .reason
└── CleanupError                  .left: what was left behind, a line each
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = [
    "AlreadyExistsError",
    "ApiError",
    "CleanupError",
    "CommandFailedError",
    "CommandTimeoutError",
    "ConnectionLostError",
    "DriverNeededError",
    "EmulatedWarning",
    "GuestAuthError",
    "GuestConnectionError",
    "GuestError",
    "GuestFileError",
    "HostKeyError",
    "InvalidStateError",
    "LockedError",
    "NotFoundError",
    "OvfError",
    "PortInUseError",
    "ProgressCanceledError",
    "ProgressFailedError",
    "SettingsError",
    "SetupError",
    "StartError",
    "StorageError",
    "UnsupportedVersionError",
    "VBoxKitError",
    "VirtualBoxNotFoundError",
    "WaitTimeoutError",
]


def _rebuild(cls: type[VBoxKitError], args: tuple[Any, ...], state: dict[str, Any]) -> VBoxKitError:
    error: VBoxKitError = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class VBoxKitError(Exception):
    """
    The base of every error that vboxkit raises.

    Attributes:
        message: What happened, on which object, in which state.
        hint: What to try, or `None`.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  try: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Callable[..., VBoxKitError], tuple[Any, ...]]:
        # Constructors take keywords, which the default protocol forgets; pytest-xdist pickles
        # errors on their way from a worker.
        return _rebuild, (type(self), self.args, dict(self.__dict__))


class SetupError(VBoxKitError):
    """The host is not ready; `hint` is the command that mends it."""


class VirtualBoxNotFoundError(SetupError, ImportError):
    """There is no VirtualBox, or none whose programming interface this Python can load."""


class UnsupportedVersionError(SetupError):
    """The VirtualBox found is older than 7.0."""


class DriverNeededError(SetupError):
    """VirtualBox can do this only with its kernel driver, and it is not there."""


class SettingsError(VBoxKitError, ValueError):
    """A setting has a wrong name or value."""


class ApiError(VBoxKitError):
    """
    VirtualBox refused a call.

    Attributes:
        code: The result code as an unsigned number, 0 if there was none.
        symbol: The code's name, such as ``VBOX_E_INVALID_VM_STATE``.
        text: VirtualBox's own words.
        operation: What was asked of it.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int = 0,
        symbol: str = "",
        text: str = "",
        operation: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.symbol = symbol
        self.text = text
        self.operation = operation


class NotFoundError(ApiError, LookupError):
    """
    There is no such object.

    Attributes:
        kind: What was looked for ("machine", "snapshot").
        wanted: The name or id asked for.
        available: The names there are.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str = "",
        wanted: str = "",
        available: Sequence[str] = (),
        **api: Any,
    ) -> None:
        super().__init__(message, **api)
        self.kind = kind
        self.wanted = wanted
        self.available = tuple(available)


class AlreadyExistsError(ApiError, FileExistsError):
    """The name is taken: `kind` of object, and the name `wanted`."""

    def __init__(self, message: str, *, kind: str = "", wanted: str = "", **api: Any) -> None:
        super().__init__(message, **api)
        self.kind = kind
        self.wanted = wanted


class InvalidStateError(ApiError):
    """
    The object is in a state in which this cannot be done.

    Attributes:
        state: The state it was in.
        needed: The states in which it can be done, if known.
    """

    def __init__(
        self, message: str, *, state: str = "", needed: Sequence[str] = (), **api: Any
    ) -> None:
        super().__init__(message, **api)
        self.state = state
        self.needed = tuple(needed)


class LockedError(ApiError):
    """Somebody else has the machine locked: `holder` ("process 4711 (VirtualBoxVM)")."""

    def __init__(self, message: str, *, holder: str = "", **api: Any) -> None:
        super().__init__(message, **api)
        self.holder = holder


class StorageError(ApiError, OSError):
    """A file or a disk could not be read or written: missing, damaged, forbidden or full."""


class ConnectionLostError(ApiError, ConnectionError):
    """VBoxSVC or the process of the virtual machine went away."""


class StartError(ApiError):
    """
    The process of the virtual machine ended before the machine ran.

    Attributes:
        log: The last lines of what the process said, and of VBox.log.
    """

    def __init__(self, message: str, *, log: str = "", **api: Any) -> None:
        super().__init__(message, **api)
        self.log = log

    def __str__(self) -> str:
        return f"{super().__str__()}\n{self.log}" if self.log else super().__str__()


class ProgressFailedError(ApiError):
    """
    A long operation of VirtualBox failed.

    Attributes:
        chain: The texts of VirtualBox's error information, outermost first.
    """

    def __init__(self, message: str, *, chain: Sequence[str] = (), **api: Any) -> None:
        super().__init__(message, **api)
        self.chain = tuple(chain)


class ProgressCanceledError(ProgressFailedError):
    """A long operation was canceled."""


class PortInUseError(VBoxKitError, OSError):
    """
    A host port is taken.

    Attributes:
        host_ip: The address.
        port: The port.
        holder: Who has it, as far as it can be told.
    """

    def __init__(
        self, message: str, *, host_ip: str, port: int, holder: str = "", hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.host_ip = host_ip
        self.port = port
        self.holder = holder


class WaitTimeoutError(VBoxKitError, TimeoutError):
    """
    Something awaited did not come in time.

    Attributes:
        what: What was awaited.
        waited: Seconds.
        last_seen: What the last look showed.
        evidence: Lines that help to see why (serial log, screenshot, VBox.log).
    """

    def __init__(
        self,
        what: str,
        *,
        waited: float,
        last_seen: object = None,
        evidence: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(
            f"gave up after {waited:.1f} s waiting for {what} (last seen: {last_seen})", hint=hint
        )
        self.what = what
        self.waited = waited
        self.last_seen = str(last_seen)
        self.evidence = evidence

    def __str__(self) -> str:
        return f"{super().__str__()}\n{self.evidence}" if self.evidence else super().__str__()


class GuestError(VBoxKitError):
    """Something inside the guest, or on the way to it."""


class GuestConnectionError(GuestError, ConnectionError):
    """The guest cannot be reached, or the connection to it broke."""


class GuestAuthError(GuestConnectionError):
    """The guest did not let us in."""


class HostKeyError(GuestConnectionError):
    """
    The guest showed another host key than the one known.

    Attributes:
        expected: The key known, as ``type base64``.
        seen: The key shown.
    """

    def __init__(
        self, message: str, *, expected: str = "", seen: str = "", hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.expected = expected
        self.seen = seen


class GuestFileError(GuestError, OSError):
    """A file could not be copied to or from the guest."""


class CommandFailedError(GuestError):
    """A command in the guest did not end as it should; `result` is its `Result`."""

    def __init__(self, message: str, *, result: Any) -> None:
        super().__init__(message)
        self.result = result


class CommandTimeoutError(GuestError, TimeoutError):
    """
    A command in the guest did not end in time.

    Attributes:
        result: The `vboxkit.guest.Result` so far; its exit code is `None`.
    """

    def __init__(self, message: str, *, result: Any, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.result = result


class OvfError(VBoxKitError, ValueError):
    """
    An appliance is damaged, or is none.

    Attributes:
        file: The file.
        element: The element or member of it, or an empty string.
        reason: What is wrong with it.
    """

    def __init__(
        self,
        file: str | Path,
        reason: str,
        *,
        element: str = "",
        hint: str | None = None,
    ) -> None:
        place = f"{file}: {element}" if element else str(file)
        super().__init__(f"{place}: {reason}", hint=hint)
        self.file = str(file)
        self.element = element
        self.reason = reason


class CleanupError(VBoxKitError):
    """
    Something could not be undone.

    Attributes:
        left: What was left behind, a line each.
    """

    def __init__(self, message: str, *, left: Sequence[str], hint: str | None = None) -> None:
        super().__init__("\n  ".join([message, *left]), hint=hint)
        self.left = tuple(left)


class EmulatedWarning(UserWarning):
    """A machine runs without the kernel driver: it is emulated, hence slow."""

"""
Every error that vboxkit raises.

VBoxKitError                      catch this to catch all
├── SetupError                    the host is not ready; the message ends with what mends it
│   ├── VirtualBoxNotFoundError   (also ImportError)
│   ├── UnsupportedVersionError
│   ├── DriverNeededError         only VirtualBox's kernel driver can do this
│   └── ModuleMissingError        a module of VirtualBox is not installed; .module
├── SettingsError                 (also ValueError)   a setting with a wrong name or value
├── ApiError                      VirtualBox refused: .code .symbol .text .operation
│   ├── NotFoundError             (also KeyError)     .kind .wanted .available
│   ├── AmbiguousNameError        (also LookupError)  .kind .wanted .matches
│   ├── AlreadyExistsError        (also FileExistsError)  .kind .wanted
│   ├── InvalidStateError         .state .needed
│   ├── LockedError               .holder
│   ├── StorageError              (also OSError)
│   ├── PasswordError             the password of an encrypted disk or machine is wrong
│   ├── ConnectionLostError       (also ConnectionError)  VBoxSVC or the VM process went away
│   ├── EventsLostError           events came faster than they were fetched
│   ├── StartError                the VM process ended before the machine ran; .log
│   └── ProgressFailedError       a long operation failed; the whole error-info chain
│       └── ProgressCanceledError
├── PortInUseError                (also OSError)      .host_ip .port .holder
├── SwitchError                   the switch of a private network ended, or cannot do that
├── WaitTimeoutError              (also TimeoutError) .what .waited .last_seen .evidence
├── GuestError                    something inside the guest
│   ├── GuestConnectionError      (also ConnectionError)
│   │   ├── GuestAuthError
│   │   └── HostKeyError
│   ├── TunnelError               (also ConnectionError)  a tunnel's target refused; .code
│   ├── GuestFileError            (also OSError)      a file copy to or from the guest failed
│   ├── GuestUserError            (also PermissionError)  .user: nothing runs as that user
│   ├── AdditionsError            the Guest Additions do not run: .run_level
│   ├── NotReadyError             what was awaited cannot come any more: .what .evidence
│   ├── CommandFailedError        .result
│   └── CommandTimeoutError       (also TimeoutError) .result (what came before the time was up)
├── OvfError                      (also ValueError)   .file .element .reason
├── EulaError                     an appliance has a licence to agree to: .file .licences
├── ProvisioningError             a step of an image's build failed: .image .step .result .evidence
└── CleanupError                  .left: what was left behind, a line each
"""

from __future__ import annotations

from vboxkit.errors.api import (
    AlreadyExistsError,
    AmbiguousNameError,
    ApiError,
    ConnectionLostError,
    EventsLostError,
    InvalidStateError,
    LockedError,
    NotFoundError,
    PasswordError,
    ProgressCanceledError,
    ProgressFailedError,
    StartError,
    StorageError,
)
from vboxkit.errors.base import (
    AuditWarning,
    CleanupError,
    DriverNeededError,
    EmulatedWarning,
    EulaError,
    ModuleMissingError,
    OvfError,
    PortInUseError,
    ProvisioningError,
    SettingsError,
    SetupError,
    SwitchError,
    UnsupportedVersionError,
    VBoxKitError,
    VirtualBoxNotFoundError,
    WaitTimeoutError,
)
from vboxkit.errors.guest import (
    AdditionsError,
    CommandFailedError,
    CommandTimeoutError,
    GuestAuthError,
    GuestConnectionError,
    GuestError,
    GuestFileError,
    GuestUserError,
    HostKeyError,
    NotReadyError,
    TunnelError,
)

__all__ = [
    "AdditionsError",
    "AlreadyExistsError",
    "AmbiguousNameError",
    "ApiError",
    "AuditWarning",
    "CleanupError",
    "CommandFailedError",
    "CommandTimeoutError",
    "ConnectionLostError",
    "DriverNeededError",
    "EmulatedWarning",
    "EulaError",
    "EventsLostError",
    "GuestAuthError",
    "GuestConnectionError",
    "GuestError",
    "GuestFileError",
    "GuestUserError",
    "HostKeyError",
    "InvalidStateError",
    "LockedError",
    "ModuleMissingError",
    "NotFoundError",
    "NotReadyError",
    "OvfError",
    "PasswordError",
    "PortInUseError",
    "ProgressCanceledError",
    "ProgressFailedError",
    "ProvisioningError",
    "SettingsError",
    "SetupError",
    "StartError",
    "StorageError",
    "SwitchError",
    "TunnelError",
    "UnsupportedVersionError",
    "VBoxKitError",
    "VirtualBoxNotFoundError",
    "WaitTimeoutError",
]

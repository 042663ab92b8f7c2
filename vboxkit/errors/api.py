"""What VirtualBox refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

from vboxkit.errors.base import VBoxKitError

__all__ = [
    "AlreadyExistsError",
    "AmbiguousNameError",
    "ApiError",
    "ConnectionLostError",
    "EventsLostError",
    "InvalidStateError",
    "LockedError",
    "NotFoundError",
    "PasswordError",
    "ProgressCanceledError",
    "ProgressFailedError",
    "StartError",
    "StorageError",
]


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


class NotFoundError(ApiError, KeyError):
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


class AmbiguousNameError(ApiError, LookupError):
    """
    Several objects have this name.

    Attributes:
        kind: What was looked for ("snapshot").
        wanted: The name asked for.
        matches: What tells them apart (paths, UUIDs).
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str = "",
        wanted: str = "",
        matches: Sequence[str] = (),
        **api: Any,
    ) -> None:
        super().__init__(message, **api)
        self.kind = kind
        self.wanted = wanted
        self.matches = tuple(matches)


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


class PasswordError(ApiError):
    """The password of an encrypted disk or machine is wrong, or its name is."""


class ConnectionLostError(ApiError, ConnectionError):
    """VBoxSVC or the process of the virtual machine went away."""


class EventsLostError(ApiError):
    """Events came faster than they were fetched, and VirtualBox has dropped the listener."""


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

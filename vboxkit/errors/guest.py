"""What went wrong inside the guest."""

from __future__ import annotations

from typing import Any

from vboxkit.errors.base import VBoxKitError

__all__ = [
    "CommandFailedError",
    "CommandTimeoutError",
    "GuestAuthError",
    "GuestConnectionError",
    "GuestError",
    "GuestFileError",
    "HostKeyError",
]


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

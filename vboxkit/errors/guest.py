"""What went wrong inside the guest."""

from __future__ import annotations

from typing import Any

from vboxkit.errors.base import VBoxKitError

__all__ = [
    "AdditionsError",
    "CommandFailedError",
    "CommandTimeoutError",
    "GuestAuthError",
    "GuestConnectionError",
    "GuestError",
    "GuestFileError",
    "GuestUserError",
    "HostKeyError",
    "TunnelError",
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


class TunnelError(GuestError, ConnectionError):
    """
    A tunnel's target did not take a connection, or the guest does not listen for a tunnel.

    Attributes:
        code: The SSH server's reason (RFC 4254, 5.1; 1 forbidden, 2 refused); 0 if it gave none.
    """

    def __init__(self, message: str, *, code: int = 0, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class GuestFileError(GuestError, OSError):
    """
    A file could not be copied to or from the guest, or something else not be done with it.

    Attributes:
        path: Which one, on whichever side; the message says on which.
        errno: The system's number for what was wrong (as `errno.ENOSPC`), or `None`.
    """

    # A plain attribute in place of OSError's, which pickling would lose.
    errno: int | None = None

    def __init__(
        self, message: str, *, path: str = "", errno: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.errno = errno


class GuestUserError(GuestError, PermissionError):
    """
    The guest does not run commands as the user that was asked for.

    Attributes:
        user: The name of that user.
    """

    def __init__(self, message: str, *, user: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.user = user


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


class AdditionsError(GuestError):
    """
    Something needs Guest Additions, and the guest has none that run, or they refuse to work.

    Attributes:
        run_level: How far they have come: ``None``, ``System``; ``Userland`` if they refuse.
    """

    def __init__(self, message: str, *, run_level: str = "None", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.run_level = run_level


class NotReadyError(GuestError):
    """
    What is awaited in the guest cannot come any more.

    Attributes:
        what: What was awaited.
        evidence: Lines that help to see why (a unit's status and journal).
    """

    def __init__(
        self, message: str, *, what: str = "", evidence: str = "", hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.what = what
        self.evidence = evidence

    def __str__(self) -> str:
        return f"{super().__str__()}\n{self.evidence}" if self.evidence else super().__str__()

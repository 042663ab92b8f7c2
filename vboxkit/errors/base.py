"""The base of all errors, and those that belong to no part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = [
    "AuditWarning",
    "CleanupError",
    "DriverNeededError",
    "EmulatedWarning",
    "EulaError",
    "ModuleMissingError",
    "OvfError",
    "PortInUseError",
    "ProvisioningError",
    "SettingsError",
    "SetupError",
    "SwitchError",
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


class ModuleMissingError(SetupError):
    """
    VirtualBox lacks a module that can be installed beside it.

    Attributes:
        module: Its name.
    """

    def __init__(self, message: str, *, module: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.module = module


class SettingsError(VBoxKitError, ValueError):
    """A setting has a wrong name or value."""


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


class EulaError(VBoxKitError):
    """
    An appliance has a licence that nobody has agreed to.

    Attributes:
        file: The file.
        licences: Their texts.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str = "",
        licences: Sequence[str] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.file = file
        self.licences = tuple(licences)


class ProvisioningError(VBoxKitError):
    """
    A step of an image's build failed; what it left was removed, and the layers below stay.

    Attributes:
        image: The image's name.
        step: What was done, for people.
        result: The command's `vboxkit.guest.Result`, or `None` if it was no command.
        evidence: Lines that help to see why the guest was lost (serial log, VBox.log).
    """

    def __init__(
        self,
        message: str,
        *,
        image: str = "",
        step: str = "",
        result: Any = None,
        evidence: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.image = image
        self.step = step
        self.result = result
        self.evidence = evidence

    def __str__(self) -> str:
        return f"{super().__str__()}\n{self.evidence}" if self.evidence else super().__str__()


class CleanupError(VBoxKitError):
    """
    Something could not be undone.

    Attributes:
        left: What was left behind, a line each.
    """

    def __init__(self, message: str, *, left: Sequence[str], hint: str | None = None) -> None:
        super().__init__("\n  ".join([message, *left]), hint=hint)
        self.left = tuple(left)


class AuditWarning(UserWarning):
    """A change was made, and could not be written into the audit log."""


class SwitchError(VBoxKitError):
    """The switch of a private network has ended, does not answer, or cannot do what is asked."""


class EmulatedWarning(UserWarning):
    """A machine runs without the kernel driver: it is emulated, hence slow."""

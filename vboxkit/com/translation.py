"""The one place where VirtualBox's errors become vboxkit's."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from vboxkit.core.audit import is_change
from vboxkit.errors import (
    AlreadyExistsError,
    ApiError,
    ConnectionLostError,
    InvalidStateError,
    NotFoundError,
    PasswordError,
    StorageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vboxkit.com.api import Api, ForeignError

__all__ = ["error_class", "remedy", "translated", "translation"]

#: From the result code's name to the error. Codes that are not here become `ApiError`.
#: Source: the VirtualBox SDK reference, "Error codes"; E_ and NS_ names from the platform.
_CLASSES: dict[str, type[ApiError]] = {
    "VBOX_E_OBJECT_NOT_FOUND": NotFoundError,
    "VBOX_E_INVALID_VM_STATE": InvalidStateError,
    "VBOX_E_INVALID_OBJECT_STATE": InvalidStateError,
    "VBOX_E_INVALID_SESSION_STATE": InvalidStateError,
    "VBOX_E_OBJECT_IN_USE": InvalidStateError,
    "VBOX_E_FILE_ERROR": StorageError,
    "VBOX_E_IPRT_ERROR": StorageError,
    "VBOX_E_PASSWORD_INCORRECT": PasswordError,
    "E_ACCESSDENIED": InvalidStateError,
}

_HINTS: dict[type[ApiError], str] = {
    ConnectionLostError: "connect again in a new process; VBoxSVC.log in the VirtualBox home"
    " tells why it ended",
    StorageError: "check the path, who may read and write there, and the space that is left",
}


#: What to try when VirtualBox refuses something in a state of a machine.
_RUNNING = "shutdown() or power_off() the machine first"
_SAVED = "start() it and shut it down, or discard_state(), first"
_STATE_HINTS = {
    "Running": _RUNNING,
    "Paused": _RUNNING,
    "Stuck": _RUNNING,
    "Saved": _SAVED,
    "AbortedSaved": _SAVED,
}


#: What to try after a result code, where neither class nor state says it.
_CODE_HINTS = {
    # "The object is not ready": what it stood for is gone.
    "VBOX_E_OBJECT_IN_USE": "detach() or close() what uses it first",
    "E_ACCESSDENIED": "if it was closed, removed or deleted since, look it up again",
}


def remedy(cls: type[ApiError]) -> str | None:
    """Return what to try after an error of a class, whatever was being done."""
    return _HINTS.get(cls)


def error_class(foreign: ForeignError) -> type[ApiError]:
    """Return the class of error that a foreign one becomes."""
    if foreign.lost:
        return ConnectionLostError
    if foreign.symbol == "VBOX_E_FILE_ERROR" and foreign.text.endswith("already exists"):
        # createMachine() has no code of its own for a name that is taken.
        return AlreadyExistsError
    return _CLASSES.get(foreign.symbol, ApiError)


def translation(
    foreign: ForeignError, *, operation: str, subject: str = "", state: str = ""
) -> ApiError:
    """
    Make vboxkit's error from a foreign one.

    Args:
        foreign: What the foreign exception said.
        operation: What was asked ("take a snapshot").
        subject: Of which object ("machine 'web'").
        state: The state it was in, if known.
    """
    cls = error_class(foreign)
    text = foreign.text.strip() or "VirtualBox gave no reason"
    who = f"{subject} ({state})" if subject and state else subject
    message = f"cannot {operation}: {text} [{foreign.symbol}]"
    if who:
        message = f"{who}: {message}"
    error = cls(
        message,
        code=foreign.code,
        symbol=foreign.symbol,
        text=foreign.text,
        operation=operation,
        hint=(_STATE_HINTS.get(state) if cls is InvalidStateError else _HINTS.get(cls))
        or _CODE_HINTS.get(foreign.symbol),
    )
    if isinstance(error, InvalidStateError):
        error.state = state
    return error


@contextmanager
def translated(
    api: Api, operation: str, *, subject: str = "", state: Callable[[], str] | None = None
) -> Iterator[None]:
    """
    Turn foreign exceptions that leave the block into vboxkit's, and write a change into the log.

    Args:
        api: The way in, which knows its exceptions.
        operation: What the block does, after "cannot".
        subject: The object, for the message.
        state: Read only if something went wrong.
    """
    log = api.audit
    if log is not None and log.current is None and is_change(operation):
        with (
            log.change(operation, subject),
            translated(api, operation, subject=subject, state=state),
        ):
            yield
        return
    try:
        yield
    except Exception as error:
        foreign = api.foreign(error)
        if foreign is None:
            raise
        seen = ""
        if state is not None and not foreign.lost:
            with suppress(Exception):  # the state only adorns the message
                seen = state()
        raise translation(foreign, operation=operation, subject=subject, state=seen) from error

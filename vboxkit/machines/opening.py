"""Making images known to VirtualBox, and finding those that are."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.com.api import ForeignError
from vboxkit.com.translation import translation
from vboxkit.errors import AlreadyExistsError, InvalidStateError, StorageError, VBoxKitError
from vboxkit.machines.medium_formats import formats
from vboxkit.machines.medium_work import full_path, require_writable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vboxkit.com.api import Api

__all__ = ["open_medium", "raw_media", "registered", "remove_new", "require_new"]

#: What openMedium() says of files that are no image, or an image of another kind of medium.
_NO_IMAGE = {"VBOX_E_FILE_ERROR", "VBOX_E_IPRT_ERROR", "VBOX_E_OBJECT_NOT_FOUND", "E_FAIL"}
_LISTS = ("hardDisks", "DVDImages", "floppyImages")


def raw_media(api: Api, *lists: str) -> Iterator[Any]:
    """Yield the raw media of some of VirtualBox's lists, or of all; parents before children."""
    for attribute in lists or _LISTS:
        pending = api.array(api.virtualbox, attribute)
        while pending:
            com = pending.pop(0)
            try:
                # VirtualBox lists base disks only; the others are below them.
                children = api.array(com, "children")
            except Exception as error:
                # It was closed meanwhile.
                if api.foreign(error) is None:
                    raise
                continue
            yield com
            pending = [*children, *pending]


def registered(api: Api, what: Path | str) -> Any:
    """Return the raw medium with a UUID or at a path, or `None`; opens nothing."""
    path = str(full_path(what))
    for com in raw_media(api):
        try:
            if str(com.id) == str(what) or str(com.location) == path:
                return com
        except Exception as error:
            if api.foreign(error) is None:
                raise
    return None


def remove_new(api: Api, folder: Path, *, known: Callable[[Any], bool]) -> None:
    """
    Delete and forget the hard disks in a folder that an operation has made and not finished.

    Args:
        api: The way in.
        folder: Where it made them.
        known: Says of a raw medium whether it was there before.
    """
    for com in raw_media(api, "hardDisks"):
        try:
            if folder not in Path(str(com.location)).parents or known(com):
                continue
        except Exception as error:
            if api.foreign(error) is None:
                raise
            continue
        with _quietly(api):
            com.deleteStorage().waitForCompletion(10_000)
        with _quietly(api):
            com.close()  # it had no file any more; otherwise it is gone by now


@contextmanager
def _quietly(api: Api) -> Iterator[None]:
    """Go on when VirtualBox cannot remove one thing."""
    try:
        yield
    except Exception as error:
        if api.foreign(error) is None:
            raise


def require_new(api: Api, path: Path) -> None:
    """
    Find out before anything is made whether an image can be made at a path.

    Raises:
        AlreadyExistsError: A file is there, or a medium is known there whose file is gone.
        StorageError: It cannot be written there.
    """
    require_writable(path)
    if registered(api, path) is not None:
        # VirtualBox would make all of it first, and then refuse it.
        raise AlreadyExistsError(
            f"VirtualBox knows a medium {path} already, whose file is gone",
            kind="medium",
            wanted=str(path),
            operation="make an image",
            hint="close() that one, or choose another path",
        )


def open_medium(
    api: Api, path: Path, *, kind: str, read_only: bool | None = None, new_uuid: bool = False
) -> Any:
    """See `Media.open`; returns the raw medium."""
    known = registered(api, path)
    if known is not None and api.name("DeviceType", known.deviceType) == kind:
        return known
    _require_readable(path)
    reading = kind == "DVD" if read_only is None else read_only
    api.forget_words()
    try:
        com = api.virtualbox.openMedium(
            str(path),
            api.value("DeviceType", kind),
            api.value("AccessMode", "ReadOnly" if reading else "ReadWrite"),
            new_uuid,
        )
    except Exception as error:
        foreign = api.foreign(error)
        if foreign is None or foreign.lost:
            raise
        # The exception has the code of a search that came before, and no words.
        said = api.last_words() or foreign
        raise _unusable(api, path, kind, known, said) from error
    if api.name("MediumState", com.refreshState()) == "Inaccessible":
        reason = str(com.lastAccessError)
        com.close()
        raise _unusable(api, path, kind, None, ForeignError(0, "VBOX_E_FILE_ERROR", reason))
    return com


def _require_readable(path: Path) -> None:
    reason = ""
    try:
        if path.exists() and not (path.is_file() or path.is_dir() or path.is_block_device()):
            reason = "it is no file"  # reading a pipe could wait for ever
        else:
            with path.open("rb") as file:
                file.read(1)
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise StorageError(
            f"cannot open the medium {path}: {reason}",
            symbol="VBOX_E_FILE_ERROR",
            text=reason,
            operation="open a medium",
            hint="check the path, and who may read it",
        )


def _unusable(api: Api, path: Path, kind: str, known: Any, said: ForeignError) -> VBoxKitError:
    """Return the error for a file that VirtualBox did not open."""
    if known is not None or said.symbol in {"E_INVALIDARG", "VBOX_E_OBJECT_IN_USE"}:
        other = "" if known is None else ", which is known as something else,"
        return InvalidStateError(
            f"cannot open {path}{other} as a {kind}: {said.text}",
            code=said.code,
            symbol=said.symbol,
            text=said.text,
            operation="open a medium",
            hint="close() the medium that it collides with, or new_uuid=True for a copy",
        )
    if said.symbol not in _NO_IMAGE:
        return translation(said, operation=f"open the medium {path}")
    suffixes = sorted(
        f".{suffix}" for entry in formats(api) for suffix in entry.extensions.get(kind, ())
    )
    return StorageError(
        f"{path} is no image of a {kind} that VirtualBox can read: {said.text}",
        code=said.code,
        symbol=said.symbol,
        text=said.text,
        operation="open a medium",
        hint=f"kind= says what it is for; images of this kind: {', '.join(suffixes)}",
    )

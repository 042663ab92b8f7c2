"""Making machines known that are on the disk already, and forgetting them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from vboxkit.core.steps import step
from vboxkit.errors import AlreadyExistsError, InvalidStateError, StorageError
from vboxkit.machines.locks import locked, require_no_edit
from vboxkit.machines.medium_work import full_path
from vboxkit.machines.progress import Progress, progress_hook
from vboxkit.machines.states import OFFLINE, ONLINE, SessionState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.progress import ProgressHook
    from vboxkit.machines.virtualbox import VirtualBox

__all__ = ["move", "read_settings", "register", "unregister"]


def register(vbox: VirtualBox, path: Path | str) -> Machine:
    """See `Machines.register`."""
    from vboxkit.machines.machine import Machine  # Machine imports this

    api = vbox._api
    file = full_path(path)
    name, uuid = read_settings(file)
    box: Any = api.virtualbox
    for com in api.array(box, "machines"):
        same_name = com.accessible and str(com.name) == name
        if str(com.id) == uuid or same_name:
            raise AlreadyExistsError(
                f"cannot register {file}: there is a machine {name!r} already"
                f" ({'with the same name' if str(com.id) != uuid else com.settingsFilePath})",
                kind="machine",
                wanted=name,
                operation="register the machine",
                hint="unregister() or destroy() that machine first",
            )
    with step(f"machine {name!r}: register"), vbox._translated(f"register {file}"):
        try:
            com = box.openMachine(str(file), "")
        except Exception as error:
            foreign = api.foreign(error)
            if foreign is None or foreign.lost:
                raise
            # E_FAIL of all that is wrong with a file; the second line is a place in its sources.
            raise _unreadable(file, foreign.text.splitlines()[0]) from error
        box.registerMachine(com)
    return Machine(api, com, vbox.settings)


def read_settings(file: Path) -> tuple[str, str]:
    """
    Return the name and id of the machine that a settings file describes.

    VBoxSVC 7.2 dies of openMachine() with a file that is no XML, or not a machine's.

    Raises:
        StorageError: It cannot be read, or is no such file.
    """
    try:
        root = ET.parse(file).getroot()  # noqa: S314 - expat limits expansion itself
    except OSError as error:
        raise _unreadable(file, str(error.strerror)) from error
    except (ET.ParseError, LookupError, ValueError) as error:
        raise _unreadable(file, f"it is no settings file: {error}") from error
    machine = root.find("{*}Machine")
    if machine is None:
        raise _unreadable(file, "it is no settings file of a machine")
    return machine.get("name", ""), machine.get("uuid", "").strip("{}").lower()


def _unreadable(file: Path, reason: str) -> StorageError:
    return StorageError(
        f"cannot register {file}: {reason}",
        symbol="VBOX_E_FILE_ERROR",
        text=reason,
        operation="register the machine",
        hint="give the path of the machine's .vbox file",
    )


def unregister(machine: Machine) -> Path:
    """See `Machine.unregister`."""
    api = machine._api
    # VBoxSVC 7.2 dies of unregister() on a machine that it has forgotten already.
    machine._require_registered("unregister")
    file = machine.settings_file
    if machine.session_state is not SessionState.UNLOCKED:
        raise InvalidStateError(
            f"{machine._subject()} ({machine.state}) cannot be unregistered: it is locked",
            state=str(machine.state),
            operation="unregister",
            hint="shutdown() or power_off() the machine first, or close what works on it",
        )
    media = list(_media(machine))
    with step(f"{machine._subject()}: unregister"):
        machine.com.unregister(api.value("CleanupMode", "UnregisterOnly"))
        # VirtualBox moves the media to its own list, with their places: registered from another
        # folder, the machine would then not find them. Children before their parents.
        for medium in media:
            try:
                if not api.array(medium, "machineIds") and not api.array(medium, "children"):
                    medium.close()
            except Exception as error:
                # Closed already; or somebody else has taken it meanwhile.
                if api.foreign(error) is None:
                    raise
    return file


def move(
    machine: Machine,
    folder: Path | str,
    *,
    timeout: Timeout | None,
    on_update: ProgressHook | None,
) -> Path:
    """See `Machine.move`."""
    target = full_path(folder)
    require_no_edit(machine, "move the machine")
    if machine.state in ONLINE:
        raise InvalidStateError(
            f"{machine._subject()} is {machine.state}: its files are in use",
            state=str(machine.state),
            needed=sorted(map(str, OFFLINE)),
            operation="move the machine",
            hint="shutdown(), power_off() or save_state() it first",
        )
    place = target / machine.folder.name
    if place.exists():
        raise AlreadyExistsError(
            f"{machine._subject()} ({machine.state}): there is {place} already",
            kind="folder",
            wanted=str(place),
            operation="move the machine",
            hint="choose another folder, or remove that one",
        )
    made = [path for path in (target, *target.parents) if not path.exists()]
    done = False
    try:
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"{machine._subject()} ({machine.state}): cannot make {target}: {error.strerror}",
                operation="move the machine",
                hint="choose another folder",
            ) from error
        with (
            progress_hook(on_update),
            locked(machine, timeout=machine.settings.lock_timeout) as session,
        ):
            Progress(
                machine._api,
                session.machine.moveTo(str(target), "basic"),
                what=f"move to {target}",
                subject=machine._subject(),
            ).wait(timeout=timeout if timeout is not None else machine.settings.progress_timeout)
        done = True
    finally:
        if not done:
            for path in made:
                with suppress(OSError):  # not empty: somebody else has put something there
                    path.rmdir()
    return machine.folder


def _media(machine: Machine) -> Iterator[Any]:
    """Yield the raw disks of the machine and its snapshots, children before their parents."""
    api = machine._api
    seen: dict[str, Any] = {}
    states: list[Any] = [machine.com, *(snapshot.com.machine for snapshot in machine.snapshots)]
    for com in states:
        for attachment in api.array(com, "mediumAttachments"):
            medium = attachment.medium
            if medium is not None and attachment.type == api.value("DeviceType", "HardDisk"):
                seen.setdefault(str(medium.id), medium)
    yield from sorted(seen.values(), key=lambda medium: -_depth(medium))


def _depth(medium: Any) -> int:
    depth = 0
    while medium is not None:
        medium = medium.parent
        depth += 1
    return depth

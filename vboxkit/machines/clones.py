"""Full and linked clones."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.com.versions import create_machine
from vboxkit.core.waiting import Deadline
from vboxkit.errors import AlreadyExistsError, ApiError, InvalidStateError
from vboxkit.machines.progress import Progress
from vboxkit.machines.states import ONLINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.snapshots import Snapshot

__all__ = ["clone", "copy_registered", "folder_in_use", "require_free_name"]

#: Of 255, for VirtualBox adds endings such as ``-disk1.vmdk``.
_LONGEST_NAME = 240


def clone(
    machine: Machine,
    name: str,
    *,
    linked: bool,
    snapshot: Snapshot | None,
    keep_macs: bool,
    timeout: Timeout,
) -> Any:
    """See `Machine.clone`; returns the raw machine."""
    deadline = Deadline(timeout)
    if snapshot is None and not linked and machine.state in ONLINE:
        raise InvalidStateError(
            f"{machine._subject()} is {machine.state}: a full clone needs it at rest",
            state=str(machine.state),
            needed=["PoweredOff", "Saved", "Aborted"],
            operation="clone",
            hint="power_off() first, clone a snapshot of it, or fork() it",
        )
    require_free_name(machine._api, name)
    made: Snapshot | None = None
    if snapshot is None and linked:
        snapshot = machine.snapshots.current
        if snapshot is None:
            snapshot = made = machine.snapshots.take(f"base of {name}", timeout=deadline)
    done = False
    try:
        com = copy_registered(
            machine,
            name,
            source=machine.com if snapshot is None else snapshot.com.machine,
            options=[*(["Link"] if linked else []), *(["KeepAllMACs"] if keep_macs else [])],
            deadline=deadline,
        )
        done = True
    finally:
        if made is not None and not done:
            made.delete()
    return com


def copy_registered(
    machine: Machine,
    name: str,
    *,
    source: Any,
    options: Sequence[str],
    deadline: Deadline,
    extra_data: Mapping[str, str] | None = None,
) -> Any:
    """
    Clone into a new machine and register it; leaves nothing behind if that fails.

    Args:
        machine: The machine that is copied, for messages.
        name: The copy's name.
        source: The raw machine (or a snapshot's) to copy.
        options: Names of ``CloneOptions``.
        deadline: For the whole.
        extra_data: Written before the copy is registered, so that it is never seen without.

    Returns:
        The raw machine.
    """
    api = machine._api
    require_free_name(api, name)
    target = create_machine(api, name, os_type=str(source.OSTypeId))
    folder = Path(str(target.settingsFilePath)).parent
    fresh = not folder.exists()
    done = False
    try:
        progress = source.cloneTo(
            target,
            api.value("CloneMode", "MachineState"),
            [api.value("CloneOptions", option) for option in options],
        )
        Progress(api, progress, what=f"clone to {name!r}", subject=machine._subject()).wait(
            timeout=deadline
        )
        for key, value in (extra_data or {}).items():
            target.setExtraData(key, value)
        api.virtualbox.registerMachine(target)
        done = True
    finally:
        if not done and fresh:
            _discard(api, target, folder)
    return target


def require_good_name(name: str) -> None:
    """
    Refuse a name that cannot be the name of files.

    VirtualBox makes folders and disks of it: import goes up with ``..`` and down with a slash, and
    a clone of such a name has disks that cannot be opened.
    """
    bad = sorted({c for c in name if c in '/\\:*?"<>|' or not c.isprintable()})
    if bad or not name.strip(" .") or len(name.encode()) > _LONGEST_NAME:
        raise ApiError(
            f"a machine cannot be named {name!r}",
            symbol="E_INVALIDARG",
            operation="name a machine",
            hint=f"leave out {bad}" if bad else f"1 to {_LONGEST_NAME} bytes, not only dots",
        )


def require_free_name(api: Any, name: str) -> None:
    """Raise `AlreadyExistsError` if a machine has this name, `ApiError` if none can have it."""
    require_good_name(name)
    for com in api.array(api.virtualbox, "machines"):
        if com.accessible and str(com.name) == name:
            raise AlreadyExistsError(
                f"there is a machine {name!r} already",
                kind="machine",
                wanted=name,
                hint="choose another name, or destroy() that machine",
            )


def folder_in_use(api: Any, folder: Path) -> bool:
    """Whether a registered machine has its settings in a folder."""
    return any(
        Path(str(com.settingsFilePath)).parent == folder
        for com in api.array(api.virtualbox, "machines")
    )


def _discard(api: Any, target: Any, folder: Path) -> None:
    """Remove a machine that was never registered, with the disks made for it."""
    if folder_in_use(api, folder):
        return  # another process has made a machine of this name meanwhile: the files are its
    try:
        # Works without a registration, too; a disk that is attached cannot be closed.
        mode = api.value("CleanupMode", "DetachAllReturnHardDisksOnly")
        target.deleteConfig(list(target.unregister(mode))).waitForCompletion(10_000)
    except Exception as error:
        if api.foreign(error) is None:
            raise
    shutil.rmtree(folder, ignore_errors=True)

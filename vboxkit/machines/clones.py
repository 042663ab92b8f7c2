"""Full and linked clones."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from vboxkit.com.versions import create_machine
from vboxkit.core.signals import held
from vboxkit.core.waiting import Deadline
from vboxkit.errors import AlreadyExistsError, ApiError, InvalidStateError, StorageError
from vboxkit.machines.opening import remove_new
from vboxkit.machines.parts import invalid
from vboxkit.machines.progress import Progress, unhooked
from vboxkit.machines.states import ONLINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.snapshots import Snapshot

__all__ = ["CloneMode", "clone", "copy_registered", "folder_in_use", "require_free_name"]

#: Of 255, for VirtualBox adds endings such as ``-disk1.vmdk``.
_LONGEST_NAME = 240


#: How much of a machine is copied: one state of it; that of a snapshot and all that was made from
#: it; all.
CloneMode = Literal["machine", "machine and children", "all"]
_MODES = {
    "machine": "MachineState",
    "machine and children": "MachineAndChildStates",
    "all": "AllStates",
}


def clone(
    machine: Machine,
    name: str,
    *,
    linked: bool,
    snapshot: Snapshot | None,
    mode: CloneMode,
    keep_macs: bool | Literal["NAT"],
    keep_disk_names: bool,
    keep_hardware_uuid: bool,
    folder: Path | str | None,
    timeout: Timeout,
) -> Any:
    """See `Machine.clone`; returns the raw machine."""
    deadline = Deadline(timeout)
    _check_mode(machine, mode, linked=linked, snapshot=snapshot)
    options = _options(
        machine,
        linked=linked,
        keep_macs=keep_macs,
        keep_disk_names=keep_disk_names,
        keep_hardware_uuid=keep_hardware_uuid,
    )
    if not linked and machine.state in ONLINE and _takes_present(machine, mode, snapshot):
        raise InvalidStateError(
            f"{machine._subject()} is {machine.state}: a full clone needs it at rest",
            state=str(machine.state),
            needed=["PoweredOff", "Saved", "Aborted"],
            operation="clone",
            hint="power_off() first, clone a snapshot of it, or fork() it",
        )
    require_free_name(machine._api, name)
    if folder is not None:
        folder = _usable(machine, folder)
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
            mode=mode,
            options=options,
            folder=folder,
            deadline=deadline,
        )
        done = True
    finally:
        if made is not None and not done:
            with unhooked():
                made.delete()
    return com


def _takes_present(machine: Machine, mode: CloneMode, snapshot: Snapshot | None) -> bool:
    """Whether a full clone copies the present state, too."""
    if snapshot is None or mode == "machine":
        return snapshot is None
    # "Child states" has the present one among them. Of a running machine, VirtualBox refuses that
    # without giving a reason.
    at = machine.snapshots.current
    while at is not None and at != snapshot:
        at = at.parent
    return at is not None


def _check_mode(
    machine: Machine, mode: CloneMode, *, linked: bool, snapshot: Snapshot | None
) -> None:
    if mode not in get_args(CloneMode):
        raise invalid(
            machine,
            f"there is no clone mode {mode!r}",
            hint=f"one of {', '.join(map(repr, get_args(CloneMode)))}",
            operation="clone",
        )
    if mode == "machine":
        return
    problem = ""
    if linked:
        problem = "a linked clone stands on one state, and cannot have a tree of its own"
        hint = "linked=False, or mode='machine'"
    elif mode == "all" and snapshot is not None:
        problem = f"mode='all' copies every snapshot, not only {snapshot._name!r}"
        hint = "leave out the snapshot, or use mode='machine and children'"
    elif mode != "all" and snapshot is None:
        # VirtualBox takes this for "machine", without a word.
        problem = "mode='machine and children' copies a snapshot and those after it: which one?"
        hint = "snapshot=..., or mode='all'"
    if problem:
        raise invalid(machine, problem, hint=hint, operation="clone")


def _usable(machine: Machine, folder: Path | str) -> Path:
    """
    Return a folder's absolute path (VirtualBox would take a relative one from its home).

    Raises:
        StorageError: Nothing can be made there. VirtualBox gives no reason for a linked clone.
    """
    path = Path(folder).expanduser().absolute()
    there = next(p for p in (path, *path.parents) if p.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        problem = "cannot be written" if there.is_dir() else "is no folder"
        raise StorageError(
            f"{machine._subject()} ({machine.state}): cannot clone into {path}: {there} {problem}",
            operation="clone",
            hint="choose another folder, or leave it out for VirtualBox's folder of machines",
        )
    return path


def _options(
    machine: Machine,
    *,
    linked: bool,
    keep_macs: bool | Literal["NAT"],
    keep_disk_names: bool,
    keep_hardware_uuid: bool,
) -> list[str]:
    """Return the names of ``CloneOptions``."""
    if keep_macs not in (True, False, "NAT"):
        raise invalid(
            machine,
            f"keep_macs cannot be {keep_macs!r}",
            hint="True, False, or 'NAT' for the adapters behind NAT only",
            operation="clone",
        )
    wanted = {
        "Link": linked,
        "KeepAllMACs": keep_macs is True,
        "KeepNATMACs": keep_macs == "NAT",  # both together are refused
        "KeepDiskNames": keep_disk_names,
        "KeepHwUUIDs": keep_hardware_uuid,
    }
    return [name for name, want in wanted.items() if want]


def copy_registered(
    machine: Machine,
    name: str,
    *,
    source: Any,
    options: Sequence[str],
    deadline: Deadline,
    mode: CloneMode = "machine",
    folder: Path | str | None = None,
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
        mode: How much is copied.
        folder: Where the copy's folder is made (absolute), instead of the default machine folder.
        extra_data: Written before the copy is registered, so that it is never seen without.

    Returns:
        The raw machine.
    """
    api = machine._api
    require_free_name(api, name)
    settings_file = ""
    if folder is not None:
        settings_file = str(api.virtualbox.composeMachineFilename(name, "", "", str(folder)))
    target = create_machine(api, name, os_type=str(source.OSTypeId), settings_file=settings_file)
    own = Path(str(target.settingsFilePath)).parent
    there = _paths(own)
    done = False
    try:
        progress = source.cloneTo(
            target,
            api.value("CloneMode", _MODES[mode]),
            [api.value("CloneOptions", option) for option in options],
        )
        what = f"clone to {name!r}" + (f" in {folder}" if folder is not None else "")
        Progress(api, progress, what=what, subject=machine._subject()).wait(timeout=deadline)
        for key, value in (extra_data or {}).items():
            target.setExtraData(key, value)
        with held():  # whether it is registered must be known
            api.virtualbox.registerMachine(target)
            done = True
    finally:
        if not done:
            with held():
                _discard(api, target, own, there)
    return target


def require_good_name(name: str) -> None:
    """
    Refuse a name that cannot be the name of files.

    VirtualBox makes folders and disks of it: import goes up with ``..`` and down with a slash, and
    a clone of such a name has disks that cannot be opened.
    """
    if not isinstance(name, str):
        raise TypeError(f"a machine's name is str, not {type(name).__name__}")
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
    try:
        # Of many machines, asking each for its name would take longer than a fork.
        com: Any = api.virtualbox.findMachine(name)
    except Exception as error:
        foreign = api.foreign(error)
        if foreign is None or foreign.symbol != "VBOX_E_OBJECT_NOT_FOUND":
            raise
        return
    if com.accessible and str(com.name) == name:  # and not a machine whose UUID this is
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


def _paths(folder: Path) -> set[Path]:
    """Return what there is of a folder: all in it, and it and the folders it is in."""
    return {path for path in (folder, *folder.parents) if path.exists()} | set(folder.rglob("*"))


def _discard(api: Any, target: Any, folder: Path, there: set[Path]) -> None:
    """
    Remove a machine that was never registered, with the disks made for it.

    Args:
        api: The way in.
        target: The raw machine.
        folder: Its folder.
        there: What there was before it; that stays.
    """
    if folder_in_use(api, folder):
        return  # another process has made a machine of this name meanwhile: the files are its
    try:
        # Works without a registration, too; a disk that is attached cannot be closed.
        mode = api.value("CleanupMode", "DetachAllReturnHardDisksOnly")
        target.deleteConfig(list(target.unregister(mode))).waitForCompletion(10_000)
    except Exception as error:
        if api.foreign(error) is None:
            raise
    # Canceled at a moment that is not known, a clone's disk stays registered and attached nowhere.
    remove_new(api, folder, known=lambda medium: Path(str(medium.location)) in there)
    if folder not in there:
        shutil.rmtree(folder, ignore_errors=True)
    for path in sorted({*folder.rglob("*"), *folder.parents} - there, reverse=True):
        with suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()

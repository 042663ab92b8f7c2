"""Making machines from nothing."""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.com.versions import create_machine, platform_properties
from vboxkit.core.locks import lock_file
from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline
from vboxkit.errors import AlreadyExistsError, StorageError, VBoxKitError
from vboxkit.machines import drives
from vboxkit.machines.base import ComObject
from vboxkit.machines.clones import require_free_name, require_good_name
from vboxkit.machines.groups import read_groups
from vboxkit.machines.mappings import require_printable
from vboxkit.machines.medium_work import full_path
from vboxkit.machines.names import home_lock, require_unreserved
from vboxkit.machines.nics import Nic, apply_nics, read_nics
from vboxkit.machines.os_types import OsType
from vboxkit.machines.parts import choose, invalid, require_text, within
from vboxkit.machines.registration import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.medium import Medium
    from vboxkit.machines.nics import NicLike
    from vboxkit.machines.virtualbox import VirtualBox

__all__ = ["create"]

_log = logging.getLogger("vboxkit.machines")

#: The disk before the DVD drive: an empty disk is passed over, and after the installation the
#: machine boots what was installed, although the ISO is still in the drive.
_BOOT_ORDER = ("HardDisk", "DVD")


class _Draft(ComObject):
    """A machine that is not there yet, for messages."""

    def __init__(self, vbox: VirtualBox, name: str) -> None:
        super().__init__(vbox._api, vbox.com)
        self.vbox = vbox
        self._name = name

    def _subject(self) -> str:
        return f"new machine {self._name!r}"


@dataclass(frozen=True)
class _Plan:
    """What was asked for, as far as it could be checked."""

    name: str
    system: OsType
    memory_mb: int
    cpus: int
    disk: drives.NewDisk | None
    firmware: str | None
    chipset: str | None
    nics: list[Nic] | None
    boot_order: tuple[str, ...]
    groups: list[str]
    description: str
    icon: bytes | None
    extra_data: Mapping[str, str]
    #: Where the machine's own folder is made; an empty text for VirtualBox's.
    base: str


def create(
    vbox: VirtualBox,
    name: str,
    *,
    os_type: OsType | str,
    memory_mb: int | None,
    cpus: int | None,
    disk_mb: int | None,
    disk_format: str | None,
    disk_variant: str | None,
    firmware: str | None,
    chipset: str | None,
    nics: Sequence[NicLike] | None,
    iso: Path | str | None,
    boot_order: Sequence[str] | None,
    groups: Iterable[str],
    description: str,
    icon: bytes | None,
    extra_data: Mapping[str, str] | None,
    folder: Path | str | None,
    timeout: Timeout,
) -> Machine:
    """See `VirtualBox.create`."""
    deadline = Deadline(timeout)
    draft = _Draft(vbox, name)
    with step(f"machine {name!r}: create"), vbox._translated(f"create machine {name!r}"):
        # First all that can be found out before anything is made.
        require_good_name(name)
        system = os_type if isinstance(os_type, OsType) else vbox.os_types[os_type]
        best = system.recommended
        size_mb = best.disk_mb if disk_mb is None else disk_mb
        disk = None
        if size_mb:
            disk = drives.plan_disk(
                draft,
                name,
                size_mb,
                format_name=disk_format,
                variant=disk_variant,
                asked=disk_mb is not None,
            )
        floppy = ("Floppy",) if best.floppy else ()
        plan = _Plan(
            name=name,
            system=system,
            memory_mb=best.memory_mb if memory_mb is None else memory_mb,
            cpus=best.cpus if cpus is None else cpus,
            disk=disk,
            firmware=firmware,
            chipset=chipset,
            nics=None if nics is None else read_nics(draft, nics),
            boot_order=(*floppy, *_BOOT_ORDER) if boot_order is None else tuple(boot_order),
            groups=read_groups(draft, groups),
            description=description,
            icon=icon,
            extra_data=extra_data or {},
            base="" if folder is None else str(full_path(folder)),
        )
        _check(draft, plan)
        with ExitStack() as undo:
            image = None if iso is None else drives.open_iso(vbox, undo, iso)
            machine = _make(draft, plan, undo, image, deadline)
            undo.pop_all()
    return machine


def _make(
    draft: _Draft,
    plan: _Plan,
    undo: ExitStack,
    image: Medium | None,
    deadline: Deadline,
) -> Machine:
    from vboxkit.machines.machine import Machine  # Machine imports much

    vbox = draft.vbox
    machine = Machine(vbox._api, _register(draft, plan, undo, deadline), vbox.settings)
    undo.callback(_take_back, machine)
    best = plan.system.recommended
    with machine.edit():
        _set_up(machine, plan)
    if plan.disk is not None:
        drives.require_fit(draft, machine.folder, plan.disk)
        medium = vbox.media.create(
            machine.folder / plan.disk.file_name,
            size_mb=plan.disk.size_mb,
            format=plan.disk.format,
            variant=plan.disk.variant,
            timeout=deadline,
        )
        undo.callback(_delete_unused, medium)
        drives.attach(machine, "HardDisk", medium, controller=best.disk_controller)
    drives.attach(machine, "DVD", image, controller=best.dvd_controller)
    _require_written(draft, machine.settings_file)
    return machine


def _check(draft: _Draft, plan: _Plan) -> None:
    api = draft._api
    box: Any = api.virtualbox
    limits, host = box.systemProperties, box.host
    if api.version >= (7, 1):
        known = [
            api.name("PlatformArchitecture", each)
            for each in api.array(limits, "supportedPlatformArchitectures")
        ]
        if plan.system.architecture not in known:
            raise invalid(
                draft,
                f"{plan.system.id} is a system for {plan.system.architecture},"
                f" and this host runs {' and '.join(known)} only",
                hint=f"one of vbox.os_types whose architecture is {' or '.join(known)}",
                operation="create it",
            )
    # VirtualBox takes more than the host has; the start then fails, or the host crawls.
    for what, value in (("memory_mb", plan.memory_mb), ("cpus", plan.cpus)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{draft._subject()}: {what} is int, not {type(value).__name__}")
    most = min(int(limits.maxGuestRAM), int(host.memorySize))
    within(int(limits.minGuestRAM), most, "MiB on this host")(draft, "memory_mb", plan.memory_mb)
    most = min(int(limits.maxGuestCPUCount), int(host.processorOnlineCount))
    within(int(limits.minGuestCPUCount), most, "on this host")(draft, "cpus", plan.cpus)
    if plan.firmware is not None:
        choose(draft, "FirmwareType", plan.firmware)
    if plan.chipset is not None:
        choose(draft, "ChipsetType", plan.chipset)
    for key, text in plan.extra_data.items():
        require_printable(draft, "extra data key", key)
        require_text(draft, "extra data text", text)


def _register(draft: _Draft, plan: _Plan, undo: ExitStack, deadline: Deadline) -> Any:
    """
    Make and register the bare machine, and return it raw.

    VirtualBox lets two machines have one name if their folders differ: so one at a time.
    """
    api = draft._api
    box: Any = api.virtualbox
    with lock_file(home_lock(api), what="another process to create a machine", timeout=deadline):
        require_free_name(api, plan.name)
        group = plan.groups[0] if plan.groups else ""
        file = Path(box.composeMachineFilename(plan.name, group, "", plan.base))
        if os.path.lexists(file):
            raise AlreadyExistsError(
                f"{draft._subject()}: there is a settings file {file} already",
                kind="machine",
                wanted=plan.name,
                operation="create it",
                hint="vbox.machines.register() makes it known again; or choose another name",
            )
        require_unreserved(api, plan.name, file)
        _make_folder(draft, undo, file.parent)
        # VirtualBox may have written these before it failed.
        for suffix in (".vbox", ".vbox-tmp", ".vbox-prev"):
            undo.callback(file.with_suffix(suffix).unlink, missing_ok=True)
        com: Any = create_machine(
            api,
            plan.name,
            os_type=plan.system.id,
            groups=plan.groups,
            settings_file=str(file),
            architecture=plan.system.architecture,
        )
        # The controllers, sound, USB, graphics and clock that suit the operating system.
        com.applyDefaults("")
        for key, text in plan.extra_data.items():
            com.setExtraData(key, text)
        box.registerMachine(com)
    return com


def _make_folder(draft: _Draft, undo: ExitStack, folder: Path) -> None:
    """Make a machine's folder, with those above; VirtualBox says E_FAIL of all that can fail."""
    missing = []
    try:
        for place in (folder, *folder.parents):
            if place.exists():
                break
            missing.append(place)
        for place in reversed(missing):
            place.mkdir(exist_ok=True)
            undo.callback(_remove_folder, place)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(0, "it may not be written to")
    except OSError as error:
        raise StorageError(
            f"{draft._subject()}: cannot make its folder {folder}: {error.strerror}",
            symbol="VBOX_E_FILE_ERROR",
            text=str(error.strerror),
            operation="create it",
            hint="choose another folder, or make room in it",
        ) from error


def _set_up(machine: Machine, plan: _Plan) -> None:
    machine.memory_mb = plan.memory_mb
    machine.cpus = plan.cpus
    # Both check the name; the chipset first, for the number of network adapters depends on it.
    if plan.chipset is not None:
        machine.chipset.kind = plan.chipset  # type: ignore[assignment]
    if plan.firmware is not None:
        machine.firmware.kind = plan.firmware  # type: ignore[assignment]
    if plan.nics is not None:
        apply_nics(machine, plan.nics)
    machine.boot_order = plan.boot_order  # type: ignore[assignment]  # likewise
    machine.description = plan.description
    machine.icon = plan.icon
    with machine._changing() as com:
        # DOS and the like have one by default; nobody listens at its other end.
        for slot in range(int(platform_properties(machine._api, com).serialPortCount)):
            com.getSerialPort(slot).enabled = False


def _require_written(draft: _Draft, file: Path) -> None:
    """
    Raise `StorageError` if the settings are not on the disk.

    On a disk that is full VirtualBox 7.2 leaves an empty file, and reports success.
    """
    try:
        read_settings(file)
    except StorageError as error:
        free = shutil.disk_usage(file.parent).free
        raise StorageError(
            f"{draft._subject()}: VirtualBox has not written its settings to {file}"
            f" ({free >> 10} KiB are free there)",
            symbol="VBOX_E_FILE_ERROR",
            text=error.text,
            operation="create it",
            hint="make room, or choose another folder",
        ) from error


def _take_back(machine: Machine) -> None:
    try:
        machine.destroy()
    except VBoxKitError as error:
        # A file of somebody else in its folder, for one; it must not hide what went wrong first.
        _log.warning("%s: %s", machine._subject(), error)


def _delete_unused(medium: Medium) -> None:
    """Remove a disk that is not attached; an attached one goes with its machine."""
    try:
        if not medium.users():
            medium.delete()
    except VBoxKitError as error:
        _log.warning("%s: %s", medium._subject(), error)


def _remove_folder(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError as error:
        # Gone already, or somebody else has put something there.
        _log.debug("%s stays: %s", folder, error)

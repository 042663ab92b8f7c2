"""Importing a plan: all of its machines, or nothing."""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from vboxkit.core.signals import held
from vboxkit.errors import (
    AlreadyExistsError,
    OvfError,
    ProgressCanceledError,
    ProgressFailedError,
    VBoxKitError,
)
from vboxkit.machines.appliance_items import disk_place
from vboxkit.machines.appliance_networks import chosen_nics
from vboxkit.machines.clones import folder_in_use
from vboxkit.machines.medium_work import full_path
from vboxkit.machines.names import reserved
from vboxkit.machines.nics import apply_nic
from vboxkit.machines.opening import raw_media, remove_new
from vboxkit.machines.parts import invalid
from vboxkit.machines.progress import Progress, unhooked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vboxkit.core.waiting import Deadline
    from vboxkit.machines.appliance_items import Draft, PlannedMachine
    from vboxkit.machines.appliance_networks import Networks
    from vboxkit.machines.appliance_plan import Plan
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.nics import Nic

__all__ = ["Disks", "Options", "import_plan", "is_content"]

#: The format that disks get: VirtualBox's own, or that of the package.
Disks = Literal["vdi", "as-is"]

_log = logging.getLogger("vboxkit.machines")
_AGAIN = "get the file again"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is asked for beside the plan; see `Appliance.import_`."""

    names: Mapping[str, str] = field(default_factory=dict)
    networks: Networks = field(default_factory=dict)
    disks: Disks = "as-is"
    keep_macs: bool = False
    folder: Path | str | None = None
    eula: Literal["accept"] | None = None


def import_plan(plan: Plan, options: Options, *, path: Path, deadline: Deadline) -> list[Machine]:
    """
    Make all machines of a plan, in its order; if one fails, none of them stays.

    Args:
        plan: The plan.
        options: What else is asked for.
        path: The appliance, for errors.
        deadline: For the whole.
    """
    draft = plan._draft
    api, vbox = draft._api, draft.vbox
    raw_options = _raw_options(draft, options)
    nics = [chosen_nics(draft, machine, options.networks) for machine in plan.machines]
    _apply(plan, options)
    plan._require_whole()
    asked = [_asked(machine, options) for machine in plan.machines]
    wanted = [
        (name or machine.name, name is not None, _settings_file(draft, machine))
        for machine, name in zip(plan.machines, asked, strict=True)
    ]
    with reserved(api, wanted, deadline=deadline) as names:
        for machine, name, (_, _, file) in zip(plan.machines, names, wanted, strict=True):
            machine["Name"]._raw = name
            machine["SettingsFile"]._raw = str(file(name))
        _require_free(draft, plan)
        undo = _Undo(draft, plan)
        done = False
        try:
            _finalise(plan)
            plan._used = True
            Progress(
                api, plan._com.importMachines(raw_options), what="import", subject=draft._subject()
            ).wait(timeout=deadline)
            machines = [vbox.machines[str(uuid)] for uuid in api.array(plan._com, "machines")]
            for made, planned, chosen in zip(machines, plan.machines, nics, strict=True):
                _finish(made, planned, chosen)
            done = True
        except ProgressCanceledError:
            raise
        except ProgressFailedError as error:
            if is_content(error.text):
                raise OvfError(path, error.text, hint=_AGAIN) from error
            raise
        finally:
            if not done:
                with unhooked(), held():
                    undo.take_back()
    return machines


def _raw_options(draft: Draft, options: Options) -> list[Any]:
    if options.disks not in get_args(Disks):
        raise invalid(
            draft,
            f"there is no way {options.disks!r} to import disks",
            hint=f"one of {', '.join(map(repr, get_args(Disks)))}",
            operation="import",
        )
    words = {"KeepAllMACs": options.keep_macs, "ImportToVDI": options.disks == "vdi"}
    return [draft._api.value("ImportOptions", word) for word, asked in words.items() if asked]


def _apply(plan: Plan, options: Options) -> None:
    for original in options.names:
        plan[original]  # raises if there is none
    for machine in plan.machines:
        if machine.original_name in options.names:
            machine.name = options.names[machine.original_name]
        if options.folder is not None:
            machine["BaseFolder"].value = str(full_path(options.folder))


def _asked(machine: PlannedMachine, options: Options) -> str | None:
    """Return the name that was asked for; a suggested one may get a number."""
    chosen = machine.original_name in options.names or machine["Name"]._value_set
    return machine.name if chosen else None


def _settings_file(draft: Draft, machine: PlannedMachine) -> Callable[[str], Path]:
    item = machine["SettingsFile"]
    if item._value_set:
        return lambda _: Path(item._raw)
    group = machine["PrimaryGroup"]._raw
    base = machine["BaseFolder"]._raw
    compose = draft._api.virtualbox.composeMachineFilename
    return lambda name: Path(str(compose(name, "" if group == "/" else group, "", base)))


def _require_free(draft: Draft, plan: Plan) -> None:
    """VirtualBox would put its own number behind a disk's name, or write over the settings."""
    for machine in plan.machines:
        disks = [disk_place(machine, item) for item in machine.all("HardDiskImage")]
        for place in (Path(machine["SettingsFile"]._raw), *disks):
            if place.is_absolute() and os.path.lexists(place):
                raise AlreadyExistsError(
                    f"{draft._subject()}: there is a file {place} already",
                    kind="file",
                    wanted=str(place),
                    operation="import",
                    hint="choose another name or folder, or move that file away",
                )


def _finalise(plan: Plan) -> None:
    for machine in plan.machines:
        machine._com.setFinalValues(
            [item.included for item in machine.items],
            [item._raw for item in machine.items],
            [item._extra for item in machine.items],
        )


def _finish(machine: Machine, planned: PlannedMachine, nics: Mapping[int, Nic]) -> None:
    """Make what VirtualBox does not make of a plan."""
    sound = planned.all("SoundCard")
    silent = bool(sound) and not any(item.included for item in sound)
    if not nics and not silent:
        return
    with machine.edit():
        if silent and machine.audio.enabled:
            machine.audio.enabled = False
        for slot, nic in nics.items():
            apply_nic(machine, slot, nic)


class _Undo:
    """Knows what there was before an import, and removes what came since."""

    def __init__(self, draft: Draft, plan: Plan) -> None:
        self._draft = draft
        self._plan = plan
        api = draft._api
        self._known = {str(com.id) for com in raw_media(api, "hardDisks")}
        files = [Path(machine["SettingsFile"]._raw) for machine in plan.machines]
        self._folders = {file.parent: _missing(file.parent) for file in files}
        self._disks = {
            disk_place(machine, item).with_suffix("")
            for machine in plan.machines
            for item in machine.all("HardDiskImage")
        }

    def take_back(self) -> None:
        """Remove what an import that failed, or that nobody waited for, has made."""
        api = self._draft._api
        with self._ignoring():
            # None, if it failed: VirtualBox takes the machines back itself.
            for uuid in api.array(self._plan._com, "machines"):
                machine = self._draft.vbox.machines.find(str(uuid))
                if machine is not None:
                    with self._ignoring():
                        machine.destroy()
        # Canceled at its second disk, VirtualBox 7.2 leaves the first one registered.
        for folder in {place.parent for place in self._disks}:
            remove_new(api, folder, known=self._is_known)
        for folder, missing in self._folders.items():
            if folder in missing and not folder_in_use(api, folder):
                shutil.rmtree(folder, ignore_errors=True)
            for place in missing:
                with suppress(OSError):
                    place.rmdir()

    def _is_known(self, com: Any) -> bool:
        # ImportToVDI changes the suffix, a name that VirtualBox knows gets a number.
        place = Path(str(com.location)).with_suffix("")
        return str(com.id) in self._known or place not in self._disks

    @contextmanager
    def _ignoring(self) -> Iterator[None]:
        """Go on with the taking back when one thing cannot be removed."""
        try:
            yield
        except Exception as error:
            if not isinstance(error, VBoxKitError) and self._draft._api.foreign(error) is None:
                raise
            _log.warning("%s: %s", self._draft._subject(), error)


def _missing(folder: Path) -> Sequence[Path]:
    """Return the folders that an import will make, the innermost first."""
    found = []
    for place in (folder, *folder.parents):
        if os.path.lexists(place):
            break
        found.append(place)
    return found


def is_content(text: str) -> bool:
    """Whether VirtualBox complains of the file's content rather than of this host."""
    # The result code is VBOX_E_IPRT_ERROR or VBOX_E_FILE_ERROR for both. These are names of
    # IPRT's status codes, not English.
    return any(
        code in text
        for code in (
            "VERR_EOF",
            "VERR_TAR",
            "VERR_ZIP",
            "VERR_VD_VMDK",
            "VERR_MANIFEST",
            "VERR_NOT_EQUAL",  # a digest of the manifest
            "VERR_XML",
        )
    )

"""
The first layer of an image that comes from a machine: a full copy, which goes on or boots.

A full copy of an online snapshot, or of a saved machine, has the guest's memory as well: it goes on
where the guest stood.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.core.waiting import Deadline
from vboxkit.errors import InvalidStateError, SettingsError, StorageError
from vboxkit.guest.console import SerialLog
from vboxkit.lab.provisioning import digest_of
from vboxkit.machines import fork as forks
from vboxkit.machines.clones import copy_registered
from vboxkit.machines.machine import Machine
from vboxkit.machines.states import ONLINE, MachineState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vboxkit.lab.images import ImageSource
    from vboxkit.machines.virtualbox import VirtualBox

__all__ = ["content_digest", "copy", "prepare_saved"]


def content_digest(vbox: VirtualBox, source: ImageSource) -> str:
    """
    Return a digest of the machine, or snapshot, that an image is copied from.

    A snapshot is what it is for good. A machine at rest is told by its settings and by the sizes
    and times of its disks and saved state: any start of it is a change.

    Raises:
        NotFoundError: There is no such machine or snapshot.
        InvalidStateError: It runs: its present state is none that could be named.
    """
    machine = vbox.machines[source.machine]
    if source.snapshot:
        return digest_of("snapshot", machine.id, machine.snapshots[source.snapshot].id)
    state = machine.state
    if state in ONLINE:
        raise InvalidStateError(
            f"{machine._subject()} is {state}: an image is copied from a machine at rest, or a"  # noqa: SLF001 - as messages call it
            " snapshot",
            state=str(state),
            needed=["PoweredOff", "Saved", "Aborted"],
            operation="build an image",
            hint="machine.snapshots.take('ready'), and ImageSource(..., snapshot='ready')",
        )
    # Not the bytes of the settings file: VirtualBox writes it differently the second time.
    settings = machine.describe().to_json()
    try:
        files = [(str(file), *_size_and_time(file)) for file in sorted(_files(machine))]
    except OSError as error:
        raise StorageError(
            f"image {source.name!r}: cannot read {error.filename}: {error.strerror}",
            operation="read the machine",
        ) from error
    return digest_of("machine", machine.id, settings, files)


def copy(
    vbox: VirtualBox,
    source: ImageSource,
    name: str,
    *,
    folder: Path | None,
    extra_data: Mapping[str, str],
) -> Machine:
    """
    Make a full copy of an image's machine or snapshot; it needs nothing of the original.

    Raises:
        SettingsError: Its guest goes on, and cannot be given other hardware.
    """
    machine = vbox.machines[source.machine]
    com = machine.com
    if source.snapshot:
        com = machine.snapshots[source.snapshot].com.machine
    if source.hardware and com.stateFilePath:
        raise SettingsError(
            f"image {source.name!r}: {', '.join(source.hardware)} cannot be changed, for its guest"
            " goes on and does not boot",
            hint=f"leave out {' and '.join(f'{key}=' for key in source.hardware)}, or give a"
            " snapshot that was taken while the machine was off",
        )
    copied = copy_registered(
        machine,
        name,
        source=com,
        options=[],
        deadline=Deadline(vbox.settings.progress_timeout),
        folder=folder,
        extra_data=extra_data,
    )
    return Machine(machine._api, copied, machine.settings)  # noqa: SLF001 - a machine of the same VirtualBox


def prepare_saved(machine: Machine) -> SerialLog | None:
    """Give a saved copy a console of its own, and its network cable at once; return the former."""
    fork = forks.Fork(machine._api, machine.com, machine.settings)  # noqa: SLF001 - the same machine
    fork.forwards = {}
    forks._prepare(fork)  # noqa: SLF001 - a saved copy needs what a fork needs
    for forward in fork.forwards.values():
        forward.release()
    file = machine.serial.file
    return None if file is None else SerialLog(file)


def _files(machine: Machine) -> Iterator[Path]:
    api = machine._api  # noqa: SLF001 - the attachments of all controllers at once
    hard_disk = api.value("DeviceType", "HardDisk")
    with machine._translated("read the disks"):  # noqa: SLF001
        for attachment in api.array(machine.com, "mediumAttachments"):
            medium: Any = attachment.medium
            if attachment.type == hard_disk and medium is not None:
                yield Path(str(medium.location))
        if machine.state is MachineState.SAVED:
            yield Path(str(machine.com.stateFilePath))


def _size_and_time(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_size, found.st_mtime_ns

"""
Putting a used fork back to the state of its image.

Without a new clone: the differencing disks are emptied (`IMedium::reset`), and the saved state of
the image's snapshot is adopted once more.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.core.steps import step
from vboxkit.errors import InvalidStateError, NotFoundError, StorageError
from vboxkit.lab.places import TAG_HOST_KEY
from vboxkit.machines.locks import locked
from vboxkit.machines.progress import Progress
from vboxkit.machines.states import ONLINE, MachineState

if TYPE_CHECKING:
    from vboxkit.lab.images import Image
    from vboxkit.lab.vm import VM

__all__ = ["rewind"]

#: No machine of this UUID; a machine without this snapshot, or without any.
_GONE = {"VBOX_E_OBJECT_NOT_FOUND", "E_FAIL"}


def rewind(vm: VM, image: Image) -> None:
    """
    Leave a machine Saved, as its image's snapshot has it.

    Raises:
        InvalidStateError: It has snapshots: its disks are not only its own any more. Or it stands
            on another fork.
        NotFoundError: The image is gone.
    """
    count = vm.snapshot_count
    if count:
        raise InvalidStateError(
            f"{vm._subject()} has {count} snapshots: it cannot go back behind them",  # noqa: SLF001
            state=f"{count} snapshots",
            needed=["no snapshots"],
            operation="rewind",
            hint="delete its checkpoints and destroy their forks first, or fork the image anew",
        )
    api = vm._api  # noqa: SLF001 - IMedium::reset and adoptSavedState are of use only here
    golden = _golden(vm, image)
    _require_stands_on(vm, golden)
    with step(f"rewind {vm.name}"):
        if vm.state in ONLINE:
            vm.power_off()
        elif vm.state in {MachineState.SAVED, MachineState.ABORTED_SAVED}:
            vm.discard_state()
        # VirtualBox removes the file that it adopts when the state is discarded: a copy.
        copy = vm.folder / "rewind.sav"
        try:
            shutil.copyfile(str(golden.stateFilePath), copy)
        except OSError as error:
            raise StorageError(
                f"{vm._subject()}: cannot copy the image's state to {copy}: {error}",  # noqa: SLF001
                operation="rewind",
            ) from error
        with (
            vm._translated("rewind"),  # noqa: SLF001
            locked(vm, timeout=vm.settings.lock_timeout) as session,
        ):
            for attachment in api.array(session.machine, "mediumAttachments"):
                medium = attachment.medium
                if medium is not None and medium.parent is not None:
                    Progress(
                        api,
                        medium.reset(),
                        what=f"empty {Path(str(medium.location)).name}",
                        subject=vm._subject(),  # noqa: SLF001
                    ).wait(timeout=vm.settings.progress_timeout)
            session.machine.adoptSavedState(str(copy))
            session.machine.setExtraData(TAG_HOST_KEY, "")  # the guest has the image's again


def _golden(vm: VM, image: Image) -> Any:
    """Return the machine as the image's snapshot holds it."""
    api = vm._api  # noqa: SLF001 - as above
    with vm._translated(f"find image {image.name!r}"):  # noqa: SLF001
        try:
            return api.virtualbox.findMachine(image.machine).findSnapshot(image.snapshot).machine
        except Exception as error:
            foreign = api.foreign(error)
            if foreign is None or foreign.symbol not in _GONE:
                raise
            raise NotFoundError(
                f"{vm._subject()} cannot be rewound: its image {image.name!r}"  # noqa: SLF001
                f" ({image.machine_name}) is gone",
                kind="image",
                wanted=image.name,
                hint="lab.image(...) builds it again, for new forks",
            ) from error


def _require_stands_on(vm: VM, golden: Any) -> None:
    """Refuse a fork of a fork: the image's memory does not go with the disks that it has."""
    api = vm._api  # noqa: SLF001 - as above
    with vm._translated("look at the disks"):  # noqa: SLF001
        media = [it.medium for it in api.array(golden, "mediumAttachments")]
        ids = {str(medium.id) for medium in media if medium is not None}
        for attachment in api.array(vm.com, "mediumAttachments"):
            medium = attachment.medium
            if medium is None or medium.parent is None or str(medium.parent.id) in ids:
                continue
            raise InvalidStateError(
                f"{vm._subject()} stands on another fork's disks, not on its image's",  # noqa: SLF001
                state="fork of a fork",
                needed=["fork of an image"],
                operation="rewind",
                hint="fork the checkpoint, or the image, anew",
            )

"""
Putting a used fork back to the state of its image.

Without a new clone: the differencing disks are emptied (`IMedium::reset`), and the saved state of
the image's snapshot is adopted once more.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.core.steps import step
from vboxkit.errors import InvalidStateError, StorageError
from vboxkit.machines.locks import locked
from vboxkit.machines.progress import Progress
from vboxkit.machines.states import ONLINE, MachineState

if TYPE_CHECKING:
    from vboxkit.lab.images import Image
    from vboxkit.lab.vm import VM

__all__ = ["rewind"]


def rewind(vm: VM, image: Image) -> None:
    """
    Leave a machine Saved, as its image's snapshot has it.

    Raises:
        InvalidStateError: It has snapshots: its disks are not only its own any more.
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
    golden = api.virtualbox.findMachine(image.machine).findSnapshot(image.snapshot).machine
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

"""Checkpoints: states of a disposable machine that can be forked themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.errors import ApiError, InvalidStateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vboxkit.core.waiting import Timeout
    from vboxkit.lab.refresh import Refresh
    from vboxkit.lab.vm import VM
    from vboxkit.machines.snapshots import Snapshot

__all__ = ["Checkpoint"]


class Checkpoint:
    """
    A state in which a disposable machine was; made by `VM.checkpoint`.

    Forks of it are machines like every other one, and can be checkpointed in turn: a tree of
    states. They share this machine's disks, so `VM.destroy` destroys them first.

    Attributes:
        vm: The machine.
        snapshot: The online snapshot that holds the state.
    """

    def __init__(self, vm: VM, snapshot: Snapshot) -> None:
        self.vm = vm
        self.snapshot = snapshot
        self.name = snapshot.name

    def __repr__(self) -> str:
        return f"<Checkpoint {self.name!r} of {self.vm!r}>"

    def fork(
        self,
        name: str | None = None,
        *,
        timeout: Timeout | None = None,
        refresh: Sequence[Refresh] = (),
    ) -> VM:
        """
        Make a running machine that goes on from this state.

        Args:
            name: Its name; derived from the machine's if left out.
            timeout: Seconds; `Settings.progress_timeout` if left out.
            refresh: What else to make its own, see `VM.refresh`.

        Example:
            ``with installed.fork() as vm: vm.ssh.succeed("upgrade")``
        """
        return self.vm.fork(name, snapshot=self.snapshot, timeout=timeout, refresh=refresh)

    def delete(self) -> None:
        """
        Forget this state.

        Raises:
            InvalidStateError: Forks of it, or of a later checkpoint, exist.
        """
        try:
            self.snapshot.delete()
        except ApiError as error:
            # Its disk is merged into the next one's, which VirtualBox cannot do under a fork.
            forks = self.vm.linked_clones()
            if error.symbol != "VBOX_E_INVALID_OBJECT_STATE" or not forks:
                raise
            raise InvalidStateError(
                f"{self!r} cannot be deleted: forks stand on a later state: {', '.join(forks)}",
                state=str(self.vm.state),
                operation="delete the checkpoint",
                hint="destroy those machines first",
            ) from error

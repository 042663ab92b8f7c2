"""A virtual machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from vboxkit.machines import again, clones, removal, rollback, snapshots
from vboxkit.machines.additions import Additions
from vboxkit.machines.base import api_call
from vboxkit.machines.configuration import ConfigurableMachine
from vboxkit.machines.exportable import ExportableMachine
from vboxkit.machines.groups import read_groups
from vboxkit.machines.parts import Part
from vboxkit.machines.progress import progress_hook
from vboxkit.machines.resources import MachineResources
from vboxkit.machines.running import RunnableMachine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from vboxkit.com.api import Api
    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.clones import CloneMode
    from vboxkit.machines.fork import Fork
    from vboxkit.machines.guest_control import GuestSession
    from vboxkit.machines.progress import ProgressHook
    from vboxkit.machines.snapshots import Snapshot
    from vboxkit.settings import Settings

__all__ = ["Machine"]


class Machine(RunnableMachine, ConfigurableMachine, MachineResources, ExportableMachine):
    """
    A virtual machine. Two are equal if they are the same machine.

    Properties read VirtualBox anew each time. Setters and verbs take the lock that they need.

    Attributes:
        id: Its UUID.
        settings: Timeouts and the start mode.
        network: Its network adapters.
        snapshots: Its snapshots.
    """

    additions = Part(Additions, "VirtualBox's Guest Additions: whether they run in the guest.")

    def __init__(self, api: Api, com: Any, settings: Settings) -> None:
        super().__init__(api, com, settings)
        self.snapshots = snapshots.Snapshots(self)

    def __reduce__(self) -> str | tuple[Any, ...]:
        if type(self) is not Machine or self.unchangeable:
            return super().__reduce__()  # what else it is would be lost on the way
        return again.machine, (self._api.home, self.settings, self.id)

    def guest_session(
        self, user: str, password: str, *, domain: str = "", timeout: Timeout | None = None
    ) -> GuestSession:
        """
        Open a user's session in the guest by its Guest Additions, which needs no network.

        Emulated, letting the user in takes the guest some seconds.

        Args:
            user: The user's name in the guest.
            password: The password; it is not kept.
            domain: The user's domain, for Windows guests.
            timeout: Seconds; `Settings.boot_timeout` if left out.

        Raises:
            AdditionsError: No Guest Additions run in the guest, or they refuse; known at once.
            InvalidStateError: There is no running VM, or it is paused.
            GuestAuthError: The guest did not let the user in.
            WaitTimeoutError: The guest did not answer in time.

        Example:
            ``with machine.guest_session("root", "secret") as g: print(g.run("id").stdout)``
        """
        return self.additions.session(user, password, domain=domain, timeout=timeout)

    # Copies

    @api_call("roll back")
    def rollback(self) -> AbstractContextManager[Snapshot]:
        """
        Take a snapshot now, and go back to it when the block ends, however it ends.

        A machine that ran runs again afterwards, and goes on from where it stood. Snapshots that
        were taken in the block go with the rest.

        Raises:
            CleanupError: It could not go back, or clones that were made in the block stand on the
                snapshot, which is still there.

        Example:
            ``with machine.rollback(): try_something()``
        """
        return rollback.rollback(self)

    @api_call("clone")
    def clone(
        self,
        name: str,
        *,
        linked: bool = False,
        snapshot: Snapshot | str | None = None,
        mode: CloneMode = "machine",
        keep_macs: bool | Literal["NAT"] = False,
        keep_disk_names: bool = False,
        keep_hardware_uuid: bool = False,
        folder: Path | str | None = None,
        groups: Sequence[str] = (),
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
    ) -> Machine:
        """
        Make a copy of this machine.

        If it fails or is canceled, nothing is left: no machine, medium, folder or snapshot.

        Args:
            name: The copy's name.
            linked: Share the disks as they were at a snapshot, and keep only the differences;
                otherwise every byte is copied.
            snapshot: The state to copy; a linked clone without one uses the current snapshot, or
                takes one named ``base of <name>``.
            mode: ``machine`` copies one state; ``machine and children`` a snapshot and all that
                was made from it, be it the present state; ``all`` that and every snapshot.
            keep_macs: Keep the MAC addresses: of all adapters, or of those behind NAT (``NAT``).
            keep_disk_names: Name the disks' files as the original's, not after the copy.
            keep_hardware_uuid: Keep the UUID that the guest sees, by which some software is
                licensed.
            folder: Where to make the copy's folder, instead of VirtualBox's folder of machines.
            groups: VirtualBox groups, as ``/tests``.
            timeout: Seconds; `Settings.progress_timeout` if left out.
            on_update: Called with each progress; see `progress_hook`.

        Raises:
            AlreadyExistsError: There is a machine of that name.
            InvalidStateError: A full clone of a running machine's present state.
            NotFoundError: There is no such snapshot.
            ApiError: The options do not go together.
            StorageError: The folder cannot be written.
            ProgressFailedError: VirtualBox failed on the way (no space, for one).

        Example:
            ``machine.clone("copy", mode="all", keep_macs=True, folder="/srv/machines")``
        """
        self._require_registered("clone")
        wanted = read_groups(self, groups)
        with progress_hook(on_update):
            com = clones.clone(
                self,
                name,
                linked=linked,
                snapshot=self.snapshots.own(snapshot),
                mode=mode,
                keep_macs=keep_macs,
                keep_disk_names=keep_disk_names,
                keep_hardware_uuid=keep_hardware_uuid,
                folder=folder,
                timeout=timeout if timeout is not None else self.settings.progress_timeout,
            )
        copy = Machine(self._api, com, self.settings)
        if wanted:
            # Not earlier: the copy takes over the original's groups, and only a registered
            # machine takes its disks along into the group's folder.
            done = False
            try:
                with copy._changing() as changeable:
                    self._api.set_array(changeable, "groups", wanted)
                done = True
            finally:
                if not done:
                    copy.destroy()
        return copy

    @overload
    def fork(
        self,
        name: str | None = ...,
        *,
        snapshot: Snapshot | str | None = ...,
        start: bool = ...,
        timeout: Timeout | None = ...,
        on_update: ProgressHook | None = ...,
        n: None = ...,
    ) -> Fork: ...
    @overload
    def fork(
        self,
        name: str | None = ...,
        *,
        snapshot: Snapshot | str | None = ...,
        start: bool = ...,
        timeout: Timeout | None = ...,
        on_update: ProgressHook | None = ...,
        n: int,
    ) -> Sequence[Fork]: ...
    @api_call("fork")
    def fork(
        self,
        name: str | None = None,
        *,
        snapshot: Snapshot | str | None = None,
        start: bool = True,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
        n: int | None = None,
    ) -> Fork | Sequence[Fork]:
        """
        Make a running copy of this machine as it stood at an online snapshot.

        The copy does not boot: it resumes the guest. It shares the disks (linked clone) and has
        port forwards of its own, to the same guest ports. Used as a context manager, it is
        destroyed at the end of the block.

        Args:
            name: Its name; derived from this machine's if left out. Of several, the beginning.
            snapshot: An online snapshot; one is taken now if left out, which the fork removes when
                it is destroyed.
            start: Whether to start it; otherwise it is left Saved.
            timeout: Seconds for the whole; `Settings.progress_timeout` if left out.
            on_update: Called with each progress; see `progress_hook`.
            n: Make so many, from one snapshot, and return them in a list: all or none. As many
                start at once as CPUs and RAM allow; why others wait is told to those who listen
                to steps.

        Raises:
            InvalidStateError: The snapshot is not an online one, or the machine does not run.

        Example:
            ``web, other = machine.fork(n=2)``
        """
        from vboxkit.machines import fork as forks  # Fork is a Machine

        with progress_hook(on_update):
            return forks.fork_of(
                self,
                name,
                n,
                snapshot=self.snapshots.own(snapshot),
                start=start,
                timeout=timeout if timeout is not None else self.settings.progress_timeout,
            )

    def linked_clones(self, snapshot: Snapshot | None = None) -> list[str]:
        """Return the names of the machines that stand on this one's disks (or a snapshot's)."""
        with self._translated("look for linked clones"):
            return removal.dependents(self, snapshot)

    # End

    @api_call("move the machine")
    def move(
        self,
        folder: Path | str,
        *,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
    ) -> Path:
        """
        Move the machine's folder, with its disks that lie in it, and return where it is now.

        Works while it is powered off or saved; disks elsewhere stay where they are.

        Args:
            folder: The folder in which the machine's own is put; made if missing.
            timeout: Seconds; `Settings.progress_timeout` if left out.
            on_update: Called with the progress; see `progress_hook`.

        Raises:
            InvalidStateError: It runs.
            StorageError: The folder cannot be made, or the machine's name is taken there.

        Example:
            ``machine.move("/srv/machines")``
        """
        from vboxkit.machines import registration

        return registration.move(self, folder, timeout=timeout, on_update=on_update)

    @api_call("unregister")
    def unregister(self) -> Path:
        """
        Let VirtualBox forget the machine, and return its settings file; touches no file.

        `Machines.register` makes it known again, also after its folder was moved. Disks on which
        linked clones stand stay known.

        Raises:
            InvalidStateError: It runs, or somebody works on it.
            NotFoundError: VirtualBox does not know it any more.
        """
        from vboxkit.machines import registration

        return registration.unregister(self)

    @api_call("destroy")
    def destroy(self) -> None:
        """
        Remove the machine with its disks, snapshots, logs and folder; powers it off first.

        Doing it twice does no harm.

        Raises:
            InvalidStateError: Linked clones stand on its disks; nothing was done.
            CleanupError: Part of it could not be removed; the error lists what is left.
        """
        removal.destroy(self)

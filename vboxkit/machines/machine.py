"""A virtual machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vboxkit.machines import again, clones, power, removal, rollback, snapshots
from vboxkit.machines.base import api_call
from vboxkit.machines.configuration import ConfigurableMachine
from vboxkit.machines.locks import locked
from vboxkit.machines.progress import progress_hook
from vboxkit.machines.resources import MachineResources
from vboxkit.machines.screen import screenshot
from vboxkit.machines.states import ONLINE, MachineState

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from contextlib import AbstractContextManager

    from vboxkit.com.api import Api
    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.clones import CloneMode
    from vboxkit.machines.fork import Fork
    from vboxkit.machines.progress import ProgressHook
    from vboxkit.machines.snapshots import Snapshot
    from vboxkit.settings import Settings, StartMode

__all__ = ["Machine"]


class Machine(ConfigurableMachine, MachineResources):
    """
    A virtual machine. Two are equal if they are the same machine.

    Properties read VirtualBox anew each time. Setters and verbs take the lock that they need.

    Attributes:
        id: Its UUID.
        settings: Timeouts and the start mode.
        network: Its network adapters.
        snapshots: Its snapshots.
    """

    def __init__(self, api: Api, com: Any, settings: Settings) -> None:
        super().__init__(api, com, settings)
        self.snapshots = snapshots.Snapshots(self)

    def __reduce__(self) -> str | tuple[Any, ...]:
        if type(self) is not Machine or self.unchangeable:
            return super().__reduce__()  # what else it is would be lost on the way
        return again.machine, (self._api.home, self.settings, self.id)

    # Starting and stopping

    @api_call("start")
    def start(self, *, mode: StartMode | None = None, timeout: Timeout | None = None) -> None:
        """
        Start the machine and wait until it runs (the guest then still boots).

        A saved machine goes on where it stood.

        Args:
            mode: ``headless``, ``gui``, ``driverless`` (emulated, without the kernel driver; an
                `EmulatedWarning` is given once), or ``auto``: headless where the driver is there.
                `Settings.start_mode` if left out.
            timeout: Seconds; `Settings.start_timeout` if left out.

        Raises:
            InvalidStateError: It runs, is paused, or is between two states.
            LockedError: Somebody else works on it.
            PortInUseError: A port that it forwards is taken.
            DriverNeededError: It has something that only the kernel driver can do.
            StartError: Its process ended; the error holds the last lines of the logs.
        """
        self._require_registered("start")
        power.start(
            self,
            mode=mode or self.settings.start_mode,
            timeout=timeout if timeout is not None else self.settings.start_timeout,
        )

    @api_call("shut down")
    def shutdown(self, *, timeout: Timeout | None = None) -> None:
        """
        Press the power button, and wait until the guest has shut down and its process is gone.

        Args:
            timeout: Seconds; `Settings.shutdown_timeout` if left out.

        Raises:
            InvalidStateError: It does not run, or is paused.
            WaitTimeoutError: The guest did not react; it still runs.
        """
        power.shutdown(
            self, timeout=timeout if timeout is not None else self.settings.shutdown_timeout
        )

    @api_call("power off")
    def power_off(self) -> None:
        """
        Pull the plug: the guest loses what it has not written. Waits until its process is gone.

        Raises:
            InvalidStateError: There is no running VM.
        """
        power.end_vm(self, "power off", timeout=self.settings.shutdown_timeout)

    @api_call("save the state")
    def save_state(
        self, *, timeout: Timeout | None = None, on_update: ProgressHook | None = None
    ) -> None:
        """
        Write the guest's memory to disk and stop; `start` then goes on where it stood.

        Args:
            timeout: Seconds; `Settings.progress_timeout` if left out.
            on_update: Called with the progress; see `progress_hook`.
        """
        with progress_hook(on_update):
            power.end_vm(
                self,
                "save the state",
                timeout=timeout if timeout is not None else self.settings.progress_timeout,
            )

    @api_call("discard the saved state")
    def discard_state(self) -> None:
        """Throw the saved memory away: the next `start` boots, as after a power cut."""
        with locked(self, timeout=self.settings.lock_timeout) as session:
            if self.state not in {MachineState.SAVED, MachineState.ABORTED_SAVED}:
                raise power.unfit(
                    self,
                    "Saved",
                    "AbortedSaved",
                    operation="discard the saved state",
                    problem="it has no saved state",
                    hint="power_off() throws away the memory of a machine that runs",
                )
            session.machine.discardSavedState(True)

    @api_call("pause")
    def pause(self) -> None:
        """Stop the guest's CPUs; it keeps its memory, and takes no CPU of the host."""
        with locked(self, timeout=self.settings.lock_timeout, needs_vm=True) as session:
            if self.state is MachineState.PAUSED:
                raise power.unfit(
                    self,
                    "Running",
                    operation="pause",
                    problem="it does that already",
                    hint="resume() lets it go on",
                )
            session.console.pause()

    @api_call("resume")
    def resume(self) -> None:
        """Let a paused guest go on."""
        with locked(self, timeout=self.settings.lock_timeout, needs_vm=True) as session:
            if self.state is MachineState.RUNNING:
                raise power.unfit(
                    self,
                    "Paused",
                    operation="resume",
                    problem="it is not paused",
                    hint="nothing has to be done for it to go on",
                )
            session.console.resume()

    @api_call("wait for a state")
    def wait_for_state(
        self,
        *states: MachineState,
        timeout: Timeout,
        hopeless: Collection[MachineState] = (MachineState.ABORTED, MachineState.ABORTED_SAVED),
    ) -> MachineState:
        """
        Wait until the machine is in one of these states, and return it.

        Args:
            *states: What is awaited.
            timeout: Seconds, `timedelta` or `Deadline`.
            hopeless: States after which waiting makes no sense.

        Raises:
            InvalidStateError: It came into a hopeless state.
            WaitTimeoutError: It did not come in time.
        """
        return power.wait_for_state(
            self, states, timeout=timeout, hopeless=set(hopeless) - set(states)
        )

    @property
    def running(self) -> bool:
        """Whether there is a VM process with a guest in it, be it paused."""
        return self.state in ONLINE

    @api_call("take a screenshot")
    def screenshot(self, path: Path | str) -> Path:
        """
        Write what the guest shows as a PNG file.

        Raises:
            InvalidStateError: There is no running VM.
        """
        return screenshot(self, Path(path))

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
        if groups:
            # Not earlier: the copy takes over the original's groups, and only a registered
            # machine takes its disks along into the group's folder.
            done = False
            try:
                with copy._changing() as changeable:
                    self._api.set_array(changeable, "groups", groups)
                done = True
            finally:
                if not done:
                    copy.destroy()
        return copy

    @api_call("fork")
    def fork(
        self,
        name: str | None = None,
        *,
        snapshot: Snapshot | str | None = None,
        start: bool = True,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
    ) -> Fork:
        """
        Make a running copy of this machine as it stood at an online snapshot.

        The copy does not boot: it resumes the guest. It shares the disks (linked clone) and has
        port forwards of its own, to the same guest ports. Used as a context manager, it is
        destroyed at the end of the block.

        Args:
            name: Its name; derived from this machine's if left out.
            snapshot: An online snapshot; one is taken now if left out, which the fork removes when
                it is destroyed.
            start: Whether to start it; otherwise it is left Saved.
            timeout: Seconds for the whole; `Settings.progress_timeout` if left out.
            on_update: Called with each progress; see `progress_hook`.

        Raises:
            InvalidStateError: The snapshot is not an online one, or the machine does not run.
        """
        from vboxkit.machines import fork as forks  # Fork is a Machine

        with progress_hook(on_update):
            return forks.fork(
                self,
                name,
                snapshot=self.snapshots.own(snapshot),
                start=start,
                timeout=timeout if timeout is not None else self.settings.progress_timeout,
                kind=forks.Fork,
            )

    def linked_clones(self, snapshot: Snapshot | None = None) -> list[str]:
        """Return the names of the machines that stand on this one's disks (or a snapshot's)."""
        with self._translated("look for linked clones"):
            return removal.dependents(self, snapshot)

    # End

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

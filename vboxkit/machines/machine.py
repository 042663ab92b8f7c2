"""A virtual machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.machines import clones, power, removal, snapshots
from vboxkit.machines.base import api_call
from vboxkit.machines.hardware import MachineHardware
from vboxkit.machines.locks import locked
from vboxkit.machines.screen import screenshot
from vboxkit.machines.states import ONLINE, MachineState

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from contextlib import AbstractContextManager

    from vboxkit.com.api import Api
    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.fork import Fork
    from vboxkit.machines.snapshots import Snapshot
    from vboxkit.settings import Settings, StartMode

__all__ = ["Machine"]


class Machine(MachineHardware):
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
    def save_state(self, *, timeout: Timeout | None = None) -> None:
        """
        Write the guest's memory to disk and stop; `start` then goes on where it stood.

        Args:
            timeout: Seconds; `Settings.progress_timeout` if left out.
        """
        power.end_vm(
            self,
            "save the state",
            timeout=timeout if timeout is not None else self.settings.progress_timeout,
        )

    @api_call("discard the saved state")
    def discard_state(self) -> None:
        """Throw the saved memory away: the next `start` boots, as after a power cut."""
        with locked(self, timeout=self.settings.lock_timeout) as session:
            session.machine.discardSavedState(True)

    @api_call("pause")
    def pause(self) -> None:
        """Stop the guest's CPUs; it keeps its memory, and takes no CPU of the host."""
        with locked(self, timeout=self.settings.lock_timeout, needs_vm=True) as session:
            session.console.pause()

    @api_call("resume")
    def resume(self) -> None:
        """Let a paused guest go on."""
        with locked(self, timeout=self.settings.lock_timeout, needs_vm=True) as session:
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

        A machine that ran runs again afterwards, and goes on from where it stood.

        Raises:
            CleanupError: It could not go back; the snapshot is still there.

        Example:
            ``with machine.rollback(): try_something()``
        """
        return snapshots.rollback(self)

    @api_call("clone")
    def clone(
        self,
        name: str,
        *,
        linked: bool = False,
        snapshot: Snapshot | str | None = None,
        keep_macs: bool = False,
        groups: Sequence[str] = (),
        timeout: Timeout | None = None,
    ) -> Machine:
        """
        Make a copy of this machine.

        Args:
            name: The copy's name.
            linked: Share the disks as they were at a snapshot, and keep only the differences;
                otherwise every byte is copied.
            snapshot: The state to copy; a linked clone without one uses the current snapshot, or
                takes one named ``base of <name>``.
            keep_macs: Keep the MAC addresses.
            groups: VirtualBox groups, as ``/tests``.
            timeout: Seconds; `Settings.progress_timeout` if left out.

        Raises:
            AlreadyExistsError: There is a machine of that name.
            InvalidStateError: A full clone of a running machine's present state.
        """
        self._require_registered("clone")
        com = clones.clone(
            self,
            name,
            linked=linked,
            snapshot=self.snapshots.own(snapshot),
            keep_macs=keep_macs,
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

        Raises:
            InvalidStateError: The snapshot is not an online one, or the machine does not run.
        """
        from vboxkit.machines import fork as forks  # Fork is a Machine

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

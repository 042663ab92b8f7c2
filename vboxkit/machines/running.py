"""Starting a machine, stopping it, and what it does meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.machines import power
from vboxkit.machines.base import api_call
from vboxkit.machines.keyboard import Keyboard
from vboxkit.machines.locks import locked
from vboxkit.machines.mouse import Mouse
from vboxkit.machines.parts import Part
from vboxkit.machines.progress import progress_hook
from vboxkit.machines.properties import MachineProperties
from vboxkit.machines.recording import Recordings
from vboxkit.machines.screen import Screen
from vboxkit.machines.states import ONLINE, MachineState

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.progress import ProgressHook
    from vboxkit.settings import StartMode

__all__ = ["RunnableMachine"]


class RunnableMachine(MachineProperties):
    """The part of `Machine` that starts and stops it, and what it has while it runs."""

    screen = Part(Screen, "What it shows, while it runs.")
    keyboard = Part(Keyboard, "Its keyboard, while it runs; `keyboard_type` is which one it has.")
    mouse = Part(Mouse, "Its mouse, while it runs; `pointing` is which one it has.")
    recording = Part(Recordings, "Video of its screens, while it runs; called, a block of it.")

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

    @api_call("crash")
    def crash(self) -> None:
        """
        End the VM's process at once, as a power cut or a crash of the host would.

        The guest loses what it has not written, and VirtualBox has no say in it: the machine is
        then Aborted, and `start` boots it. Waits until VirtualBox knows, for
        `Settings.shutdown_timeout` seconds at most.

        Raises:
            InvalidStateError: There is no running VM.
            WaitTimeoutError: VirtualBox did not notice.

        Example:
            ``vm.crash(); vm.start(); vm.wait_ready()``
        """
        power.crash(self, timeout=self.settings.shutdown_timeout)

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

    @api_call("reset")
    def reset(self) -> None:
        """
        Press the reset button: the guest boots anew, and loses what it has not written.

        Emulated, a guest that went on from a saved state, as every fork does, stops in the BIOS
        after a reset, and after a reboot from within: there use `power_off` and `start`.
        """
        with locked(self, timeout=self.settings.lock_timeout, needs_vm=True) as session:
            session.console.reset()

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
        if not states:
            raise TypeError(f"{self._subject()}: wait_for_state() needs a state to wait for")
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
        Write what the guest shows as a PNG file; `screen.shot` has more.

        Raises:
            InvalidStateError: There is no running VM.
        """
        return self.screen.shot().save(path)

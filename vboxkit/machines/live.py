"""What can be used only while the machine runs: its screen, keyboard, mouse, recording."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from vboxkit.machines import power
from vboxkit.machines.locks import locked
from vboxkit.machines.states import MachineState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.com.interfaces import IConsole, ISession
    from vboxkit.machines.machine import Machine

__all__ = ["LivePart"]


class LivePart:
    """
    A part of a machine that only its VM process has.

    Each call takes the machine's lock for as long as it takes, so it holds no object of a VM
    process that may be gone tomorrow.
    """

    #: What it is called in messages.
    noun = "part"

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._api = machine._api

    def _subject(self) -> str:
        return f"{self._machine._subject()}: {self.noun}"

    def _state(self) -> str:
        return str(self._machine.state)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._machine!r}>"

    @contextmanager
    def _session(self, operation: str) -> Iterator[ISession]:
        machine = self._machine
        with (
            machine._translated(operation),
            locked(machine, timeout=machine.settings.lock_timeout, needs_vm=True) as session,
        ):
            yield session

    @contextmanager
    def _running(self, operation: str) -> Iterator[IConsole]:
        """Yield the console of a machine whose guest runs: a paused one would not react."""
        with self._session(operation) as session:
            if self._machine.state is not MachineState.RUNNING:
                raise power.unfit(
                    self._machine,
                    "Running",
                    operation=operation,
                    problem="its guest cannot react",
                    hint="resume() it first",
                )
            yield session.console

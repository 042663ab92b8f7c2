"""Verbs on a machine in a state in which they make no sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit import MachineState
from vboxkit.errors import InvalidStateError, NotFoundError, SettingsError, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine

pytestmark = pytest.mark.vbox


@pytest.mark.parametrize(
    "verb", ["pause", "resume", "shutdown", "power_off", "save_state", "discard_state", "fork"]
)
def test_verbs_that_need_a_running_machine(
    machine: Machine, verb: str, inventory: Callable[[], set[str]]
) -> None:
    """Powered off: `InvalidStateError` names machine and state; nothing changed, no lock kept."""
    before = inventory()
    with pytest.raises(InvalidStateError) as caught:
        getattr(machine, verb)()
    assert machine.name in str(caught.value)
    assert "PoweredOff" in str(caught.value)
    assert caught.value.state == "PoweredOff"
    assert machine.state is MachineState.POWERED_OFF
    assert machine.session_state == "Unlocked"
    assert len(machine.snapshots) == 0
    assert inventory() == before


@pytest.mark.parametrize("verb", ["pause", "resume", "shutdown", "power_off", "save_state", "fork"])
def test_the_error_says_what_would_be_needed(machine: Machine, verb: str) -> None:
    """States that would do, and what to try, are in the error."""
    with pytest.raises(InvalidStateError) as caught:
        getattr(machine, verb)()
    assert "Running" in caught.value.needed
    assert caught.value.hint


def test_screenshot(machine: Machine, tmp_path: Path) -> None:
    """A machine that does not run has no screen; no file is made."""
    with pytest.raises(InvalidStateError, match="PoweredOff"):
        machine.screenshot(tmp_path / "shot.png")
    assert not (tmp_path / "shot.png").exists()
    assert not machine.running


def test_fork_of_an_offline_snapshot(machine: Machine, inventory: Callable[[], set[str]]) -> None:
    """There is no guest to go on in it: the error names the snapshot and the other way."""
    machine.snapshots.take("cold")
    before = inventory()
    with pytest.raises(InvalidStateError, match="cold") as caught:
        machine.fork(snapshot="cold")
    assert "clone(linked=True" in str(caught.value)
    assert inventory() == before


def test_fork_of_an_unknown_snapshot(machine: Machine) -> None:
    """`NotFoundError`, as for every snapshot that is not there."""
    with pytest.raises(NotFoundError) as caught:
        machine.fork(snapshot="nothing")
    assert caught.value.wanted == "nothing"
    assert len(machine.snapshots) == 0


def test_unknown_start_mode(machine: Machine) -> None:
    """A mode that does not exist is refused before anything is started."""
    with pytest.raises(SettingsError, match="sideways") as caught:
        machine.start(mode="sideways")  # type: ignore[arg-type]
    assert "driverless" in str(caught.value)
    assert machine.state is MachineState.POWERED_OFF


def test_waiting_for_the_present_state_returns_at_once(machine: Machine) -> None:
    """A state that is there needs no time."""
    state = machine.wait_for_state(MachineState.POWERED_OFF, MachineState.SAVED, timeout=0)
    assert state is MachineState.POWERED_OFF


def test_waiting_for_a_state_that_does_not_come(machine: Machine) -> None:
    """`WaitTimeoutError` names machine, awaited and present state."""
    with pytest.raises(WaitTimeoutError) as caught:
        machine.wait_for_state(MachineState.RUNNING, timeout=0)
    assert machine.name in caught.value.what
    assert "Running" in caught.value.what
    assert caught.value.last_seen == "PoweredOff"


def test_a_hopeless_state_is_not_waited_for(machine: Machine) -> None:
    """Waiting for Running and seeing a hopeless state ends at once."""
    with pytest.raises(InvalidStateError) as caught:
        machine.wait_for_state(
            MachineState.RUNNING, timeout=60, hopeless={MachineState.POWERED_OFF}
        )
    assert caught.value.needed == ("Running",)
    assert caught.value.state == "PoweredOff"

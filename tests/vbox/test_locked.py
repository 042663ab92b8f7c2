"""A machine on which another process works."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from vboxkit.errors import LockedError
from vboxkit.machines.machine import Machine

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from vboxkit import VirtualBox

pytestmark = pytest.mark.vbox

_HOLD = """
import sys, vboxkit
machine = vboxkit.connect(sys.argv[1]).machines[sys.argv[2]]
with machine.edit():
    print("locked", flush=True)
    sys.stdin.readline()
print("free", flush=True)
"""


@pytest.fixture
def holder(
    vbox: VirtualBox, machine: Machine, child: Callable[..., subprocess.Popen[str]]
) -> Iterator[subprocess.Popen[str]]:
    """Start a process that locks the machine; a line on its standard input ends that."""
    process = child(_HOLD, vbox.settings.home, machine.id)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "locked\n"
    yield process
    if process.poll() is None:
        process.communicate("\n", timeout=20)


@pytest.fixture
def hasty(vbox: VirtualBox, machine: Machine) -> Machine:
    """Return the machine, for somebody who does not wait for locks."""
    return Machine(vbox._api, machine.com, replace(vbox.settings, lock_timeout=0.05))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: setattr(m, "memory_mb", 96),
        lambda m: m.snapshots.take("s"),
        lambda m: m.network[0].forward(guest=80),
        lambda m: m.set_extra_data("k", "v"),
        lambda m: m.discard_state(),
        lambda m: m.start(),
        lambda m: m.destroy(),
    ],
    ids=["setter", "snapshot", "forward", "extra-data", "discard", "start", "destroy"],
)
def test_the_holder_is_named(
    vbox: VirtualBox,
    hasty: Machine,
    holder: subprocess.Popen[str],
    change: Callable[[Machine], object],
) -> None:
    """Every change gives `LockedError` with the other process's pid; nothing is changed."""
    with pytest.raises(LockedError) as caught:
        change(hasty)
    assert f"process {holder.pid}" in caught.value.holder
    assert hasty.name in str(caught.value)
    assert "PoweredOff" in str(caught.value)
    assert caught.value.hint
    same = vbox.machines[hasty.id]
    assert (same.memory_mb, len(same.snapshots)) == (64, 0)
    assert same.session_pid == holder.pid


def test_reading_needs_no_lock(hasty: Machine, holder: subprocess.Popen[str]) -> None:
    """Properties are read while another process holds the lock."""
    assert hasty.session_state == "Locked"
    assert (hasty.memory_mb, hasty.state) == (64, "PoweredOff")


def test_a_lock_given_back_in_time_is_no_error(
    machine: Machine, holder: subprocess.Popen[str]
) -> None:
    """A change waits for the lock, as long as `lock_timeout` says."""
    assert holder.stdin is not None
    holder.stdin.write("\n")
    holder.stdin.flush()
    machine.memory_mb = 96
    assert machine.memory_mb == 96


def test_the_lock_of_a_killed_process_is_free(
    machine: Machine, holder: subprocess.Popen[str]
) -> None:
    """VBoxSVC takes a lock back when its holder dies; its half-made changes are gone."""
    holder.kill()
    holder.wait()
    machine.memory_mb = 96
    assert machine.memory_mb == 96
    assert machine.session_state == "Unlocked"


def test_our_own_lock_names_us(vbox: VirtualBox, machine: Machine) -> None:
    """Inside edit() VirtualBox knows this process as the holder."""
    with machine.edit():
        assert vbox.machines[machine.id].session_pid == os.getpid()
    assert machine.session_pid is None

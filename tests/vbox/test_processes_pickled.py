"""Machines in other processes: pickled, and given to a pool."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from vboxkit.errors import NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


_POOL = """
import multiprocessing, sys, warnings
from concurrent.futures import ProcessPoolExecutor
import vboxkit, vboxkit.errors

def look(machine):
    return machine.name, str(machine.state), machine.id

def change(machine):
    machine.description = "from a pool"
    return machine.settings.home is not None

def count(vbox):
    return len(vbox.machines)

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    vbox = vboxkit.connect(sys.argv[1])
    machine = vbox.machines[sys.argv[2]]
    context = multiprocessing.get_context(sys.argv[3])
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        try:
            for seen in pool.map(look, [machine] * 4, timeout=60):
                print(*seen)
            print(pool.submit(change, machine).result(60), pool.submit(count, vbox).result(60) > 0)
        except vboxkit.errors.SetupError as error:
            print("SetupError", error)
    print(machine.description)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Write a script that gives machines to a pool of processes."""
    path = tmp_path / "pool.py"
    path.write_text(_POOL)
    return path


def run_pool(
    script: Path, vbox: VirtualBox, machine: Machine, method: str
) -> subprocess.CompletedProcess[str]:
    """Run it with a start method of multiprocessing."""
    from pathlib import Path

    import vboxkit

    command = [sys.executable, script, str(vbox.settings.home), machine.id, method]
    return subprocess.run(
        [str(each) for each in command],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env={**_environment(), "PYTHONPATH": str(Path(vboxkit.__file__).parents[1])},
    )


def _environment() -> dict[str, str]:
    import os

    ours = {"VBOX_USER_HOME", "VBOX_IPC_SOCKETID"}
    return {name: value for name, value in os.environ.items() if name not in ours}


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_pool_of_new_processes_gets_machines(
    method: str, script: Path, vbox: VirtualBox, machine: Machine
) -> None:
    """A machine that is pickled is the same one, connected, where it is unpickled."""
    done = run_pool(script, vbox, machine, method)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:4] == [f"{machine.name} PoweredOff {machine.id}"] * 4
    assert lines[4:] == ["True True", "from a pool"]


def test_a_pool_of_forks_is_told_what_to_do(
    script: Path, vbox: VirtualBox, machine: Machine
) -> None:
    """With the start method fork the error comes back from the pool, and names the remedy."""
    done = run_pool(script, vbox, machine, "fork")
    assert done.returncode == 0, done.stderr
    assert "SetupError this process was forked" in done.stdout
    assert "spawn" in done.stdout


def test_a_machine_is_itself_after_pickling(machine: Machine, vbox: VirtualBox) -> None:
    """In the same process too; and a copy of it is it."""
    for again in (pickle.loads(pickle.dumps(machine)), copy.copy(machine), copy.deepcopy(machine)):  # noqa: S301
        assert again == machine
        assert again.settings == machine.settings
        again.description = "by the other object"
        assert machine.description == "by the other object"
    other = pickle.loads(pickle.dumps(vbox))  # noqa: S301 - our own bytes
    assert other.home == vbox.home
    assert machine.name in other.machines


def test_a_machine_that_is_gone_cannot_be_unpickled(
    machine: Machine,
) -> None:
    """The error has the UUID that was looked for."""
    data = pickle.dumps(machine)
    uuid = machine.id
    machine.destroy()
    with pytest.raises(NotFoundError, match=uuid):
        pickle.loads(data)  # noqa: S301 - our own bytes


def test_what_is_bound_to_this_process_says_so(machine: Machine, vbox: VirtualBox) -> None:
    """Parts, snapshots, streams: a `TypeError` that says what to pass on."""
    snapshot = machine.snapshots.take("s")
    for part in (machine.network[0], snapshot, machine.cpu, machine.firmware):
        with pytest.raises(TypeError, match="Pass on a Machine or VirtualBox"):
            pickle.dumps(part)
    with vbox.events() as stream, pytest.raises(TypeError):
        pickle.dumps(stream)

"""The watcher removes what a killed session left, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from vboxkit.core import processes
from vboxkit.core.waiting import wait_until
from vboxkit.lab import leases

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vboxkit import Image, Lab

pytestmark = pytest.mark.vm

_FORK = """
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from vboxkit import Lab
from vboxkit.settings import Settings
lab = Lab(Settings.load(home=Path(sys.argv[1])), session="watched")
vm = lab.fork("tiny", name=sys.argv[2], test="a test")
if len(sys.argv) > 3:
    vm.keep()
print("ready", flush=True)
sys.stdin.read()
"""

#: Three forks, a pool of two, and an image whose step does not end.
_MUCH = """
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from vboxkit import Lab
from vboxkit.settings import Settings

def hold(vm):
    print("ready", flush=True)
    sys.stdin.read()

lab = Lab(Settings.load(home=Path(sys.argv[1])))
forks = lab.fork("tiny", n=3)
pool = lab.pool("tiny", size=2).wait_full()
lab.image("tiny", steps=[hold], name="never")
"""


@pytest.fixture
def session(lab_home: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Sessions of other processes, ended when the test is over."""
    assert lab_home.exists()
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def lab_home(vm_lab: Lab, vm_image: Image) -> Path:
    """Return the home of the tests' machines, with the image built."""
    assert vm_image in vm_lab.images()
    return vm_lab.places.home


def start(
    sessions: list[subprocess.Popen[str]],
    home: Path,
    name: str = "",
    *more: str,
    command: Sequence[str] = (),
) -> subprocess.Popen[str]:
    """Let another process fork the image (or run another command); return it when it is ready."""
    process = subprocess.Popen(
        [sys.executable, *(command or ["-c", _FORK, str(home), name, *more])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    sessions.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def watchers(home: Path) -> list[processes.ProcessId]:
    """Return the watchers of a home."""
    found = processes.find(argument="vboxkit.lab.watcher", environment={})
    return [process for process, arguments in found if str(home) in arguments]


def test_a_killed_session_is_cleaned_up_within_30_s(
    vm_lab: Lab, lab_home: Path, session: list[subprocess.Popen[str]]
) -> None:
    """Nobody runs anything after the kill, and the machine, its files and its process go."""
    name = f"watched-{os.getpid()}"
    other = start(session, lab_home, name)
    machine = vm_lab.vbox.machines[name]
    vm_process = machine.session_pid
    assert vm_process is not None
    assert len(watchers(lab_home)) == 1
    lease = leases.find(vm_lab.places.leases, name)
    assert lease is not None
    assert (lease.pid, lease.session, lease.test) == (other.pid, "watched", "a test")
    other.send_signal(signal.SIGKILL)
    other.wait()
    wait_until(
        lambda: None if name in vm_lab.vbox.machines else True,
        what="the watcher to remove the machine",
        timeout=30,
        poll=0.2,
    )
    assert processes.wait_gone(vm_process, timeout=5)
    wait_until(
        lambda: None if leases.find(vm_lab.places.leases, name) else True,
        what="the lease to go",
        timeout=10,
        poll=0.05,
    )
    assert not (vm_lab.places.machines / name).exists()


def test_what_is_kept_or_in_use_stays(
    vm_lab: Lab, lab_home: Path, session: list[subprocess.Popen[str]]
) -> None:
    """A kept machine outlives its session, and one of a living session is not touched."""
    kept, used = f"kept-{os.getpid()}", f"used-{os.getpid()}"
    first = start(session, lab_home, kept, "keep")
    start(session, lab_home, used)
    doomed = start(session, lab_home, f"doomed-{os.getpid()}")
    first.kill()
    doomed.kill()
    try:
        wait_until(
            lambda: None if f"doomed-{os.getpid()}" in vm_lab.vbox.machines else True,
            what="the watcher to come round",
            timeout=30,
            poll=0.2,
        )
        assert vm_lab.vbox.machines[kept].running
        assert vm_lab.vbox.machines[used].running
    finally:
        vm_lab.vm(kept).destroy()
    assert kept not in vm_lab.vbox.machines


def test_an_expired_machine_goes_although_its_owner_lives(
    vm_lab: Lab, vm_image: Image, lab_home: Path
) -> None:
    """A machine with a time to live is removed when that is over."""
    vm = vm_lab.fork(vm_image, ttl=1.0)
    assert watchers(lab_home)
    wait_until(
        lambda: None if vm.registered else True,
        what="the watcher to remove the machine",
        timeout=30,
        poll=0.2,
    )
    vm.destroy()  # by now a no-op
    assert leases.find(vm_lab.places.leases, vm.name) is None


def test_the_watcher_holds_no_pipe_and_outlives_nothing(lab_home: Path) -> None:
    """``script | cat`` ends with the script, and the watcher with it: it keeps nothing busy."""
    for watcher in watchers(lab_home):
        processes.kill(watcher)  # it has seen this process, and would stay for it
    code = _FORK.replace("sys.stdin.read()", "vm.destroy()")
    result = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", code, str(lab_home), "piped"],
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,  # waits until nobody has the other end open
        text=True,
        timeout=60,
    )
    assert result.stdout == "ready\n"
    assert not result.stderr
    wait_until(
        lambda: None if watchers(lab_home) else True,
        what="the watcher to end",
        timeout=10,
        poll=0.05,
    )


def test_a_killed_watcher_is_replaced(
    vm_lab: Lab, lab_home: Path, session: list[subprocess.Popen[str]]
) -> None:
    """The next lease starts another one, which sees to all leases."""
    first = start(session, lab_home, f"first-{os.getpid()}")
    for watcher in watchers(lab_home):
        processes.kill(watcher)
    second = start(session, lab_home, f"second-{os.getpid()}")
    assert len(watchers(lab_home)) == 1
    first.kill()
    second.kill()
    for name in (f"first-{os.getpid()}", f"second-{os.getpid()}"):
        wait_until(
            lambda name=name: None if name in vm_lab.vbox.machines else True,  # type: ignore[misc]
            what="the watcher to remove the machine",
            timeout=30,
            poll=0.2,
        )


def test_what_another_sessions_fork_stands_on(
    vm_lab: Lab, lab_home: Path, session: list[subprocess.Popen[str]]
) -> None:
    """It stays for as long as that session, and others are cleaned up meanwhile; then it goes."""
    below = f"below-{os.getpid()}"
    first = start(session, lab_home, below)
    with vm_lab.vm(below).fork(f"above-{os.getpid()}") as above:
        first.kill()
        other = start(session, lab_home, f"other-{os.getpid()}")
        other.kill()
        wait_until(
            lambda: None if f"other-{os.getpid()}" in vm_lab.vbox.machines else True,
            what="the watcher to remove the other one",
            timeout=30,
            poll=0.2,
        )
        assert below in vm_lab.vbox.machines
        above.ssh.succeed("true")
    vm_lab.gc()
    assert below not in vm_lab.vbox.machines


def test_much_of_a_killed_session_and_nothing_else(
    vm_lab: Lab, lab_home: Path, session: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    """Forks, members of a pool and an image under construction go within 30 s, all at once."""
    script = tmp_path / "much.py"
    script.write_text(_MUCH)
    foreign = vm_lab.vbox.create(
        f"foreign-{os.getpid()}", os_type="Other_64", memory_mb=16, disk_mb=4
    )
    try:
        other = start(session, lab_home, command=[str(script), str(lab_home)])
        mine = [it for it in leases.all_leases(vm_lab.places.leases) if it.pid == other.pid]
        assert sorted(it.purpose for it in mine) == [*["fork"] * 5, "image"]
        names = {it.name for it in mine}
        assert names <= {folder.name for folder in vm_lab.places.machines.iterdir()}
        waiting = {file.stem for file in vm_lab.places.pool.glob("*.json")} & names
        assert len(waiting) == 2
        machines = [vm_lab.vbox.machines[name] for name in names]
        pids = [machine.session_pid for machine in machines]
        other.kill()
        other.wait()
        wait_until(
            lambda: None if any(leases.find(vm_lab.places.leases, it) for it in names) else True,
            what="the watcher to remove all of it",
            timeout=30,
            poll=0.2,
        )
        assert not [machine.name for machine in machines if machine.registered]
        assert not names & {folder.name for folder in vm_lab.places.machines.iterdir()}
        assert not waiting & {file.stem for file in vm_lab.places.pool.glob("*")}
        assert all(pid is not None and processes.wait_gone(pid, timeout=5) for pid in pids)
        assert not {"never"} & {image.name for image in vm_lab.images()}
        (disk,) = foreign.storage.disks
        assert foreign.registered
        assert disk.location.exists()
    finally:
        foreign.destroy()

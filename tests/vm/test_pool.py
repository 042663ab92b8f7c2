"""Pools of machines that wait."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from vboxkit.core import processes
from vboxkit.core.waiting import wait_until
from vboxkit.errors import ApiError, InvalidStateError, WaitTimeoutError
from vboxkit.lab import leases
from vboxkit.lab import pool as pools
from vboxkit.lab.places import TAG_LEASE
from vboxkit.lab.pool import Pool

if TYPE_CHECKING:
    from vboxkit import Image, Lab

pytestmark = pytest.mark.vm


def test_members_wait_paused_and_are_replaced(vm_lab: Lab, vm_image: Image) -> None:
    """One that is taken runs, has a right clock, and another takes its place."""
    with vm_lab.pool(vm_image, size=1) as pool:
        (waiting,) = pool.wait_full()._ready
        assert waiting.state == "Paused"
        assert waiting.ssh.connected
        vm = pool.take()
        assert vm == waiting
        assert vm.state == "Running"
        before = time.time()
        assert before - 2 <= int(vm.ssh.succeed("date +%s")) <= time.time() + 2
        pool.wait_full()
        assert len(pool) == 1
        assert pool._ready[0] != vm
        pool.give_back(vm)
        assert not vm.registered
        last = pool._ready[0]
    assert not last.registered
    assert not list(vm_lab.places.pool.glob("*"))


def test_a_member_that_died_is_not_given_out(vm_lab: Lab, vm_image: Image) -> None:
    """Its process killed while it waited: the next one is taken, and nothing of it is left."""
    with vm_lab.pool(vm_image, size=1, paused=False) as pool:
        (broken,) = pool.wait_full()._ready
        pid = broken.session_pid
        assert pid is not None
        processes.kill(processes.ProcessId.of(pid))
        vm = pool.take(timeout=60)
        assert vm != broken
        assert vm.ssh.succeed("echo well") == "well\n"
        wait_until(lambda: None if broken.registered else True, what="it to go", timeout=30)
        vm.destroy()


def test_another_process_adopts_what_waits(vm_lab: Lab, vm_image: Image) -> None:
    """A process without members takes one of this process's; this one does not give it out."""
    code = """
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from vboxkit import Lab
from vboxkit.lab.pool import Pool
from vboxkit.settings import Settings
lab = Lab(Settings.load(home=Path(sys.argv[1])))
Pool._keep_full = lambda self: None  # makes none of its own
pool = lab.pool("tiny", size=1)
vm = pool.take(timeout=60)
print(vm.name, vm.ssh.succeed("echo hello").strip(), flush=True)
vm.destroy()
"""
    with vm_lab.pool(vm_image, size=1) as pool:
        (waiting,) = pool.wait_full()._ready
        result = subprocess.run(
            [sys.executable, "-c", code, str(vm_lab.places.home)],
            check=True,
            capture_output=True,
            text=True,
        )
        assert result.stdout.split() == [waiting.name, "hello"]
        assert not waiting.registered
        vm = pool.take(timeout=60)
        assert vm != waiting
        vm.destroy()


def test_a_pool_shrinks_when_nobody_takes(vm_lab: Lab, vm_image: Image) -> None:
    """After the idle time members go, one at a time, until one is left."""
    with vm_lab.pool(vm_image, size=2, idle=1.0) as pool:
        pool.wait_full()
        wait_until(lambda: len(pool) == 1 or None, what="it to shrink", timeout=30, poll=0.1)
        pool.take().destroy()
        pool.wait_full()


def test_bounds(vm_lab: Lab, vm_image: Image) -> None:
    """No more than `most` in the home, and none while RAM is short; the error says so."""
    with vm_lab.pool(vm_image, size=2, most=1) as pool:
        wait_until(lambda: len(pool) == 1 or None, what="the one", timeout=60, poll=0.05)
        with pytest.raises(WaitTimeoutError, match="1 of 2 ready"):
            pool.wait_full(timeout=2)
    with vm_lab.pool(vm_image, size=1, memory_mb=10**9) as pool:
        with pytest.raises(WaitTimeoutError, match="MiB of free RAM") as caught:
            pool.take(timeout=0.5)
        assert caught.value.hint
    with pytest.raises(InvalidStateError, match="closed"):
        pool.take()


def test_a_busy_host(vm_lab: Lab, vm_image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is made while more processes want a CPU than allowed; then it goes on by itself."""
    busy = 3.0 * (os.cpu_count() or 1)
    monkeypatch.setattr(os, "getloadavg", lambda: (busy, 0.0, 0.0))
    with vm_lab.pool(vm_image, size=1, load=2.5) as pool:
        with pytest.raises(WaitTimeoutError, match=r"load of at most 2\.5 on each CPU") as caught:
            pool.take(timeout=0.5)
        assert "3.00" in str(caught.value)
        busy = 0.0
        pool.wait_full()


@pytest.mark.parametrize("size", [0, -1, 1.5, True])
def test_a_size_that_makes_no_sense(vm_lab: Lab, vm_image: Image, size: int) -> None:
    """It is refused before anything is made."""
    with pytest.raises(ApiError, match="makes no sense"):
        Pool(vm_lab, vm_image, size=size)


def test_the_pool_of_a_dead_process_is_reclaimed(vm_lab: Lab, vm_image: Image) -> None:
    """A process killed with members waiting leaves leases, by which the reaper finds them."""
    code = """
import os, signal, sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from vboxkit import Lab
from vboxkit.settings import Settings
pool = Lab(Settings.load(home=Path(sys.argv[1]))).pool("tiny", size=1).wait_full()
print(pool._ready[0].name, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    result = subprocess.run(
        [sys.executable, "-c", code, str(vm_lab.places.home)],
        check=False,
        capture_output=True,
        text=True,
    )
    name = result.stdout.strip()
    assert name, result.stderr
    assert vm_image in vm_lab.images()
    vm_lab.gc()  # or the watcher was faster
    assert name not in vm_lab.vbox.machines
    assert leases.find(vm_lab.places.leases, name) is None
    assert not (vm_lab.places.pool / f"{name}.json").exists()


def test_a_member_is_replaced_when_its_time_is_over(vm_lab: Lab, vm_image: Image) -> None:
    """Its lease has an end while it waits, none once it is taken; an old one is not given out."""
    folder = vm_lab.places.leases
    with vm_lab.pool(vm_image, size=1, ttl=2.0) as pool:
        (first,) = pool.wait_full()._ready
        lease = leases.find(folder, first.name)
        assert lease is not None
        assert lease.expires is not None
        wait_until(lambda: pool._stale(first) or None, what="its end", timeout=30)
        second = pool.take(timeout=60)
        assert second != first
        wait_until(lambda: None if first.registered else True, what="it to go", timeout=30)
        lease = leases.find(folder, second.name)
        assert lease is not None
        assert lease.expires is None
        assert second.get_extra_data(TAG_LEASE) == lease.encoded()
        second.destroy()
        pool._ttl = 60.0


@pytest.mark.parametrize("paused", [True, False])
def test_the_first_command_finds_a_shell(vm_lab: Lab, vm_image: Image, *, paused: bool) -> None:
    """It was started before the member waited, and the clock is right within a second."""
    with vm_lab.pool(vm_image, size=1, paused=paused) as pool:
        vm = pool.wait_full().take()
        (shell,) = vm.ssh._prepared
        assert shell.usable
        before = time.time()
        guest = int(vm.ssh.succeed("date +%s"))
        assert before - 1 <= guest <= time.time() + 1
        assert not vm.ssh._prepared
        vm.destroy()


def test_running_members_are_tried(
    vm_lab: Lab, vm_image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose SSH server is gone, although its connection stands, is replaced meanwhile."""
    monkeypatch.setattr(pools, "_ROUND_TRIP", 0.0)
    monkeypatch.setattr(pools, "_LOOK", 0.2)
    with vm_lab.pool(vm_image, size=1, paused=False) as pool:
        (deaf,) = pool.wait_full()._ready
        # Nobody of the guest's side of this connection answers any more, and nobody hangs up.
        with vm_lab.vbox.machines[deaf.name].edit() as live:
            live.network[0].cable_connected = False
        wait_until(
            lambda: (deaf not in pool._ready and len(pool) == 1) or None,
            what="another one",
            timeout=60,
            poll=0.1,
        )
        wait_until(lambda: None if deaf.registered else True, what="it to go", timeout=30)


def test_no_fork_begins_right_after_a_take(vm_lab: Lab, vm_image: Image) -> None:
    """The machine just taken has the CPU for a moment, unless somebody waits for another."""
    with vm_lab.pool(vm_image, size=1) as pool:
        vm = pool.wait_full().take()
        assert not pool._making
        assert pool._rest_until > time.monotonic() - 5
        wait_until(lambda: len(pool) == 1 or None, what="the next one", timeout=60, poll=0.02)
        vm.destroy()


@pytest.mark.parametrize("ttl", [0, -1.0])
def test_a_time_that_makes_no_sense(vm_lab: Lab, vm_image: Image, ttl: float) -> None:
    """It is refused before anything is made."""
    with pytest.raises(ApiError, match="make no sense"):
        vm_lab.pool(vm_image, size=1, ttl=ttl)


def test_a_shell_of_another_kind(
    vm_lab: Lab, vm_image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest whose shell cannot wait for a command is as good a member, only slower to take."""
    from vboxkit.guest import prepared

    monkeypatch.setattr(prepared, "_WAIT", "no-such-command; exit 1")
    with vm_lab.pool(vm_image, size=1) as pool:
        vm = pool.take(timeout=60)
        assert not vm.ssh._prepared
        assert vm.ssh.succeed("echo well") == "well\n"
        vm.destroy()


def test_one_that_does_not_answer_is_no_member(
    vm_lab: Lab, vm_image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is destroyed, and the next one is made; who waits in vain is told."""
    monkeypatch.setattr(pools, "answers", lambda _vm, *, timeout: timeout < 0)
    with vm_lab.pool(vm_image, size=1) as pool:
        wait_until(lambda: pool._error, what="an error", timeout=60, poll=0.05)
        with pytest.raises(WaitTimeoutError, match="not answer"):
            pool.take(timeout=0)
        monkeypatch.setattr(pools, "answers", lambda _vm, *, timeout: timeout > 0)
        pool.take(timeout=60).destroy()

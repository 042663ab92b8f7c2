"""Faults on purpose: a crash, a cable, a full disk, a clock that jumps; and all of it mended."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from vboxkit import MachineState
from vboxkit.core import processes
from vboxkit.core.processes import ProcessId
from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import (
    CommandFailedError,
    CommandTimeoutError,
    GuestConnectionError,
    InvalidStateError,
    NotFoundError,
    SettingsError,
)
from vboxkit.lab.clock import offset

if TYPE_CHECKING:
    from vboxkit import VM

pytestmark = pytest.mark.vm

DAY = 86_400


def ahead(vm: VM) -> float:
    """Return by how many seconds the guest's clock is ahead of this host's."""
    return offset(vm.ssh, Deadline(60))[0]


def test_crash_is_a_power_cut(vm: VM) -> None:
    """Aborted at once, the process gone; what was written to disk is there after a start."""
    vm.ssh.succeed("echo kept > /root/kept; sync")
    boot = vm.ssh.succeed("cat /proc/sys/kernel/random/boot_id")
    assert vm.session_pid is not None
    process = ProcessId.of(vm.session_pid)
    vm.crash()
    assert vm.state is MachineState.ABORTED
    assert not process.alive
    with pytest.raises(GuestConnectionError, match=vm.name):
        vm.ssh.run("true", timeout=20)
    with pytest.raises(InvalidStateError, match="no VM process") as caught:
        vm.crash()
    assert caught.value.state == "Aborted"
    vm.start()
    vm.wait_ready()
    assert vm.ssh.succeed("cat /root/kept") == "kept\n"
    assert vm.ssh.succeed("cat /proc/sys/kernel/random/boot_id") != boot


def test_crash_of_one_that_is_paused(vm: VM) -> None:
    """Its process ends as well."""
    vm.pause()
    vm.crash()
    assert vm.state is MachineState.ABORTED
    assert not [
        arguments
        for _, arguments in processes.find(argument=vm.id, environment={})
        if "--startvm" in arguments
    ]


def test_a_cable_that_is_out(vm: VM) -> None:
    """A command is a typed error in time, the guest sees it, and after `plug` all goes on."""
    vm.ssh.succeed("true")
    mark = vm.console.mark()
    vm.ssh.succeed(
        "(while :; do read -r up < /sys/class/net/eth0/carrier; echo up=$up > /dev/ttyS0; sleep 1;"
        " done) > /dev/null 2>&1 &"
    )
    vm.console.wait_for("up=1", timeout=60, start=mark)
    mark = vm.console.mark()
    fault = vm.network.unplug()
    assert vm.network[0].cable_connected is False
    vm.console.wait_for("up=0", timeout=60, start=mark)
    begin = time.monotonic()
    with pytest.raises((CommandTimeoutError, GuestConnectionError)):
        vm.ssh.run("true", timeout=2)
    assert time.monotonic() - begin < 60
    vm.network.plug()
    assert vm.ssh.wait_until_succeeds("echo on", timeout=120) == "on\n"
    fault.mend()
    assert vm.network[0].cable_connected is True
    assert vm.ssh.succeed("echo on", timeout=120) == "on\n"


def test_a_cable_as_a_block(vm: VM) -> None:
    """In again at its end; one that was out before stays out; a destroyed machine has none."""
    with vm.network.unplug() as fault:
        assert "network adapter 0" in fault.what
        with vm.network.unplug():
            pass
        assert vm.network[0].cable_connected is False
    assert vm.network[0].cable_connected is True
    assert vm.ssh.wait_until_succeeds("echo on", timeout=120) == "on\n"
    with pytest.raises(NotFoundError, match="no network adapter 99"):
        vm.network.unplug(99)
    with vm.fork() as other, other.network.unplug():
        other.destroy()
    vm.save_state()
    with pytest.raises(InvalidStateError, match="saved"):
        vm.network.unplug()


def test_a_full_disk(vm: VM) -> None:
    """Not even 4 KiB are left, for root; and then again all that there was."""
    before = vm.disk.left_mb()
    assert before > 100
    with vm.disk.fill(leave_mb=8):
        assert 7 <= vm.disk.left_mb() <= 8
        vm.ssh.succeed("head -c 4096 /dev/zero > /root/x && rm /root/x")
        with vm.disk.fill():
            assert vm.disk.left_mb() == 0
            assert not vm.ssh.run("head -c 8192 /dev/zero > /root/x").ok
            vm.ssh.succeed("rm /root/x")
    assert abs(vm.disk.left_mb() - before) < 1
    assert not vm.ssh.exists("/.vboxkit-fill")
    vm.disk.free()


def test_a_full_disk_elsewhere(vm: VM) -> None:
    """A file system of its own, which cannot reserve space; a path with blanks; other disks."""
    vm.ssh.succeed("mkdir '/mnt/a b' && mount -t tmpfs -o size=2m none '/mnt/a b'")
    root = vm.disk.left_mb()
    fault = vm.disk.fill("/mnt/a b", leave_mb=1)
    assert 0.9 <= vm.disk.left_mb("/mnt/a b") <= 1
    vm.disk.fill("/mnt/a b")
    assert vm.disk.left_mb("/mnt/a b") == 0
    assert abs(vm.disk.left_mb() - root) < 1
    fault.mend()
    assert vm.disk.left_mb("/mnt/a b") == 2
    vm.ssh.succeed("mv /usr/bin/fallocate /root")
    with vm.disk.fill("/mnt/a b", leave_mb=1):
        assert 0.9 <= vm.disk.left_mb("/mnt/a b") <= 1
        vm.disk.fill("/mnt/a b")
        assert vm.disk.left_mb("/mnt/a b") == 0
    assert vm.disk.left_mb("/mnt/a b") == 2


def test_a_disk_that_cannot_be_filled(vm: VM) -> None:
    """Refused with the reason, and nothing is left; one that is off cannot be freed."""
    with pytest.raises(CommandFailedError, match="nowhere"):
        vm.disk.fill("/nowhere")
    with pytest.raises(SettingsError, match="-1 MB"):
        vm.disk.fill(leave_mb=-1)
    with pytest.raises(CommandFailedError, match="vboxkit-fill"):
        vm.disk.fill("/proc")
    with pytest.raises(InvalidStateError, match="cannot be freed"), vm.disk.fill(leave_mb=1):
        vm.crash()
    vm.start()
    vm.wait_ready()
    vm.disk.free()
    assert vm.disk.left_mb() > 100


def test_a_clock_that_jumps(vm: VM) -> None:
    """A day, with VBoxService in the guest that sets it: it stays, over a pause and a save, too."""
    assert vm.ssh.succeed("pidof VBoxService")
    with vm.clock.jump("+1d") as fault:
        assert "+86400" in fault.what
        assert abs(ahead(vm) - DAY) < 20
        vm.pause()
        vm.resume()
        assert abs(ahead(vm) - DAY) < 20
        vm.save_state()
        vm.start()
        assert abs(ahead(vm) - DAY) < 20
        with vm.fork() as other:
            assert abs(ahead(other)) < 20
    assert abs(ahead(vm)) < 5
    assert not vm.clock.jumped
    assert "T" not in _states(vm)


def test_nobody_puts_it_right(vm: VM) -> None:
    """VBoxService looks every 10 s: 12 s later it is still wrong, and right after `back`."""
    vm.clock.jump(-3 * DAY)
    over = Deadline(12)
    wait_until(lambda: True if over.expired else None, what="time", timeout=60, poll=0.1)
    assert abs(ahead(vm) + 3 * DAY) < 20
    assert abs(vm.clock.back() + 3 * DAY) < 20
    assert abs(ahead(vm)) < 5


def test_ways_to_tell_the_time(vm: VM) -> None:
    """Spans add up, a moment is a moment; and what ends a jump beside `back`."""
    vm.clock.jump(timedelta(hours=1))
    vm.clock.jump("+1h30m")
    assert abs(ahead(vm) - 2.5 * 3600) < 20
    then = datetime(2038, 1, 19, 3, 14, 0, tzinfo=timezone.utc)
    vm.clock.jump(then)
    # To the second, and then some for the way there and back.
    assert -2 <= int(vm.ssh.succeed("date +%s")) - then.timestamp() < 20
    assert vm.sync_clock() > 1e6
    assert "T" not in _states(vm)
    vm.clock.jump("-1w")
    vm.rewind()
    assert abs(ahead(vm)) < 20
    fault = vm.clock.jump(60)
    vm.pause()
    fault.mend()
    vm.resume()
    assert abs(ahead(vm)) < 20
    assert "T" not in _states(vm)
    for wrong in ("1d", "+1y", "tomorrow", True, float("nan"), -1e12, datetime(1, 1, 1)):  # noqa: DTZ001
        with pytest.raises(SettingsError, match="clock"):
            vm.clock.jump(wrong)
    assert not vm.clock.jumped


def _states(vm: VM) -> str:
    """Return the states of VBoxService's processes; T is stopped."""
    return vm.ssh.succeed(
        "for it in $(pidof VBoxService); do while read -r name value _; do"
        ' [ "$name" != State: ] || echo "$value"; done < /proc/$it/status; done'
    )

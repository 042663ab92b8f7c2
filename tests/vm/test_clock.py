"""The guest's clock, after all that stops it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import InvalidStateError, WaitTimeoutError
from vboxkit.lab.clock import offset

if TYPE_CHECKING:
    from vboxkit import VM

pytestmark = pytest.mark.vm


def wrong_by(vm: VM) -> float:
    """Return by how many seconds the clock is wrong at least; the way there is not its fault."""
    ahead, unsure = offset(vm.ssh, Deadline(60))
    return max(0.0, abs(ahead) - unsure)


def stand_still(seconds: float) -> None:
    """Let time pass on this host."""
    over = Deadline(seconds)
    wait_until(lambda: True if over.expired else None, what="time", timeout=60, poll=0.1)


def kill_service(vm: VM) -> None:
    """Leave nothing in the guest that sets the clock: the service is not started again."""
    vm.ssh.run("ln -sf /bin/false /usr/sbin/VBoxService; killall -9 VBoxService")
    assert vm.ssh.run("pidof VBoxService").stdout == ""


def paused(vm: VM) -> None:
    """Pause for some seconds."""
    vm.pause()
    stand_still(2.5)
    vm.resume()


def saved(vm: VM) -> None:
    """Save the state, and go on some seconds later."""
    vm.save_state()
    stand_still(2.5)
    vm.start()


def restored(vm: VM) -> None:
    """Go back to a snapshot of the running guest."""
    snapshot = vm.snapshots.take("here")
    stand_still(2.5)
    vm.power_off()
    snapshot.restore()
    vm.start()
    snapshot.delete()


def rewound(vm: VM) -> None:
    """Go back to the image."""
    vm.rewind()


@pytest.mark.parametrize("service", ["VBoxService", ""], ids=["with service", "without"])
def test_right_after_it_stood_still(vm: VM, service: str) -> None:
    """Within a second, after each way to stop it; with VBoxService and without."""
    for stop in (paused, saved, restored, rewound):
        if not service:
            kill_service(vm)
        stop(vm)
        vm.sync_clock(timeout=120)
        assert wrong_by(vm) < 1, stop.__name__


def test_right_without_a_network(vm: VM) -> None:
    """By guest control: after a restore and in a fork; SSH only looks, and sets nothing."""
    vm.save_state()
    vm.additions.time_sync.enabled = False  # the service would set it, too
    vm.start()
    with vm.guest_session("root", "vboxkit") as session:
        session.succeed("date -u -s @1700000000")
        assert vm.sync_clock(session=session, timeout=120) < -1_000_000
        assert abs(vm.sync_clock(session=session, timeout=120)) < 5
    assert wrong_by(vm) < 1
    restored(vm)
    with vm.guest_session("root", "vboxkit") as session:
        vm.sync_clock(session=session, timeout=120)
        assert vm.ssh.before_next is None
        assert wrong_by(vm) < 1
    with pytest.raises(InvalidStateError, match="closed"):
        vm.sync_clock(session=session)
    with vm.fork() as other:
        with other.guest_session("root", "vboxkit") as session:
            other.sync_clock(session=session, timeout=120)
        assert other.ssh.before_next is None
        assert wrong_by(other) < 1


def test_right_in_a_fork(vm: VM) -> None:
    """A fork goes on with the time of its snapshot; the first command mends that, too."""
    kill_service(vm)
    stand_still(2)
    with vm.fork() as other:
        assert wrong_by(other) < 1
        other.sync_clock(timeout=120)
        assert wrong_by(other) < 1


def test_says_how_wrong_it_was(vm: VM) -> None:
    """Far off in both directions; and once it is right, that it was."""
    kill_service(vm)
    vm.ssh.succeed("date -u -s @1700000000")
    assert vm.sync_clock(timeout=120) < -1_000_000
    vm.ssh.succeed("date -u -s @2000000000")
    assert vm.sync_clock(timeout=120) > 1_000_000
    assert abs(vm.sync_clock(timeout=120)) < 5
    assert wrong_by(vm) < 1


def test_a_guest_that_does_not_answer(vm: VM) -> None:
    """A paused one has no clock to set: told in time, and no hang."""
    vm.ssh.run("true")
    vm.pause()
    with pytest.raises(WaitTimeoutError) as caught:
        vm.sync_clock(timeout=2)
    assert "the clock of machine" in caught.value.what
    assert caught.value.last_seen == "no answer"
    assert caught.value.waited < 60
    vm.resume()
    vm.sync_clock(timeout=120)


def test_two_at_once(vm: VM) -> None:
    """Threads do not disturb each other."""
    threads = [threading.Thread(target=vm.sync_clock) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert wrong_by(vm) < 1

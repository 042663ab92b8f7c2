"""Members of a pool that another process adopts, and pools that get into each other's way."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from vboxkit import Lab
from vboxkit.core.processes import ProcessId
from vboxkit.core.waiting import wait_until
from vboxkit.errors import InvalidStateError
from vboxkit.lab import leases, reaper
from vboxkit.lab.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit import VM, Image

pytestmark = pytest.mark.vm

_OWNER = """
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from vboxkit import Lab
from vboxkit.settings import Settings
with Lab(Settings.load(home=Path(sys.argv[1]))) as lab:
    pool = lab.pool("tiny", size=1).wait_full()
    print(pool._ready[0].name, flush=True)
    for command in sys.stdin:
        if command == "end\\n":
            break
        print(*[vm._name for vm in pool._ready], flush=True)
"""


class Owner:
    """A process with a pool of one."""

    def __init__(self, lab: Lab) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _OWNER, str(lab.places.home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.member = self.process.stdout.readline().strip()

    def ready(self) -> str:
        """Return what waits there."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@pytest.fixture
def owner(vm_lab: Lab, vm_image: Image) -> Iterator[Owner]:
    """Return another process with a pool."""
    assert vm_image in vm_lab.images()
    made = Owner(vm_lab)
    yield made
    if made.process.returncode is None:
        made.process.communicate("end\n")


@pytest.fixture
def makes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pools of this process make no members of their own."""
    monkeypatch.setattr(Pool, "_keep_full", lambda _: None)


@pytest.mark.usefixtures("makes_none")
def test_what_was_adopted_outlives_its_first_owner(
    vm_lab: Lab, vm_image: Image, owner: Owner
) -> None:
    """The first owner replaces it, ends, and leaves it alone; its lab destroys it in the end."""
    with Lab(vm_lab.settings) as lab:
        vm = lab.pool(vm_image, size=1).take(timeout=60)
        assert vm.name == owner.member
        wait_until(
            lambda: owner.ready() not in {"", owner.member} or None,
            what="the owner to make another one",
            timeout=60,
            poll=0.2,
        )
        owner.process.communicate("end\n")
        assert owner.process.returncode == 0
        assert vm.ssh.succeed("echo mine") == "mine\n"
        lease = leases.find(lab.places.leases, vm.name)
        assert lease is not None
        assert lease.owner == ProcessId.current()
    assert not vm.registered
    assert not list(vm_lab.places.pool.glob("*"))


@pytest.mark.usefixtures("makes_none")
def test_a_member_of_a_killed_process(vm_lab: Lab, vm_image: Image, owner: Owner) -> None:
    """It still runs, and is as good as any; a clean-up that saw it before does not take it."""
    owner.process.kill()
    owner.process.communicate()
    doomed = leases.find(vm_lab.places.leases, owner.member)
    assert doomed is not None
    with vm_lab.pool(vm_image, size=1) as pool:
        vm = pool.take(timeout=60)
        assert vm.name == owner.member
        with reaper._nobody_builds(vm_lab.places, doomed) as free:
            assert not free
        vm_lab.gc()
        assert vm.ssh.succeed("echo mine") == "mine\n"
        vm.destroy()


@pytest.mark.usefixtures("makes_none")
def test_a_member_that_is_gone_is_passed_over(vm_lab: Lab, vm_image: Image, vm: VM) -> None:
    """One that was destroyed, or does not wake, is not given out, and nothing of it stays."""
    from vboxkit.errors import WaitTimeoutError

    with vm_lab.pool(vm_image, size=1) as pool:
        vm.pause()
        pool._offer(vm)
        vm.destroy()
        with pytest.raises(WaitTimeoutError):
            pool.take(timeout=0)
        assert not list(vm_lab.places.pool.glob("*"))
        dead = vm_lab.fork(vm_image)
        dead.power_off()
        pool._offer(dead)
        with pytest.raises(WaitTimeoutError):
            pool.take(timeout=1)
        assert not dead.registered
        assert leases.find(vm_lab.places.leases, dead._name) is None


def test_two_pools_at_once_keep_to_the_most(vm_lab: Lab, vm_image: Image) -> None:
    """Both find room at the same moment, and only one makes a member."""
    pools = [vm_lab.pool(vm_image, size=1, most=1) for _ in range(2)]
    wait_until(
        lambda: any(len(pool) for pool in pools) or None,
        what="a member",
        timeout=60,
        poll=0.05,
    )
    wait_until(
        lambda: None if any(pool._making for pool in pools) else True,
        what="nobody to make another one",
        timeout=60,
        poll=0.05,
    )
    assert sum(len(pool) for pool in pools) == 1
    for pool in pools:
        pool.close()


def test_an_error_of_any_kind_does_not_end_a_pool(
    vm_lab: Lab, vm_image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk for a moment: the half made member goes, and the next one comes."""
    offer = Pool._offer
    failed: list[VM] = []

    def full(self: Pool, vm: VM) -> None:
        if not failed:
            failed.append(vm)
            raise OSError(28, "No space left on device")
        offer(self, vm)

    monkeypatch.setattr(Pool, "_offer", full)
    with vm_lab.pool(vm_image, size=1) as pool:
        vm = pool.take(timeout=60)
        assert vm not in failed
        assert not failed[0].registered
        vm.destroy()


def test_a_closed_pool_takes_nobody_elses(vm_lab: Lab, vm_image: Image, owner: Owner) -> None:
    """It is closed, whatever waits elsewhere."""
    pool = vm_lab.pool(vm_image, size=1)
    pool.close()
    with pytest.raises(InvalidStateError, match="closed"):
        pool.take()
    assert owner.ready() == owner.member


def test_forks_that_are_gone_are_not_held(vm_lab: Lab, vm_image: Image) -> None:
    """VBoxSVC keeps what we hold on to: a lab forgets machines that were destroyed."""
    for _ in range(2):
        vm_lab.fork(vm_image).destroy()
    with vm_lab.fork(vm_image) as vm:
        assert not [one for one in vm_lab._forks.values() if one._destroyed]
        assert vm_lab._forks[vm.id] is vm

"""Forks of a machine as it stands: in turn, several at once, with what is to be their own."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.core import steps
from vboxkit.core.waiting import wait_until
from vboxkit.errors import CommandFailedError, SettingsError
from vboxkit.host import budget
from vboxkit.lab import leases

if TYPE_CHECKING:
    from vboxkit import VM, Image, Lab

pytestmark = pytest.mark.vm


def test_random_state_of_their_own(vm_lab: Lab, vm_image: Image) -> None:
    """Four that resume the same guest make different numbers; without it most make the same."""
    vms = vm_lab.fork(vm_image, n=4, refresh=["entropy"])
    try:
        made = [vm.ssh.succeed("cat /proc/sys/kernel/random/uuid") for vm in vms]
        assert len(set(made)) == 4, made
    finally:
        for vm in vms:
            vm.destroy()


def test_copies_with_an_identity_of_their_own(vm: VM) -> None:
    """Of a running machine, too: each has its own name, id and host key, and what was in memory."""
    vm.ssh.succeed("echo there > /run/was")
    key = vm.ssh.host_key
    forks = vm.fork(n=2, refresh=["hostname", "machine-id", "ssh-host-key"])
    with vm.checkpoint("later").fork(refresh=["hostname"]) as third:
        forks.append(third)
        names = [fork.ssh.succeed("cat /run/was; hostname").split() for fork in forks]
        assert names == [["there", fork.name] for fork in forks]
        # The image has none, so the third has none either.
        ids = [fork.ssh.succeed("cat /etc/machine-id") for fork in forks[:2]]
        assert len(set(ids)) == 2
        keys = [fork.ssh.host_key for fork in forks]
        assert len(set(keys)) == 3
        assert keys[2] == key
    for fork in forks[:2]:
        fork.destroy()


def test_one_that_cannot_be_made_its_own(vm: VM, vm_lab: Lab) -> None:
    """All of its siblings go with it, and the snapshot that was taken for them."""
    vm.ssh.succeed("rm -f /etc/hostname; mkdir /etc/hostname")
    label = f"{vm.name}-own"
    with pytest.raises(CommandFailedError):
        vm.fork(label, n=2, refresh=["hostname"])
    assert not [name for name in vm_lab.vbox.machines.names() if name.startswith(label)]
    assert len(vm.snapshots) == 0
    assert vm.ssh.succeed("echo on") == "on\n"


@pytest.mark.parametrize(
    "options",
    [{"refresh": ["entropy"], "start": False}, {"refresh": ["entrop"]}],
    ids=["not started", "unknown"],
)
def test_what_cannot_be_made_its_own(vm: VM, options: dict[str, Any]) -> None:
    """It is refused before anything is made."""
    with pytest.raises(SettingsError, match="entrop") as caught:
        vm.fork(**options)
    assert caught.value.hint
    assert len(vm.snapshots) == 0
    assert vm.linked_clones() == []


def test_one_checkpoint_forked_by_several_at_once(vm: VM) -> None:
    """VirtualBox refuses to clone one snapshot twice at once: they take turns."""
    vm.ssh.succeed("echo kept > /root/state")
    kept = vm.checkpoint("kept")
    vm.ssh.succeed("echo changed > /root/state")
    ready = threading.Barrier(4)

    def one(_: int) -> str:
        ready.wait(60)
        with kept.fork() as fork:
            return fork.ssh.succeed("cat /root/state", timeout=120)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(4))) == ["kept\n"] * 4
    kept.delete()


def test_one_copy_waits_for_its_turn(vm: VM, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts when there is a place, and says why not before."""
    monkeypatch.setattr(budget, "places", lambda: 1)
    notes: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        with (
            budget.may_start(64, what="somebody else", timeout=60),
            steps.subscribe(lambda step: notes.append(step.note)),
        ):
            coming = pool.submit(vm.fork)
            wait_until(
                lambda: "CPU: 1 machines are starting already" in notes or None,
                what="the fork to say why it waits",
                timeout=60,
            )
            assert not coming.done()
        before = time.monotonic()
        with coming.result(timeout=60) as fork:
            assert fork.ssh.succeed("echo on") == "on\n"
        assert time.monotonic() - before < 60
    assert leases.find(vm._places.leases, fork._name) is None

"""Many forks at once, checkpoints and branches, and what forks make their own."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from vboxkit.core import processes, steps
from vboxkit.errors import ApiError, InvalidStateError, SettingsError, StartError, WaitTimeoutError
from vboxkit.host import budget

if TYPE_CHECKING:
    from vboxkit import VM, Image, Lab
    from vboxkit.lab.refresh import Refresh

pytestmark = pytest.mark.vm


def test_four_at_once(vm_lab: Lab, vm_image: Image) -> None:
    """Each runs, answers on a port of its own, and is destroyed with the rest."""
    vms = vm_lab.fork(vm_image, n=4, name=f"many-{time.monotonic_ns()}")
    try:
        assert [vm.name[-2:] for vm in vms] == ["-0", "-1", "-2", "-3"]
        assert len({vm.ssh_port for vm in vms}) == 4
        for vm in vms:
            vm.ssh.succeed(f"echo {vm.name} > /root/me")
        assert [vm.ssh.succeed("cat /root/me").strip() for vm in vms] == [vm.name for vm in vms]
    finally:
        for vm in vms:
            vm.destroy()
    assert not any(vm.registered for vm in vms)


def test_all_or_none(vm_lab: Lab, vm_image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """If one cannot start, those that could are destroyed."""
    from vboxkit.lab.vm import VM as Class  # noqa: N811 - the class, not an instance

    begin = Class.start
    name = f"none-{time.monotonic_ns()}"

    def start(self: VM, **options: object) -> None:
        if self.name.endswith("-1"):
            raise StartError("broken on purpose", log="")
        begin(self, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Class, "start", start)
    with pytest.raises(StartError, match="on purpose"):
        vm_lab.fork(vm_image, n=3, name=name)
    assert not [other for other in vm_lab.vbox.machines.names() if other.startswith(name)]
    assert not list(vm_lab.places.leases.glob(f"{name}*"))


@pytest.mark.parametrize("n", [0, -1, 2.5, True])
def test_a_number_that_makes_no_sense(vm_lab: Lab, vm_image: Image, n: int) -> None:
    """It is refused before anything is made."""
    before = vm_lab.vbox.machines.names()
    with pytest.raises(ApiError, match="forks of tiny"):
        vm_lab.fork(vm_image, n=n)
    assert vm_lab.vbox.machines.names() == before


def test_forks_of_a_fork_share_one_snapshot(vm: VM) -> None:
    """It is taken once, each goes on from there, and it goes with the last of them."""
    vm.ssh.succeed("echo there > /root/was")
    first, second = vm.fork(n=2)
    assert len(vm.snapshots) == 1
    assert first.ssh.succeed("cat /root/was") == second.ssh.succeed("cat /root/was") == "there\n"
    first.destroy()
    assert len(vm.snapshots) == 1
    second.destroy()
    assert len(vm.snapshots) == 0
    assert vm.ssh.succeed("cat /root/was") == "there\n"


def test_the_clock_is_right_after_a_fork(vm_lab: Lab, vm_image: Image) -> None:
    """The first command finds it set, also after the machine was saved or paused."""

    def error(vm: VM) -> float:
        return abs(int(vm.ssh.succeed("date +%s")) - time.time())

    with vm_lab.fork(vm_image) as vm:
        assert error(vm) <= 2
        vm.pause()
        vm.resume()
        assert error(vm) <= 2
        vm.save_state()
        vm.start()
        assert error(vm) <= 2


def test_identity_is_refreshed_where_asked(vm_lab: Lab, vm_image: Image) -> None:
    """Two forks differ in name, machine id, host key and random numbers; SSH goes on."""
    names: list[Refresh] = ["entropy", "hostname", "machine-id", "ssh-host-key"]
    first, second = vm_lab.fork(vm_image, refresh=names), vm_lab.fork(vm_image, refresh=names)
    try:
        seen = []
        for vm in (first, second):
            assert vm.ssh.succeed("hostname").strip() == vm.name
            key = vm.ssh.host_key
            assert key is not None
            assert key != vm_image.host_key
            seen.append((vm.ssh.succeed("cat /etc/machine-id"), key))
        assert len(set(seen)) == 2
        # Whoever looks for the machine later finds the new key pinned.
        again = vm_lab.vm(first.name)
        assert again.credentials.host_key == first.ssh.host_key
        assert again.ssh.succeed("hostname").strip() == first.name
    finally:
        first.destroy()
        second.destroy()


def test_an_unknown_refresh(vm_lab: Lab, vm_image: Image) -> None:
    """A name that is none is refused with the near one, before anything is made."""
    before = vm_lab.vbox.machines.names()
    with pytest.raises(SettingsError, match="entrop") as caught:
        vm_lab.fork(vm_image, refresh=["entrop"])  # type: ignore[list-item]
    assert caught.value.hint == "did you mean 'entropy'?"
    assert vm_lab.vbox.machines.names() == before


def test_a_tree_of_checkpoints(vm: VM) -> None:
    """A checkpoint is forked twice, a fork of it is a checkpoint again; each has its own past."""
    vm.ssh.succeed("echo 1 > /root/step")
    one = vm.checkpoint("one")
    vm.ssh.succeed("echo 2 > /root/step")
    with one.fork() as left, one.fork() as right:
        assert left.ssh.succeed("cat /root/step") == "1\n"
        left.ssh.succeed("echo left > /root/step")
        deeper = left.checkpoint("deeper")
        with deeper.fork() as leaf:
            assert leaf.ssh.succeed("cat /root/step") == "left\n"
        assert right.ssh.succeed("cat /root/step") == "1\n"
        with pytest.raises(InvalidStateError, match="one"):
            one.delete()
    assert vm.ssh.succeed("cat /root/step") == "2\n"
    one.delete()
    assert len(vm.snapshots) == 0


def test_a_checkpoint_of_a_machine_at_rest(vm: VM) -> None:
    """There is no guest to keep: the error says what to do instead."""
    vm.power_off()
    with pytest.raises(InvalidStateError, match="no running guest") as caught:
        vm.checkpoint("never")
    assert caught.value.hint
    assert len(vm.snapshots) == 0


def test_a_branch_is_thrown_away(vm: VM) -> None:
    """What is done in a branch is not there afterwards, and nor is the branch."""
    vm.ssh.succeed("echo safe > /root/file")
    with vm.branch() as other:
        other.ssh.succeed("rm /root/file")
    assert not other.registered
    assert vm.ssh.succeed("cat /root/file") == "safe\n"
    assert len(vm.snapshots) == 0


def test_forks_wait_for_their_turn(
    vm_lab: Lab, vm_image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no more places than one, starts follow one another, and say why they wait."""
    monkeypatch.setattr(budget, "places", lambda: 1)
    notes: list[str] = []
    with steps.subscribe(lambda event: notes.append(str(event))):
        vms = vm_lab.fork(vm_image, n=3)
    for vm in vms:
        vm.destroy()
    assert any("CPU: 1 machines are starting already" in note for note in notes)


def test_forks_wait_for_memory(
    vm_lab: Lab, vm_image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no RAM free nothing is started; the error says how much there is, and nothing stays."""
    monkeypatch.setattr(processes, "available_memory_mb", lambda: 100)
    before = vm_lab.vbox.machines.names()
    with pytest.raises(WaitTimeoutError, match="100 MiB are free") as caught:
        vm_lab.fork(vm_image, timeout=1)
    assert caught.value.hint
    assert vm_lab.vbox.machines.names() == before


def test_threads_fork_together(vm_lab: Lab, vm_image: Image) -> None:
    """Six forks from six threads: none is lost, no port twice."""

    def one(number: int) -> tuple[int, str]:
        with vm_lab.fork(vm_image) as vm:
            return vm.ssh_port, vm.ssh.succeed(f"echo {number}").strip()

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(one, range(6)))
    assert [text for _, text in found] == [str(n) for n in range(6)]


def test_rewind(vm: VM) -> None:
    """What was done is gone, name, port and MAC stay, and it can be done again."""
    port, mac = vm.ssh_port, vm.network[0].mac
    for _ in range(2):
        assert vm.ssh.run("ls /root/mess").exit_code != 0
        vm.ssh.succeed("echo mess > /root/mess; sync; rm -rf /srv; sleep 1000 &")
        assert vm.rewind() is vm
        before = time.time()
        assert before - 2 <= int(vm.ssh.succeed("date +%s")) <= time.time() + 2
        assert (vm.ssh_port, vm.network[0].mac) == (port, mac)
    assert vm.ssh.run("pidof sleep").exit_code != 0
    vm.power_off()
    vm.rewind().ssh.succeed("true")
    vm.save_state()
    vm.rewind().ssh.succeed("true")


def test_rewind_behind_a_checkpoint(vm: VM) -> None:
    """It is refused with the remedy, and the machine goes on."""
    checkpoint = vm.checkpoint("here")
    with pytest.raises(InvalidStateError, match="1 snapshots") as caught:
        vm.rewind()
    assert caught.value.hint
    assert vm.ssh.succeed("echo on") == "on\n"
    checkpoint.delete()
    vm.rewind().ssh.succeed("true")

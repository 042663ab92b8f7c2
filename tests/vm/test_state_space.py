"""State machines whose rules fork: a bug in a real guest is found, with little done twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import seed, settings

from tests.seeded_store import MINIMAL, SCRIPT, Store, install
from vboxkit.errors import GuestError, InvalidStateError, SettingsError
from vboxkit.testing import StateSpace, explore
from vboxkit.testing.tree import Action

if TYPE_CHECKING:
    from vboxkit import VM, Lab

pytestmark = pytest.mark.vm


def say(word: str, *, changes: bool = True) -> Action[VM]:
    """Return an action that adds a word to a file of the guest, or reads the file."""
    line = f"echo {word} >>/root/said" if changes else "cat /root/said"
    return Action(word, lambda vm: vm.ssh.succeed(line), word, changes)


READ = say("read", changes=False)


def said(space: StateSpace) -> list[str]:
    """Return what was added in the example's guest."""
    words: str = space.act(READ)
    return words.split()


def assert_nothing_left(vm: VM, lab: Lab, before: set[str]) -> None:
    """Check that the machine is as it was, and that nothing stands on it."""
    assert vm.linked_clones() == []
    assert len(vm.snapshots) == 0
    assert {it.name for it in lab.vbox.machines} == before
    assert {path.name for path in lab.places.machines.iterdir()} >= before
    assert not [path for path in lab.places.machines.iterdir() if "-state" in path.name]
    assert not [path for path in lab.places.leases.iterdir() if "-state" in path.name]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_seeded_bug_is_found_and_shrunk(vm: VM, vm_lab: Lab) -> None:
    """Put, put, delete, compact, and nothing else; most of it was not done in a guest."""
    install(vm)
    before = {it.name for it in vm_lab.vbox.machines}
    wanted = settings(max_examples=500, stateful_step_count=8, database=None)
    with StateSpace(vm) as space:
        with pytest.raises(AssertionError) as caught:
            space.explore(seed(11)(Store), settings=wanted)
        found = space.counts
    assert caught.value.args[0] == MINIMAL
    assert found.skipped > 2 * found.executed
    assert found.forks < found.examples / 2
    assert not vm.ssh.exists("/root/store.log")
    assert_nothing_left(vm, vm_lab, before)


def test_what_is_right_passes(vm: VM, vm_lab: Lab) -> None:
    """Without the bug, the same rules find nothing; the machine is as before."""
    right = SCRIPT.replace("delete line[at[$2]]; next", "gone[$2] = NR; next").replace(
        "if (i in line) print line[i]",
        "if (i in line) { split(line[i], w); if (i > gone[w[2]]) print line[i] }",
    )
    assert right.count("gone") == 2
    install(vm)
    vm.ssh.write_text("/usr/local/bin/store", right, mode=0o755)
    before = {it.name for it in vm_lab.vbox.machines}
    wanted = settings(max_examples=4, stateful_step_count=5, database=None, derandomize=True)
    counts = explore(Store, vm, settings=wanted)
    assert counts.examples >= 4
    assert counts.executed > 4
    assert_nothing_left(vm, vm_lab, before)


def test_what_was_done_is_not_done_again(vm: VM, vm_lab: Lab) -> None:
    """A second example with the same beginning forks after it, and does the rest alone."""
    before = {it.name for it in vm_lab.vbox.machines}
    with StateSpace(vm, checkpoint_every=1) as space:
        space.begin()
        for word in ("a", "b", "c"):
            space.act(say(word))
        assert said(space) == ["a", "b", "c"]
        space.begin()
        space.act(say("a"))
        space.act(say("b"))
        assert (space.counts.done, space.counts.skipped) == (4, 2)
        space.act(say("d"))
        assert said(space) == ["a", "b", "d"]
        assert (space.counts.done, space.counts.again, space.counts.forks) == (6, 0, 2)
        # And what was read is read once.
        space.begin()
        for word in ("a", "b", "c"):
            space.act(say(word))
        assert said(space) == ["a", "b", "c"]
        assert space.counts.forks == 2
    assert not vm.ssh.exists("/root/said")
    assert_nothing_left(vm, vm_lab, before)


def test_there_are_never_more_checkpoints_than_wanted(vm: VM, vm_lab: Lab) -> None:
    """The oldest go; a state whose checkpoint is gone is reached by doing the rest again."""
    before = {it.name for it in vm_lab.vbox.machines}
    with StateSpace(vm, checkpoint_every=2, most=2) as space:
        for first in "abc":
            space.begin()
            for word in (first, "x", "y"):
                space.act(say(word))
                assert space.checkpoints <= 2
        assert (space.counts.checkpoints, space.counts.dropped) == (3, 1)
        space.begin()
        for word in ("a", "x", "z"):
            space.act(say(word))
        assert said(space) == ["a", "x", "z"]
        assert space.counts.again == 2
    assert_nothing_left(vm, vm_lab, before)


def test_what_took_long_is_kept_at_once(vm: VM) -> None:
    """A checkpoint is made where it is worth its time, and not after what is quick."""
    slow = Action[Any]("slow", lambda vm: vm.ssh.succeed("sleep 6"), "slow")
    with StateSpace(vm) as space:
        space.begin()
        space.act(slow)
        space.act(say("a"))
        assert space.counts.checkpoints == 1
        space.begin()
        space.act(slow)
        space.act(say("b"))
        assert said(space) == ["b"]
        assert space.counts.again == 0


def test_a_machine_may_be_switched_off_on_the_way(vm: VM, vm_lab: Lab) -> None:
    """There is no checkpoint of it then; the states after it are right all the same."""

    def pull_the_plug(vm: VM) -> None:
        vm.power_off()

    def start(vm: VM) -> None:
        vm.start()
        vm.wait_ready()

    off = Action[Any]("off", pull_the_plug, "off")
    on = Action[Any]("on", start, "on")
    sync = Action[Any]("sync", lambda vm: vm.ssh.succeed("sync"), "sync")
    before = {it.name for it in vm_lab.vbox.machines}
    with StateSpace(vm, checkpoint_every=1) as space:
        for last in ("b", "c"):
            space.begin()
            for action in (say("a"), sync, off, on, say(last)):
                space.act(action)
            assert said(space) == ["a", last]
        assert space.counts.again == 0
        assert space.counts.checkpoints == 5  # a, sync, on, b, c
    assert_nothing_left(vm, vm_lab, before)


def test_what_raises_is_not_remembered(vm: VM, vm_lab: Lab) -> None:
    """Nobody knows what was done in its machine: it goes, and the action is tried anew."""
    tries = []

    def once(vm: VM) -> str:
        tries.append(vm.name)
        vm.ssh.succeed("echo half >>/root/said")
        if len(tries) == 1:
            raise RuntimeError("half way")
        return "done"

    before = {it.name for it in vm_lab.vbox.machines}
    with StateSpace(vm) as space:
        space.begin()
        space.act(say("a"))
        with pytest.raises(RuntimeError, match="half way"):
            space.act(Action("once", once, "once"))
        space.begin()
        space.act(say("a"))
        assert space.act(Action("once", once, "once")) == "done"
        assert said(space) == ["a", "half"]
    assert len(set(tries)) == 2
    assert_nothing_left(vm, vm_lab, before)


def test_nothing_is_left_of_what_is_interrupted(vm: VM, vm_lab: Lab) -> None:
    """Ctrl-C within an action passes, and all machines go."""

    def interrupt(vm: VM) -> None:
        raise KeyboardInterrupt

    before = {it.name for it in vm_lab.vbox.machines}
    with pytest.raises(KeyboardInterrupt):
        with StateSpace(vm, checkpoint_every=1) as space:
            space.begin()
            space.act(say("a"))
            space.begin()
            space.act(say("a"))
            space.act(Action("stop", interrupt, "stop"))
    assert_nothing_left(vm, vm_lab, before)


def test_a_guest_that_does_something_else_is_an_error(vm: VM) -> None:
    """Done again, an action ends with another exit code: states would mean nothing."""
    codes = iter((0, 3))
    moody = Action[Any]("moody", lambda vm: vm.ssh.run(f"exit {next(codes)}"), "moody")
    with StateSpace(vm, checkpoint_every=9) as space:
        space.begin()
        space.act(moody)
        space.begin()
        space.act(moody)
        with pytest.raises(GuestError, match="exit code 3, and with 0 the first time"):
            space.act(say("a"))


def test_the_last_run_of_a_failure_remembers_nothing(vm: VM) -> None:
    """It is done once more from the beginning: the failure does not come of forks."""
    with StateSpace(vm) as space:
        space.begin()
        space.act(say("a"))
        space.begin(final=True)
        space.act(say("a"))
        assert said(space) == ["a"]
        assert (space.counts.done, space.counts.skipped) == (3, 0)


@pytest.mark.parametrize("wrong", [{"most": 0}, {"checkpoint_every": 0}])
def test_wrong_numbers_are_refused(vm: VM, wrong: dict[str, Any]) -> None:
    """Before a checkpoint is made."""
    with pytest.raises(SettingsError, match=f"{next(iter(wrong))} cannot be 0"):
        StateSpace(vm, **wrong)
    assert len(vm.snapshots) == 0


def test_a_machine_that_is_off_has_no_states(vm: VM) -> None:
    """There is no running guest to begin with."""
    vm.power_off()
    with pytest.raises(InvalidStateError, match="no running guest"):
        StateSpace(vm)

"""
A state machine in a guest: ``pytest examples/test_state_space.py``.

Hypothesis tries sequences of rules; what began the same is done once, and forked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import invariant, rule

from vboxkit.testing import VMStateMachine, explore

if TYPE_CHECKING:
    from vboxkit import VM


class Folder(VMStateMachine):
    """Files come and go in a folder, which must list what a set has."""

    def __init__(self) -> None:
        super().__init__()
        self.model: set[str] = set()

    @rule(name=st.sampled_from("ab"))
    def make(self, name: str) -> None:
        """Make a file, or touch the one that is there."""
        self.guest.succeed(["touch", f"/mnt/{name}"])
        self.model.add(name)

    @rule()
    def clear(self) -> None:
        """Remove all files."""
        self.guest.succeed("rm -f /mnt/*")
        self.model.clear()

    @rule()
    def pull_the_plug(self) -> None:
        """Whatever was written before `sync` outlives the machine's sudden end."""
        self.guest.succeed("sync")
        self.guest.do(boot_anew)

    @invariant()
    def lists_what_there_is(self) -> None:
        """`changes=False`: this is no step on the way to a state."""
        assert set(self.guest.succeed("ls /mnt", changes=False).split()) == self.model


def boot_anew(vm: VM) -> None:
    """Cut the power, and boot."""
    vm.power_off()
    vm.start()
    vm.wait_ready()


def test_a_folder(vm: VM) -> None:
    """Three examples of four rules; a real test has more."""
    few = settings(max_examples=3, stateful_step_count=4, derandomize=True)
    print(explore(Folder, vm, settings=few))

"""A realistic guest, stock Debian: fork to first SSH command done, against a clone that boots."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import fork_rivals
from figures import Figure, in_turn, rows

import vboxkit

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds; emulated, its boot takes minutes.
_BOOT = 1800.0


def bench(runs: int, *, image: str = "debian") -> list[Figure]:
    """Measure, in the home that the settings say; emulated, a round takes minutes."""
    with vboxkit.Lab() as lab:
        fork_rivals.sweep(lab)
        built = lab.image(image)
        names = (f"{fork_rivals.PREFIX}{number}" for number in itertools.count(1))
        ours, boots = f"fork, {image}", f"linked clone + boot, {image}"

        def fork() -> Callable[[], None]:
            vm = lab.fork(built, timeout=_BOOT)
            vm.ssh.succeed("true")
            return vm.destroy

        fork()()  # warm up: a first boot would take as long as a round
        ways = {
            ours: fork,
            boots: lambda: fork_rivals.clone_and_boot(lab, built, next(names), timeout=_BOOT),
        }
        try:
            times = in_turn(ways, runs, warm_up=False)
        finally:
            fork_rivals.sweep(lab)
    return rows(times, ours=ours, at_least={boots: 30.0})

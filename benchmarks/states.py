"""
The tests' seeded bug found by state machines: forks of known states, against doing all again.

Each run has a seed of hypothesis' of its own, 0 and up, and both ways begin with the same examples.
Hypothesis shrinks for 300 s at most: a way that takes longer tries fewer. ``EXAMPLES`` (500 if left
out) is how many it tries until it finds the bug; a few are a sample without the shrinking.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from figures import Figure, rows
from hypothesis import seed, settings

import vboxkit
from vboxkit.settings import environment
from vboxkit.testing import StateSpace

sys.path.append(str(Path(__file__).parents[1]))
from tests import seeded_store

if TYPE_CHECKING:
    from vboxkit import VM
    from vboxkit.testing import Counts

#: How many times as long, and as many actions, it has to take to do all again.
FASTER, FEWER = 2.0, 2.0


def bench(runs: int) -> list[Figure]:
    """Measure, in the home that the settings say: a seed each run."""
    ours, plain = "explore, states kept", "explore, all done again"
    times: dict[str, list[float]] = {ours: [], plain: []}
    counts: dict[str, list[Counts]] = {ours: [], plain: []}
    with vboxkit.Lab() as lab:
        for number in range(runs):
            for name in (ours, plain)[:: -1 if number % 2 else 1]:
                with lab.fork("tiny") as vm:
                    seeded_store.install(vm)
                    took, found = explore(vm, number, share=name == ours)
                times[name].append(took)
                counts[name].append(found)
    actions = rows(
        {name: [float(it.executed) for it in values] for name, values in counts.items()},
        ours=ours,
        unit="",
        at_least={plain: FEWER},
    )
    made = rows(
        {name: [float(it.forks) for it in values] for name, values in counts.items()},
        ours=ours,
        unit="",
    )
    tried = rows(
        {name: [float(it.examples) for it in values] for name, values in counts.items()},
        ours=ours,
        unit="",
    )
    return [
        *rows(times, ours=ours, at_least={plain: FASTER}),
        *(replace(row, name=f"of {row.name}: actions") for row in actions),
        *(replace(row, name=f"of {row.name}: forks") for row in made),
        *(replace(row, name=f"of {row.name}: examples") for row in tried),
    ]


def explore(vm: VM, number: int, *, share: bool) -> tuple[float, Counts]:
    """Look for the bug; return the seconds and the counts."""
    count = int(environment().get("EXAMPLES", "500"))
    wanted = settings(max_examples=count, stateful_step_count=8, database=None)
    with StateSpace(vm, share=share) as space:
        begin = time.perf_counter()
        try:
            space.explore(seed(number)(seeded_store.Store), settings=wanted)
        except AssertionError as found:
            print(f"seed {number}: {found} by {space.counts}", file=sys.stderr)
        else:
            print(f"seed {number}: not found by {space.counts}", file=sys.stderr)
        return time.perf_counter() - begin, space.counts

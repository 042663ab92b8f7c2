"""From a warm pool to the first SSH command done, against a command over an open connection."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from figures import Figure, rows

import vboxkit

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import VM, Lab
    from vboxkit.lab.pool import Pool

#: Seconds that the first command may take longer than one over an open connection.
MORE = 0.020
OWN = "command, machine of ours"


def bench(runs: int) -> list[Figure]:
    """Measure, in the home that the settings say."""
    with vboxkit.Lab() as lab:
        mine = lab.fork("tiny")
        mine.ssh.succeed("true")
        figures = [
            *bench_pool(lab, mine, runs, "pool", paused=True, target=True),
            *bench_pool(lab, mine, runs, "pool, running", paused=False, target=False),
        ]
        figures += bench_parts(lab, mine, runs)
    return figures


def bench_pool(
    lab: Lab, mine: VM, runs: int, label: str, *, paused: bool, target: bool
) -> list[Figure]:
    """Take one and run a command, in turn with the same command in a machine that we have."""
    name, rival = f"{label}: take + command", f"{OWN} ({label})"
    times: dict[str, list[float]] = {name: [], rival: []}

    def from_pool(pool: Pool) -> float:
        begin = time.perf_counter()
        vm = pool.take()
        vm.ssh.succeed("true")
        took = time.perf_counter() - begin
        vm.destroy()
        return took

    def over_open(_: Pool) -> float:
        begin = time.perf_counter()
        mine.ssh.succeed("true")
        return time.perf_counter() - begin

    ways: dict[str, Callable[[Pool], float]] = {name: from_pool, rival: over_open}
    with lab.pool("tiny", size=2, paused=paused) as pool:
        for number in range(runs + 1):
            for way in list(ways)[:: 1 if number % 2 else -1]:
                pool.wait_full()  # nothing is made in the background while the clock runs
                took = ways[way](pool)
                if number:
                    times[way].append(took)
    found = rows(times, ours=name, unit="ms", scale=1000)
    if target:
        more = statistics.median([a - b for a, b in zip(*times.values(), strict=True)])
        said = f"<= {MORE * 1000:.0f} ms more than an open connection ({more * 1000:+.1f})"
        limit = (statistics.median(times[rival]) + MORE) * 1000
        found[0] = replace(found[0], target=said, met=more <= MORE, limit=limit)
    return found


def bench_parts(lab: Lab, mine: VM, runs: int) -> list[Figure]:
    """Clock what the first command is made of: the take, the clock, the shell."""
    take, ready, clock, plain = (
        "take, one that waits paused",
        "command, shell prepared",
        "command, shell prepared, clock set",
        "command",
    )
    times: dict[str, list[float]] = {take: [], ready: [], clock: [], plain: []}

    def clocked(work: Callable[[], object]) -> float:
        begin = time.perf_counter()
        work()
        return time.perf_counter() - begin

    with lab.pool("tiny", size=1) as pool:
        for _ in range(runs):
            pool.wait_full()
            begin = time.perf_counter()
            vm = pool.take()
            times[take].append(time.perf_counter() - begin)
            set_clock = vm.ssh.before_next
            times[clock].append(clocked(lambda vm=vm: vm.ssh.succeed("true")))
            vm.destroy()
            assert set_clock is not None
            mine.ssh.prepare()
            times[ready].append(clocked(lambda: mine.ssh.succeed("true")))
            times[plain].append(clocked(lambda: mine.ssh.succeed("true")))
    return [
        replace(row, name=f"part: {row.name}")
        for row in rows(times, ours=plain, unit="ms", scale=1000)
    ]

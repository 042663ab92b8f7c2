"""
The benchmarks: ``make bench``, ``make bench ONLY=fork RUNS=5``.

Each figure is one line ``name median spread unit ratio-to-rival`` and an entry of a JSON file.
Rivals are run in turn with what they rival, in the same run; the ratio is the median of the pairs'
ratios. Spread is the distance between the first and the last quarter.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import vboxkit
from vboxkit import settings
from vboxkit.core.resources import resource
from vboxkit.core.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Image, Lab


def clocked(work: Callable[[], Callable[[], None]]) -> float:
    """Return the seconds of some work; what it returns cleans up, off the clock."""
    begin = time.perf_counter()
    clean_up = work()
    took = time.perf_counter() - begin
    clean_up()
    return took


def spread(values: list[float]) -> float:
    """Return the distance between the first and the last quarter."""
    quarters = statistics.quantiles(values, n=4)
    return quarters[2] - quarters[0]


def bench_fork(lab: Lab, runs: int) -> list[dict[str, object]]:
    """Fork to first SSH command done, against a linked clone that boots, and import and boot."""
    image = lab.image("tiny")
    ways = {
        "fork": lambda: fork(lab, image),
        "linked clone + boot": lambda: clone_and_boot(lab, image),
        "import + boot": lambda: import_and_boot(lab),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        clocked(way)  # warm up, not counted
    for _ in range(runs):
        for name, way in ways.items():
            times[name].append(clocked(way))
    return [
        {
            "name": name,
            "median": statistics.median(values),
            "spread": spread(values),
            "unit": "s",
            "ratio": statistics.median(
                [rival / mine for rival, mine in zip(values, times["fork"], strict=True)]
            ),
            "values": values,
        }
        for name, values in times.items()
    ]


def fork(lab: Lab, image: Image) -> Callable[[], None]:
    """Fork, and run a command."""
    vm = lab.fork(image)
    vm.ssh.succeed("true")
    return vm.destroy


def clone_and_boot(lab: Lab, image: Image) -> Callable[[], None]:
    """Make a linked clone, throw its memory away, boot it, and run a command."""
    vm = lab._clone(image, f"bench-{time.monotonic_ns()}", "", Deadline(120))
    vm.discard_state()
    vm.start()
    vm.wait_ready(timeout=120).ssh.succeed("true")
    return vm.destroy


def import_and_boot(lab: Lab) -> Callable[[], None]:
    """Import the appliance, boot it, and run a command with the key that it comes with."""
    from vboxkit.guest import SSH, Address, Credentials

    machine = lab.vbox.appliances.import_(resource("tiny/tiny.ova"), name="bench-import")
    forward = machine.network[0].forward(guest=22)
    credentials = Credentials(user="root", key_file=resource("tiny/insecure_key"))
    machine.start()
    with SSH(Address("127.0.0.1", forward.host_port), credentials) as ssh:
        ssh.wait_ready(120)
        ssh.succeed("true")

    def clean_up() -> None:
        machine.destroy()
        forward.release()

    return clean_up


FAMILIES = {"fork": bench_fork}


def main() -> int:
    """Run the families that ``ONLY`` names, or all."""
    environment = settings.environment()
    only = environment.get("ONLY", "")
    runs = int(environment.get("RUNS", "10"))
    if only and only not in FAMILIES:
        print(f"there is no family {only!r}, only {', '.join(FAMILIES)}", file=sys.stderr)
        return 2
    warnings.simplefilter("ignore", vboxkit.EmulatedWarning)
    results: list[dict[str, object]] = []
    with vboxkit.Lab() as lab:
        for name, family in FAMILIES.items():
            if only in {"", name}:
                results += family(lab, runs)
    for row in results:
        print(
            f"{row['name']:24} {row['median']:7.3f} {row['spread']:7.3f} {row['unit']:4}"
            f" {row['ratio']:6.2f}"
        )
    file = settings.cache_dir() / "bench.json"
    file.write_text(json.dumps({"runs": runs, "results": results}, indent=1))
    print(f"written to {Path(file)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

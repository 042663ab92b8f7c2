"""
The benchmarks: ``make bench``, ``make bench ONLY=fork RUNS=5``.

Each figure is one line ``name median spread unit ratio-to-ours`` and an entry of a JSON file.
Rivals are run in turn with what they rival, in the same run; the ratio, how many times as long as
ours they took, is the median of the pairs' ratios. Spread is the distance between the first and
the last quarter.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from dataclasses import asdict

import vboxkit
from vboxkit import settings

#: A module each, with a function `bench(runs)`.
FAMILIES = ("fork", "sdk")


def main() -> int:
    """Run the families that ``ONLY`` names, or all."""
    environment = settings.environment()
    only = environment.get("ONLY", "")
    runs = int(environment.get("RUNS", "10"))
    if only and only not in FAMILIES:
        print(f"there is no family {only!r}, only {', '.join(FAMILIES)}", file=sys.stderr)
        return 2
    warnings.simplefilter("ignore", vboxkit.EmulatedWarning)
    results = []
    for name in FAMILIES:
        if only in {"", name}:
            for figure in importlib.import_module(name).bench(runs):
                print(figure, flush=True)
                results.append({"family": name, **asdict(figure)})
    file = settings.cache_dir() / "bench.json"
    file.write_text(json.dumps({"runs": runs, "results": results}, indent=1))
    print(f"written to {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

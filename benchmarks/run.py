"""
The benchmarks: ``make bench``, ``make bench ONLY=fork RUNS=5``, ``make bench FORMAT=markdown``.

Each figure is one line ``name median spread unit ratio-to-ours`` and an entry of a JSON file, with
a plot of each family beside it. Rivals are run in turn with what they rival, in the same run; the
ratio, how many times as long as ours they took, is the median of the pairs' ratios. Spread is the
distance between the first and the last quarter.

Each family has a process of its own, as one process can use only one VirtualBox home.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import plots
from figures import Figure, markdown

import vboxkit
from vboxkit import settings
from vboxkit.com import installation

#: A module each, with a function `bench(runs)`.
FAMILIES = (
    "fork",
    "debian",
    "pool",
    "many",
    "density",
    "cycles",
    "sdk",
    "command",
    "guest",
    "guest_files",
    "readiness",
    "states",
    "suite",
    "suite_debian",
    "ovf",
)


def main() -> int:
    """Run the families that ``ONLY`` names, or all."""
    environment = settings.environment()
    only = environment.get("ONLY", "")
    runs = int(environment.get("RUNS", "10"))
    if only and only not in FAMILIES:
        print(f"there is no family {only!r}, only {', '.join(FAMILIES)}", file=sys.stderr)
        return 2
    folder = settings.cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    about = machine()
    results: list[dict[str, Any]] = []
    failed = 0
    for name in [only] if only else FAMILIES:
        file = folder / f"bench-{name}.json"
        file.unlink(missing_ok=True)
        # No timeout: the longest family takes hours.
        code = subprocess.run([sys.executable, __file__, name, str(runs), file], check=False)
        if code.returncode:
            print(f"family {name} failed (exit code {code.returncode})", file=sys.stderr)
            failed = 1
            continue
        found = [Figure(**row) for row in json.loads(file.read_text())]
        file.unlink()
        if environment.get("FORMAT") == "markdown":
            print(f"\n{name}, {runs} runs; {plots.caption(about)}\n\n{markdown(found)}\n")
        results += [{"family": name, **asdict(it)} for it in found]
        for made in plots.draw(name, found, about=about, runs=runs, folder=folder):
            print(f"drawn to {made}", flush=True)
    summary = folder / "bench.json"
    summary.write_text(
        json.dumps({"runs": runs, "machine": about, "results": results}, indent=1) + "\n"
    )
    print(f"written to {summary}")
    return failed


def family(name: str, runs: int, file: Path) -> int:
    """Run one family in this process, and write its figures."""
    warnings.simplefilter("ignore", vboxkit.EmulatedWarning)
    markdown_only = settings.environment().get("FORMAT") == "markdown"
    found = []
    for figure in importlib.import_module(name).bench(runs):
        if not markdown_only:
            print(figure, flush=True)
        found.append(asdict(figure))
    file.write_text(json.dumps(found))
    return 0


def machine() -> dict[str, Any]:
    """Return what a figure depends on."""
    found = installation.find()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpus": os.cpu_count(),
        "cpu": cpu_model(),
        "memory_gb": round(memory / 2**30),
        "virtualbox": found.version or "",
        "driver": installation.driver_available(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "vboxkit": vboxkit.__version__,
        "load_before": round(os.getloadavg()[0], 2),
    }


def cpu_model() -> str:
    """Return the processor's name, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((it.split(":", 1)[1].strip() for it in lines if it.startswith("model name")), "")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        sys.exit(family(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
    sys.exit(main())

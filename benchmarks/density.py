"""
Many forks alive but idle: what each takes, how many fit, and what gives out first.

They are members of a pool, waiting paused. ``DENSITY`` says how many at most, 100 if left out; it
ends earlier where less than 2 GB of RAM or 5 GB of disk would be left.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
from figures import Figure

import vboxkit
from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import WaitTimeoutError
from vboxkit.lab.places import disk_use
from vboxkit.settings import environment

if TYPE_CHECKING:
    from vboxkit import VM, Lab
    from vboxkit.lab.pool import Pool

STEPS = (20, 50, 100)
KEEP_MB = 2048
KEEP_DISK_MB = 5 * 1024
#: Seconds over which idle CPU is measured, and that a pool may take to make one more.
WINDOW = 10.0
PATIENCE = 120.0
RUNNING = 4


def bench(runs: int) -> list[Figure]:
    """Measure once, whatever `runs` says, in the home that the settings say."""
    del runs  # each step is a measurement of many
    most = int(environment().get("DENSITY", "100"))
    figures: list[Figure] = []
    with vboxkit.Lab() as lab:
        lab.image("tiny")
        figures += bench_running(lab, min(RUNNING, most))
        before, others = Host(lab), {vm.id for vm in lab.vms()}
        pools: list[Pool] = []
        there = 0
        short = ""
        for step in sorted({*(step for step in STEPS if step < most), most}):
            begin = time.perf_counter()
            pool = lab.pool("tiny", size=step - there, idle=None, memory_mb=KEEP_MB)
            pools.append(pool)
            short = fill(lab, pool)
            reached = there + len(pool)
            took = time.perf_counter() - begin
            print(f"density: {reached} of {step} after {took:.0f} s", file=sys.stderr)
            if reached > there:
                forks = [vm for it in pools for vm in it._ready]
                figures += look(lab, forks, before, took / (reached - there), reached)
            there = reached
            if short:
                break
        pss = next((it.median for it in reversed(figures) if "PSS of the VM" in it.name), 0.0)
        figures += largest(before, Host(lab), there, short, pss)
        for it in pools:
            it.close()
        assert not {vm.id for vm in lab.vms()} - others, lab.vms()
    return figures


class Host:
    """What this machine has left, and what VBoxSVC takes."""

    def __init__(self, lab: Lab) -> None:
        self.memory_mb = psutil.virtual_memory().available / 2**20
        self.disk_mb = shutil.disk_usage(lab.places.home).free / 2**20
        self.server = server(lab)
        self.server_mb = self.server.memory_full_info().pss / 2**20


def server(lab: Lab) -> psutil.Process:
    """Return the VBoxSVC of a lab."""
    from vboxkit.core import processes

    # Of its own sandbox and home: by the environment that leads to it.
    for found, _ in processes.find(
        argument="--auto-shutdown", environment=lab.vbox._api.environment
    ):
        return psutil.Process(found.pid)
    raise LookupError("there is no VBoxSVC")


def fill(lab: Lab, pool: Pool) -> str:
    """Wait until a pool is full or no more fit; return what is short, if something is."""
    deadline = Deadline(PATIENCE)
    seen = -1
    while len(pool) < pool.size:
        if shutil.disk_usage(lab.places.home).free < KEEP_DISK_MB << 20:
            pool.size = len(pool)
            return "disk"
        if len(pool) != seen:
            seen, deadline = len(pool), Deadline(PATIENCE)
        if deadline.expired:
            return str(pool._error or "time")
        if "RAM" in str(pool._error or ""):
            return "RAM"
        with suppress(WaitTimeoutError):
            pool.wait_full(timeout=2)
    return ""


def cpu_share(pids: list[psutil.Process]) -> float:
    """Return percent of one CPU that some processes take together."""

    def spent() -> float:
        return sum(it.cpu_times().user + it.cpu_times().system for it in pids)

    before, begin = spent(), time.monotonic()
    with suppress(WaitTimeoutError):
        wait_until(lambda: None, what="the window to end", timeout=WINDOW, poll=1.0)
    return 100 * (spent() - before) / (time.monotonic() - begin)


def figure(name: str, values: list[float], unit: str) -> Figure:
    """Return a line that is compared with nothing."""
    from figures import spread

    return Figure(name, statistics.median(values), spread(values), unit, 1.0, values)


def vm_processes(forks: list[VM]) -> list[psutil.Process]:
    """Return the process of each."""
    return [psutil.Process(pid) for vm in forks if (pid := vm.session_pid) is not None]


def bench_running(lab: Lab, count: int) -> list[Figure]:
    """Measure what those take that wait running, one of the reasons to pause them."""
    forks = [lab.fork("tiny") for _ in range(count)]
    share = cpu_share(vm_processes(forks)) / count
    for vm in forks:
        vm.destroy()
    cpus = psutil.cpu_count() or 1
    return [
        figure("1 running, idle: CPU", [share], "%"),
        figure("running, idle, that fill all CPUs (estimated)", [cpus * 100 / share], "VMs"),
    ]


def look(lab: Lab, forks: list[VM], before: Host, seconds_each: float, count: int) -> list[Figure]:
    """Measure those that wait."""
    busy = vm_processes(forks)
    memory = [it.memory_full_info().pss / 2**20 for it in busy]
    disk = [disk_use(vm.folder) / 2**20 for vm in forks]
    now = Host(lab)
    label = f"{count} paused"
    return [
        figure(f"{label}: RAM each, PSS of the VM process", memory, "MiB"),
        figure(
            f"{label}: RAM each, of what the host has",
            [(before.memory_mb - now.memory_mb) / count],
            "MiB",
        ),
        figure(f"{label}: disk each", disk, "MiB"),
        figure(f"{label}: CPU of all", [cpu_share(busy)], "%"),
        figure(f"{label}: CPU of VBoxSVC", [cpu_share([now.server])], "%"),
        figure(f"{label}: VBoxSVC's PSS", [now.server_mb], "MiB"),
        figure(f"{label}: time to make one", [seconds_each], "s"),
    ]


def largest(before: Host, after: Host, count: int, short: str, pss: float) -> list[Figure]:
    """Say how many fit, and what gives out first: seen, or worked out from what each takes."""
    if not count:
        return []
    if short:
        return [figure(f"largest number (reached; {short} is short)", [float(count)], "VMs")]
    each = {
        # Other programs give RAM back or take it meanwhile: the larger of the two figures.
        "RAM": (max(pss, (before.memory_mb - after.memory_mb) / count), after.memory_mb - KEEP_MB),
        "disk": ((before.disk_mb - after.disk_mb) / count, after.disk_mb - KEEP_DISK_MB),
    }
    fits = {name: count + left / one for name, (one, left) in each.items() if one > 0}
    order = sorted(fits, key=fits.__getitem__)
    return [
        figure(f"number that {name} allows (estimated)", [float(int(fits[name]))], "VMs")
        for name in order
    ]

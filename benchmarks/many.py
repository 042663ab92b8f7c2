"""Eight forks at once against eight in sequence; destroy against ``unregistervm --delete``."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
from figures import Figure, in_turn, rows, spread

import vboxkit
from vboxkit.core.waiting import wait_until
from vboxkit.settings import environment, set_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vboxkit import VM, Image, Lab

COUNT = 8
#: Of all CPUs: what is not reached is what they wait for each other, for disk and for VBoxSVC.
BUSY = 90.0


def bench(runs: int) -> list[Figure]:
    """Measure, in the home that the settings say."""
    with vboxkit.Lab() as lab:
        image = lab.image("tiny")
        return [*bench_many(lab, image, max(2, runs // 2)), *bench_destroy(lab, image, runs)]


class Usage:
    """What the CPUs of this machine did meanwhile."""

    #: Percent of all CPUs that were busy, and seconds that all of them worked.
    busy: float
    seconds: float


@contextmanager
def usage() -> Iterator[Usage]:
    """Measure the CPUs of this machine during a block, whoever used them."""
    found = Usage()
    before = psutil.cpu_times()
    yield found
    after = psutil.cpu_times()
    idle = (after.idle - before.idle) + (getattr(after, "iowait", 0) - getattr(before, "iowait", 0))
    # Guests' time is counted in the users' as well, and so left out.
    total = sum(
        getattr(after, name) - getattr(before, name)
        for name in after._fields
        if not name.startswith("guest")
    )
    found.busy = 100 * (1 - idle / total)
    found.seconds = total - idle


def bench_many(lab: Lab, image: Image, runs: int) -> list[Figure]:
    """Fork so many at once, and one after the other; all of them live until the last is there."""
    cpus = psutil.cpu_count() or 1
    once, sequence = f"{COUNT} forks at once", f"{COUNT} forks in sequence"
    more = f"{once}, {cpus + 2} starting"
    busy: dict[str, list[float]] = {once: [], more: [], sequence: []}
    spent: dict[str, list[float]] = {once: [], more: [], sequence: []}

    def measured(name: str, make: Callable[[], list[VM]]) -> Callable[[], None]:
        with usage() as used:
            forks = make()
        busy[name].append(used.busy)
        spent[name].append(used.seconds)

        def clean_up() -> None:
            for vm in forks:
                assert vm.ssh.succeed("echo well") == "well\n"
                vm.destroy()

        return clean_up

    def crowded(starts: int) -> list[VM]:
        """Let more start at once than usual; in this process alone."""
        set_environment("VBOXKIT_PARALLEL_STARTS", str(starts))
        try:
            return lab.fork(image, n=COUNT)
        finally:
            set_environment("VBOXKIT_PARALLEL_STARTS", usual)

    usual = environment().get("VBOXKIT_PARALLEL_STARTS", "")
    times = in_turn(
        {
            once: lambda: measured(once, lambda: lab.fork(image, n=COUNT)),
            more: lambda: measured(more, lambda: crowded(cpus + 2)),
            sequence: lambda: measured(sequence, lambda: [lab.fork(image) for _ in range(COUNT)]),
        },
        runs,
    )
    found = rows(times, ours=once)
    each = [
        replace(
            row,
            name=f"{row.name}, each",
            median=row.median / COUNT,
            spread=row.spread / COUNT,
            values=[value / COUNT for value in row.values],
        )
        for row in found
    ]
    for name in (once, more, sequence):
        # The first round is left out, as `in_turn` does.
        shares, seconds = busy[name][1:], spent[name][1:]
        median = statistics.median(shares)
        row = plain(f"{name}, busy CPUs", shares, "%")
        if name == once:
            target = f">= {BUSY:.0f} % of {cpus} CPUs busy: they are the limit"
            row = replace(row, target=target, met=median >= BUSY, limit=BUSY)
        each.append(row)
        each.append(plain(f"{name}, CPU time each", [s / COUNT for s in seconds], "s"))
    # What CPU time was spent, on CPUs that never wait: nothing that starts more at once is faster.
    floor = [s / cpus for s in spent[once][1:]]
    ratio = statistics.median([t / f for t, f in zip(times[once], floor, strict=True)])
    each.append(replace(plain(f"{once}, CPUs never idle", floor, "s"), ratio=1 / ratio))
    return [*found, *each]


def plain(name: str, values: list[float], unit: str) -> Figure:
    """Return a line that is compared with nothing."""
    return Figure(
        name=name,
        median=statistics.median(values),
        spread=spread(values),
        unit=unit,
        ratio=1.0,
        values=values,
    )


def bench_destroy(lab: Lab, image: Image, runs: int) -> list[Figure]:
    """Destroy forks, off and running, and have VBoxManage do so; nothing may be left."""
    tool = str(lab.vbox._api.installation / "VBoxManage")
    off, theirs = "destroy, powered off", "VBoxManage unregistervm --delete"
    running, both = "destroy, running", "VBoxManage controlvm poweroff; unregistervm --delete"
    variables = {**environment(), **lab.vbox._api.environment}

    def manage(*words: str) -> bool | None:
        done = subprocess.run([tool, *words], check=False, capture_output=True, env=variables)
        return done.returncode == 0 or None

    def remove(vm: VM, *, power_off: bool) -> None:
        if power_off:
            manage("controlvm", vm.id, "poweroff")
        # Refused while the VM's process ends.
        wait_until(
            lambda: manage("unregistervm", vm.id, "--delete"),
            what="VBoxManage unregistervm",
            timeout=60,
            poll=0.05,
        )

    ways: dict[str, Callable[[VM], object]] = {
        off: lambda vm: vm.destroy(),
        theirs: lambda vm: remove(vm, power_off=False),
        running: lambda vm: vm.destroy(),
        both: lambda vm: remove(vm, power_off=True),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    kept: list[float] = []
    for number in range(runs + 1):
        for name in list(ways)[:: 1 if number % 2 else -1]:
            vm = lab.fork(image)
            if name in {off, theirs}:
                vm.power_off()
            files, uuid, process = vm.folder, vm.id, vm.session_pid
            begin = time.perf_counter()
            ways[name](vm)
            took = time.perf_counter() - begin
            left = leftovers(lab, uuid, str(files), process)
            if name in {off, running}:
                assert not left, left
            elif number:
                kept.append(float(len(left)))
            vm.destroy()  # of what VBoxManage removed: the lease and the port
            shutil.rmtree(files, ignore_errors=True)
            if number:
                times[name].append(took)
    found = []
    for mine, rival in ((off, theirs), (running, both)):
        found += rows(
            {mine: times[mine], rival: times[rival]},
            ours=mine,
            target="<= VBoxManage's time, nothing left",
            met=lambda ratio, rival=rival: ratio(rival) >= 1,
        )
    found.append(plain("left by VBoxManage: folders", kept, ""))
    return found


def leftovers(lab: Lab, uuid: str, folder: str, process: int | None) -> list[str]:
    """Return what is left of a machine that was removed, a word each."""
    left: list[str] = []
    api = lab.vbox._api
    left += [str(it.id) for it in api.array(lab.vbox.com, "machines") if str(it.id) == uuid]
    left += [medium for medium in media(lab) if medium.startswith(f"{folder}/")]
    left += [str(file) for file in lab.places.machines.glob("*") if str(file) == folder]
    if process is not None and psutil.pid_exists(process):
        left.append(f"process {process}")
    return left


def media(lab: Lab) -> list[str]:
    """Return where the hard disks are that VirtualBox knows, differences among them."""
    api = lab.vbox._api

    def below(medium: object) -> list[str]:
        places = [str(medium.location)]  # type: ignore[attr-defined]
        for child in api.array(medium, "children"):
            places += below(child)
        return places

    return [place for disk in api.array(lab.vbox.com, "hardDisks") for place in below(disk)]

"""
Fork, run a command, destroy, over and over: nothing may be left, and nothing may grow.

``CYCLES`` says how often, 1000 if left out. The rival is a loop of VirtualBox's own commands, a
tenth as long: what grows there as well is not ours.
"""

from __future__ import annotations

import gc
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
from density import figure, server
from figures import Figure
from many import media

import vboxkit
from vboxkit.com import installation
from vboxkit.core.waiting import wait_until
from vboxkit.host import driverless
from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Image, Lab

GROWTH = 5.0
SLOWER = 1.2
#: Cycles that are left out of growth: caches fill.
WARM_UP = 50
EDGE = 100


def bench(runs: int) -> list[Figure]:
    """Measure once, whatever `runs` says, in the home that the settings say."""
    del runs
    count = int(environment().get("CYCLES", "1000"))
    with vboxkit.Lab() as lab:
        image = lab.image("tiny")
        cycle(lab, image)  # the watcher runs from now on
        before = state(lab)
        ours = loop(lab, count, lambda _: cycle(lab, image), "cycle")
        figures = [*speed(ours.seconds), *leaks(before, state(lab)), *ours.growth()]
        raw = loop(lab, max(6, count // 10), lambda n: raw_cycle(lab, image, n), "raw cycle")
        return [*figures, *raw.growth(judged=False), *rates(ours, raw)]


def cycle(lab: Lab, image: Image) -> None:
    """Fork, run a command, destroy."""
    vm = lab.fork(image)
    vm.ssh.succeed("true")
    vm.destroy()


def raw_cycle(lab: Lab, image: Image, number: int) -> None:
    """Do the same by VBoxManage; the command aside, which VBoxSVC knows nothing of."""
    api = lab.vbox._api
    name = f"bench-raw-{number}"
    folder = lab.places.machines / name
    variables = {**environment(), **api.environment}

    def manage(*words: str) -> str:
        tool = str(api.installation / "VBoxManage")
        return subprocess.run(
            [tool, *words], check=True, capture_output=True, text=True, env=variables
        ).stdout

    words = ("--snapshot", image.snapshot, "--options", "Link", "--name", name, "--register")
    manage("clonevm", image.machine, *words)
    manage("modifyvm", name, "--nat-pf1", "delete", "ssh", "--uart-mode1", "disconnected")
    process: driverless.VmProcess | None = None

    def running() -> bool | None:
        nonlocal process
        if installation.driver_available():
            manage("startvm", name, "--type", "headless")
        elif process is None or process.exit_code is not None:
            # It ends at once while the session of `modifyvm` is still being closed.
            process = driverless.launch(
                name,
                name,
                installation=api.installation,
                extra=api.environment,
                log=folder / "Logs" / "vm-process.log",
            )
        with suppress(subprocess.CalledProcessError):  # its process is just coming or going
            return 'VMState="running"' in manage("showvminfo", name, "--machinereadable") or None
        return None

    try:
        wait_until(running, what=f"{name} to run", timeout=300, poll=0.2)
        manage("controlvm", name, "poweroff")
    except BaseException:
        lab.vbox.machines[name].destroy()
        raise
    if process is not None:
        process.wait(60)
    # Refused while the session closes.
    wait_until(lambda: removed(manage, name), what=f"{name} to be removed", timeout=60, poll=0.05)
    shutil.rmtree(folder, ignore_errors=True)


def removed(manage: Callable[..., str], name: str) -> bool | None:
    """Remove a machine; `None` while VirtualBox refuses."""
    try:
        manage("unregistervm", name, "--delete")
    except subprocess.CalledProcessError:
        return None
    return True


class Loop:
    """What was seen of the memory of VBoxSVC and of this process, in a loop."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seconds: list[float] = []
        self.sizes: dict[str, list[float]] = {}
        self.at: list[int] = []

    def note(self, lab: Lab) -> None:
        """Look at both."""
        gc.collect()
        self.at.append(len(self.seconds))
        svc, us = server(lab).memory_full_info(), psutil.Process().memory_full_info()
        for key, value in {
            "VBoxSVC's PSS": svc.pss,
            "VBoxSVC's RSS": svc.rss,
            "VBoxSVC's own (USS)": svc.uss,
            "our USS": us.uss,
        }.items():
            self.sizes.setdefault(key, []).append(value / 2**20)

    def rate(self, key: str) -> float:
        """Return KiB that a size grows in a cycle, in the second half, when caches are full."""
        middle = len(self.at) // 2 if len(self.at) > 2 else 0
        cycles = self.at[-1] - self.at[middle]
        return 1024 * (self.sizes[key][-1] - self.sizes[key][middle]) / max(1, cycles)

    def growth(self, *, judged: bool = True) -> list[Figure]:
        """Return a line for each size: what it was after the warm-up, and how it grew."""
        found = []
        for key, sizes in self.sizes.items():
            first, last = sizes[0], sizes[-1]
            percent = 100 * (last - first) / first
            target = f"< {GROWTH:.0f} % growth" if judged and "PSS" in key else ""
            found.append(
                Figure(
                    name=f"{self.name}: growth of {key} (from {first:.1f} MiB)",
                    median=percent,
                    spread=0.0,
                    unit="%",
                    ratio=last / first,
                    values=sizes,
                    target=target,
                    met=percent < GROWTH if target else None,
                    limit=None,
                )
            )
        return found


def rates(ours: Loop, raw: Loop) -> list[Figure]:
    """Compare how much VBoxSVC grows in a cycle: what it does without us, too, is its own."""
    key = "VBoxSVC's own (USS)"
    mine, theirs = ours.rate(key), raw.rate(key)
    found = figure("cycle: VBoxSVC grows, each", [mine], "KiB")
    return [
        Figure(
            **{
                **vars(found),
                "target": "no more than without us",
                "met": mine <= theirs,
                "limit": theirs,
            }
        ),
        figure("raw cycle: VBoxSVC grows, each", [theirs], "KiB"),
    ]


def loop(lab: Lab, count: int, work: Callable[[int], None], name: str) -> Loop:
    """Do something so many times; look at memory after the warm-up, every 50, and at the end."""
    found = Loop(name)
    warm = min(WARM_UP, count // 3)
    for number in range(1, count + 1):
        begin = time.perf_counter()
        work(number)
        found.seconds.append(time.perf_counter() - begin)
        if number in {warm, count} or (number > warm and number % 50 == 0):
            found.note(lab)
        if number % 50 == 0 or number == warm:
            last = {key: round(sizes[-1], 2) for key, sizes in found.sizes.items()}
            median = statistics.median(found.seconds[-50:])
            print(f"{name} {number} of {count}: {median:.2f} s; {last}", file=sys.stderr)
    return found


def state(lab: Lab) -> dict[str, int]:
    """Count all that a cycle makes."""
    lab.vbox.machines  # noqa: B018 - VBoxSVC is there
    ours = psutil.Process()
    variables = lab.vbox._api.environment
    kinds: Counter[str] = Counter()
    listening = 0
    for process in psutil.process_iter():
        try:
            theirs = process.environ()
            if all(theirs.get(key) == value for key, value in variables.items()):
                kinds[process.name()] += process.pid != ours.pid
                listening += sum(
                    it.status == psutil.CONN_LISTEN for it in process.net_connections("tcp")
                )
        except psutil.Error:
            continue
    return {
        "machines": len(lab.vbox.machines),
        "media": len(media(lab)),
        "files in the home": sum(len(files) for _, _, files in os.walk(lab.places.home)),
        "folders in the home": sum(len(names) for _, names, _ in os.walk(lab.places.home)),
        "leases": len(list(lab.places.leases.glob("*"))),
        "processes": sum(kinds.values()),
        "listening ports": listening,
        "our threads": threading.active_count(),
        "our descriptors": ours.num_fds(),
    }


def leaks(before: dict[str, int], after: dict[str, int]) -> list[Figure]:
    """Return a line for each kind of thing: how many more there are."""
    found = []
    for key, first in before.items():
        more = float(after[key] - first)
        line = figure(f"leak: {key} (from {first})", [more], "")
        found.append(
            Figure(**{**vars(line), "target": "none left", "met": more <= 0, "limit": None})
        )
    return found


def speed(seconds: list[float]) -> list[Figure]:
    """Compare the last with the first."""
    edge = min(EDGE, len(seconds) // 3)
    first, last = seconds[:edge], seconds[-edge:]
    ratio = statistics.median(last) / statistics.median(first)
    end = figure(f"cycle, last {edge}", last, "s")
    return [
        figure(f"cycle, first {edge}", first, "s"),
        Figure(
            **{
                **vars(end),
                "ratio": ratio,
                "target": f"<= {SLOWER} x the first ({ratio:.2f})",
                "met": ratio <= SLOWER,
                "limit": SLOWER * statistics.median(first),
            }
        ),
    ]

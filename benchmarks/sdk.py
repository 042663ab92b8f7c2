"""What the SDK costs over raw vboxapi, at import, and against VBoxManage."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from figures import Figure, in_turn, rows

import vboxkit
from vboxkit.com import installation
from vboxkit.com.versions import create_machine
from vboxkit.com.xpcom import isolation
from vboxkit.core import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit import VirtualBox

#: Reads of one property, each with its raw twin beside it.
READS = 1000
MACHINES = 100


def bench(runs: int) -> list[Figure]:
    """Measure, in a home of its own that is removed afterwards."""
    with home() as vbox:
        return [*bench_reads(vbox), *bench_import(max(runs, 20)), *bench_listing(vbox, runs)]


@contextmanager
def home() -> Iterator[VirtualBox]:
    """Make a home with a hundred machines, and remove it with its server."""
    folder = Path(tempfile.mkdtemp(prefix="vboxkit-bench-")).resolve()
    try:
        vbox = vboxkit.connect(folder)
        for number in range(MACHINES):
            com = create_machine(vbox._api, f"bench-{number:03}", os_type="Debian_64")
            com.memorySize = 512
            vbox.com.registerMachine(com)
        yield vbox
    finally:
        environment = isolation(folder)
        for server, _ in processes.find(argument="--auto-shutdown", environment=environment):
            processes.kill(server)
        shutil.rmtree(folder, ignore_errors=True)
        # XPCOM's socket is in /tmp whatever TMPDIR says.
        shutil.rmtree(f"/tmp/.vbox-{environment['VBOX_IPC_SOCKETID']}-ipc", ignore_errors=True)


def bench_reads(vbox: VirtualBox) -> list[Figure]:
    """Read properties of each sort, and the same from the raw object, in turn."""
    machine = vbox.machines["bench-000"]
    raw = vbox.com.findMachine("bench-000")
    nic, raw_nic = machine.network[0], raw.getNetworkAdapter(0)
    ways = {
        "memory_mb": (lambda: machine.memory_mb, lambda: raw.memorySize),
        "name": (lambda: machine.name, lambda: raw.name),
        "state": (lambda: machine.state, lambda: raw.state),
        "network[0].attachment": (
            lambda: nic.attachment,
            lambda: raw_nic.attachmentType,
        ),
    }
    figures = []
    for name, (ours, theirs) in ways.items():
        mine, rival = f"read {name}", f"read {name}, raw vboxapi"
        times: dict[str, list[float]] = {mine: [], rival: []}
        for number in range(READS + 10):
            # Which of the two comes first changes: the second finds a warm server.
            for way, read in ((mine, ours), (rival, theirs))[:: 1 if number % 2 else -1]:
                begin = time.perf_counter()
                read()
                took = time.perf_counter() - begin
                if number >= 10:
                    times[way].append(took)
        found = rows(
            times,
            ours=mine,
            unit="ms",
            scale=1000,
            target="<= 1.10 x raw",
            met=lambda ratio, rival=rival: 1 / ratio(rival) <= 1.10,
        )
        figures += [replace(row, values=[]) for row in found]
    return figures


def bench_import(runs: int) -> list[Figure]:
    """Start an interpreter that imports vboxkit, and an empty one."""
    names = {"python -c 'import vboxkit'": "import vboxkit", "python -c pass": "pass"}

    def start(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    times = in_turn({name: lambda c=code: start(c) for name, code in names.items()}, runs)
    ours, empty = names
    more = statistics.median([a - b for a, b in zip(times[ours], times[empty], strict=True)])
    found = rows(times, ours=ours, unit="ms", scale=1000)
    target = f"<= 60 ms more than empty ({more * 1000:.1f} more)"
    return [replace(found[0], target=target, met=more <= 0.060), found[1]]


def bench_listing(vbox: VirtualBox, runs: int) -> list[Figure]:
    """List a hundred machines with name, state, memory, CPUs and NICs."""
    tool = str(installation.find().folder / "VBoxManage")
    if not Path(tool).exists():
        tool = "VBoxManage"

    def manage(*arguments: str) -> str:
        result = subprocess.run([tool, *arguments], check=True, capture_output=True, text=True)
        return result.stdout

    def ours() -> None:
        found = [
            (
                m.name,
                m.state,
                m.memory_mb,
                m.cpus,
                [nic.attachment for nic in m.network if nic.enabled],
            )
            for m in vbox.machines
        ]
        assert len(found) == MACHINES, found

    def ours_anew() -> None:
        code = (
            "import sys, vboxkit\n"
            "found = [(m.name, m.state, m.memory_mb, m.cpus,"
            " [n.attachment for n in m.network if n.enabled])"
            " for m in vboxkit.connect(sys.argv[1]).machines]\n"
            f"assert len(found) == {MACHINES}"
        )
        subprocess.run([sys.executable, "-c", code, str(vbox.home)], check=True)

    def one_by_one() -> None:
        names = [line.split('"')[1] for line in manage("list", "vms").splitlines() if '"' in line]
        assert len(names) == MACHINES, names
        for name in names:
            assert f'name="{name}"' in manage("showvminfo", name, "--machinereadable")

    def at_once() -> None:
        assert manage("list", "--long", "vms").count("Memory size") == MACHINES

    times = in_turn(
        {
            "list 100 machines": ours,
            "list 100 machines, a new process": ours_anew,
            "VBoxManage list --long vms": at_once,
            "VBoxManage showvminfo, each": one_by_one,
        },
        max(3, runs // 2),
    )
    return rows(
        times,
        ours="list 100 machines",
        target=">= 10 x faster than VBoxManage",
        met=lambda ratio: (
            ratio("VBoxManage showvminfo, each") >= 10 and ratio("VBoxManage list --long vms") >= 10
        ),
    )

"""The CPUs of processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from vboxkit.core import processes

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="a system without affinity of threads"
)

_THREADS = """
import sys, threading
ready = threading.Barrier(4)
go_on = threading.Event()
def run():
    ready.wait()
    go_on.wait()
for _ in range(3):
    threading.Thread(target=run).start()
ready.wait()
print("ready", flush=True)
sys.stdin.readline()
later = threading.Thread(target=run, daemon=True)
later.start()
print("later", flush=True)
sys.stdin.readline()
go_on.set()
ready.abort()
"""


def allowed(pid: int) -> set[str]:
    """Return the CPUs of all threads, as the kernel tells them."""
    lines = [
        line
        for status in Path(f"/proc/{pid}/task").glob("*/status")
        for line in status.read_text().splitlines()
        if line.startswith("Cpus_allowed_list")
    ]
    return {line.split()[1] for line in lines}


def test_usable_cpus_do_not_depend_on_who_asks() -> None:
    """A thread that is pinned itself finds all CPUs, and stays pinned."""
    every = processes.usable_cpus()
    seen: list[object] = []

    def ask() -> None:
        os.sched_setaffinity(0, {min(every)})
        seen.append(processes.usable_cpus())
        seen.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert seen == [every, {min(every)}]
    assert every


def test_all_threads_are_pinned_and_those_they_make() -> None:
    """Four threads at once, and a fifth that is made afterwards."""
    cpu = max(processes.usable_cpus())
    with subprocess.Popen(
        [sys.executable, "-c", _THREADS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            processes.set_affinity(process.pid, {cpu})
            assert allowed(process.pid) == {str(cpu)}
            assert processes.affinity(process.pid) == {cpu}
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "later\n"
            assert allowed(process.pid) == {str(cpu)}
            processes.set_affinity(process.pid, processes.usable_cpus())
            assert processes.affinity(process.pid) == processes.usable_cpus()
        finally:
            process.kill()


def test_a_process_that_is_gone() -> None:
    """Asking for it, or pinning it, is a `ProcessLookupError`."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with pytest.raises(ProcessLookupError):
        processes.affinity(process.pid)
    with pytest.raises(ProcessLookupError):
        processes.set_affinity(process.pid, {0})


def test_a_system_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    """As macOS: `NotImplementedError`."""
    monkeypatch.delattr(psutil.Process, "cpu_affinity")
    with pytest.raises(NotImplementedError, match="no CPU affinity"):
        processes.affinity(os.getpid())
    with pytest.raises(NotImplementedError, match="no CPU affinity"):
        processes.set_affinity(os.getpid(), {0})

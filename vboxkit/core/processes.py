"""Processes of this machine (the only user of psutil)."""

from __future__ import annotations

import os
import select
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from vboxkit.core.waiting import seconds, wait_until
from vboxkit.errors import WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import timedelta

__all__ = [
    "ProcessId",
    "Usage",
    "affinity",
    "available_memory_mb",
    "describe",
    "find",
    "kill",
    "open_file",
    "set_affinity",
    "usable_cpus",
    "usage",
    "variable",
    "wait_for_end",
    "wait_gone",
]


@dataclass(frozen=True)
class ProcessId:
    """
    A process that stays identifiable when its pid is used again.

    Attributes:
        pid: The number.
        started: When it was started: seconds since the epoch, to a hundredth.
        began: The same in seconds since this computer was, which no change of its clock moves;
            `None` on other systems than Linux.
    """

    pid: int
    started: float
    began: float | None = None

    @classmethod
    def current(cls) -> ProcessId:
        """Return this process."""
        return cls.of(psutil.Process().pid)

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """
        Return the process that has this pid now.

        Raises:
            ProcessLookupError: There is none.
        """
        try:
            return cls(pid, round(psutil.Process(pid).create_time(), 2), _began(pid))
        except psutil.NoSuchProcess as error:
            raise ProcessLookupError(f"there is no process {pid}") from error

    @property
    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        try:
            process = psutil.Process(self.pid)
            now = None if self.began is None else _began(self.pid)
            if self.began is not None and now is not None:
                same = abs(now - self.began) < 0.02
            else:
                # The clock behind create_time() is adjusted now and then: a pid that comes back
                # does so after minutes, so a second of tolerance is safe.
                same = abs(process.create_time() - self.started) < 1
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True


def _began(pid: int) -> float | None:
    """Return when a process was started, in seconds since this computer was, where that is told."""
    try:
        # The name of its program, which may have blanks and brackets, ends with the last bracket.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def describe(pid: int) -> str:
    """Return ``process 4711 (VBoxHeadless)``, as far as it can be told."""
    try:
        return f"process {pid} ({psutil.Process(pid).name()})"
    except psutil.Error:
        return f"process {pid} (gone)"


def kill(process: ProcessId, *, timeout: float | timedelta = 10) -> bool:
    """
    End a process at once and wait until it is gone.

    Returns:
        Whether it is gone.
    """
    if not process.alive:
        return True
    try:
        target = psutil.Process(process.pid)
        target.kill()
        target.wait(seconds(timeout))
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return not process.alive
    return True


def wait_gone(pid: int, *, timeout: float | timedelta) -> bool:
    """
    Wait until a process that is not our child has ended.

    Returns:
        Whether it has.
    """
    try:
        process = ProcessId.of(pid)
    except ProcessLookupError:
        return True
    # Not psutil's wait(): a zombie that its parent never reaps would be waited for in vain.
    try:
        return wait_until(
            lambda: None if process.alive else True,
            what=f"process {pid} to end",
            timeout=timeout,
            poll=0.01,
        )
    except WaitTimeoutError:
        return False


def available_memory_mb() -> int:
    """Return how many MiB of this machine's RAM can be used without swapping."""
    return int(psutil.virtual_memory().available) >> 20


def wait_for_end(watched: Collection[ProcessId], *, timeout: float | timedelta) -> bool:
    """
    Wait until one of some processes ends; on Linux without looking again and again.

    Returns:
        Whether one has.
    """
    with ExitStack() as stack:
        try:
            poll = select.poll()
            for process in watched:
                fd = os.pidfd_open(process.pid)
                stack.callback(os.close, fd)
                poll.register(fd, select.POLLIN)
            poll.poll(seconds(timeout) * 1000)
        except (AttributeError, OSError):  # not Linux, or one is gone
            with suppress(WaitTimeoutError):
                wait_until(
                    lambda: None if all(process.alive for process in watched) else True,
                    what="a process to end",
                    timeout=timeout,
                    poll=0.5,
                )
    return not all(process.alive for process in watched)


def find(*, argument: str, environment: Mapping[str, str]) -> Iterator[tuple[ProcessId, list[str]]]:
    """Yield processes with this argument and all of these environment variables."""
    for process in psutil.process_iter():
        try:
            arguments = process.cmdline()
            if argument not in arguments:
                continue
            # Other people's cannot be read: only where something of it is asked for.
            theirs = process.environ() if environment else {}
            if all(theirs.get(key) == value for key, value in environment.items()):
                began = _began(process.pid)
                yield ProcessId(process.pid, round(process.create_time(), 2), began), arguments
        except psutil.Error:
            continue


@dataclass(frozen=True)
class Usage:
    """
    What a process has taken.

    Attributes:
        user: Whose it is.
        cpu_seconds: Of all its threads, in user and kernel mode, since it began.
        memory_bytes: Resident, what it shares with others included.
    """

    user: str
    cpu_seconds: float
    memory_bytes: int


def usage(pid: int) -> Usage:
    """
    Return what a process has taken until now.

    Raises:
        ProcessLookupError: There is none.
        PermissionError: It is somebody else's, and its numbers are not shown.
    """
    with _as_oserror(pid):
        process = psutil.Process(pid)
        times = process.cpu_times()
        memory = process.memory_info().rss
        return Usage(process.username(), times.user + times.system, memory)


def variable(pid: int, name: str) -> str | None:
    """Return an environment variable of a process as it was started; errors as of `usage`."""
    with _as_oserror(pid):
        return psutil.Process(pid).environ().get(name)


def open_file(pid: int, name: str) -> Path | None:
    """Return the path of a file of this name that a process has open; errors as of `usage`."""
    with _as_oserror(pid):
        paths = (Path(file.path) for file in psutil.Process(pid).open_files())
        return next((path for path in paths if path.name == name), None)


def usable_cpus() -> frozenset[int]:
    """Return the numbers of the CPUs that this machine, or this container of it, may use."""
    every = range(psutil.cpu_count() or 1)
    if not hasattr(os, "sched_setaffinity"):
        return frozenset(every)
    # The kernel cuts what is asked for down to what the container has. It does so by thread: one
    # that is made for this finds out without a change for the others.
    found: list[int] = []

    def ask() -> None:
        os.sched_setaffinity(0, every)
        found.extend(os.sched_getaffinity(0))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return frozenset(found)


def affinity(pid: int) -> frozenset[int]:
    """
    Return the CPUs on which a process may run: those of all of its threads.

    Raises:
        NotImplementedError: This system cannot tell.
        ProcessLookupError: There is no such process.
        PermissionError: It is somebody else's.
    """
    with _as_oserror(pid):
        process = psutil.Process(pid)
        _require_affinity(process)
        if not hasattr(os, "sched_getaffinity"):
            return frozenset(process.cpu_affinity())
        found: set[int] = set()
        for thread in process.threads():
            with suppress(ProcessLookupError):
                found |= os.sched_getaffinity(thread.id)
        return frozenset(found)


def set_affinity(pid: int, cpus: Collection[int]) -> None:
    """
    Let a process run on these CPUs only: all threads that it has, and those it will have.

    Raises:
        NotImplementedError: This system cannot do it.
        ProcessLookupError: There is no such process.
        PermissionError: It is somebody else's.
    """
    with _as_oserror(pid):
        process = psutil.Process(pid)
        _require_affinity(process)
        if not hasattr(os, "sched_setaffinity"):
            process.cpu_affinity(sorted(cpus))
            return
        # Linux pins threads. A new one has the CPUs of the one that made it, so look until there
        # is none that we have not seen.
        seen: set[int] = set()
        while new := {thread.id for thread in process.threads()} - seen:
            for ident in new:
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(ident, cpus)
            seen |= new


def _require_affinity(process: psutil.Process) -> None:
    if not hasattr(process, "cpu_affinity"):
        raise NotImplementedError(f"{sys.platform} has no CPU affinity of processes")


@contextmanager
def _as_oserror(pid: int) -> Iterator[None]:
    try:
        yield
    except psutil.NoSuchProcess as error:
        raise ProcessLookupError(f"there is no process {pid}") from error
    except psutil.AccessDenied as error:
        raise PermissionError(f"{describe(pid)} is not ours") from error

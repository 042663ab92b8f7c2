"""Processes of this machine (the only user of psutil)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from vboxkit.core.waiting import seconds, wait_until
from vboxkit.errors import WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import timedelta

__all__ = ["ProcessId", "describe", "find", "kill", "wait_gone"]


@dataclass(frozen=True)
class ProcessId:
    """
    A process that stays identifiable when its pid is used again.

    Attributes:
        pid: The number.
        started: When it was started: seconds since the epoch, to a hundredth.
    """

    pid: int
    started: float

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
            return cls(pid, round(psutil.Process(pid).create_time(), 2))
        except psutil.NoSuchProcess as error:
            raise ProcessLookupError(f"there is no process {pid}") from error

    @property
    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        try:
            process = psutil.Process(self.pid)
            # The clock behind create_time() is adjusted now and then: a pid that comes back does
            # so after minutes, so a second of tolerance is safe.
            return (
                abs(process.create_time() - self.started) < 1
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True


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


def find(*, argument: str, environment: Mapping[str, str]) -> Iterator[tuple[ProcessId, list[str]]]:
    """Yield processes with this argument and all of these environment variables."""
    for process in psutil.process_iter():
        try:
            arguments = process.cmdline()
            if argument not in arguments:
                continue
            theirs = process.environ()
            if all(theirs.get(key) == value for key, value in environment.items()):
                yield ProcessId(process.pid, round(process.create_time(), 2)), arguments
        except psutil.Error:
            continue

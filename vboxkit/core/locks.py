"""Locks between processes (the only user of filelock)."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import filelock

from vboxkit.core import processes
from vboxkit.core.waiting import Deadline, Timeout
from vboxkit.errors import WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["HeldLock", "lock_file", "try_lock"]

#: A lock that `try_lock` took.
HeldLock = filelock.BaseFileLock


@contextmanager
def lock_file(path: Path, *, what: str, timeout: Timeout) -> Iterator[None]:
    """
    Hold a lock that one process (and one thread of it) has at a time.

    The kernel gives it back when its holder dies, however that happens.

    Args:
        path: The lock's file; made if missing, and left there.
        what: Completes "waiting for ...".
        timeout: Seconds, `timedelta` or `Deadline`.

    Raises:
        WaitTimeoutError: Somebody else kept it; the error names the process.
    """
    deadline = Deadline(timeout)
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = path.with_suffix(".holder")
    lock = filelock.FileLock(path, thread_local=False, is_singleton=False)
    try:
        lock.acquire(timeout=deadline.remaining, poll_interval=0.02)
    except filelock.Timeout as error:
        raise WaitTimeoutError(
            what,
            waited=deadline.elapsed,
            last_seen=f"{path} held by {_holder(holder)}",
            hint="wait for that process, or end it if it hangs",
        ) from error
    try:
        holder.write_text(str(processes.ProcessId.current().pid))
        yield
    finally:
        lock.release()


def try_lock(path: Path) -> HeldLock | None:
    """Take a lock if it is free; the caller releases it with ``.release()``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path, thread_local=False, is_singleton=False)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return None
    return lock


def _holder(path: Path) -> str:
    try:
        return processes.describe(int(path.read_text()))
    except (OSError, ValueError):
        return "an unknown process"

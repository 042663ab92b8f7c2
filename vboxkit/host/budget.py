"""
How many machines may start at once: as many as this host has CPUs and RAM for.

The places are files, shared by all vboxkit processes of a user whatever home they use, and given
back by the kernel when their holder dies.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from vboxkit.core import processes
from vboxkit.core.locks import lock_file, try_lock
from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import WaitTimeoutError
from vboxkit.settings import cache_dir, parallel_starts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vboxkit.core.waiting import Timeout

__all__ = ["may_start", "places"]

#: MiB that a VM process takes besides its guest's RAM (measured: 40 to 60), and that stay free.
_OVERHEAD_MB = 64
_RESERVE_MB = 256
#: Seconds between two looks at RAM and places; there is no event for either.
_LOOK = 0.05


def places() -> int:
    """
    Return how many machines start at once: one more than CPUs, for each start also waits.

    ``VBOXKIT_PARALLEL_STARTS`` says another number; all processes of a user need the same one.
    """
    return parallel_starts() or (os.cpu_count() or 1) + 1


@contextmanager
def may_start(memory_mb: int, *, what: str, timeout: Timeout) -> Iterator[None]:
    """
    Wait until one more machine may start, and hold its place while the block runs.

    Why it waits is told to those who listen to steps.

    Args:
        memory_mb: The guest's RAM in MiB.
        what: The machine, for messages.
        timeout: Seconds, `timedelta` or `Deadline`.

    Raises:
        WaitTimeoutError: Neither CPU nor RAM came free; `last_seen` says which was short.
    """
    give_back = _take(memory_mb)
    if isinstance(give_back, str):
        reason = give_back
        with step(f"{what}: wait for its turn") as this:

            def probe() -> Callable[[], object] | None:
                nonlocal reason
                taken = _take(memory_mb)
                if isinstance(taken, str):
                    reason = taken
                    this.update(note=reason)
                    return None
                return taken

            give_back = wait_until(
                probe,
                what=f"{what} to have CPU and RAM to start",
                timeout=Deadline(timeout),
                poll=_LOOK,
                last_seen=lambda: reason,
                hint="destroy machines that are not needed, or give machines less memory",
            )
    try:
        yield
    finally:
        give_back()


def _take(memory_mb: int) -> Callable[[], object] | str:
    """Take a place and return what gives it back, or say why there is none."""
    wanted = memory_mb + _OVERHEAD_MB
    free, needed = processes.available_memory_mb(), wanted + _RESERVE_MB
    short = f"RAM: {free} MiB are free, {needed} are needed"
    if free < needed:
        return short
    folder = cache_dir() / "starts"
    try:
        for number in range(places()):
            lock = try_lock(folder / f"{number}.lock")
            if lock is not None:
                break
        else:
            return f"CPU: {places()} machines are starting already"
        with ExitStack() as undo:
            undo.callback(lock.release)
            note = folder / f"{number}.mb"
            # Of two that look at once, both would find the same RAM free.
            with lock_file(folder / "count.lock", what="others to be counted", timeout=1):
                note.unlink(missing_ok=True)  # of somebody who was killed
                starting = sum(_noted(other) for other in folder.glob("*.mb"))
                if free - starting < needed:
                    return f"{short}, and {starting} by those that are starting"
                undo.callback(_forget, note)
                note.write_text(str(wanted))
            return undo.pop_all().close
    except WaitTimeoutError as error:
        return f"CPU: {error}"
    except OSError:
        # A folder that cannot be written to (read-only, full, root's): nobody can take turns
        # in it, and that is no reason to start nothing.
        return lambda: None


def _noted(note: Path) -> int:
    """
    Return how many MiB the machine will have that starts at a place, 0 if none does any more.

    It may have some of it already: better to wait a moment too long.
    """
    lock = try_lock(note.with_suffix(".lock"))
    if lock is not None:
        lock.release()
        return 0
    try:
        return int(note.read_text())
    except (OSError, ValueError):
        return 0


def _forget(note: Path) -> None:
    with suppress(OSError):
        note.unlink(missing_ok=True)

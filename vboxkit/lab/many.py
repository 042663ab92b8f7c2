"""Several forks at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from vboxkit.core.locks import lock_file
from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline
from vboxkit.errors import ApiError, VBoxKitError
from vboxkit.host import budget

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit.core.waiting import Timeout
    from vboxkit.lab.vm import VM
    from vboxkit.machines.snapshots import Snapshot

__all__ = ["fork_many", "fork_together"]


def fork_many(make: Callable[[int], VM], count: int, *, what: str) -> list[VM]:
    """
    Make several machines at once: all of them, or none.

    How many really start together is up to `budget`; the others wait their turn.

    Args:
        make: Makes one, given its number from 0.
        count: How many.
        what: For messages.

    Raises:
        ApiError: The number makes no sense.
    """
    if type(count) is not int or count < 1:
        raise ApiError(
            f"cannot make {count!r} forks of {what}",
            symbol="E_INVALIDARG",
            operation="fork",
            hint="1 or more",
        )
    with step(f"fork {what}, {count} times"):
        with ThreadPoolExecutor(min(count, 2 * budget.places()), thread_name_prefix="fork") as pool:
            tasks = [pool.submit(make, number) for number in range(count)]
            try:
                return [task.result() for task in tasks]
            except BaseException:
                for task in tasks:
                    task.cancel()
                # Those under way cannot be stopped; what becomes of them is destroyed below.
                pool.shutdown(wait=True)
                done = [task for task in tasks if task.done() and not task.cancelled()]
                for task in done:
                    if task.exception() is None:
                        with suppress(VBoxKitError):  # its lease stays, for the reaper
                            task.result().destroy()
                raise


def fork_together(
    vm: VM,
    count: int,
    label: str,
    *,
    snapshot: Snapshot | None,
    start: bool,
    timeout: Timeout,
    locks: Path,
) -> list[VM]:
    """See `VM.fork`: several from one snapshot, which is taken now if there is none."""
    deadline = Deadline(timeout)
    own = vm.snapshots.take("vboxkit forks", timeout=deadline) if snapshot is None else None

    def make(number: int) -> VM:
        # VBoxSVC refuses to clone one snapshot twice at once ("locked for writing").
        with lock_file(locks / "clone.lock", what="another fork", timeout=deadline):
            forked = vm.fork(
                f"{label}-{number}", snapshot=snapshot or own, start=False, timeout=deadline
            )
        if start:
            forked.start_in_turn(deadline)
        return forked

    done = False
    try:
        forks = fork_many(make, count, what=vm.name)
        done = True
    finally:
        if not done and own is not None:
            own.delete()
    for forked in forks:
        forked.parent_snapshot = own  # it goes with the last of them
    return forks

"""Several forks at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from vboxkit.core.locks import lock_file
from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline
from vboxkit.errors import ApiError, InvalidStateError, VBoxKitError
from vboxkit.host import budget
from vboxkit.machines.states import MachineState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.fork import Fork
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.snapshots import Snapshot

__all__ = ["fork_many", "fork_together", "require_running"]

F = TypeVar("F", bound="Fork")


def fork_many(make: Callable[[int], F], count: int, *, what: str) -> list[F]:
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
    machine: Machine,
    fork: Callable[[str, Snapshot, Deadline], F],
    count: int,
    *,
    label: str,
    snapshot: Snapshot | None,
    start: bool,
    timeout: Timeout,
    lock: Path,
) -> list[F]:
    """
    Make several forks of one snapshot, which is taken now if there is none.

    Args:
        machine: What they are copies of.
        fork: Makes one that is not started, of a name.
        count: How many.
        label: What their names begin with.
        snapshot: An online snapshot of it.
        start: Whether to start them, each in its turn.
        timeout: For the whole.
        lock: The file by which processes take turns at cloning.
    """
    deadline = Deadline(timeout)
    own = None
    if snapshot is None:
        require_running(machine)
        snapshot = own = machine.snapshots.take("vboxkit forks", timeout=deadline)
    origin = snapshot

    def make(number: int) -> F:
        # VBoxSVC refuses to clone one snapshot twice at once ("locked for writing").
        with lock_file(lock, what="another fork", timeout=deadline):
            forked = fork(f"{label}-{number}", origin, deadline)
        if start:
            forked.start_in_turn(deadline)
        return forked

    done = False
    try:
        forks = fork_many(make, count, what=machine.name)
        done = True
    finally:
        if not done and own is not None:
            own.delete()
    for forked in forks:
        forked.parent_snapshot = own  # it goes with the last of them
    return forks


def require_running(machine: Machine) -> None:
    """Raise `InvalidStateError` if there is no running guest that could be copied."""
    if machine.state not in {MachineState.RUNNING, MachineState.PAUSED}:
        raise InvalidStateError(
            f"{machine._subject()} is {machine.state}: there is no running guest to fork",
            state=str(machine.state),
            needed=["Running", "Paused"],
            operation="fork",
            hint="start it, give an online snapshot, or use clone(linked=True)",
        )

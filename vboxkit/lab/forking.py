"""Forks under a lease: whatever dies in the middle, the reaper finds what there is of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from vboxkit.errors import AlreadyExistsError
from vboxkit.lab import leases, watcher
from vboxkit.lab.places import TAG_IMAGE, TAG_LEASE
from vboxkit.machines.clones import require_free_name
from vboxkit.machines.fork import Fork, fork

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit.com.api import Api
    from vboxkit.core.waiting import Timeout
    from vboxkit.lab.images import Image
    from vboxkit.lab.places import Places
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.snapshots import Snapshot
    from vboxkit.settings import Settings

__all__ = ["leased_fork"]

F = TypeVar("F", bound=Fork)


def leased_fork(
    machine: Machine,
    name: str,
    *,
    image: Image,
    places: Places,
    snapshot: Snapshot | None,
    start: bool,
    timeout: Timeout,
    kind: Callable[[Api, Any, Settings], F],
    test: str = "",
    session: str = "",
    ttl: float | None = None,
) -> F:
    """
    Fork a machine under a lease, which is there before anything of the fork is.

    Args:
        machine: An image's machine, or a fork of it.
        name: The fork's name.
        image: The image.
        places: The lab's folders.
        snapshot: An online snapshot; one is taken now if `None`.
        start: Whether to start it.
        timeout: For the whole.
        kind: Makes the result, called like the class `Machine`.
        test: What it is for.
        session: The run that it belongs to.
        ttl: Seconds after which it may be removed whoever lives.

    Raises:
        AlreadyExistsError: A machine has this name, or another process is just making one.
    """
    require_free_name(machine._api, name)  # noqa: SLF001 - before anything is written
    known = leases.find(places.leases, name)
    if known is not None:
        raise AlreadyExistsError(
            f"process {known.pid} is making a machine {name!r}, or left one half made",
            kind="machine",
            wanted=name,
            hint="choose another name, or: vboxkit gc",
        )
    lease = leases.take(places.leases, name, test=test, session=session, ttl=ttl)
    done = False
    forked: F | None = None
    try:
        watcher.ensure(places)
        forked = fork(
            machine,
            name,
            snapshot=snapshot,
            start=start,
            timeout=timeout,
            kind=kind,
            folder=places.machine_folder,
            extra_data={TAG_LEASE: lease.encoded(), TAG_IMAGE: image.digest},
        )
        leases.write(places.leases, msgspec.structs.replace(lease, machine=forked.id))
        done = True
    finally:
        if forked is not None and not done:
            forked.destroy()
        elif not done:
            # What fork() could not take back itself keeps its lease, for the reaper.
            left = [str(com.name) for com in _machines(machine) if com.accessible]
            if name not in left and not (places.machines / name).exists():
                leases.release(places.leases, name)
    assert forked is not None  # noqa: S101 - done
    return forked


def _machines(machine: Machine) -> list[Any]:
    api = machine._api  # noqa: SLF001 - the lab has no other way to it from here
    return api.array(api.virtualbox, "machines")

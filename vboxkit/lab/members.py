"""The members of pools: the file that tells all processes of each, and how one is taken."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from vboxkit.core import processes
from vboxkit.errors import VBoxKitError, WaitTimeoutError
from vboxkit.lab import leases
from vboxkit.lab.places import TAG_LEASE
from vboxkit.machines.states import MachineState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vboxkit.core.waiting import Deadline
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.places import Places
    from vboxkit.lab.vm import VM

__all__ = [
    "Member",
    "adopt",
    "all_members",
    "answers",
    "claim",
    "offer",
    "offered",
    "own_up",
    "require_room",
    "wake",
    "well",
]


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """
    One that waits.

    Attributes:
        name: The machine's name.
        image: The digest of its image.
        since: Since when it waits, in seconds since the epoch.
        until: When it is too old to be taken, in seconds since the epoch.
    """

    name: str
    image: str
    since: float
    until: float | None = None

    @property
    def stale(self) -> bool:
        """Whether it is too old to be taken."""
        return self.until is not None and time.time() > self.until


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def offer(folder: Path, member: Member) -> None:
    """Put a member into the pool, where every process may take it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = _file(folder, member.name)
    draft = file.with_suffix(".tmp")
    draft.write_bytes(msgspec.json.encode(member))
    draft.replace(file)


def offered(folder: Path, name: str) -> bool:
    """Return whether nobody has taken a member."""
    return _file(folder, name).exists()


def claim(folder: Path, name: str) -> bool:
    """Take a member out of the pool; `False` if somebody else was faster."""
    try:
        _file(folder, name).unlink()
    except FileNotFoundError:
        return False
    return True


def all_members(folder: Path) -> Iterator[Member]:
    """Yield the members that wait, of all processes."""
    for file in sorted(folder.glob("*.json")):
        with suppress(FileNotFoundError, msgspec.DecodeError):
            yield msgspec.json.decode(file.read_bytes(), type=Member)


def well(vm: VM) -> bool:
    """Return whether a member can be given out, as far as is known here; cheap."""
    try:
        return vm.state in {MachineState.RUNNING, MachineState.PAUSED} and vm.ssh.connected
    except VBoxKitError:
        return False


def answers(vm: VM, *, timeout: float) -> bool:
    """Return whether a command gets through to a member that runs; start the next one's shell."""
    try:
        vm.ssh.prepare(timeout=timeout)
    except VBoxKitError as error:
        # A shell that is none of POSIX's, and ended at once: the guest did answer.
        return isinstance(error.__cause__, EOFError) and well(vm)
    return True


def wake(vm: VM) -> bool:
    """Let a member go on if it waits paused, and return whether it does."""
    try:
        if vm.state == MachineState.PAUSED:
            vm.resume()
    except VBoxKitError:
        return False
    return True


def adopt(lab: Lab, name: str, deadline: Deadline) -> VM | None:
    """Make another process's member, which is claimed already, ours; `None` if it is of no use."""
    places = lab.places
    leases.adopt(places.leases, name)
    try:
        vm = lab._remember(lab.vm(name))  # noqa: SLF001 - of the same package
    except VBoxKitError:
        if name not in lab.vbox.machines and not (places.machines / name).exists():
            leases.release(places.leases, name)  # who removed it was faster
        return None
    done = False
    with suppress(VBoxKitError):
        try:
            if wake(vm):
                vm.wait_ready(timeout=deadline)
                own_up(places, vm)
                done = True
        finally:
            if not done:
                vm.destroy()
    return vm if done else None


def own_up(places: Places, vm: VM) -> None:
    """Write down that a machine is this process's from now on, without an end."""
    leases.adopt(places.leases, vm._name)  # noqa: SLF001
    lease = leases.find(places.leases, vm._name)  # noqa: SLF001
    if lease is not None:
        with suppress(VBoxKitError):  # the file is what counts
            vm.set_extra_data(TAG_LEASE, lease.encoded())


def require_room(memory_mb: int, load: float | None) -> None:
    """
    Raise unless this host has RAM and CPU for one more member.

    Args:
        memory_mb: So many MiB are to be free.
        load: So many processes may want each CPU, on the average of the last minute.

    Raises:
        WaitTimeoutError: Not now.
    """
    free = processes.available_memory_mb()
    if free < memory_mb:
        raise WaitTimeoutError(f"{memory_mb} MiB of free RAM", waited=0.0, last_seen=f"{free} MiB")
    if load is None or not hasattr(os, "getloadavg"):
        return
    now = os.getloadavg()[0] / (os.cpu_count() or 1)
    if now > load:
        raise WaitTimeoutError(
            f"a load of at most {load:.3g} on each CPU", waited=0.0, last_seen=f"{now:.2f}"
        )

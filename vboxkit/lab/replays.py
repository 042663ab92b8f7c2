"""
The machines of tests that are over, kept with the state in which their test failed.

The state is an online snapshot, so it can be looked at again and again, each time in a fork of its
own, whatever is done to the machine meanwhile. What is known of it is in the machine's extra data.
"""

from __future__ import annotations

import difflib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from vboxkit.core.locks import lock_file
from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline
from vboxkit.errors import AmbiguousNameError, InvalidStateError, NotFoundError
from vboxkit.lab import leases
from vboxkit.machines.states import MachineState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vboxkit.core.waiting import Timeout
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.vm import VM

__all__ = ["Replay", "all_replays", "choose", "forget", "freeze", "label"]

_TAG = "vboxkit/replay"
_SNAPSHOT = "vboxkit replay"

#: A snapshot of a machine in another state would hold only disks.
_HOLDS_A_GUEST = (MachineState.RUNNING, MachineState.PAUSED, MachineState.SAVED)


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    """What the extra data say; linked clones inherit them, so they say of which machine."""

    machine: str
    tests: dict[str, float] = {}
    failed: bool = False
    snapshot: str = ""


@dataclass(frozen=True)
class Replay:
    """
    A machine that was kept for a test.

    Attributes:
        vm: The machine.
        test: The test's id.
        when: When the test failed (or ended, if it did not), in seconds since the epoch.
        failed: Whether it failed.
        snapshot: The UUID of the snapshot that holds the state; empty if there is none yet.
    """

    vm: VM
    test: str
    when: float
    failed: bool
    snapshot: str

    def fork(self, name: str | None = None, *, timeout: Timeout | None = None) -> VM:
        """
        Make a running machine in the state in which the test left this one.

        If there is no snapshot of it yet, the state is that of now, and is kept for later replays.

        Args:
            name: Its name; derived from the machine's if left out.
            timeout: Seconds until it runs; `Settings.boot_timeout` if left out. SSH is not waited
                for: the test may have left a guest that does not answer.

        Raises:
            InvalidStateError: There is no snapshot, and no guest any more that one could hold.
            AlreadyExistsError: There is a machine of that name.
            StartError: VirtualBox could not start it.
        """
        vm = self.vm
        deadline = Deadline(timeout if timeout is not None else vm.settings.boot_timeout)
        places = vm._places  # noqa: SLF001 - a machine's lab, in its own package
        own = f"{vm.name}-replay-{secrets.token_hex(2)}"
        with step(f"replay {self.test}"):
            # One state is enough for all that replay it at once.
            with lock_file(places.clone_lock, what="another process's fork", timeout=deadline):
                snapshot = freeze(vm, timeout=deadline)
            forked = vm.fork(name or own, snapshot=snapshot, timeout=deadline)
            if forked.state == MachineState.PAUSED:  # as the test had it
                forked.resume()
        return forked


def freeze(vm: VM, *, timeout: Timeout = 60.0) -> str:
    """
    Keep the state in which a machine is now for `Replay.fork`, unless one is kept already.

    The machine goes on running.

    Returns:
        The snapshot's UUID.

    Raises:
        InvalidStateError: It has no guest that could be kept: it is not running, paused or saved.
    """
    note = _read(vm)
    if note.snapshot and vm.snapshots.find(note.snapshot) is not None:
        return note.snapshot
    state = vm.state
    if state not in _HOLDS_A_GUEST:
        raise InvalidStateError(
            f"{vm._subject()} is {state}, and there is no snapshot of when it ran: the memory of"  # noqa: SLF001
            " its guest is lost",
            state=str(state),
            needed=[str(it) for it in _HOLDS_A_GUEST],
            operation="replay",
            hint=f"its disks are there: `vboxkit start {vm.name}` boots it",
        )
    snapshot = vm.snapshots.take(_SNAPSHOT, timeout=timeout)
    _write(vm, msgspec.structs.replace(note, snapshot=snapshot.id))
    return snapshot.id


def label(vm: VM, tests: Mapping[str, float], *, failed: bool) -> None:
    """
    Note for which tests a machine is kept.

    Args:
        vm: The machine.
        tests: Their ids, each with when it failed (or ended), in seconds since the epoch.
        failed: Whether they failed.
    """
    _write(vm, msgspec.structs.replace(_read(vm), tests=dict(tests), failed=failed))


def all_replays(lab: Lab) -> list[Replay]:
    """Return what can be replayed, the oldest first; a machine for several tests comes for each."""
    found = []
    for vm in lab.vms():
        note = _read(vm)
        found += [
            Replay(vm, test, when, note.failed, note.snapshot) for test, when in note.tests.items()
        ]
    return sorted(found, key=lambda it: (it.when, it.vm.name))


def choose(known: Sequence[Replay], wanted: str) -> list[Replay]:
    """
    Return what a user means: the machines of a test's last run, or one machine.

    Args:
        known: What there is.
        wanted: A test's id, the end of one, a part of one, or a machine's name.

    Raises:
        NotFoundError: There is none; the error has the nearest.
        AmbiguousNameError: It fits several tests; the error has them.
    """
    for replay in known:
        if replay.vm.name == wanted:
            return [replay]
    tests = list(dict.fromkeys(replay.test for replay in known))
    for fits in _WAYS:
        matches = [test for test in tests if wanted and fits(test, wanted)]
        if len(matches) == 1:
            mine = [replay for replay in known if replay.test == matches[0]]
            last = max(replay.when for replay in mine)
            return [replay for replay in mine if replay.when == last]
        if matches:
            raise AmbiguousNameError(
                f"{wanted!r} fits {len(matches)} tests: {', '.join(matches)}",
                kind="test",
                wanted=wanted,
                matches=matches,
                hint="more of the id, or the machine's name",
            )
    near = difflib.get_close_matches(wanted, tests, n=3, cutoff=0.3)
    there = f"; near: {', '.join(near)}" if near else f", only {', '.join(tests)}" if tests else ""
    raise NotFoundError(
        f"no machine was kept for a test {wanted!r}{there}",
        kind="test",
        wanted=wanted,
        available=tests,
        hint="vboxkit replay" if tests else "pytest --vm-keep=failed keeps those of failed tests",
    )


def forget(lab: Lab, vm: VM) -> list[str]:
    """
    Remove a machine that was kept, and the forks that were made of it.

    Returns:
        The names of what was removed.

    Raises:
        InvalidStateError: Somebody uses one of the forks; nothing was removed.
        CleanupError: Part of it could not be removed.
    """
    doomed = _with_forks(lab, vm)
    for it in doomed:
        lease = leases.find(lab.places.leases, it.name)
        if lease is not None and not lease.keep and lease.owner_alive:
            raise InvalidStateError(
                f"{vm._subject()}: process {lease.pid} uses {it.name}, a fork of it",  # noqa: SLF001
                state="in use",
                operation="forget",
                hint=f"end that process, or wait; then `vboxkit replay {vm.name} --rm` again",
            )
    removed = []
    for it in doomed:
        removed.append(it.name)
        it.destroy()
    return removed


def _with_forks(lab: Lab, vm: VM) -> list[VM]:
    """Return a machine after all that stand on it."""
    found: list[VM] = []
    for name in vm.linked_clones():
        found += _with_forks(lab, lab.vm(name))
    return [*found, vm]


def _plain(test: str) -> str:
    """Return a test's id without the name of a group, which xdist appends."""
    return test[: test.rindex("@")] if test.rfind("@") > test.rfind("]") else test


#: How an id may be given; the first way by which one fits counts.
_WAYS: tuple[Callable[[str, str], bool], ...] = (
    lambda test, wanted: wanted in {test, _plain(test)},
    lambda test, wanted: _plain(test).endswith((f"::{wanted}", f"/{wanted}")),
    lambda test, wanted: _plain(test).endswith(wanted),
    lambda test, wanted: wanted in test,
)


def _read(vm: VM) -> _Note:
    mine = _Note(machine=vm.id)
    raw = vm.get_extra_data(_TAG)
    if raw is None:
        return mine
    try:
        note = msgspec.json.decode(raw, type=_Note)
    except msgspec.DecodeError:
        return mine
    return note if note.machine == vm.id else mine


def _write(vm: VM, note: _Note) -> None:
    vm.set_extra_data(_TAG, msgspec.json.encode(note).decode())

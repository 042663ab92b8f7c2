"""
The session lock of a machine, which every change needs.

VirtualBox knows two: *write* for a machine at rest, *shared* to work along with the VM process
that holds the write lock. Which one is right follows from the machine's state, so callers only say
that they want to change something.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vboxkit.core import processes
from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import InvalidStateError, LockedError, WaitTimeoutError
from vboxkit.machines.handing_back import HandBack
from vboxkit.machines.states import ONLINE, SessionState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vboxkit.com.interfaces import ISession
    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.properties import MachineProperties

__all__ = [
    "held",
    "holder",
    "holds",
    "locked",
    "pending_extra_data",
    "pending_undo",
    "require_no_edit",
]

#: What lockMachine() says while somebody else holds, or is just giving back, the lock.
_BUSY = ("VBOX_E_INVALID_OBJECT_STATE", "VBOX_E_INVALID_SESSION_STATE")

_held = threading.local()


@contextmanager
def locked(
    machine: MachineProperties, *, timeout: Timeout, needs_vm: bool = False
) -> Iterator[ISession]:
    """
    Hold the session lock of a machine and yield the raw session.

    A lock that this thread holds already is shared with it. A lock that another process is just
    giving back (VBoxSVC keeps it for some milliseconds after a VM process ended) is waited for.

    Args:
        machine: The machine.
        timeout: How long to wait for somebody else's lock.
        needs_vm: The operation talks to the running VM (`InvalidStateError` without one).

    Raises:
        LockedError: Somebody else kept it; `LockedError.holder` says who.
        InvalidStateError: It is the machine of a snapshot.
    """
    if machine.unchangeable:
        # lockMachine() of a snapshot's machine locks, and then changes, the machine itself.
        raise InvalidStateError(
            f"{machine._subject()} cannot be changed: {machine.unchangeable}",
            state="Snapshot",
            operation="change it",
            hint="restore() the snapshot and change the machine, or clone the snapshot",
        )
    # This thread's; a block that was never left is ended by whichever thread collects it.
    local = _held.__dict__
    mine: dict[str, ISession] = local.setdefault("sessions", {})
    if machine.id in mine:
        yield mine[machine.id]
        return
    session = _acquire(machine, Deadline(timeout), needs_vm=needs_vm)
    mine[machine.id] = session
    # At the latest when the process ends: XPCOM crashes if it is shut down with a session open. A
    # VM that powers off takes the session with it, and a lock that is gone is what we want.
    release = HandBack(machine._api, machine._api, session.unlockMachine)
    try:
        yield session
    finally:
        del mine[machine.id]
        local.get("extra_data", {}).pop(machine.id, None)
        local.get("undo", {}).pop(machine.id, None)
        release.now()


def pending_extra_data(machine: MachineProperties) -> dict[str, str]:
    """Return the extra data that waits for the end of this thread's lock on a machine, if any."""
    if not holds(machine):
        return {}
    table: dict[str, dict[str, str]] = _held.__dict__.setdefault("extra_data", {})
    return table.setdefault(machine.id, {})


def pending_undo(machine: MachineProperties) -> list[Callable[[Any], None]]:
    """
    Return what is to be called, last first, if this thread's change of a machine fails.

    For what ``discardSettings`` does not take back. Each is given the raw machine, after that.
    """
    table: dict[str, list[Callable[[Any], None]]] = _held.__dict__.setdefault("undo", {})
    return table.setdefault(machine.id, []) if holds(machine) else []


def holds(machine: MachineProperties) -> bool:
    """Whether this thread holds the machine's lock already."""
    return machine.id in _held.__dict__.get("sessions", {})


def require_no_edit(machine: MachineProperties, operation: str) -> None:
    """Refuse what would save, or throw away, the changes of an `Machine.edit` that is open."""
    if holds(machine):
        raise InvalidStateError(
            f"{machine._subject()} is being changed by this thread: cannot {operation} inside"
            " edit(), or in a hook of an operation on it",
            state=str(machine.state),
            operation=operation,
            hint="do it before or after that",
        )


def held(machine: MachineProperties) -> Any:
    """Return the session by which this thread holds the machine's lock, or `None`."""
    return _held.__dict__.get("sessions", {}).get(machine.id)


def _acquire(machine: MachineProperties, deadline: Deadline, *, needs_vm: bool) -> ISession:
    api = machine._api
    session = api.session()

    def probe() -> ISession | None:
        state = machine.state
        online = state in ONLINE
        if needs_vm and not online:
            raise InvalidStateError(
                f"{machine._subject()} is {state}: there is no running VM",
                state=str(state),
                needed=["Running", "Paused"],
                hint="start the machine first",
            )
        try:
            machine.com.lockMachine(session, api.value("LockType", "Shared" if online else "Write"))
        except Exception as error:
            foreign = api.foreign(error)
            if foreign is None or foreign.symbol not in _BUSY:
                # That it is gone VirtualBox says only by E_UNEXPECTED.
                machine._require_registered("lock it")
                raise
            return None
        return session

    try:
        with machine._translated("lock the machine"):
            return wait_until(
                probe,
                what=f"the lock of {machine._subject()}",
                timeout=deadline,
                poll=0.02,
                last_seen=lambda: holder(machine),
            )
    except WaitTimeoutError as error:
        who = holder(machine)
        raise LockedError(
            f"{machine._subject()} ({machine.state}) is locked by {who};"
            f" gave up after {error.waited:.1f} s",
            holder=who,
            operation="lock the machine",
            hint="close what works on the machine there, or give a longer lock_timeout",
        ) from error


def holder(machine: MachineProperties) -> str:
    """Say who holds the lock of a machine, as far as VirtualBox knows."""
    if machine.session_state is SessionState.UNLOCKED:
        return "nobody"
    pid = machine.session_pid
    name = str(machine.com.sessionName)
    if pid is None:
        return name or "an unknown process"
    who = processes.describe(pid)
    return f"{who}, session {name!r}" if name else who

"""Snapshots of a machine."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vboxkit.errors import CleanupError, InvalidStateError, NotFoundError, VBoxKitError
from vboxkit.machines.base import Attribute, ComObject, api_call
from vboxkit.machines.locks import locked
from vboxkit.machines.progress import Progress
from vboxkit.machines.states import ONLINE, MachineState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.machine import Machine

__all__ = ["Snapshot", "Snapshots"]

_log = logging.getLogger("vboxkit.machines")


class Snapshot(ComObject):
    """
    A point in a machine's life to which it can go back.

    Attributes:
        machine: The machine it belongs to.
        id: Its UUID.
    """

    name = Attribute("name", str, "Its name; need not be unique.")
    description = Attribute("description", str, "A free text.")
    online = Attribute("online", bool, "Whether it holds the memory of a running guest.")
    #: Milliseconds since the epoch, as VirtualBox keeps it.
    time_ms = Attribute("timeStamp", int, "When it was taken, in milliseconds since the epoch.")

    def __init__(self, machine: Machine, com: Any) -> None:
        super().__init__(machine._api, com)
        self.machine = machine
        self.id = str(com.id)
        self._name = str(com.name)

    def _subject(self) -> str:
        return f"{self.machine._subject()}: snapshot {self._name!r}"

    def _state(self) -> str:
        return f"machine {self.machine.state}"

    def __repr__(self) -> str:
        return f"<Snapshot {self._name!r} of {self.machine!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Snapshot) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    @api_call("read the parent")
    def parent(self) -> Snapshot | None:
        """The snapshot this one was taken after."""
        com = self.com.parent
        return None if com is None else Snapshot(self.machine, com)

    @property
    @api_call("read the children")
    def children(self) -> list[Snapshot]:
        """The snapshots taken after this one."""
        return [Snapshot(self.machine, com) for com in self._api.array(self.com, "children")]

    def restore(self, *, timeout: Timeout | None = None) -> None:
        """
        Bring the machine back to this snapshot; what it is now is lost.

        The machine must not run. After an online snapshot it is Saved, and `Machine.start` goes
        on where the guest stood.

        Args:
            timeout: Seconds; `Settings.progress_timeout` if left out.

        Raises:
            InvalidStateError: The machine runs.
        """
        state = self.machine.state
        if state in ONLINE:
            raise InvalidStateError(
                f"{self._subject()} cannot be restored while the machine is {state}",
                state=str(state),
                needed=["PoweredOff", "Saved", "Aborted"],
                operation="restore the snapshot",
                hint="power_off() the machine first, or use machine.rollback()",
            )
        settings = self.machine.settings
        with (
            self._translated("restore the snapshot"),
            locked(self.machine, timeout=settings.lock_timeout) as session,
        ):
            # VBoxSVC 7.2 dies of restoreSnapshot() with a snapshot that was deleted.
            com = session.machine.restoreSnapshot(self.machine.com.findSnapshot(self.id))
            Progress(self._api, com, what="restore the snapshot", subject=self._subject()).wait(
                timeout=timeout if timeout is not None else settings.progress_timeout
            )

    def delete(self, *, timeout: Timeout | None = None) -> None:
        """
        Delete this snapshot; its disks are merged into what comes after it.

        Args:
            timeout: Seconds; `Settings.progress_timeout` if left out.

        Raises:
            InvalidStateError: Linked clones or forks stand on it.
        """
        dependents = self.machine.linked_clones(self)
        if dependents:
            names = ", ".join(repr(name) for name in dependents)
            raise InvalidStateError(
                f"{self._subject()} cannot be deleted: linked clones stand on it: {names}",
                state=str(self.machine.state),
                operation="delete the snapshot",
                hint="destroy those machines first",
            )
        settings = self.machine.settings
        with (
            self._translated("delete the snapshot"),
            locked(self.machine, timeout=settings.lock_timeout) as session,
        ):
            com = session.machine.deleteSnapshot(self.id)
            Progress(self._api, com, what="delete the snapshot", subject=self._subject()).wait(
                timeout=timeout if timeout is not None else settings.progress_timeout
            )


class Snapshots:
    """The snapshots of a machine: ``["name"]``, ``in``, iteration (parents first), ``len``."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def take(
        self,
        name: str,
        *,
        description: str = "",
        pause: bool = False,
        timeout: Timeout | None = None,
    ) -> Snapshot:
        """
        Take a snapshot.

        A running machine gives an online snapshot, with its memory, and goes on running.

        Args:
            name: Its name.
            description: A free text.
            pause: Stop the guest meanwhile; otherwise it is held for the last moment only.
            timeout: Seconds; `Settings.progress_timeout` if left out.

        Raises:
            ProgressFailedError: No space, for one; nothing is left behind.
        """
        machine = self._machine
        settings = machine.settings
        with (
            machine._translated("take a snapshot"),
            locked(machine, timeout=settings.lock_timeout) as session,
        ):
            # Only a running machine has something to pause; asked for a live snapshot, any other
            # one is refused ("unless it is running").
            held = pause or machine.state is not MachineState.RUNNING
            result = session.machine.takeSnapshot(name, description, held)
            # XPCOM returns out-parameters first or last, depending on the binding.
            com, uuid = result if not isinstance(result[0], str) else reversed(result)
            Progress(
                machine._api,
                com,
                what=f"take snapshot {name!r}",
                subject=machine._subject(),
            ).wait(timeout=timeout if timeout is not None else settings.progress_timeout)
            return Snapshot(machine, machine.com.findSnapshot(uuid))

    @property
    def current(self) -> Snapshot | None:
        """The snapshot on which the machine stands now."""
        with self._machine._translated("read the current snapshot"):
            com = self._machine.com.currentSnapshot
            return None if com is None else Snapshot(self._machine, com)

    def find(self, name: str) -> Snapshot | None:
        """Return the snapshot with this name or UUID, or `None`."""
        return next((s for s in self if name in {s.name, s.id}), None)

    def own(self, snapshot: Snapshot | str | None) -> Snapshot | None:
        """
        Return a snapshot of this machine, given itself or by its name; `None` stays `None`.

        Raises:
            NotFoundError: It is another machine's.
        """
        if snapshot is None or isinstance(snapshot, str):
            return None if snapshot is None else self[snapshot]
        return self[snapshot.id] if snapshot.machine != self._machine else snapshot

    def __getitem__(self, name: str) -> Snapshot:
        found = self.find(name)
        if found is None:
            known = [s.name for s in self]
            raise NotFoundError(
                f"{self._machine._subject()} has no snapshot {name!r}, only {known}",
                kind="snapshot",
                wanted=name,
                available=known,
                hint="machine.snapshots.take(name) makes one",
            )
        return found

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    def __len__(self) -> int:
        with self._machine._translated("count the snapshots"):
            return int(self._machine.com.snapshotCount)

    def __iter__(self) -> Iterator[Snapshot]:
        if not len(self):
            return
        with self._machine._translated("list the snapshots"):
            # An empty name finds the root.
            pending = [Snapshot(self._machine, self._machine.com.findSnapshot(""))]
        while pending:
            snapshot = pending.pop(0)
            yield snapshot
            pending[:0] = snapshot.children


@contextmanager
def rollback(machine: Machine) -> Iterator[Snapshot]:
    """See `Machine.rollback`."""
    was = machine.state
    snapshot = machine.snapshots.take("vboxkit rollback")
    first: BaseException | None = None
    try:
        yield snapshot
    except BaseException as error:
        first = error
        raise
    finally:
        try:
            if machine.state in ONLINE:
                machine.power_off()
            snapshot.restore()
            snapshot.delete()
            if was in {MachineState.RUNNING, MachineState.PAUSED}:
                machine.start()
            if was is MachineState.PAUSED:
                machine.pause()
        except VBoxKitError as error:
            left = CleanupError(
                f"{machine._subject()} could not be rolled back: {error}",
                left=[f"snapshot {snapshot.id} of {machine._subject()}"],
                hint=f"machine.snapshots[{snapshot.id!r}].restore()",
            )
            if first is None:
                raise left from error
            # What went wrong in the block comes first; this goes with it.
            _log.error("%s", left)
            if hasattr(first, "add_note"):  # Python 3.11
                first.add_note(str(left))

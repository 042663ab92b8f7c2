"""A snapshot of a machine."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from vboxkit.core.waiting import Deadline
from vboxkit.errors import InvalidStateError, NotFoundError
from vboxkit.machines import rollback, snapshot_tree
from vboxkit.machines.base import Attribute, ComObject, api_call
from vboxkit.machines.configuration import ConfigurableMachine
from vboxkit.machines.locks import locked, require_no_edit
from vboxkit.machines.parts import Setting, invalid, require_text
from vboxkit.machines.progress import Progress, progress_hook
from vboxkit.machines.states import ONLINE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.com.interfaces import ISnapshot
    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.progress import ProgressHook
    from vboxkit.machines.record import Record
    from vboxkit.settings import StartMode

__all__ = ["RecordedMachine", "Snapshot", "check_name"]


def check_name(obj: ComObject, name: str) -> None:
    """Refuse a name for a snapshot that VirtualBox cannot keep, or that nobody could find."""
    if not name.strip():
        raise invalid(
            obj,
            f"a snapshot cannot be named {name!r}",
            hint="give a name by which it can be found",
            operation="name a snapshot",
        )
    require_text(obj, "a snapshot's name", name)


class RecordedMachine(ConfigurableMachine):
    """A machine as it was when a snapshot was taken; can be read, not changed."""

    def __init__(self, snapshot: Snapshot) -> None:
        machine = snapshot.machine
        super().__init__(machine._api, snapshot.com.machine, machine.settings)
        # Its UUID is the machine's; but it is another thing, with other values.
        self.id = f"{snapshot.id} of {machine.id}"
        self._name = f"{machine._name}: snapshot {snapshot._name}"
        self.unchangeable = "it is kept in a snapshot"

    def _current(self) -> Any:
        return self.com


class Snapshot(ComObject):
    """
    A point in a machine's life to which it can go back.

    Attributes:
        machine: The machine it belongs to.
        id: Its UUID.
    """

    com: ISnapshot

    online = Attribute("online", bool, "Whether it holds the memory of a running guest.")
    #: Milliseconds since the epoch, as VirtualBox keeps it.
    time_ms = Attribute("timeStamp", int, "When it was taken, in milliseconds since the epoch.")
    description = Setting("description", str, "A free text; can be set at any time.")

    def __init__(self, machine: Machine, com: Any) -> None:
        super().__init__(machine._api, com)
        self.machine = machine
        self.id = str(com.id)
        self._name = str(com.name)

    def _subject(self) -> str:
        return f"{self.machine._subject()}: snapshot {self._name!r}"

    def _state(self) -> str:
        there = self.machine.snapshots.by_id(self.id) is not None
        return f"machine {self.machine.state}" if there else "deleted"

    def __repr__(self) -> str:
        return f"<Snapshot {self._name!r} of {self.machine!r}>"

    def __eq__(self, other: object) -> bool:
        # A clone of a whole tree has snapshots with the UUIDs of the original's.
        return isinstance(other, Snapshot) and other.id == self.id and other.machine == self.machine

    def __hash__(self) -> int:
        return hash((self.machine.id, self.id))

    @contextmanager
    def _changing(self) -> Iterator[Any]:
        # Name and description need no lock, and VirtualBox writes them at once.
        yield self._existing()

    def _existing(self) -> Any:
        """
        Return the raw snapshot as the machine has it.

        Raises:
            NotFoundError: It was deleted.
        """
        found = self.machine.snapshots.by_id(self.id)
        if found is None:
            raise NotFoundError(
                f"{self._subject()} does not exist any more",
                kind="snapshot",
                wanted=self.id,
                available=self.machine.snapshots.paths(),
                hint="it was deleted; machine.snapshots has those there are",
            )
        return found.com

    # Reading

    @property
    @api_call("read the name")
    def name(self) -> str:
        """Its name, which need not be unique; can be set at any time."""
        return str(self.com.name)

    @name.setter
    @api_call("rename the snapshot")
    def name(self, value: str) -> None:
        check_name(self, value)
        with self._changing() as com:
            com.name = value
        self._name = value

    @property
    def timestamp(self) -> datetime:
        """When it was taken, in UTC."""
        return datetime.fromtimestamp(self.time_ms / 1000, tz=timezone.utc)

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

    @property
    def path(self) -> str:
        """The names from the root to this snapshot: ``/base/after install``."""
        names = []
        at: Snapshot | None = self
        while at is not None:
            names.append(at.name)
            at = at.parent
        return "/" + "/".join(reversed(names))

    @property
    def current(self) -> bool:
        """Whether the machine stands on it now."""
        return self.machine.snapshots.current == self

    @property
    @api_call("read the hardware")
    def hardware(self) -> RecordedMachine:
        """The machine as it was then, with all its settings; it cannot be changed."""
        return RecordedMachine(self)

    # Doing

    def describe(self) -> Record:
        """
        Return the machine's configuration as it was; see `Machine.describe`.

        Example:
            ``print(vboxkit.diff(machine.snapshots["before"], machine))``
        """
        return self.hardware.describe()

    def restore(
        self, *, timeout: Timeout | None = None, on_update: ProgressHook | None = None
    ) -> None:
        """
        Bring the machine back to this snapshot; what it is now is lost.

        The machine must not run. After an online snapshot it is Saved, and `Machine.start` goes
        on where the guest stood. Its name and description stay as they are.

        Args:
            timeout: Seconds; `Settings.progress_timeout` if left out.
            on_update: Called with the progress; see `progress_hook`.

        Raises:
            InvalidStateError: The machine runs.
            NotFoundError: The snapshot was deleted.
        """
        require_no_edit(self.machine, "restore a snapshot")
        state = self.machine.state
        if state in ONLINE:
            raise InvalidStateError(
                f"{self._subject()} cannot be restored while the machine is {state}",
                state=str(state),
                needed=["PoweredOff", "Saved", "Aborted"],
                operation="restore the snapshot",
                hint="power_off() the machine first, or use restore_to_running() or"
                " machine.rollback()",
            )
        settings = self.machine.settings
        with (
            progress_hook(on_update),
            self._translated("restore the snapshot"),
            locked(self.machine, timeout=settings.lock_timeout) as session,
        ):
            # VBoxSVC 7.2 dies of restoreSnapshot() with a snapshot that was deleted.
            com = session.machine.restoreSnapshot(self._existing())
            Progress(self._api, com, what="restore the snapshot", subject=self._subject()).wait(
                timeout=timeout if timeout is not None else settings.progress_timeout
            )

    def restore_to_running(
        self,
        *,
        mode: StartMode | None = None,
        rollback_on_failure: bool = True,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
    ) -> None:
        """
        Bring the machine back to this snapshot and let it run; what it is now is lost.

        It may run now: it is powered off. After an online snapshot the guest goes on where it
        stood; after another one it boots, and this returns when it begins to.

        Args:
            mode: As of `Machine.start`.
            rollback_on_failure: Take a snapshot of the present state first, go back to it if the
                machine cannot be started, and delete it. Of a running machine that writes its
                whole memory. Without, such a machine is left at this snapshot, not running.
            timeout: Seconds for the whole; the sum of `Settings.progress_timeout` and
                `Settings.start_timeout` if left out.
            on_update: Called with each progress; see `progress_hook`.

        Raises:
            NotFoundError: The snapshot was deleted; nothing was done.
            StartError: As all errors of `Machine.start`.
            CleanupError: It could not go back; the snapshot taken first is still there.

        Example:
            ``machine.snapshots["base/logged in"].restore_to_running()``
        """
        settings = self.machine.settings
        usual = settings.progress_timeout + settings.start_timeout
        with progress_hook(on_update), self._translated("restore the snapshot"):
            self._existing()
            rollback.restore_to_running(
                self,
                mode=mode,
                keep=rollback_on_failure,
                deadline=Deadline(usual if timeout is None else timeout),
            )

    def delete(
        self,
        *,
        children: bool = False,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
    ) -> None:
        """
        Delete this snapshot; its disks are merged into what comes after it.

        The machine's present state stays as it is, also while it runs.

        Args:
            children: Delete all that were taken after it, too. VirtualBox deletes them one by
                one, the youngest first; those that are gone when it fails stay gone.
            timeout: Seconds for the whole; `Settings.progress_timeout` if left out.
            on_update: Called with each progress; see `progress_hook`.

        Raises:
            InvalidStateError: Linked clones or forks stand on it, or more than one snapshot or
                present state was made from it. Nothing was deleted.
            NotFoundError: It was deleted already.
        """
        require_no_edit(self.machine, "delete a snapshot")
        doomed: list[Snapshot] = [self]
        if children:
            doomed = [s for _, s in snapshot_tree.walk(self)][::-1]
        snapshot_tree.delete(self.machine, doomed, timeout=timeout, on_update=on_update)

    def _delete(self, deadline: Deadline) -> None:
        settings = self.machine.settings
        with (
            self._translated("delete the snapshot"),
            locked(self.machine, timeout=settings.lock_timeout) as session,
        ):
            self._existing()
            com = session.machine.deleteSnapshot(self.id)
            Progress(self._api, com, what="delete the snapshot", subject=self._subject()).wait(
                timeout=deadline
            )

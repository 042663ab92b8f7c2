"""The snapshots of a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload
from uuid import UUID

from vboxkit.core.waiting import Deadline
from vboxkit.errors import NotFoundError
from vboxkit.machines import snapshot_tree
from vboxkit.machines.locks import locked, require_no_edit
from vboxkit.machines.parts import require_text
from vboxkit.machines.progress import Progress, progress_hook, unhooked
from vboxkit.machines.snapshot import Snapshot, check_name
from vboxkit.machines.states import MachineState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.progress import ProgressHook

__all__ = ["Snapshot", "Snapshots"]


class Snapshots:
    """
    The snapshots of a machine, a tree: ``["name"]``, ``in``, iteration (parents first), ``len``.

    One is found by its name, its UUID, or its path: the names of snapshots that were taken one
    after the other, as ``["base/after install"]``. A path that begins with ``/`` begins with the
    first snapshot of all.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def __repr__(self) -> str:
        return f"<Snapshots of {self._machine!r}>"

    def take(
        self,
        name: str,
        *,
        description: str = "",
        pause: bool = False,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
    ) -> Snapshot:
        """
        Take a snapshot.

        A running machine gives an online snapshot, with its memory, and goes on running; a saved
        one, too, and stays saved.

        Args:
            name: Its name.
            description: A free text.
            pause: Stop the guest meanwhile; otherwise it is held for the last moment only (a
                *live* snapshot).
            timeout: Seconds; `Settings.progress_timeout` if left out.
            on_update: Called with the progress; see `progress_hook`.

        Raises:
            ProgressFailedError: No space, for one; nothing is left behind.
        """
        machine = self._machine
        require_no_edit(machine, "take a snapshot")
        check_name(machine, name)
        require_text(machine, "a snapshot's description", description)
        settings = machine.settings
        with (
            progress_hook(on_update),
            machine._translated("take a snapshot"),
            locked(machine, timeout=settings.lock_timeout) as session,
        ):
            # Only a running machine has something to pause; asked for a live snapshot, any other
            # one is refused ("unless it is running").
            held = pause or machine.state is not MachineState.RUNNING
            com, uuid = session.machine.takeSnapshot(name, description, held)
            done = False
            try:
                Progress(
                    machine._api,
                    com,
                    what=f"take snapshot {name!r}",
                    subject=machine._subject(),
                ).wait(timeout=timeout if timeout is not None else settings.progress_timeout)
                done = True
            finally:
                # It may have been done before it could be canceled.
                late = None if done else self.by_id(str(uuid))
                if late is not None:
                    with unhooked():
                        late._delete(Deadline(settings.progress_timeout))
            return Snapshot(machine, machine.com.findSnapshot(uuid))

    def delete_range(
        self,
        first: Snapshot | str,
        last: Snapshot | str,
        *,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
    ) -> None:
        """
        Delete a snapshot, a later one, and those between them; what comes after stays.

        VirtualBox deletes them one by one, the youngest first; those that are gone when it fails
        stay gone.

        Args:
            first: The oldest.
            last: The youngest.
            timeout: Seconds for the whole; `Settings.progress_timeout` if left out.
            on_update: Called with each progress; see `progress_hook`.

        Raises:
            NotFoundError: There is no such snapshot, or `last` was not taken after `first`.
            InvalidStateError: As for `Snapshot.delete`. Nothing was deleted.

        Example:
            ``machine.snapshots.delete_range("monday", "friday")``
        """
        require_no_edit(self._machine, "delete snapshots")
        doomed = snapshot_tree.between(self.own(first), self.own(last))
        snapshot_tree.delete(self._machine, doomed, timeout=timeout, on_update=on_update)

    # Looking

    @property
    def root(self) -> Snapshot | None:
        """The first snapshot of all."""
        if not len(self):
            return None
        with self._machine._translated("read the first snapshot"):
            # An empty name finds the root.
            return Snapshot(self._machine, self._machine.com.findSnapshot(""))

    @property
    def current(self) -> Snapshot | None:
        """The snapshot on which the machine stands now."""
        with self._machine._translated("read the current snapshot"):
            com = self._machine.com.currentSnapshot
            return None if com is None else Snapshot(self._machine, com)

    def walk(self) -> Iterator[tuple[int, Snapshot]]:
        """Yield every snapshot with its depth (0 for the first), parents before children."""
        root = self.root
        if root is not None:
            yield from snapshot_tree.walk(root)

    def paths(self) -> list[str]:
        """Return the path of every snapshot, parents first."""
        return [path for path, _ in snapshot_tree.with_paths(self.walk())]

    def tree(self, *, plain: bool = False) -> str:
        """
        Draw the snapshots and where the machine stands; times are local.

        Args:
            plain: Use ASCII characters only for the lines.

        Example:
            ``print(machine.snapshots.tree())``
        """
        with self._machine._translated("draw the snapshots"):
            return snapshot_tree.draw(self._machine, plain=plain)

    def find(self, name: str) -> Snapshot | None:
        """
        Return the snapshot with this name, path or UUID, or `None`.

        Raises:
            AmbiguousNameError: There are several; the error has their paths.
        """
        self._require_name(name)
        found = self.by_id(name)
        return found or snapshot_tree.find(self._machine, name)

    def by_id(self, uuid: str) -> Snapshot | None:
        """Return the snapshot with this UUID, or `None`."""
        self._require_name(uuid)
        try:
            wanted = str(UUID(uuid))
        except ValueError:
            return None
        with self._machine._translated(f"find snapshot {uuid}"):
            try:
                return Snapshot(self._machine, self._machine.com.findSnapshot(wanted))
            except Exception as error:
                foreign = self._machine._api.foreign(error)
                # E_FAIL: so findSnapshot() says that there is no such UUID. For a machine without
                # any snapshot it has a code of its own.
                if foreign is None or foreign.symbol not in {"E_FAIL", "VBOX_E_OBJECT_NOT_FOUND"}:
                    raise
                return None

    def _require_name(self, name: object) -> None:
        if not isinstance(name, str):
            msg = (
                f"{self._machine._subject()}: a snapshot is found by its name, path or UUID, a str,"
                f" not {name!r}"
            )
            raise TypeError(msg)

    @overload
    def own(self, snapshot: Snapshot | str) -> Snapshot: ...
    @overload
    def own(self, snapshot: Snapshot | str | None) -> Snapshot | None: ...
    def own(self, snapshot: Snapshot | str | None) -> Snapshot | None:
        """
        Return a snapshot of this machine, given itself, or its name, path or UUID.

        `None` stays `None`.

        Raises:
            NotFoundError: There is none, or it is another machine's.
        """
        if snapshot is None or isinstance(snapshot, str):
            return None if snapshot is None else self[snapshot]
        if not isinstance(snapshot, Snapshot):
            self._require_name(snapshot)
        if snapshot.machine != self._machine:
            raise NotFoundError(
                f"{snapshot._subject()} is none of {self._machine._subject()}",
                kind="snapshot",
                wanted=snapshot.id,
                available=self.paths(),
                hint="give one of machine.snapshots",
            )
        return snapshot

    def __getitem__(self, name: str) -> Snapshot:
        found = self.find(name)
        if found is None:
            raise snapshot_tree.not_found(self._machine, name)
        return found

    def __contains__(self, name: object) -> bool:
        if isinstance(name, Snapshot):
            return any(s == name for s in self)
        return isinstance(name, str) and bool(
            self.by_id(name) or snapshot_tree.matches(self._machine, name)
        )

    def __len__(self) -> int:
        with self._machine._translated("count the snapshots"):
            return int(self._machine.com.snapshotCount)

    def __iter__(self) -> Iterator[Snapshot]:
        return (snapshot for _, snapshot in self.walk())

"""Folders of the host that the guest sees."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.errors import AlreadyExistsError, InvalidStateError, StorageError
from vboxkit.machines.base import api_call
from vboxkit.machines.locks import locked
from vboxkit.machines.mappings import LiveMapping, require_printable
from vboxkit.machines.parts import invalid
from vboxkit.machines.states import ONLINE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.machines.properties import MachineProperties

__all__ = ["SharedFolder", "SharedFolders"]

#: Bytes; vboxsf in the guest mounts no longer ones.
_LONGEST_NAME = 255


@dataclass(frozen=True)
class SharedFolder:
    """
    A shared folder as it was when it was read.

    Attributes:
        name: The name by which the guest mounts it.
        path: The folder of the host.
        writable: Whether the guest may write into it.
        auto_mount: Whether the Guest Additions mount it by themselves.
        mount_point: Where they do; VirtualBox chooses if it is empty.
        transient: Whether it goes when the machine stops.
        accessible: Whether the host's folder is there; not compared.
        error: Why it is not; not compared.
    """

    name: str
    path: Path
    writable: bool = False
    auto_mount: bool = False
    mount_point: str = ""
    transient: bool = False
    accessible: bool = field(default=True, compare=False)
    error: str = field(default="", compare=False)


class SharedFolders(LiveMapping[SharedFolder]):
    """
    The shared folders of a machine, as a `dict` from names to `SharedFolder`.

    A path alone makes a permanent folder that the guest can only read; `add` has the other ways.
    While the machine runs, looking takes its (shared) lock, for only the VM process knows the
    transient ones.

    Example:
        ``machine.shared_folders["src"] = "/home/me/src"``
    """

    noun = "shared folder"

    def __init__(self, machine: MachineProperties) -> None:
        super().__init__(machine)
        self._machine = machine

    def _all(self) -> dict[str, SharedFolder]:
        api = self._api
        found = [_folder(com) for com in api.array(self._current(), "sharedFolders")]
        if self._machine.state in ONLINE:
            with self._console() as console:
                found += [
                    _folder(com, transient=True) for com in api.array(console, "sharedFolders")
                ]
        return {folder.name: folder for folder in found}

    @contextmanager
    def _console(self) -> Iterator[Any]:
        machine = self._machine
        with locked(machine, timeout=machine.settings.lock_timeout, needs_vm=True) as session:
            yield session.console

    @api_call("add it")
    def add(
        self,
        name: str,
        path: Path | str,
        *,
        writable: bool = False,
        auto_mount: bool = False,
        mount_point: str = "",
        transient: bool = False,
    ) -> SharedFolder:
        """
        Share a folder of the host with the guest.

        Args:
            name: The name by which the guest mounts it.
            path: The folder; must be there.
            writable: Let the guest write into it.
            auto_mount: Let the Guest Additions mount it by themselves.
            mount_point: Where they do, such as ``/src`` or ``S:``; implies nothing by itself.
            transient: Only until the machine stops, and not in its settings; it has to run.

        Raises:
            AlreadyExistsError: There is a shared folder of that name.
            StorageError: There is no such folder.
            InvalidStateError: A transient one, and the machine does not run.

        Example:
            ``machine.shared_folders.add("out", "/tmp/out", writable=True, auto_mount=True)``
        """
        folder = SharedFolder(
            name, Path(path).expanduser().absolute(), writable, auto_mount, mount_point, transient
        )
        self._check(name, folder)
        if name in self:
            raise AlreadyExistsError(
                f"{self._owner._subject()} ({self._state()}) has a shared folder {name!r} already",
                kind=self.noun,
                wanted=name,
                operation="add it",
                hint=f"del machine.shared_folders[{name!r}] first, or give another name",
            )
        with self._changing():
            self._create(folder)
        return self[name]

    def _check(self, name: str, value: Any) -> None:
        require_printable(self, "shared folder's name", name, longest=_LONGEST_NAME)
        # VirtualBox takes slashes, and the guest then cannot mount it.
        if set(name) & set("/\\"):
            raise invalid(
                self,
                f"a shared folder cannot be named {name!r}",
                hint="leave out slashes",
                operation="add it",
            )
        folder = self._made(name, value)
        if not folder.path.is_dir():
            what = "is no folder" if folder.path.exists() else "does not exist"
            raise StorageError(
                f"{self._owner._subject()} ({self._state()}): cannot share {folder.path}:"
                f" it {what}",
                operation="add it",
                hint="make the folder first, or check the path",
            )
        if folder.transient and self._machine.state not in ONLINE:
            raise InvalidStateError(
                f"{self._owner._subject()} is {self._state()}: a transient shared folder needs a"
                " running VM",
                state=self._state(),
                needed=["Running", "Paused"],
                operation="add it",
                hint="start() it first, or leave transient out",
            )

    def _made(self, name: str, value: object) -> SharedFolder:
        if isinstance(value, SharedFolder):
            return value
        if isinstance(value, str | Path):
            return SharedFolder(name, Path(value).expanduser().absolute())
        raise TypeError(
            f"{self._subject()}: a shared folder is a path or SharedFolder,"
            f" not {type(value).__name__}"
        )

    def _write(self, name: str, value: Any) -> None:
        folder = self._made(name, value)
        before = self._read(name)
        if before is not None:
            self._remove(name)
        done = False
        try:
            self._create(folder, name)
            done = True
        finally:
            # What a running machine was told holds at once: Machine.edit does not undo it.
            if not done and before is not None and before.transient:
                self._create(before)

    def _create(self, folder: SharedFolder, name: str = "") -> None:
        arguments = (
            name or folder.name,
            str(folder.path),
            folder.writable,
            folder.auto_mount,
            folder.mount_point,
        )
        if folder.transient:
            with self._console() as console:
                console.createSharedFolder(*arguments)
            return
        with self._changing() as com:
            com.createSharedFolder(*arguments)

    def _remove(self, name: str) -> None:
        found = self._read(name)
        if found is not None and found.transient:
            with self._console() as console:
                console.removeSharedFolder(name)
            return
        with self._changing() as com:
            com.removeSharedFolder(name)


def _folder(com: Any, *, transient: bool = False) -> SharedFolder:
    return SharedFolder(
        name=str(com.name),
        path=Path(str(com.hostPath)),
        writable=bool(com.writable),
        auto_mount=bool(com.autoMount),
        mount_point=str(com.autoMountPoint),
        transient=transient,
        accessible=bool(com.accessible),
        error=str(com.lastAccessError),
    )

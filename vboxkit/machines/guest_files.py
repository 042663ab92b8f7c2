"""Files of a guest by guest control."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import GuestFileError, InvalidStateError
from vboxkit.machines.base import ComObject
from vboxkit.machines.progress import Progress
from vboxkit.machines.states import MachineState

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from vboxkit.com.interfaces import IGuest, IGuestSession
    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.properties import MachineProperties

__all__ = ["GuestFiles", "service_stamp"]

#: Bytes at once; the Guest Additions take 64 KB, some of it their own.
_CHUNK = 1 << 15
_PATIENCE_MS = 10_000


def service_stamp(machine: Any) -> object:
    """Return what changes when the guest's VBoxService is started anew; `None` without one."""
    return next((f.since for f in machine.additions.facilities if f.kind == "VBoxService"), None)


class GuestFiles(ComObject):
    """The file methods of `GuestSession`; paths in the guest are absolute."""

    com: IGuestSession

    def __init__(self, machine: MachineProperties, com: IGuestSession) -> None:
        super().__init__(machine._api, com)
        self._machine = machine
        self._service = service_stamp(machine)

    def _subject(self) -> str:
        return f"{self._machine._subject()}: guest session"

    def _state(self) -> str:
        return str(self._machine.state)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        raise NotImplementedError

    def _ready(self, operation: str) -> IGuest:
        """Refuse at once what could not work, or would hang: VirtualBox waits 30 s for a guest."""
        machine: Any = self._machine
        if machine.state is not MachineState.RUNNING or self.closed:
            state = "closed" if self.closed else str(machine.state)
            who = self._subject() if self.closed else machine._subject()
            raise InvalidStateError(
                f"{who} is {state}: cannot {operation}",
                state=state,
                needed=["Running"],
                operation=operation,
                hint="open a new session" if self.closed else "start() or resume() it first",
            )
        guest: IGuest = machine.additions.require(operation)
        status = self._api.name("GuestSessionStatus", self.com.status)
        if service_stamp(machine) != self._service:
            status = "Down"  # VirtualBox has not noticed, and would wait
        if status != "Started":
            raise InvalidStateError(
                f"{self._subject()} is {status}: cannot {operation}",
                state=status,
                needed=["Started"],
                operation=operation,
                hint="the guest or its VBoxService has ended it: open a new one",
            )
        return guest

    def _refused(self, error: Exception, what: str) -> GuestFileError | None:
        foreign = self._api.foreign(error)
        if foreign is None or foreign.lost or foreign.symbol != "VBOX_E_IPRT_ERROR":
            return None
        return GuestFileError(f"{self._machine._subject()}: cannot {what}: {foreign.text.strip()}")

    def _do(self, what: str, call: Callable[..., Any], *args: Any) -> Any:
        self._ready(what)
        with self._translated(what):
            try:
                return call(*args)
            except Exception as error:
                mine = self._refused(error, what)
                if mine is None:
                    raise
                raise mine from error

    def exists(self, path: str) -> bool:
        """Whether there is a file, folder or anything else of that name; links are followed."""
        return bool(self._do(f"look for {path!r}", self.com.fsObjExists, path, True))

    def is_dir(self, path: str) -> bool:
        """Whether it is a folder."""
        # directoryExists() of what is not there at all is an error.
        return self.exists(path) and bool(
            self._do(f"look for {path!r}", self.com.directoryExists, path, True)
        )

    def mkdir(self, path: str, *, mode: int = 0o755, parents: bool = False) -> None:
        """
        Make a folder.

        Args:
            path: The folder.
            mode: Its permissions, on guests that have such.
            parents: Make those above it, too, and be content if it is there.

        Raises:
            GuestFileError: It exists, or its parent does not, or may not be written.
        """
        if parents and self.is_dir(path):
            return
        flags = [self._api.value("DirectoryCreateFlag", "Parents")] if parents else []
        self._do(f"make {path!r}", self.com.directoryCreate, path, mode, flags)

    def remove(self, path: str, *, recursive: bool = False, timeout: Timeout | None = None) -> None:
        """
        Remove a file or an empty folder.

        Args:
            path: What to remove.
            recursive: Remove a folder with all that is in it.
            timeout: Seconds, for a folder; `Settings.command_timeout` if left out.

        Raises:
            GuestFileError: It is not there, not empty, or may not be removed.
        """
        what = f"remove {path!r}"
        if not self.is_dir(path):
            self._do(what, self.com.fsObjRemove, path)
        elif recursive:
            flags = [self._api.value("DirectoryRemoveRecFlag", "ContentAndDir")]
            self._wait(
                what, self._do(what, self.com.directoryRemoveRecursive, path, flags), timeout
            )
        else:
            self._do(what, self.com.directoryRemove, path)

    def read_bytes(self, path: str, *, timeout: Timeout | None = None) -> bytes:
        """
        Return a guest file's content.

        Args:
            path: The file.
            timeout: Seconds; `Settings.command_timeout` if left out.

        Raises:
            GuestFileError: It is not there, or may not be read.
        """
        api, what = self._api, f"read {path!r}"
        modes = api.value("FileAccessMode", "ReadOnly"), api.value("FileOpenAction", "OpenExisting")
        file = self._do(what, self.com.fileOpen, path, *modes, 0)
        pieces: list[bytes] = []

        def more() -> bool | None:
            piece = bytes(self._do(what, file.read, _CHUNK, _PATIENCE_MS))
            pieces.append(piece)
            return None if piece else True

        try:
            self._until(more, what, timeout)
        finally:
            self._leave(file.close)
        return b"".join(pieces)

    def write_bytes(
        self, path: str, content: bytes, *, mode: int = 0o644, timeout: Timeout | None = None
    ) -> None:
        """
        Make or replace a guest file.

        Args:
            path: The file; its folder must exist.
            content: All of it.
            mode: Its permissions if it is made, on guests that have such.
            timeout: Seconds; `Settings.command_timeout` if left out.

        Raises:
            GuestFileError: It may not be written, or there is no room.
        """
        api, what = self._api, f"write {path!r}"
        modes = (
            api.value("FileAccessMode", "WriteOnly"),
            api.value("FileOpenAction", "CreateOrReplace"),
        )
        file = self._do(what, self.com.fileOpen, path, *modes, mode)
        left = memoryview(content)

        def more() -> bool | None:
            nonlocal left
            if left:
                written = self._do(what, file.write, bytes(left[:_CHUNK]), _PATIENCE_MS)
                left = left[int(written) :]
            return None if left else True

        try:
            self._until(more, what, timeout)
        finally:
            self._leave(file.close)

    def read_text(self, path: str, *, timeout: Timeout | None = None) -> str:
        """Return a guest file's text, which must be UTF-8; raises as `read_bytes` does."""
        return self.read_bytes(path, timeout=timeout).decode("utf-8")

    def write_text(
        self, path: str, text: str, *, mode: int = 0o644, timeout: Timeout | None = None
    ) -> None:
        """Make or replace a guest file, in UTF-8; raises as `write_bytes` does."""
        self.write_bytes(path, text.encode("utf-8"), mode=mode, timeout=timeout)

    def put(
        self, source: str | os.PathLike[str], target: str, *, timeout: Timeout | None = None
    ) -> None:
        """
        Copy a file to the guest, replacing what is there.

        Args:
            source: A file of this machine.
            target: Its path in the guest, name included; the folder must exist.
            timeout: Seconds; `Settings.command_timeout` if left out.

        Raises:
            GuestFileError: A file or folder is missing, forbidden, or of the wrong kind.
        """
        path, what = Path(source).absolute(), f"copy {source} to {target!r}"
        if not path.is_file():
            raise GuestFileError(f"{path} on this machine is no file")
        self._wait(what, self._do(what, self.com.fileCopyToGuest, str(path), target, []), timeout)

    def get(
        self, source: str, target: str | os.PathLike[str], *, timeout: Timeout | None = None
    ) -> Path:
        """
        Copy a file from the guest, replacing what is here; return the target.

        Args:
            source: Its path in the guest.
            target: Its path on this machine, name included; the folder must exist.
            timeout: Seconds; `Settings.command_timeout` if left out.

        Raises:
            GuestFileError: A file or folder is missing, forbidden, or of the wrong kind.
        """
        path, what = Path(target).absolute(), f"copy {source!r} to {target}"
        if path.is_dir() or not path.parent.is_dir():
            raise GuestFileError(f"{path} on this machine is a folder, or in none that exists")
        draft = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
        try:
            copying = self._do(what, self.com.fileCopyFromGuest, source, str(draft), [])
            self._wait(what, copying, timeout)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        return path

    def _until(self, more: Callable[[], bool | None], what: str, timeout: Timeout | None) -> None:
        wait_until(
            more,
            what=f"{self._machine._subject()} to {what}",
            timeout=self._machine.settings.command_timeout if timeout is None else timeout,
            poll=0,
        )

    def _wait(self, what: str, com: Any, timeout: Timeout | None) -> None:
        progress = Progress(self._api, com, what=what, subject=self._machine._subject())
        deadline = self._machine.settings.command_timeout if timeout is None else timeout
        try:
            progress.wait(timeout=Deadline(deadline))
        except Exception as error:
            if getattr(error, "symbol", "") != "VBOX_E_IPRT_ERROR":
                raise
            raise GuestFileError(str(error)) from error

    def _leave(self, close: Callable[[], object]) -> None:
        try:
            close()
        except Exception as error:  # what it held is gone with the session
            if self._api.foreign(error) is None:
                raise

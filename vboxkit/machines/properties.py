"""What a machine is and how it is set up."""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.errors import NotFoundError, SetupError, StorageError
from vboxkit.machines import clones
from vboxkit.machines.base import Attribute, ComObject, api_call
from vboxkit.machines.locks import held, holds, locked, pending_extra_data, pending_undo
from vboxkit.machines.network import Network
from vboxkit.machines.parts import Setting, within
from vboxkit.machines.serial_port import SerialPort
from vboxkit.machines.states import MachineState, SessionState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

    from vboxkit.com.api import Api
    from vboxkit.com.interfaces import IMachine
    from vboxkit.settings import Settings

__all__ = ["MachineProperties"]

#: What XPCOM shows for "no process".
_NO_PID = 0xFFFFFFFF


def _limits(name: str) -> tuple[Callable[[Any], int], Callable[[Any], int]]:
    def read(end: str) -> Callable[[Any], int]:
        return lambda obj: int(getattr(obj._api.virtualbox.systemProperties, f"{end}{name}"))

    return read("min"), read("max")


class MachineProperties(ComObject):
    """
    The part of `Machine` that reads and changes what a machine is, not what it does.

    Attributes:
        id: Its UUID.
        settings: Timeouts and the start mode.
        network: Its network adapters.
    """

    com: IMachine

    os_type = Attribute("OSTypeId", str, "The guest operating system's type, as `Linux26_64`.")
    snapshot_count = Attribute("snapshotCount", int, "How many snapshots it has.")
    log_folder = Attribute("logFolder", Path, "Where VBox.log is written.")
    snapshot_folder = Attribute("snapshotFolder", Path, "Where its snapshots' files are kept.")
    settings_file = Attribute("settingsFilePath", Path, "Its ``.vbox`` file.")

    memory_mb = Setting(
        "memorySize",
        int,
        "RAM in MiB; can be set while it is powered off.",
        check=within(*_limits("GuestRAM"), "MiB"),
    )
    cpus = Setting(
        "CPUCount",
        int,
        "Virtual CPUs; can be set while it is powered off.",
        check=within(*_limits("GuestCPUCount")),
    )
    description = Setting("description", str, "A free text.")

    #: Why nothing of it can be changed, for a machine that is only a record.
    unchangeable = ""

    def __init__(self, api: Api, com: Any, settings: Settings) -> None:
        super().__init__(api, com)
        self.settings = settings
        self.id = str(com.id)
        self._name = str(com.name)
        self.network = Network(self)

    def _subject(self) -> str:
        return f"machine {self._name!r}"

    def _state(self) -> str:
        return str(self.state)

    def _current(self) -> Any:
        session = held(self)
        return self.com if session is None else session.machine

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name!r} {self.id[:8]}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MachineProperties) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    # Reading

    @property
    @api_call("read the state")
    def state(self) -> MachineState:
        """What it is doing now."""
        return MachineState(self._api.name("MachineState", self.com.state))

    @property
    @api_call("read when the state changed")
    def state_since(self) -> datetime:
        """Since when it is doing that, in UTC."""
        return datetime.fromtimestamp(int(self.com.lastStateChange) / 1000, timezone.utc)

    @property
    @api_call("read the session state")
    def session_state(self) -> SessionState:
        """Whether somebody holds its lock."""
        return SessionState(self._api.name("SessionState", self.com.sessionState))

    @property
    @api_call("read the session's process")
    def session_pid(self) -> int | None:
        """The process that holds its lock: the VM process, if it runs."""
        pid = int(self.com.sessionPID)
        return None if pid in {0, _NO_PID} else pid

    @property
    @api_call("look for the machine")
    def registered(self) -> bool:
        """Whether VirtualBox still knows it; a destroyed machine's object answers as before."""
        try:
            self._api.virtualbox.findMachine(self.id)
        except Exception as error:
            foreign = self._api.foreign(error)
            if foreign is None or foreign.symbol != "VBOX_E_OBJECT_NOT_FOUND":
                raise
            return False
        return True

    def _require_registered(self, operation: str) -> None:
        if not self.registered:
            raise NotFoundError(
                f"{self._subject()} ({self.id}) does not exist any more: cannot {operation}",
                kind="machine",
                wanted=self.id,
                operation=operation,
                hint="it was destroyed or unregistered; vbox.machines has those there are",
            )

    @property
    def folder(self) -> Path:
        """The folder with its settings, logs and snapshots."""
        return self.settings_file.parent

    @property
    def serial(self) -> SerialPort:
        """The first serial port."""
        with self._translated("read the serial port"):
            return SerialPort(self, 0)

    # Changing

    @property
    @api_call("read the name")
    def name(self) -> str:
        """Its name; setting it moves its folder along."""
        return str(self.com.name)

    @name.setter
    @api_call("rename the machine")
    def name(self, value: str) -> None:
        if value != self.name:
            clones.require_free_name(self._api, value)
        with self._changing() as com:
            com.name = value
        self._name = value

    @api_call("read extra data")
    def get_extra_data(self, key: str) -> str | None:
        """Return the text kept under a key, or `None`."""
        pending = pending_extra_data(self)
        return (pending[key] if key in pending else str(self.com.getExtraData(key))) or None

    @api_call("write extra data")
    def set_extra_data(self, key: str, value: str | None) -> None:
        """Keep a text under a key, or remove it (`None`)."""
        with self._changing():
            # IMachine::setExtraData writes all settings at once, also those of an edit() that may
            # still fail: so it waits for the end.
            pending_extra_data(self)[key] = value or ""

    @contextmanager
    def edit(self) -> Iterator[Self]:
        """
        Make several changes in one lock and one save, or none of them.

        Example:
            ``with machine.edit() as m: m.memory_mb, m.cpus = 2048, 2``
        """
        with self._translated("change the machine"), self._changing():
            yield self

    @contextmanager
    def _changing(self) -> Iterator[Any]:
        """
        Hold the lock and yield the changeable raw machine; saved at the end, or undone.

        Inside another one of the same thread, the outer one saves or undoes.
        """
        joined = holds(self)
        with locked(self, timeout=self.settings.lock_timeout) as session:
            com = session.machine
            if joined:
                yield com
                return
            done = False
            try:
                yield com
                com.saveSettings()
                for key, value in pending_extra_data(self).items():
                    com.setExtraData(key, value)
                done = True
            finally:
                if not done:
                    # SetupError: a fork of this process leaves the block, or Python has ended.
                    with suppress(SetupError):
                        com.discardSettings()
                        for undo in reversed(pending_undo(self)):
                            undo(com)
            self._require_written()

    def _require_written(self) -> None:
        """Raise if the disk was full: VirtualBox 7.2 then leaves an empty file, without a word."""
        file = self.settings_file
        with suppress(FileNotFoundError):  # it was renamed, or its group changed, since
            if not file.stat().st_size:
                free = shutil.disk_usage(file.parent).free
                raise StorageError(
                    f"{self._subject()}: VirtualBox has not written its settings to {file}"
                    f" ({free >> 10} KiB are free there), though it has them in memory",
                    symbol="VBOX_E_FILE_ERROR",
                    operation="save the settings",
                    hint="make room and change anything again, before VirtualBox ends;"
                    f" {file.name}-prev has the settings of before",
                )

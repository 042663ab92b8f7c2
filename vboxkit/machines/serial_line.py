"""
A serial port that is captured to a file, and can be typed on.

VirtualBox leads a port either to a file, which takes no input, or to a pipe. So the port of a
running machine is led to a pipe when somebody begins to type, and back to its file afterwards;
meanwhile a thread of ours writes down what comes. What VirtualBox 7.2 does, and what follows:

* Each change throws away what is in the port, up to 16 bytes: so the guest is paused for it.
* A guest that was in the middle of a line may then wait for an interrupt for ever, until something
  is typed. Hence a port goes back to its file only when it has been silent for a while.
* A file that a port is led to is made new: so what it held goes to another one first.
* While nobody is at the other end of the pipe nothing is lost: the guest waits. So a process that
  dies loses nothing, and the next one that types goes on where it stopped.
"""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.core.recorder import Recorder
from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import (
    ConnectionLostError,
    InvalidStateError,
    SetupError,
    VBoxKitError,
    WaitTimeoutError,
)
from vboxkit.machines import power
from vboxkit.machines.handing_back import HandBack
from vboxkit.machines.locks import locked
from vboxkit.machines.states import ONLINE, MachineState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.com.interfaces import ISession
    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.properties import MachineProperties

__all__ = ["SerialLine"]

#: How long a port has to be silent before it is led back, in seconds.
_SILENCE = 0.3
#: For how long a paused machine's port is listened to, for what is still on its way.
_REST = 0.05


class SerialLine:
    """
    The first serial port of a machine, for typing.

    Attributes:
        file: Where what the guest says is captured.
        earlier: Where what was captured is kept when VirtualBox makes the file new.
    """

    def __init__(self, machine: MachineProperties, file: Path, earlier: Path) -> None:
        self._machine = machine
        self.file = file
        self.earlier = earlier
        self._recorder: Recorder | None = None
        self._back: HandBack | None = None

    @property
    def open(self) -> bool:
        """Whether the port leads to this process now."""
        return self._recorder is not None and self._recorder.alive

    @property
    def running(self) -> bool:
        """Whether there is a guest that could say something."""
        try:
            return self._machine.state in ONLINE
        except VBoxKitError:
            return False

    def send(self, data: bytes) -> None:
        """
        Type; the first time the port is led to this process.

        Raises:
            InvalidStateError: The machine does not run, is paused, or its port leads elsewhere.
            ConnectionLostError: Another process types on it.
            WaitTimeoutError: The guest has read nothing of it for 30 s.
            SetupError: On Windows, where this is not there yet.
        """
        recorder = self._recorder
        if recorder is None or not recorder.alive:
            recorder = self._connect()
        begun = Deadline(0)
        try:
            recorder.send(data)
        except TimeoutError as error:
            raise WaitTimeoutError(
                f"{self._machine._subject()} ({self._machine.state}) to read its serial port",
                waited=begun.elapsed,
                last_seen=str(error),
                hint="is it paused, or does nobody read there? Some of the text was typed",
            ) from error
        except OSError as error:
            raise self._lost() from error

    def close(self, *, timeout: Timeout = 10) -> None:
        """
        Lead the port back to its file; does no harm if it is there already.

        Raises:
            WaitTimeoutError: The guest did not stop talking, in which it must not be interrupted.
                The port stays a pipe: the guest waits there for whoever types next.
        """
        recorder, self._recorder = self._recorder, None
        if self._back is not None:
            self._back.cancel()
            self._back = None
        if recorder is not None:
            _lead_back(self._machine, recorder, self.file, self.earlier, timeout)

    def hang_up(self) -> None:
        """Leave the port as it is: its machine goes away."""
        recorder, self._recorder = self._recorder, None
        if self._back is not None:
            self._back.cancel()
            self._back = None
        if recorder is not None:
            recorder.stop()

    def begin_anew(self) -> None:
        """
        Lead the port of a machine that is about to start to its file, which is made new then.

        A guest that goes on from a saved state goes on in the log, too.
        """
        self.hang_up()
        if self._machine.state is MachineState.SAVED:
            _keep(self.file, self.earlier)
        else:
            self.forget()
        port = self._machine.serial
        if port.mode == "HostPipe" and port.path == str(_socket_of(self._machine)):
            port.to_file(self.file)

    def forget(self) -> None:
        """Forget what was captured, of a machine that does not run."""
        self.file.unlink(missing_ok=True)
        self.earlier.unlink(missing_ok=True)

    def _connect(self) -> Recorder:
        if os.name == "nt":
            raise SetupError(
                f"{self._machine._subject()}: typing on a serial console is not there on Windows",
                hint="machine.serial.to_pipe() or to_tcp(), and a terminal program",
            )
        self.hang_up()
        machine, path = self._machine, _socket_of(self._machine)
        with machine._translated("type on the serial port"), _paused(machine) as session:
            port = session.machine.getSerialPort(0)
            mode, where = machine._api.name("PortMode", port.hostMode), str(port.path)
            if mode == "RawFile":
                path.unlink(missing_ok=True)
                _rest(lambda: self.file.stat().st_size if self.file.exists() else 0)
                _lead(machine, session, "HostPipe", path)
            elif (mode, where) != ("HostPipe", str(path)):
                raise InvalidStateError(
                    f"{machine._subject()} ({machine.state}): its serial port leads to"
                    f" {mode} {where}, not to a file".replace("  ", " "),
                    state=mode,
                    needed=["RawFile"],
                    operation="type on the serial port",
                    hint="machine.serial.to_file(...) first",
                )
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(path))
            except OSError as error:
                connection.close()
                raise self._lost() from error
            self._recorder = recorder = Recorder(connection, self.file)
        self._back = HandBack(
            self, machine._api, _lead_back_quietly, machine, recorder, self.file, self.earlier
        )
        return recorder

    def _lost(self) -> VBoxKitError:
        machine = self._machine
        if not self.running:
            return power.unfit(
                machine,
                "Running",
                operation="type on the serial port",
                problem="nobody reads there",
                hint="start it first",
            )
        return ConnectionLostError(
            f"{machine._subject()} ({machine.state}): its serial port let us go",
            operation="type on the serial port",
            hint="another process types on it; one at a time can",
        )


def _socket_of(machine: MachineProperties) -> Path:
    # Not in the machine's folder: the path of a socket has 107 bytes at most.
    folder = Path(tempfile.gettempdir()) / f"vboxkit-serial-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise SetupError(f"{folder} is somebody else's", hint="give another TMPDIR")
    return folder / f"{machine.id}.sock"


@contextmanager
def _paused(machine: MachineProperties) -> Iterator[ISession]:
    """Hold the lock of a running machine and keep its guest still."""
    with locked(machine, timeout=machine.settings.lock_timeout, needs_vm=True) as session:
        if machine.state is not MachineState.RUNNING:
            raise power.unfit(
                machine,
                "Running",
                operation="lead the serial port elsewhere",
                problem="its guest does not listen",
                hint="resume() it first",
            )
        session.console.pause()
        try:
            yield session
        finally:
            session.console.resume()


def _lead(machine: MachineProperties, session: ISession, mode: str, path: Path) -> None:
    port: Any = session.machine.getSerialPort(0)
    value = machine._api.value
    port.hostMode = value("PortMode", "Disconnected")
    port.path = str(path)
    port.server = mode == "HostPipe"
    port.hostMode = value("PortMode", mode)
    session.machine.saveSettings()


def _rest(count: Any) -> bool:
    """Listen for a moment; return whether nothing more came."""
    before, gap = count(), Deadline(_REST)
    wait_until(lambda: gap.expired or None, what="the port to rest", timeout=60, poll=_REST)
    return bool(count() == before)


def _lead_back(
    machine: MachineProperties, recorder: Recorder, file: Path, earlier: Path, timeout: Timeout
) -> None:
    deadline = Deadline(timeout)

    def attempt() -> bool | None:
        if not recorder.alive or machine.state not in ONLINE:
            return True
        if recorder.idle < _SILENCE:
            return None
        with machine._translated("lead the serial port back"), _paused(machine) as session:
            if not _rest(lambda: recorder.received):
                return None
            recorder.stop()
            _keep(file, earlier)
            _lead(machine, session, "RawFile", file)
        return True

    try:
        wait_until(
            attempt,
            what=f"a silence on the serial port of {machine._subject()}",
            timeout=deadline,
            poll=0.05,
            last_seen=lambda: f"the last byte {recorder.idle:.1f} s ago",
            hint="it stays a pipe, and the guest waits there for the next who types",
        )
    except InvalidStateError:
        # Paused by somebody: it may not be resumed by us. Or off since.
        if machine.state in ONLINE:
            raise
    finally:
        recorder.stop()


def _lead_back_quietly(
    machine: MachineProperties, recorder: Recorder, file: Path, earlier: Path
) -> None:
    try:
        _lead_back(machine, recorder, file, earlier, 2)
    except (VBoxKitError, WaitTimeoutError):
        recorder.stop()  # it stays a pipe; see `SerialLine.close`


def _keep(file: Path, earlier: Path) -> None:
    """Put what a file has behind what was kept before; twice after a crash, but never lost."""
    earlier.parent.mkdir(exist_ok=True)
    new = earlier.with_suffix(".new")
    with new.open("wb") as target:
        for each in (earlier, file):
            with suppress(FileNotFoundError):
                target.write(each.read_bytes())
    new.replace(earlier)

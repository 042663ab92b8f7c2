"""The machines that run on this host, of all homes and users: seen by their processes alone."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.core import processes

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["RunningMachine", "cpu_percent", "running_machines"]

#: The argument of VirtualBox's own programs, and of the driverless start.
_MACHINE = "--startvm"
_NAME = "--comment"
_STATE = re.compile(rb"Changing the VM state from '\w+' to '(\w+)'")
#: Bytes at the end of a log in which the last change of state is looked for first.
_TAIL = 64 << 10
#: From VirtualBox's words for the states of its monitor to those of its manual.
_WORDS = {"SUSPENDED": "Paused", "SUSPENDED_LS": "Paused", "RUNNING_LS": "Running"}


@dataclass(frozen=True)
class RunningMachine:
    """
    A machine that has a process.

    Attributes:
        name: Its name when it was started.
        id: Its UUID.
        state: ``Running``, ``Paused``, ...: what its log says last; empty if that cannot be read.
        home: The VirtualBox home that it belongs to; `None` for the own one of its user, and for
            those of other users, whose processes do not tell.
        folder: The machine's folder, if its log can be seen.
        pid: Its process.
        user: Whose process that is.
        started: When the process began: seconds since the epoch.
        cpu_seconds: What it has taken of CPUs since then.
        memory_bytes: What it has of the host's RAM, shared parts included.
        seen: When this was read, in seconds of the monotonic clock.
    """

    name: str
    id: str
    state: str
    home: Path | None
    folder: Path | None
    pid: int
    user: str
    started: float
    cpu_seconds: float
    memory_bytes: int
    seen: float


def running_machines() -> list[RunningMachine]:
    """
    Return the machines of all homes and users, by name; of other users' less is known.

    Example:
        ``for machine in running_machines(): print(machine.name, machine.state)``
    """
    found = []
    for process, arguments in processes.find(argument=_MACHINE, environment={}):
        # Gone meanwhile, or somebody else's.
        with suppress(ProcessLookupError, PermissionError):
            found.append(_look(process, arguments))
    return sorted(found, key=lambda one: (one.name, one.id))


def cpu_percent(now: RunningMachine, before: Sequence[RunningMachine]) -> float | None:
    """Return what a machine took of one CPU since it was looked at before; `None` if it was not."""
    for one in before:
        if (one.pid, one.started) == (now.pid, now.started) and now.seen > one.seen:
            return 100 * (now.cpu_seconds - one.cpu_seconds) / (now.seen - one.seen)
    return None


def _look(process: processes.ProcessId, arguments: Sequence[str]) -> RunningMachine:
    usage = processes.usage(process.pid)
    home = _home(process.pid)
    uuid = _after(arguments, _MACHINE)
    path = _log(process.pid, Path(home) if home else None, _after(arguments, _NAME))
    return RunningMachine(
        name=_after(arguments, _NAME) or uuid,
        id=uuid,
        state=_state(path) if path else "",
        home=Path(home) if home else None,
        folder=path.parent.parent if path else None,
        pid=process.pid,
        user=usage.user,
        started=process.started,
        cpu_seconds=usage.cpu_seconds,
        memory_bytes=usage.memory_bytes,
        seen=time.monotonic(),
    )


def _home(pid: int) -> str | None:
    with suppress(PermissionError):
        return processes.variable(pid, "VBOX_USER_HOME")
    return None


def _log(pid: int, home: Path | None, name: str) -> Path | None:
    # The open files of a process in a sandbox have paths that only hold inside.
    if home is not None and (log := home / "machines" / name / "Logs" / "VBox.log").is_file():
        return log
    with suppress(PermissionError):
        return processes.open_file(pid, "VBox.log")
    return None


def _after(arguments: Sequence[str], name: str) -> str:
    place = arguments.index(name) + 1 if name in arguments else len(arguments)
    return arguments[place] if place < len(arguments) else ""


def _state(log: Path) -> str:
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            for begin in (max(0, size - _TAIL), 0):
                file.seek(begin)
                found = _STATE.findall(file.read())
                if found:
                    word = str(found[-1], "ascii")
                    return _WORDS.get(word, word.replace("_", " ").capitalize())
    except OSError:
        return ""
    return "Starting"

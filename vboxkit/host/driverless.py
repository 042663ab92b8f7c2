"""Starting machines where VirtualBox's kernel driver is missing."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.com.installation import driver_refused
from vboxkit.errors import DriverNeededError, EmulatedWarning
from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VmProcess", "launch", "process_of"]

_SCRIPT = Path(__file__).with_name("driverless_main.py")
_ours: dict[int, VmProcess] = {}


class VmProcess:
    """
    The process of a machine that this process started.

    A thread waits for it, so that it never stays as a zombie and its end is known at once.

    Attributes:
        pid: Its number.
        log: The file with what it says.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.pid = process.pid
        self.log = log
        self._process = process
        self._ended = threading.Event()
        _ours[self.pid] = self
        threading.Thread(target=self._reap, name=f"vm-process-{self.pid}", daemon=True).start()

    @property
    def exit_code(self) -> int | None:
        """How it ended, `None` while it runs."""
        return self._process.returncode if self._ended.is_set() else None

    def wait(self, timeout: float) -> bool:
        """Wait up to so many seconds for its end; tell whether it ended."""
        return self._ended.wait(timeout)

    def kill(self) -> None:
        """End it at once."""
        if not self._ended.is_set():
            self._process.kill()

    def _reap(self) -> None:
        self._process.wait()
        _ours.pop(self.pid, None)
        self._ended.set()


def process_of(pid: int) -> VmProcess | None:
    """Return the process if it is one that this process started."""
    return _ours.get(pid)


def launch(
    machine_id: str, name: str, *, installation: Path, extra: Mapping[str, str], log: Path
) -> VmProcess:
    """
    Start a machine without the kernel driver, in a process of its own; does not wait.

    It goes on when this process ends, as one started by VBoxSVC does.

    Args:
        machine_id: The machine's UUID.
        name: Its name, which makes the process easy to find.
        installation: VirtualBox's folder.
        extra: Environment that leads to the right VBoxSVC.
        log: The file for what the process says; its folder is made.

    Raises:
        DriverNeededError: This system has no driverless mode.
    """
    if not sys.platform.startswith("linux"):
        raise DriverNeededError(
            f"machine {name!r}: the driverless mode exists on Linux only",
            hint="install VirtualBox with its kernel driver",
        )
    why = "is there, but this user may not open it" if driver_refused() else "is missing"
    warnings.warn(
        f"VirtualBox's kernel driver {why}: machines are emulated, hence slow"
        " (vboxkit doctor tells more)",
        EmulatedWarning,
        stacklevel=4,
    )
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                sys.executable,
                *("-I", "-S", "-E"),  # no site, no user code: 20 ms faster, and nothing to meet
                str(_SCRIPT),
                str(installation),
                *("--startvm", machine_id, "--comment", name),
            ],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**environment(), **extra},
            cwd="/",
            start_new_session=True,  # Ctrl-C in the terminal is for us, not for the machine
        )
    return VmProcess(process, log)

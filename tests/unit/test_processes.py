"""Processes that stay identifiable."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest

from vboxkit.core import processes
from vboxkit.core.processes import ProcessId

if TYPE_CHECKING:
    from collections.abc import Iterator

_IDLE = "import sys; print('up', flush=True); sys.stdin.read()"


@pytest.fixture
def idle() -> Iterator[subprocess.Popen[str]]:
    """Start a child that does nothing until its standard input is closed."""
    with subprocess.Popen(
        [sys.executable, "-c", _IDLE, "--mark"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "VBOXKIT_UNIT": "idle"},
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_this_process_is_alive() -> None:
    """The current process knows itself."""
    me = ProcessId.current()
    assert me.pid == os.getpid()
    assert me == ProcessId.of(os.getpid())
    assert me.alive


def test_a_killed_child_is_not_alive(idle: subprocess.Popen[str]) -> None:
    """Neither as a zombie nor when it was reaped."""
    child = ProcessId.of(idle.pid)
    assert child.alive
    os.kill(idle.pid, 9)
    os.waitid(os.P_PID, idle.pid, os.WEXITED | os.WNOWAIT)  # dead, but not reaped
    assert not child.alive
    idle.wait()
    assert not child.alive
    with pytest.raises(ProcessLookupError, match=str(idle.pid)):
        ProcessId.of(idle.pid)


def test_a_pid_that_came_again_is_another_process(idle: subprocess.Popen[str]) -> None:
    """The same number with another start time is not the same process."""
    child = ProcessId.of(idle.pid)
    assert child.alive
    assert child.began is not None
    assert not replace(child, began=child.began - 100).alive
    # Where it is not known since when, the clock has to do.
    assert replace(child, began=None).alive
    assert not replace(child, began=None, started=child.started - 100).alive


def test_a_clock_that_is_changed_ends_no_process(
    idle: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The computer's clock is put on by a day, as after a long sleep: it is the same process."""
    child, booted = ProcessId.of(idle.pid), psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted + 86_400)
    assert ProcessId.of(idle.pid).started - child.started == pytest.approx(86_400)
    assert child.alive
    assert not replace(child, began=None).alive  # which is what the clock alone would say


def test_kill_ends_and_waits(idle: subprocess.Popen[str]) -> None:
    """After kill() the process is gone; once more does no harm."""
    child = ProcessId.of(idle.pid)
    assert processes.kill(child)
    assert not child.alive
    assert processes.kill(child)


def test_kill_spares_a_stranger(idle: subprocess.Popen[str]) -> None:
    """A pid that belongs to another process by now is not killed."""
    stranger = replace(ProcessId.of(idle.pid), began=1.0)
    assert processes.kill(stranger)
    assert idle.poll() is None


def test_wait_gone(idle: subprocess.Popen[str]) -> None:
    """It tells whether the process ended in time; a zombie has ended."""
    assert not processes.wait_gone(idle.pid, timeout=0)
    os.kill(idle.pid, 9)
    assert processes.wait_gone(idle.pid, timeout=20)
    idle.wait()
    assert processes.wait_gone(idle.pid, timeout=0)


def test_describe(idle: subprocess.Popen[str]) -> None:
    """Number and program; "gone" for one that ended."""
    assert processes.describe(idle.pid).startswith(f"process {idle.pid} (")
    assert "gone" not in processes.describe(idle.pid)
    idle.kill()
    idle.wait()
    assert processes.describe(idle.pid) == f"process {idle.pid} (gone)"


def test_find_needs_argument_and_environment(idle: subprocess.Popen[str]) -> None:
    """Only a process with the argument and all of the variables is found."""

    def found(argument: str, **environment: str) -> list[int]:
        return [p.pid for p, _ in processes.find(argument=argument, environment=environment)]

    assert idle.pid in found("--mark", VBOXKIT_UNIT="idle")
    assert idle.pid not in found("--mark", VBOXKIT_UNIT="busy")
    assert idle.pid not in found("--mark", VBOXKIT_UNIT="idle", VBOXKIT_OTHER="x")
    assert idle.pid not in found("--other", VBOXKIT_UNIT="idle")

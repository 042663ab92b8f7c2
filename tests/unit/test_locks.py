"""Locks between processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import vboxkit
from vboxkit.core.locks import lock_file, try_lock
from vboxkit.errors import WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOLD = """
import sys
from pathlib import Path
from vboxkit.core.locks import lock_file
with lock_file(Path(sys.argv[1]), what="it", timeout=10):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Return the file of a lock, in a folder that is not there yet."""
    return tmp_path / "locks" / "image.lock"


@pytest.fixture
def holder(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until it reads a line."""
    env = {**os.environ, "PYTHONPATH": str(Path(vboxkit.__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_folder_is_made(lock: Path) -> None:
    """A lock may be taken again and again; its file stays."""
    for _ in range(2):
        with lock_file(lock, what="it", timeout=0):
            assert lock.exists()
    assert lock.exists()


def test_the_holder_is_named(lock: Path, holder: subprocess.Popen[str]) -> None:
    """Who waits in vain learns which process has it."""
    with pytest.raises(WaitTimeoutError) as caught, lock_file(lock, what="the image", timeout=0):
        pass
    assert caught.value.what == "the image"
    assert f"process {holder.pid} (" in caught.value.last_seen
    assert str(lock) in caught.value.last_seen
    assert caught.value.hint


def test_the_second_process_waits(lock: Path, holder: subprocess.Popen[str]) -> None:
    """Given back in time, the lock is ours."""
    assert holder.stdin is not None
    holder.stdin.write("\n")
    holder.stdin.flush()
    with lock_file(lock, what="it", timeout=30):
        assert lock.with_suffix(".holder").read_text() == str(os.getpid())


def test_the_lock_of_a_killed_process_is_free(lock: Path, holder: subprocess.Popen[str]) -> None:
    """`kill -9` gives the lock back."""
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with lock_file(lock, what="it", timeout=30):
        assert try_lock(lock) is None


def test_one_process_has_it_once(lock: Path) -> None:
    """A lock is not taken twice, not even by the same process; an error gives it back."""
    with pytest.raises(KeyError), lock_file(lock, what="it", timeout=0):
        assert try_lock(lock) is None
        with pytest.raises(WaitTimeoutError), lock_file(lock, what="it", timeout=0):
            pass
        raise KeyError
    taken = try_lock(lock)
    assert taken is not None
    taken.release()


def test_try_lock_does_not_wait(lock: Path, holder: subprocess.Popen[str]) -> None:
    """Taken by somebody else: `None`, at once."""
    assert try_lock(lock) is None
    assert holder.poll() is None


def test_a_holder_that_nobody_noted(lock: Path, holder: subprocess.Popen[str]) -> None:
    """Without a readable note the error still comes, and says that it does not know."""
    lock.with_suffix(".holder").write_text("")
    with pytest.raises(WaitTimeoutError, match="an unknown process"):
        with lock_file(lock, what="it", timeout=0):
            pass
    assert holder.poll() is None

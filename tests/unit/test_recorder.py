"""The thread that writes down what a connection says, and what is said to it."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from vboxkit.core.recorder import Recorder
from vboxkit.core.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path


def test_both_ways(tmp_path: Path) -> None:
    """What comes is in the file, what is sent arrives, however much it is."""
    here, there = socket.socketpair()
    recorder = Recorder(here, tmp_path / "log")
    with there:
        got: list[int] = []

        def read() -> None:
            while sum(got) < 2_000_000:
                got.append(len(there.recv(1 << 16)))

        reader = threading.Thread(target=read)
        reader.start()
        recorder.send(bytes(2_000_000))
        reader.join(30)
        there.sendall(b"hello")
        wait_until(lambda: recorder.received or None, what="the bytes", timeout=30)
        recorder.stop()
    assert sum(got) == 2_000_000
    assert (tmp_path / "log").read_bytes() == b"hello"
    assert not recorder.alive


def test_nobody_takes_it(tmp_path: Path) -> None:
    """A side that reads nothing does not hold the sender for ever, and is heard all the same."""
    here, there = socket.socketpair()
    recorder = Recorder(here, tmp_path / "log")
    with there:
        with pytest.raises(TimeoutError, match="nothing taken"):
            recorder.send(bytes(20_000_000), stall=0.2)
        there.sendall(b"still here")
        wait_until(lambda: recorder.received or None, what="the bytes", timeout=30)
        recorder.stop()
    assert (tmp_path / "log").read_bytes() == b"still here"


def test_an_end_is_an_error(tmp_path: Path) -> None:
    """What is sent to somebody who is gone is an OSError other than a timeout."""
    here, there = socket.socketpair()
    recorder = Recorder(here, tmp_path / "log")
    there.close()
    with pytest.raises(OSError, match=r"[Bb]roken pipe|reset") as caught:
        recorder.send(bytes(10_000_000))
    assert not isinstance(caught.value, TimeoutError)
    recorder.stop()

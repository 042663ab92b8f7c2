"""The switch in a process of its own: it ends with its owner, whatever happens."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from dpkt import pcap

from tests.net.conftest import ALL, Station, frame
from vboxkit.core.processes import ProcessId, kill, wait_gone
from vboxkit.core.waiting import wait_until
from vboxkit.errors import AlreadyExistsError, SettingsError, StorageError, SwitchError
from vboxkit.net import SwitchProcess
from vboxkit.net.directory import mac_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUBNET = "10.77.0.0/24"


@pytest.fixture
def process() -> Iterator[SwitchProcess]:
    """Make a switch."""
    with SwitchProcess("lab", subnet=SUBNET, seed=1) as made:
        yield made


def join(process: SwitchProcess, station: Station, name: str) -> str:
    """Let a machine take part; return its address."""
    joined = process.join(name, mac=mac_text(station.mac), peer=station.port)
    station.end = joined.port
    return joined.ip


def free(port: int) -> bool | None:
    """Return `True` once nobody has a UDP port, and until then `None`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return None
    return True


def test_members_hear_each_other(process: SwitchProcess) -> None:
    """Addresses are given out in order, frames pass, faults hold at once, members leave."""
    with Station(1) as a, Station(2) as b:
        assert [join(process, a, "a"), join(process, b, "b")] == ["10.77.0.2", "10.77.0.3"]
        a.send(frame(ALL, a.mac, b"one"))
        assert b.receive(10) == frame(ALL, a.mac, b"one")
        process.fault("drop", 100, ["a", "b"])
        a.send(frame(ALL, a.mac, b"lost"))
        wait_until(
            lambda: ["a", "b", "drop", 1] in process.counts()["faults"] or None,
            what="the frame to be lost",
            timeout=10,
        )
        process.heal()
        process.partition([["a"], ["b"]])
        process.partition([])
        a.send(frame(ALL, a.mac, b"two"))
        assert b.receive(10) == frame(ALL, a.mac, b"two")
        process.leave("b")
        process.leave("b")
        assert free(b.end)
        assert join(process, b, "again") == "10.77.0.3"


def test_a_frame_takes_no_longer_than_it_must(process: SwitchProcess) -> None:
    """A delay is as long as it says, measured by the clock."""
    from time import monotonic

    with Station(1) as a, Station(2) as b:
        join(process, a, "a")
        join(process, b, "b")
        process.fault("delay", 300, ["a"])
        begin = monotonic()
        a.send(frame(ALL, a.mac))
        assert b.receive(10) is not None
        assert 0.3 <= monotonic() - begin < 5


def test_errors_come_back_as_they_are(process: SwitchProcess, tmp_path: Path) -> None:
    """Typed, with their hint and the network's name; and the switch goes on."""
    process.join("a", mac="08:00:27:00:00:01", peer=20_001)
    with pytest.raises(AlreadyExistsError, match="network 'lab'") as caught:
        process.join("a", mac="08:00:27:00:00:02", peer=20_002)
    assert (caught.value.kind, caught.value.wanted) == ("member", "a")
    assert "another name" in str(caught.value)
    with pytest.raises(SettingsError, match="0 to 100 percent"):
        process.fault("drop", 200)
    with pytest.raises(StorageError, match="nowhere"):
        process.record(tmp_path / "nowhere" / "x.pcap")
    assert process.join("b", mac="08:00:27:00:00:02", peer=20_002).ip == "10.77.0.3"


def test_a_subnet_that_cannot_be() -> None:
    """The error is that of the directory, before anything is started."""
    with pytest.raises(SettingsError, match=r"10\.0\.0\.1/33"):
        SwitchProcess("lab", subnet="10.0.0.1/33")


def test_a_switch_that_does_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error has what Python said."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho no such module: dpkt >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with SwitchProcess("lab", subnet=SUBNET) as process:
        with pytest.raises(SwitchError, match="no such module: dpkt"):
            process.heal()


def test_a_recording(process: SwitchProcess, tmp_path: Path) -> None:
    """Begins and ends when it is told to; one that cannot begin leaves the other going."""
    with Station(1) as a, Station(2) as b:
        join(process, a, "a")
        join(process, b, "b")
        for number, order in enumerate((tmp_path / "x.pcap", tmp_path / "no" / "y.pcap", None)):
            if number == 1:
                with pytest.raises(StorageError):
                    process.record(order)
            else:
                process.record(order)
            a.send(frame(ALL, a.mac, bytes([number])))
            assert b.receive(10) is not None
    with (tmp_path / "x.pcap").open("rb") as file:
        found = [data[14] for _, data in pcap.Reader(file)]
    assert found == [0, 1]


def test_closing(process: SwitchProcess) -> None:
    """The process is gone and its ports are free; closing twice does no harm."""
    assert process.running
    port = process.join("a", mac="08:00:27:00:00:01", peer=20_001).port
    identity = ProcessId.of(process.pid)
    process.close()
    process.close()
    assert not identity.alive
    assert free(port)
    with pytest.raises(SwitchError, match="was closed"):
        process.heal()


def test_a_switch_that_was_killed(process: SwitchProcess) -> None:
    """Orders fail with the reason, at once and each time."""
    kill(ProcessId.of(process.pid))
    for _ in range(2):
        with pytest.raises(SwitchError, match="has ended"):
            process.fault("drop", 1)


def test_a_switch_that_hangs() -> None:
    """The wait has an end."""
    with SwitchProcess("lab", subnet=SUBNET, timeout=30) as process:
        process.heal()  # it has started
        os.kill(process.pid, signal.SIGSTOP)
        process._timeout = 0.3
        with pytest.raises(SwitchError, match="does not answer"):
            process.heal()
        os.kill(process.pid, signal.SIGCONT)
        process._timeout = 30
        # The late answer is not taken for the next one's.
        assert process.join("a", mac="08:00:27:00:00:01", peer=20_001).ip == "10.77.0.2"


OWNER = """
import os, signal, sys
from vboxkit.net import SwitchProcess
process = SwitchProcess("lab", subnet="10.77.0.0/24")
port = process.join("a", mac="08:00:27:00:00:01", peer=20_001).port
if sys.argv[1] == "with a child":
    child = os.fork()
    if child == 0:
        signal.pause()
else:
    child = 0
print(process.pid, port, child, flush=True)
if sys.argv[1] == "ends":
    sys.exit()
if sys.argv[1] == "raises":
    raise SystemError
signal.pause()
"""


@pytest.mark.parametrize("way", ["killed", "with a child", "ends", "raises", "interrupted"])
def test_it_ends_with_its_owner(way: str) -> None:
    """Killed with -9, also where a child has inherited the pipe; or ended without closing."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, way],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        pid, port, child = map(int, owner.stdout.readline().split())
        try:
            if way in {"killed", "with a child"}:
                assert ProcessId.of(pid).alive
                assert not free(port)
                owner.kill()
            elif way == "interrupted":
                owner.send_signal(signal.SIGINT)
            assert wait_gone(pid, timeout=20)
            wait_until(lambda: free(port), what="its port to be free", timeout=5)
        finally:
            if child:
                os.kill(child, signal.SIGKILL)

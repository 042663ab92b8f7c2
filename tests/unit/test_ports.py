"""Ports that stay ours until they are given back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import vboxkit
from vboxkit.core import ports
from vboxkit.core.ports import is_free, lease_port
from vboxkit.errors import PortInUseError

_MANY = """
import sys
from vboxkit.core.ports import lease_port
leases = [lease_port() for _ in range(40)]
print(*(lease.port for lease in leases), flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leases of these tests are files of their own, for this process and for others."""
    monkeypatch.setattr(ports, "cache_dir", lambda: tmp_path)
    monkeypatch.setenv("VBOXKIT_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(vboxkit.__file__).parents[1]))
    return tmp_path


def other() -> subprocess.Popen[str]:
    """Start a process that leases many ports and keeps them."""
    return subprocess.Popen(
        [sys.executable, "-c", _MANY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


def test_a_leased_port_is_free_to_bind() -> None:
    """Nothing listens on it, so that VirtualBox can."""
    with lease_port() as lease:
        assert is_free(lease.port)
        assert lease.host_ip == "127.0.0.1"
        with socket.socket() as server:
            server.bind((lease.host_ip, lease.port))


def test_two_processes_never_get_the_same() -> None:
    """Processes that lease many ports at once have no port in common, nor with us."""
    with other() as first, other() as second:
        got = []
        for process in (first, second):
            assert process.stdout is not None
            got += [int(word) for word in process.stdout.readline().split()]
        leases = [lease_port() for _ in range(20)]
        got += [lease.port for lease in leases]
        for process in (first, second):
            process.kill()
    for lease in leases:
        lease.release()
    assert len(got) == 100
    assert len(set(got)) == 100


def test_the_ports_of_a_killed_process_are_free() -> None:
    """`kill -9` gives its leases back."""
    with other() as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().split()[0])
        with pytest.raises(PortInUseError, match="is taken") as caught:
            lease_port(port)
        assert caught.value.holder == "another vboxkit process"
        process.kill()
    lease_port(port).release()


def test_a_port_that_a_program_has() -> None:
    """The error tells address, port, whose it is, and what to do."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(PortInUseError) as caught:
            lease_port(port)
    error = caught.value
    assert isinstance(error, OSError)
    assert (error.host_ip, error.port, error.holder) == ("127.0.0.1", port, "a program")
    assert error.hint


def test_released_ports_can_be_leased_again() -> None:
    """Releasing twice does no harm, and does not take it from the next one."""
    lease = lease_port()
    lease.release()
    again = lease_port(lease.port)
    lease.release()
    with pytest.raises(PortInUseError):
        lease_port(lease.port)
    again.release()


def test_ports_are_below_those_of_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel gives others ports from its own range: ours are outside of it."""
    file = tmp_path / "range"
    monkeypatch.setattr(ports, "_EPHEMERAL", file)
    file.write_text("40000\t60999\n")
    assert ports.port_range() == range(20_000, 40_000)
    file.write_text("1024 65535")
    assert ports.port_range() == range(20_000, 32_768)
    file.write_text("nonsense")
    assert ports.port_range() == range(20_000, 32_768)
    file.unlink()
    assert ports.port_range() == range(20_000, 32_768)


def test_an_address_that_is_not_ours(own_cache: Path) -> None:
    """Nothing can listen there: said at once, and no lease is tried."""
    with pytest.raises(PortInUseError, match=r"cannot listen on 192\.0\.2\.7") as caught:
        lease_port(host_ip="192.0.2.7")
    assert caught.value.hint
    assert not (own_cache / "ports").exists()


def test_no_port_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the range taken: an error, not an endless search."""
    with lease_port() as lease:
        monkeypatch.setattr(ports, "port_range", lambda: range(lease.port, lease.port + 1))
        with pytest.raises(PortInUseError, match="no free port"):
            lease_port()


def test_udp_has_ports_of_its_own() -> None:
    """A UDP socket takes a UDP port, and only that; the same number can be leased for both."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        assert not is_free(port, protocol="udp")
        assert is_free(port)
        with pytest.raises(PortInUseError, match=f"udp port {port}") as caught:
            lease_port(port, protocol="udp")
        assert caught.value.holder == "a program"
        lease_port(port).release()
    with lease_port(protocol="udp") as udp, lease_port(udp.port) as tcp:
        assert (udp.port, udp.protocol, tcp.protocol) == (tcp.port, "udp", "tcp")


def test_a_port_is_given_back_by_its_number() -> None:
    """Who knows the port, but has not got the lease, can release it; others are left alone."""
    lease, other = lease_port(), lease_port()
    ports.release_port(lease.port)
    ports.release_port(lease.port)
    ports.release_port(other.port, protocol="udp")
    lease_port(lease.port).release()
    with pytest.raises(PortInUseError):
        lease_port(other.port)
    other.release()

"""Tunnels through a real SSH server that are busy in both directions at once."""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.guest.services import Service, both_ways, echo, fill, tunnel_threads

if TYPE_CHECKING:
    from vboxkit import VM

pytestmark = pytest.mark.vm

#: Many times the windows of the guest's server, which takes some seconds for it, emulated.
SIZE = 1 << 18
SERVE = (
    "nc -ll -p 7000 -e cat </dev/null >/dev/null 2>&1 & "
    "until netstat -ltn | grep -q ':7000 '; do usleep 50000; done"
)


def test_out_of_this_host(vm: VM) -> None:
    """Two clients that send before they read get all of it back, and commands go on meanwhile."""
    vm.ssh.succeed(SERVE)
    data = [os.urandom(SIZE), os.urandom(SIZE)]
    with vm.ssh.forward_local(7000) as tunnel, ThreadPoolExecutor(2) as pool:
        coming = [pool.submit(both_ways, tunnel.port, data[n], seed=n, still=120) for n in range(2)]
        for number in range(5):
            assert vm.ssh.succeed(f"echo {number}", timeout=120) == f"{number}\n"
        assert [future.result() for future in coming] == data
        assert tunnel.error is None
    assert not tunnel_threads()


def test_out_of_the_guest(vm: VM) -> None:
    """A program in the guest that sends and reads at once gets all of it back, too."""
    with Service(echo) as service, vm.ssh.forward_remote(service.port) as tunnel:
        vm.ssh.write_bytes("/tmp/data", os.urandom(SIZE))
        sums = vm.ssh.succeed(
            f"nc 127.0.0.1 {tunnel.guest_port} < /tmp/data | md5sum; md5sum < /tmp/data",
            timeout=240,
        ).split()
        assert sums[0] == sums[2]
        assert tunnel.error is None


def test_a_paused_guest_holds_up_no_end(vm: VM) -> None:
    """In the middle of a transfer it is paused: tunnels close in time; it goes on afterwards."""
    vm.ssh.succeed(SERVE)
    with Service(echo) as service:
        there, back = vm.ssh.forward_local(7000), vm.ssh.forward_remote(service.port)
        with socket.create_connection((there.host, there.port), timeout=60) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
            vm.pause()
            fill(sock, patience=1)
            begin = time.monotonic()
            there.close()
            back.close()
            assert time.monotonic() - begin < 60
    assert not tunnel_threads()
    vm.resume()
    assert vm.ssh.succeed("echo on", timeout=120) == "on\n"

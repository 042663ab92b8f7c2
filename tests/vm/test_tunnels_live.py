"""Tunnels into a real guest and out of it."""

from __future__ import annotations

import hashlib
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.guest.services import Service, echo, read_all, talk, tunnel_threads
from vboxkit.core.waiting import wait_until
from vboxkit.errors import GuestConnectionError, HostKeyError, TunnelError

if TYPE_CHECKING:
    from vboxkit import VM

pytestmark = pytest.mark.vm

#: A server in the guest, for each connection anew; it is up when it is in the list of listeners.
SERVE = (
    "nc -ll -p {port} -e {program} </dev/null >/dev/null 2>&1 & "
    "until netstat -ltn | grep -q ':{port} '; do usleep 50000; done"
)


def test_local_forward(vm: VM) -> None:
    """Eight clients at once reach a service that listens in the guest, each its own."""
    vm.ssh.succeed(SERVE.format(port=7000, program="cat"))
    with vm.ssh.forward_local(7000) as tunnel, ThreadPoolExecutor(8) as pool:
        parts = [os.urandom(2000) for _ in range(8)]
        assert list(pool.map(lambda part: talk(tunnel.port, part), parts)) == parts
        assert vm.ssh.run("true").ok
    assert not tunnel_threads()


def test_larger_transfers_each_way(vm: VM) -> None:
    """Larger transfers through a forward have the same checksum at the other end."""
    data = os.urandom(1 << 18)
    vm.ssh.write_bytes("/tmp/data", data)
    vm.ssh.succeed("printf '#!/bin/sh\\ncat /tmp/data\\n' > /tmp/give; chmod +x /tmp/give")
    vm.ssh.succeed("printf '#!/bin/sh\\nmd5sum\\n' > /tmp/take; chmod +x /tmp/take")
    vm.ssh.succeed(SERVE.format(port=7001, program="/tmp/give"))
    vm.ssh.succeed(SERVE.format(port=7002, program="/tmp/take"))
    with vm.ssh.forward_local(7001) as tunnel:
        with socket.create_connection((tunnel.host, tunnel.port), timeout=120) as sock:
            assert read_all(sock) == data
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest().encode()
    with vm.ssh.forward_local(7002) as tunnel:
        with socket.create_connection((tunnel.host, tunnel.port), timeout=120) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            assert read_all(sock).split()[0] == digest


def test_what_dropbear_refuses_is_told(vm: VM) -> None:
    """A closed port, and a Unix socket, are a reset here and a typed error on the tunnel."""
    for target, code in ((7009, 2), ("/run/any.sock", 3)):
        with vm.ssh.forward_local(target) as tunnel:
            with socket.create_connection((tunnel.host, tunnel.port), timeout=60) as sock:
                with pytest.raises(ConnectionResetError):
                    sock.recv(1)
            error = wait_until(lambda: tunnel.error, what="the error", timeout=60)
            assert isinstance(error, TunnelError)
            assert error.code == code


def test_remote_forward(vm: VM) -> None:
    """Programs in the guest reach a service of this host; a port that is taken is an error."""
    with Service(echo) as service:
        with vm.ssh.forward_remote(service.port) as tunnel:
            reply = vm.ssh.succeed(f"echo hello | nc 127.0.0.1 {tunnel.guest_port}", timeout=60)
            assert reply == "hello\n"
        # Its server frees the port with the session's process, a moment after the connection.
        vm.ssh.succeed(
            f"while netstat -ltn | grep -q ':{tunnel.guest_port} '; do usleep 50000; done",
            timeout=60,
        )
        assert tunnel.error is None
        with pytest.raises(TunnelError):
            vm.ssh.forward_remote(service.port, guest_port=22)


def test_socks_with_a_real_client(vm: VM) -> None:
    """PySocks reaches the guest's services by address and by name, and is told of a refusal."""
    socks = pytest.importorskip("socks", reason="PySocks, which the sandbox has")
    vm.ssh.succeed(SERVE.format(port=7000, program="cat"))
    with vm.ssh.socks() as proxy:
        for host in ("127.0.0.1", "localhost"):
            with socks.socksocket() as sock:
                sock.set_proxy(socks.SOCKS5, proxy.host, proxy.port, rdns=True)
                sock.settimeout(60)
                sock.connect((host, 7000))
                sock.sendall(b"hello")
                sock.shutdown(socket.SHUT_WR)
                assert read_all(sock) == b"hello"
        with socks.socksocket() as sock:
            sock.set_proxy(socks.SOCKS5, proxy.host, proxy.port)
            with pytest.raises(socks.ProxyError, match="refused"):
                sock.connect(("127.0.0.1", 7009))


def test_a_tunnel_outlives_a_restart(vm: VM) -> None:
    """Plug pulled: connections are reset, the tunnel says why; started again, it leads there."""
    vm.ssh.succeed("sync")  # it boots from what is on the disk
    with vm.ssh.forward_local(22) as tunnel:
        with socket.create_connection((tunnel.host, tunnel.port), timeout=60) as sock:
            assert sock.recv(4) == b"SSH-"
            vm.power_off()
            with pytest.raises(ConnectionResetError):
                read_all(sock)
        assert isinstance(
            wait_until(lambda: tunnel.error, what="the error", timeout=60), GuestConnectionError
        )
        vm.start()
        vm.wait_ready(timeout=120)
        with socket.create_connection((tunnel.host, tunnel.port), timeout=60) as sock:
            assert sock.recv(4) == b"SSH-"
    assert not tunnel_threads()


def test_a_changed_host_key_is_refused(vm: VM) -> None:
    """A guest that shows another key than the image's first boot is an error, again and again."""
    pinned = vm.ssh.host_key
    assert pinned == vm.image.host_key
    vm.ssh.succeed(
        "key=/etc/dropbear/dropbear_ed25519_host_key; rm $key; "
        "dropbearkey -t ed25519 -f $key >/dev/null 2>&1; kill $(cat /run/dropbear.pid); "
        "until netstat -ltn | grep -q ':22 '; do usleep 50000; done"
    )
    vm.ssh.disconnect()
    with vm.ssh.forward_local(22) as tunnel:
        for _ in range(2):
            with pytest.raises(HostKeyError) as caught:
                vm.wait_ready(timeout=60)
        assert caught.value.expected == pinned
        assert caught.value.seen != pinned
        # Nor does a tunnel get there.
        with socket.create_connection((tunnel.host, tunnel.port), timeout=60) as sock:
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        wait_until(lambda: isinstance(tunnel.error, HostKeyError) or None, what="it", timeout=60)

"""Tunnels over SSH: forwards both ways, and what becomes of them when something breaks."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.guest.services import Service, echo, read_all, socket_count, talk, tunnel_threads
from vboxkit.core.waiting import wait_until
from vboxkit.errors import GuestConnectionError, PortInUseError, TunnelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.guest.conftest import MakeGuest, MakeSSH
    from vboxkit.guest import SSH


def soon(condition: Any, what: str) -> None:
    """Wait until a condition holds."""
    wait_until(lambda: condition() or None, what=what, timeout=20, poll=0.01)


def expect_reset(port: int) -> None:
    """Connect, and see a break instead of an end."""
    with pytest.raises(ConnectionResetError):  # on a busy machine it comes before connect() is over
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
            sock.recv(1)


@pytest.fixture
def echoes() -> Iterator[Service]:
    """Start a service that sends everything back."""
    with Service(echo) as service:
        yield service


def test_a_local_port_leads_to_the_guests_service(ssh: SSH, echoes: Service) -> None:
    """What is sent to the port here reaches the service, and its answer comes back."""
    with ssh.forward_local(echoes.port) as tunnel:
        assert (tunnel.host, tunnel.guest_port) == ("127.0.0.1", echoes.port)
        assert talk(tunnel.port, b"hello") == b"hello"
        assert tunnel.error is None


def test_concurrent_connections_do_not_mix(ssh: SSH, echoes: Service) -> None:
    """Forty connections at once get each its own bytes back."""
    with ssh.forward_local(echoes.port) as tunnel, ThreadPoolExecutor(40) as pool:
        parts = [os.urandom(20_000) for _ in range(40)]
        assert list(pool.map(lambda part: talk(tunnel.port, part), parts)) == parts


def test_each_direction_ends_by_itself(ssh: SSH) -> None:
    """A service that answers only after its client's end gets that end, and the answer comes."""

    def count(client: socket.socket) -> None:
        client.sendall(b"%d" % len(read_all(client)))

    with Service(count) as service, ssh.forward_local(service.port) as tunnel:
        assert talk(tunnel.port, b"x" * 5000) == b"5000"


def test_the_guest_may_end_first(ssh: SSH) -> None:
    """A service that has said all still hears its client."""
    heard = []

    def end_first(client: socket.socket) -> None:
        client.sendall(b"all")
        client.shutdown(socket.SHUT_WR)
        heard.append(read_all(client))

    with Service(end_first) as service, ssh.forward_local(service.port) as tunnel:
        with socket.create_connection(("127.0.0.1", tunnel.port), timeout=20) as sock:
            assert read_all(sock) == b"all"
            sock.sendall(b"late")
        soon(lambda: heard, "the service to hear the rest")
        assert heard == [b"late"]


def test_large_transfers_are_complete(ssh: SSH, echoes: Service) -> None:
    """Sixteen megabytes go through and come back with the same checksum."""
    data = os.urandom(1 << 20) * 16
    with ssh.forward_local(echoes.port) as tunnel:
        back = talk(tunnel.port, data)
    assert hashlib.sha256(back).digest() == hashlib.sha256(data).digest()


def test_a_slow_service_slows_its_client(ssh: SSH) -> None:
    """A service that reads nothing stops its client, instead of filling this process's memory."""
    go_on = threading.Event()
    got = []

    def slow(client: socket.socket) -> None:
        go_on.wait(60)
        got.append(len(read_all(client)))

    with Service(slow) as service, ssh.forward_local(service.port) as tunnel:
        with socket.create_connection(("127.0.0.1", tunnel.port), timeout=3) as sock:
            sent = 0
            with pytest.raises(TimeoutError):
                while sent < 200 << 20:
                    sent += sock.send(bytes(1 << 16))
            go_on.set()
        soon(lambda: got, "the service to read it all")
        assert got == [sent]


def test_a_refused_target_is_a_reset_and_an_error(ssh: SSH) -> None:
    """Where nothing listens in the guest, the client sees a break, and the tunnel tells why."""
    with Service(echo) as service:
        nobody = service.port
    with ssh.forward_local(nobody) as tunnel:
        expect_reset(tunnel.port)
        soon(lambda: tunnel.error, "the error")
        assert isinstance(tunnel.error, TunnelError)
        assert tunnel.error.code == 2
        assert f"127.0.0.1:{nobody}" in str(tunnel.error)


def test_a_break_resets_connections_and_the_next_one_connects_anew(
    guest: Any, ssh: SSH, echoes: Service
) -> None:
    """An SSH connection that breaks is no clean end, and the tunnel outlives it."""
    with ssh.forward_local(echoes.port) as tunnel:
        with socket.create_connection(("127.0.0.1", tunnel.port), timeout=20) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
            guest.disconnect()
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        soon(lambda: tunnel.error, "the error")
        assert isinstance(tunnel.error, GuestConnectionError)
        assert talk(tunnel.port, b"again") == b"again"
        assert guest.accepted == 2


def test_a_guest_that_is_gone_refuses_with_an_error(
    make_guest: MakeGuest, make_ssh: MakeSSH
) -> None:
    """Without a guest, the client sees a break, and the tunnel has the connection's error."""
    guest = make_guest(listen=False)
    with make_ssh(guest).forward_local(1) as tunnel:
        expect_reset(tunnel.port)
        soon(lambda: tunnel.error, "the error")
        assert isinstance(tunnel.error, GuestConnectionError)
        assert "refused" in str(tunnel.error)


def test_a_taken_port_is_an_error(ssh: SSH, echoes: Service) -> None:
    """A port of another program, or of another tunnel, is PortInUseError at once."""
    with pytest.raises(PortInUseError):
        ssh.forward_local(80, local_port=echoes.port)
    with (
        ssh.forward_local(80) as tunnel,
        pytest.raises(PortInUseError, match=str(tunnel.port)),
    ):
        ssh.socks(local_port=tunnel.port)
    assert ssh.tunnels == ()


@pytest.mark.parametrize(
    ("kind", "port"), [("local", 0), ("local", 70_000), ("local", "run/x"), ("remote", -1)]
)
def test_what_is_no_port_is_refused(ssh: SSH, kind: str, port: Any) -> None:
    """A port out of range, and a relative path of a socket, are bad input."""
    with pytest.raises(ValueError, match=r"port|path"):
        (ssh.forward_local if kind == "local" else ssh.forward_remote)(port)
    assert not tunnel_threads()


def test_closing_frees_the_port_threads_and_sockets(ssh: SSH, echoes: Service) -> None:
    """After a tunnel with open connections is closed, all is as before, and the port is free."""
    ssh.connect()
    before = socket_count()
    with ssh.forward_local(echoes.port) as tunnel:
        socks = [socket.create_connection(("127.0.0.1", tunnel.port)) for _ in range(5)]
        for sock in socks:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
        assert tunnel.connections == 5
        assert len(tunnel_threads()) == 11
    for sock in socks:
        sock.close()
    assert tunnel.closed
    assert not tunnel_threads()
    soon(lambda: socket_count() <= before, "the service's ends to close")
    with ssh.forward_local(echoes.port, local_port=tunnel.port) as second:
        assert talk(second.port, b"y") == b"y"
    assert ssh.connected
    tunnel.close()


def test_closing_does_not_wait_for_a_client_that_does_not_read(ssh: SSH) -> None:
    """A transfer that is stuck ends with the tunnel."""

    def pour(client: socket.socket) -> None:
        while True:
            client.sendall(bytes(1 << 16))

    with Service(pour) as service:
        tunnel = ssh.forward_local(service.port)
        with socket.create_connection(("127.0.0.1", tunnel.port), timeout=20) as sock:
            assert sock.recv(1) == b"\0"
            tunnel.close()
            assert not tunnel_threads()
    assert ssh.connected


def test_closing_does_not_wait_for_a_target_that_does_not_answer(guest: Any, ssh: SSH) -> None:
    """A connection that is being made ends with the tunnel."""
    tunnel = ssh.forward_local(9, host="silent.test")
    with socket.create_connection(("127.0.0.1", tunnel.port)):
        soon(lambda: guest.asked, "the guest to be asked")
        tunnel.close()
        assert not tunnel_threads()


def test_close_ends_tunnels_and_disconnect_does_not(ssh: SSH, echoes: Service) -> None:
    """Tunnels go with the SSH, but stay when only its connection is given up."""
    tunnel = ssh.forward_local(echoes.port)
    assert talk(tunnel.port, b"1") == b"1"
    ssh.disconnect()
    assert not ssh.connected
    assert talk(tunnel.port, b"2") == b"2"
    ssh.close()
    assert tunnel.closed
    assert not tunnel_threads()
    with pytest.raises(ConnectionRefusedError):
        talk(tunnel.port, b"3")


def test_a_port_in_the_guest_leads_to_a_service_here(ssh: SSH, echoes: Service) -> None:
    """Connections to a port in the guest reach a service of this host, forty at once."""
    with ssh.forward_remote(echoes.port) as tunnel, ThreadPoolExecutor(40) as pool:
        assert tunnel.active
        parts = [os.urandom(20_000) for _ in range(40)]
        assert list(pool.map(lambda part: talk(tunnel.guest_port, part), parts)) == parts
    assert not tunnel.active
    assert not tunnel_threads()
    with pytest.raises(ConnectionRefusedError):
        talk(tunnel.guest_port, b"")


def test_closing_one_remote_forward_leaves_the_other(ssh: SSH, echoes: Service) -> None:
    """Several remote forwards live over one connection, each for itself."""
    with Service(lambda client: client.sendall(b"other")) as service:
        first = ssh.forward_remote(echoes.port)
        second = ssh.forward_remote(service.port)
        assert talk(first.guest_port, b"x") == b"x"
        assert talk(second.guest_port, b"") == b"other"
        first.close()
        assert talk(second.guest_port, b"") == b"other"
        second.close()


def test_a_port_that_the_guest_does_not_give_is_an_error(ssh: SSH, echoes: Service) -> None:
    """A port that is taken in the guest is TunnelError, and leaves nothing."""
    with pytest.raises(TunnelError, match=str(echoes.port)):
        ssh.forward_remote(1, guest_port=echoes.port)
    assert ssh.tunnels == ()
    assert ssh.connected


def test_a_service_here_that_is_down_is_an_error(ssh: SSH) -> None:
    """A connection from the guest to nobody ends, and the tunnel tells why."""
    with Service(echo) as service:
        nobody = service.port
    with ssh.forward_remote(nobody) as tunnel:
        assert talk(tunnel.guest_port, b"") == b""
        soon(lambda: tunnel.error, "the error")
        assert isinstance(tunnel.error, TunnelError)
        assert str(nobody) in str(tunnel.error)


def test_a_remote_forward_comes_back_with_the_connection(
    guest: Any, ssh: SSH, echoes: Service
) -> None:
    """After a break the guest listens on the same port again once the connection is used."""
    with ssh.forward_remote(echoes.port) as tunnel:
        port = tunnel.guest_port
        guest.disconnect()
        soon(lambda: not tunnel.active, "the break to be noticed")

        def again() -> bool:
            ssh.connect()  # the old server may still have the port
            return tunnel.active

        soon(again, "the guest to listen again")
        assert tunnel.guest_port == port
        assert talk(port, b"again") == b"again"

"""Tunnels with much to carry: both ways at once, small windows, slow readers, early ends."""

from __future__ import annotations

import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from paramiko.common import MSG_GLOBAL_REQUEST

from tests.guest.services import Service, both_ways, echo, fill, tunnel_threads
from vboxkit.core.waiting import wait_until
from vboxkit.errors import GuestConnectionError
from vboxkit.guest.relay import Relay, open_channel
from vboxkit.settings import Settings

if TYPE_CHECKING:
    import paramiko

    from tests.guest.conftest import MakeSSH
    from vboxkit.guest import SSH

#: Seconds without a byte after which a transfer stands still.
STILL = 20.0
SIZE = 2 << 20


@pytest.fixture
def narrow(guest: Any, ssh: SSH) -> SSH:
    """Connect, with the smallest packets, windows of two of them, and small buffers."""
    ssh.connect()
    ends: list[Any] = [ssh._transport, guest.transports[-1]]
    for end in ends:
        end.default_window_size, end.default_max_packet_size = 1 << 13, 1 << 12
        end.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
    return ssh


def test_full_both_ways_through_small_windows(narrow: SSH) -> None:
    """Eight connections, from here and from there, are stuck at once and then go on to the end."""
    data = [os.urandom(SIZE // 8) * 8 for _ in range(8)]
    with (
        Service(echo) as service,
        narrow.forward_local(service.port) as there,
        narrow.forward_remote(service.port) as back,
        ThreadPoolExecutor(8) as pool,
    ):
        ports = [there.port, back.guest_port] * 4
        assert (
            list(pool.map(lambda n: both_ways(ports[n], data[n], seed=n, still=STILL), range(8)))
            == data
        )
        assert there.error is back.error is None
    assert not tunnel_threads()
    assert narrow.run("echo still here").stdout == "still here\n"


def test_one_that_is_stuck_holds_up_no_other(narrow: SSH) -> None:
    """A client that reads nothing stops its own connection, and not those beside it."""

    def pour(client: socket.socket) -> None:
        while True:
            client.sendall(bytes(1 << 16))

    with (
        Service(pour) as source,
        Service(echo) as service,
        narrow.forward_local(source.port) as full,
        narrow.forward_local(service.port) as free,
        socket.create_connection(("127.0.0.1", full.port), timeout=STILL) as sock,
    ):
        assert sock.recv(1) == b"\0"
        data = os.urandom(1 << 19)
        assert both_ways(free.port, data, seed=1, still=STILL) == data
        assert narrow.run("echo meanwhile").stdout == "meanwhile\n"


def _opened(ssh: SSH, port: int) -> tuple[paramiko.Channel, Any]:
    transport: Any = ssh.connect()._transport

    def where(message: paramiko.Message) -> None:
        message.add_string("127.0.0.1")
        message.add_int(port)
        message.add_string("127.0.0.1")
        message.add_int(0)

    given_up = threading.Event()
    return open_channel(transport, "direct-tcpip", where, timeout=20, given_up=given_up), transport


def test_a_channel_that_was_closed_before_it_was_carried(ssh: SSH) -> None:
    """The guest may end a connection before anybody reads here: what it said comes, and the end."""
    with Service(lambda client: client.sendall(b"no room\n")) as service:
        channel, transport = _opened(ssh, service.port)
        channel.sendall(b"")
        channel.shutdown_write()  # both directions are at their end, so the guest closes
        wait_until(lambda: channel.closed or None, what="the guest to close", timeout=20, poll=0.01)
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.settimeout(STILL)
        relay = Relay(ours, channel, transport, name="vboxkit-tunnel-test")
        carrying = threading.Thread(target=relay.run)
        carrying.start()
        try:
            assert theirs.recv(100) == b"no room\n"
            with suppress(BrokenPipeError):  # it may be over already
                theirs.sendall(b"to nobody")
            carrying.join(STILL)
            assert not carrying.is_alive()  # although the client has not closed
        finally:
            relay.cut()
            carrying.join(20)
    assert not tunnel_threads()
    assert not transport.endings


def test_what_is_late_ends_also_while_much_comes_in(guest: Any, make_ssh: MakeSSH) -> None:
    """A guest that pours out data, and never answers what it is asked, is an error in time."""
    ssh = make_ssh(guest, settings=Settings(ssh_timeout=2)).connect()
    guest.transports[-1]._handler_table[MSG_GLOBAL_REQUEST] = lambda _: None
    enough = threading.Event()

    def pour(client: socket.socket) -> None:
        while not enough.is_set():
            client.sendall(bytes(1 << 15))

    def drain(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=STILL) as sock:
            with suppress(ConnectionResetError):
                while sock.recv(1 << 16):
                    pass

    with Service(pour) as source, ssh.forward_local(source.port) as tunnel:
        drained = threading.Thread(target=drain, args=(tunnel.port,))
        drained.start()
        try:
            with ThreadPoolExecutor(1) as pool:
                asked = pool.submit(ssh.forward_remote, 1)
                try:
                    with pytest.raises(GuestConnectionError):
                        asked.result(timeout=STILL)
                finally:
                    enough.set()
        finally:
            enough.set()
            drained.join(STILL)
    assert not drained.is_alive()


def test_a_guest_that_falls_silent_holds_up_no_end(
    guest: Any, ssh: SSH, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a transfer it neither hears nor speaks: tunnels are closed in time."""
    monkeypatch.setattr("vboxkit.guest.commands.MARGIN", 0.5)
    with Service(echo) as service:
        there, back = ssh.forward_local(service.port), ssh.forward_remote(service.port)
        with socket.create_connection((there.host, there.port), timeout=STILL) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
            guest.sockets[0].hears.clear()
            guest.sockets[0].trip("hang")
            fill(sock, patience=0.5)
            begin = time.monotonic()
            there.close()
            back.close()
            assert time.monotonic() - begin < STILL
            guest.sockets[0].hears.set()
    assert not tunnel_threads()
    assert ssh.run("echo again").stdout == "again\n"
    assert guest.accepted == 2

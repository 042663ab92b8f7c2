"""The SOCKS5 proxy: what its clients are answered, byte by byte."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.guest.services import Service, echo, read_all, tunnel_threads
from vboxkit.core.waiting import wait_until
from vboxkit.errors import GuestConnectionError, TunnelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.guest.conftest import MakeGuest, MakeSSH
    from vboxkit.guest import SSH
    from vboxkit.guest.forwards import SocksProxy

GREETING = b"\x05\x01\x00"


@pytest.fixture
def echoes() -> Iterator[Service]:
    """Start a service that sends everything back."""
    with Service(echo) as service:
        yield service


@pytest.fixture
def proxy(ssh: SSH) -> Iterator[SocksProxy]:
    """Open a proxy."""
    with ssh.socks() as proxy:
        yield proxy
    assert not tunnel_threads()


def connect(proxy: SocksProxy) -> socket.socket:
    """Connect to a proxy."""
    return socket.create_connection((proxy.host, proxy.port), timeout=20)


def ask(sock: socket.socket, address: bytes, port: int, *, command: int = 1) -> int:
    """Ask for a connection; return the code of the answer."""
    sock.sendall(GREETING)
    assert sock.recv(2) == b"\x05\x00"
    sock.sendall(bytes([5, command, 0]) + address + port.to_bytes(2, "big"))
    reply = sock.recv(10)
    assert len(reply) == 10
    assert (reply[0], reply[2:4]) == (5, b"\x00\x01")
    return reply[1]


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        (b"\x01" + socket.inet_aton("127.0.0.1"), "127.0.0.1"),
        (b"\x03\x09name.test", "name.test"),
    ],
    ids=["ipv4", "name"],
)
def test_addresses_and_names_are_the_guests(
    guest: Any, proxy: SocksProxy, echoes: Service, address: bytes, asked: str
) -> None:
    """The guest is asked for the very name or address, and the bytes go both ways."""
    with connect(proxy) as sock:
        assert ask(sock, address, echoes.port) == 0
        sock.sendall(b"hello")
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b"hello"
    assert guest.asked == [(asked, echoes.port)]


def test_ipv6_addresses_reach_the_guest(guest: Any, proxy: SocksProxy) -> None:
    """An IPv6 address is handed to the guest in its usual form."""
    with connect(proxy) as sock:
        # Nobody listens there, here or elsewhere.
        assert ask(sock, b"\x04" + socket.inet_pton(socket.AF_INET6, "::1"), 9) == 5
    assert guest.asked == [("::1", 9)]


def test_a_request_in_single_bytes_is_understood(proxy: SocksProxy, echoes: Service) -> None:
    """A client may send in pieces, and its first bytes to the service right behind."""
    request = b"\x05\x01\x00\x01" + socket.inet_aton("127.0.0.1") + echoes.port.to_bytes(2, "big")
    with connect(proxy) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in GREETING + request + b"early":
            sock.send(bytes([byte]))
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock)[12:] == b"early"


def test_a_refused_target_is_answered(proxy: SocksProxy) -> None:
    """A service that is down is code 5, then the end, and the proxy's error tells why."""
    with Service(echo) as service:
        nobody = service.port
    with connect(proxy) as sock:
        assert ask(sock, b"\x01" + socket.inet_aton("127.0.0.1"), nobody) == 5
        assert sock.recv(1) == b""
    wait_until(lambda: proxy.error, what="the error", timeout=20, poll=0.01)
    assert isinstance(proxy.error, TunnelError)
    assert str(nobody) in str(proxy.error)


def test_a_guest_that_is_gone_is_answered(make_guest: MakeGuest, make_ssh: MakeSSH) -> None:
    """Without an SSH connection the answer is code 3, network unreachable."""
    guest = make_guest(listen=False)
    with make_ssh(guest).socks() as proxy, connect(proxy) as sock:
        assert ask(sock, b"\x01" + socket.inet_aton("127.0.0.1"), 1) == 3
        wait_until(lambda: proxy.error, what="the error", timeout=20, poll=0.01)
        assert isinstance(proxy.error, GuestConnectionError)


@pytest.mark.parametrize("command", [2, 3])
def test_other_commands_are_refused(proxy: SocksProxy, command: int) -> None:
    """BIND and UDP ASSOCIATE are answered with code 7, not supported."""
    with connect(proxy) as sock:
        assert ask(sock, b"\x01" + socket.inet_aton("127.0.0.1"), 1, command=command) == 7


@pytest.mark.parametrize(
    "greeting",
    [b"\x05\x01\x02", b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", b"GET / HTTP/1.0\r\n\r\n"],
)
def test_who_speaks_something_else_is_told_so(proxy: SocksProxy, greeting: bytes) -> None:
    """A client that must log in, or is none of SOCKS5, gets "no method" and the end."""
    with connect(proxy) as sock:
        sock.sendall(greeting)
        assert read_all(sock) == b"\x05\xff"


def test_an_unknown_kind_of_address_is_refused(proxy: SocksProxy) -> None:
    """It is answered with code 8."""
    with connect(proxy) as sock:
        sock.sendall(GREETING + b"\x05\x01\x00\x09")
        assert read_all(sock)[:4] == b"\x05\x00\x05\x08"


def test_clients_that_say_nothing_do_not_hold_up_the_end(ssh: SSH) -> None:
    """A proxy closes while clients are silent, in the middle of a word, or gone."""
    proxy = ssh.socks()
    silent, half, gone = connect(proxy), connect(proxy), connect(proxy)
    half.sendall(b"\x05")
    gone.close()
    proxy.close()
    silent.close()
    half.close()
    assert not tunnel_threads()


def test_the_url_names_a_proxy_that_resolves(proxy: SocksProxy) -> None:
    """The scheme is curl's for names that the proxy resolves."""
    assert proxy.url == f"socks5h://127.0.0.1:{proxy.port}"

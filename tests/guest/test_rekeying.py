"""New keys in the middle of transfers: paramiko wants them after 512 MB, here after less."""

from __future__ import annotations

import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from paramiko.common import MSG_GLOBAL_REQUEST, MSG_NEWKEYS

from tests.guest.services import Service, echo, read_all
from vboxkit.guest.replies import ReplyingTransport

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.guest.conftest import MakeGuest, MakeSSH
    from vboxkit.guest import SSH

LIMIT = 1 << 19


@pytest.fixture
def exchanges() -> list[bytes]:
    """List the hashes of the key exchanges."""
    return []


@pytest.fixture
def often(
    monkeypatch: pytest.MonkeyPatch,
    make_guest: MakeGuest,
    make_ssh: MakeSSH,
    exchanges: list[bytes],
) -> SSH:
    """Connect, with small buffers, and want new keys after each half megabyte, each way."""
    # paramiko's own server breaks the protocol if a channel is opened or closed meanwhile.
    monkeypatch.setattr("tests.guest.server.paramiko.Transport", ReplyingTransport)
    ssh = make_ssh(make_guest()).connect()
    transport: Any = ssh._transport
    transport.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
    transport.packetizer.REKEY_BYTES = LIMIT
    take: Callable[[Any, bytes], None] = transport._set_K_H

    def noted(key: Any, digest: bytes) -> None:
        exchanges.append(digest)
        take(key, digest)

    monkeypatch.setattr(transport, "_set_K_H", noted)
    return ssh


def exchange(port: int, data: bytes) -> bytes:
    """Send, and receive at the same time."""
    with socket.create_connection(("127.0.0.1", port)) as sock:

        def send() -> None:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        sock.settimeout(60)
        try:
            return read_all(sock)
        finally:
            sender.join(60)


def test_tunnels_go_on_with_new_keys(often: SSH, exchanges: list[bytes]) -> None:
    """Nothing is lost of what goes both ways through tunnels from here and from there."""
    data = os.urandom(1 << 20) * 4
    with (
        Service(echo) as service,
        often.forward_local(service.port) as there,
        often.forward_remote(service.port) as back,
        ThreadPoolExecutor(4) as pool,
    ):
        ports = [there.port, back.guest_port] * 2
        assert list(pool.map(lambda port: exchange(port, data), ports)) == [data] * 4
        assert there.error is back.error is None
    assert len(set(exchanges)) > 3
    assert often.run("true").ok


def test_an_answer_is_not_mixed_up_with_new_keys(guest: Any, make_ssh: MakeSSH) -> None:
    """A guest that wants new keys before it says where it listens is heard out."""
    ssh = make_ssh(guest).connect()
    server = guest.transports[-1]
    answer, keys = (server._handler_table[kind] for kind in (MSG_GLOBAL_REQUEST, MSG_NEWKEYS))
    asked: list[Any] = []

    def keys_first(message: Any) -> None:
        asked.append(message)
        server._send_kex_init()

    def answer_then(message: Any) -> None:
        keys(message)
        while asked:
            answer(asked.pop())

    server._handler_table |= {MSG_GLOBAL_REQUEST: keys_first, MSG_NEWKEYS: answer_then}
    with Service(echo) as service, ssh.forward_remote(service.port) as tunnel:
        assert tunnel.guest_port > 0
        assert exchange(tunnel.guest_port, b"hello") == b"hello"
    with pytest.raises(ConnectionRefusedError):
        exchange(tunnel.guest_port, b"")


def test_copies_go_on_with_new_keys(often: SSH, exchanges: list[bytes], tmp_path: Path) -> None:
    """A file is the same, there and back again."""
    data = os.urandom(4 << 20)
    there = f"{tmp_path}/guest/x"
    often.write_bytes(there, data)
    assert often.read_bytes(there) == data
    assert len(set(exchanges)) > 3

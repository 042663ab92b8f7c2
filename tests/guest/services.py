"""Small TCP services for the tests of tunnels, each connection in a thread of its own."""

from __future__ import annotations

import faulthandler
import os
import random
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self


class Service:
    """Listens on a free port; calls a function with each connection, and closes it then."""

    def __init__(
        self, serve: Callable[[socket.socket], object], *, host: str = "127.0.0.1"
    ) -> None:
        self.serve = serve
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.socket.bind((host, 0))
        self.socket.listen(128)
        self.port: int = self.socket.getsockname()[1]
        self.clients: list[socket.socket] = []
        self.threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self.threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for sock in (self.socket, *self.clients):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            self.clients.append(client)
            thread = threading.Thread(target=self._run, args=(client,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _run(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            self.serve(client)


def echo(client: socket.socket) -> None:
    """Send back what comes, until its end."""
    while block := client.recv(1 << 16):
        client.sendall(block)


def read_all(sock: socket.socket) -> bytes:
    """Return what comes until the end."""
    blocks = []
    while block := sock.recv(1 << 16):
        blocks.append(block)
    return b"".join(blocks)


def talk(port: int, data: bytes, *, host: str = "127.0.0.1") -> bytes:
    """
    Connect, send, end that direction, and return all that comes back.

    If it stands still for a minute, all threads are printed.
    """
    with socket.create_connection((host, port), timeout=60) as sock:
        sender = threading.Thread(target=_send, args=(sock, data))
        sender.start()
        sender.join(0.05 if len(data) > 1 << 16 else 60)
        try:
            if not sender.is_alive():
                sock.shutdown(socket.SHUT_WR)
                return read_all(sock)
            blocks, left = [], len(data)
            while left and (block := sock.recv(1 << 16)):
                blocks.append(block)
                left -= len(block)
            sender.join(60)
            sock.shutdown(socket.SHUT_WR)
            return b"".join(blocks) + read_all(sock)
        except TimeoutError:
            faulthandler.dump_traceback(2)  # standard error, as pytest captures it
            raise


def _send(sock: socket.socket, data: bytes) -> None:
    rest = memoryview(data)
    with suppress(OSError):  # who receives sees it as well
        while rest:  # not sendall: its timeout is for all of it
            rest = rest[sock.send(rest) :]


def both_ways(port: int, data: bytes, *, seed: int, still: float) -> bytes:
    """
    Send until nothing more is taken; then read in pieces of any size while the rest is sent.

    Args:
        port: Where.
        data: What.
        seed: Of the sizes.
        still: Seconds without a byte after which it stands still.

    Raises:
        TimeoutError: It stood still.
    """
    choose = random.Random(seed)  # noqa: S311 - sizes
    with socket.create_connection(("127.0.0.1", port), timeout=still) as sock:
        sock.settimeout(0.3)
        sent = 0
        with suppress(TimeoutError):
            while sent < len(data):
                sent += sock.send(data[sent : sent + (1 << 16)])
        sock.settimeout(still)

        def send() -> None:
            rest = memoryview(data)[sent:]
            while rest:  # not sendall: its timeout is for all of it
                rest = rest[sock.send(rest) :]
            sock.shutdown(socket.SHUT_WR)

        with ThreadPoolExecutor(1) as pool:
            sender = pool.submit(send)
            got = bytearray()
            while block := sock.recv(choose.choice((1, 100, 4096, 1 << 15, 1 << 18))):
                got += block
            sender.result()
    return bytes(got)


def tunnel_threads() -> list[str]:
    """Return the names of this process's threads that belong to tunnels."""
    return [it.name for it in threading.enumerate() if it.name.startswith("vboxkit-tunnel")]


def socket_count() -> int:
    """Return how many sockets this process has open."""
    count = 0
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names, not paths
        with suppress(OSError):
            count += os.readlink(f"/proc/self/fd/{number}").startswith("socket:")  # noqa: PTH115
    return count


def fill(sock: socket.socket, *, patience: float) -> None:
    """Send until nothing more goes for so many seconds: whoever should take it has stopped."""
    sock.settimeout(patience)
    with suppress(TimeoutError):
        while True:
            sock.send(bytes(1 << 16))

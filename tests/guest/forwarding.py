"""The tunnels of the SSH server in this process: what it connects to, and where it listens."""

# ruff: noqa: D102 - most methods are paramiko's

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any

import paramiko
from paramiko.common import OPEN_FAILED_CONNECT_FAILED, OPEN_SUCCEEDED

#: What is raised over a connection that the client has ended.
_GONE = (OSError, EOFError, paramiko.SSHException)


class Forwarding(paramiko.ServerInterface):
    """Connects for its clients, and listens for them; sees to its threads and sockets."""

    guest: Any
    transport: paramiko.Transport

    def __init__(self) -> None:
        self._targets: dict[int, socket.socket] = {}
        self._listeners: dict[int, socket.socket] = {}
        self._sessions: list[paramiko.Channel] = []

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        self.guest.asked.append(destination)
        if destination[0] == "silent.test":
            self.guest.silence.wait(30)
        host = {"name.test": "127.0.0.1"}.get(destination[0], destination[0])
        try:
            target = socket.create_connection((host, destination[1]), timeout=5)
        except OSError:
            return OPEN_FAILED_CONNECT_FAILED
        target.settimeout(None)
        self.guest.ends.append(target)
        self._targets[chanid] = target
        self.guest.spawn(self._take)
        return OPEN_SUCCEEDED

    def check_port_forward_request(self, address: str, port: int) -> int:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
        except OSError:
            listener.close()
            return 0
        listener.listen()
        number: int = listener.getsockname()[1]
        self.guest.ends.append(listener)
        self._listeners[number] = listener
        self.guest.spawn(self._listen, address, number, listener)
        return number

    def cancel_port_forward_request(self, address: str, port: int) -> None:
        self.stop_listening(port)

    def stop_listening(self, port: int) -> None:
        listener = self._listeners.pop(port)
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()

    def _listen(self, address: str, number: int, listener: socket.socket) -> None:
        # A server gives a port up with the connection that asked for it.
        self.guest.spawn(self._until_gone, number)
        while True:
            try:
                client, origin = listener.accept()
            except OSError:
                return
            self.guest.ends.append(client)
            try:
                channel = self.transport.open_forwarded_tcpip_channel(origin, (address, number))
            except (paramiko.SSHException, EOFError):
                client.close()
                continue
            self.guest.spawn(_join, client, channel)

    def _until_gone(self, number: int) -> None:
        self.transport.join()
        if number in self._listeners:
            self.stop_listening(number)

    def _take(self) -> None:
        # Of several at once any may come, and sessions among them.
        while self.transport.is_active():
            taken = self.transport.accept(0.5)  # early `None` if another thread was faster
            target = None if taken is None else self._targets.pop(taken.chanid, None)
            if taken is None:
                continue
            if target is not None:
                _join(target, taken)
                return
            self._sessions.append(taken)  # nobody else may have it yet: it must not be collected


def _close(channel: paramiko.Channel) -> None:
    with suppress(*_GONE):
        channel.close()


def _join(sock: socket.socket, channel: paramiko.Channel) -> None:
    def up() -> None:
        try:
            while block := channel.recv(1 << 15):
                sock.sendall(block)
            sock.shutdown(socket.SHUT_WR)
        except _GONE:
            _close(channel)

    thread = threading.Thread(target=up, daemon=True)
    thread.start()
    try:
        while block := sock.recv(1 << 15):
            channel.sendall(block)
        channel.shutdown_write()
    except _GONE:
        _close(channel)
    thread.join()
    _close(channel)
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()

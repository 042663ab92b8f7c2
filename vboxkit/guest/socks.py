"""
The server's side of SOCKS5 (RFC 1928), as far as a tunnel needs it: CONNECT without a login.

By hand, as no kept library has just this: they are clients, or whole proxies of their own.
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress

__all__ = ["GRANTED", "REFUSED", "UNREACHABLE", "answer", "greet", "part"]

#: Answers: done; the target refuses; there is no way to it.
GRANTED = 0
UNREACHABLE = 3
REFUSED = 5

_VERSION = 5
_NO_LOGIN = 0
_NO_METHOD = 0xFF
_CONNECT = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_BAD_COMMAND, _BAD_ADDRESS = 7, 8


def greet(client: socket.socket) -> tuple[str, int]:
    """
    Hear where a client wants to go: a name or an address, and a port.

    Raises:
        ConnectionAbortedError: It does not speak SOCKS5, or wants what is not there; where the
            protocol has an answer for that, it was given.
        OSError: It is gone, or too slow.
    """
    version, methods = _read(client, 2)
    offered = _read(client, methods) if version == _VERSION else b""
    if _NO_LOGIN not in offered:
        client.sendall(bytes([_VERSION, _NO_METHOD]))
        raise ConnectionAbortedError("no client of SOCKS5 without a login")
    client.sendall(bytes([_VERSION, _NO_LOGIN]))
    version, command, _, kind = _read(client, 4)
    if kind == _IPV4:
        host = str(ipaddress.IPv4Address(_read(client, 4)))
    elif kind == _IPV6:
        host = str(ipaddress.IPv6Address(_read(client, 16)))
    elif kind == _NAME:
        host = _read(client, _read(client, 1)[0]).decode("ascii", "replace")
    else:
        answer(client, _BAD_ADDRESS)
        raise ConnectionAbortedError(f"SOCKS address of unknown kind {kind}")
    port = int.from_bytes(_read(client, 2), "big")
    if version != _VERSION or command != _CONNECT:
        answer(client, _BAD_COMMAND)
        raise ConnectionAbortedError(f"SOCKS command {command}, not CONNECT")
    return host, port


def answer(client: socket.socket, code: int) -> None:
    """Tell a client what became of its request; the address in it is of no use, so zeros."""
    client.sendall(bytes([_VERSION, code, 0, _IPV4]) + bytes(6))


def part(client: socket.socket) -> None:
    """Close the connection of a client that was refused, so that it gets the answer first."""
    with suppress(OSError):
        client.shutdown(socket.SHUT_WR)
        # What it sent and nobody read would have the system reset the connection at once.
        client.settimeout(1.0)
        for _ in range(16):
            if not client.recv(1 << 12):
                break
    client.close()


def _read(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        block = client.recv(size - len(data))
        if not block:
            raise ConnectionAbortedError("the client is gone")
        data += block
    return data

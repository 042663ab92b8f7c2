"""Plain UDP sockets that play the machines at the ports of a switch."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from vboxkit.net import Switch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

__all__ = ["ALL", "Clock", "Station", "frame", "mac"]

ALL = b"\xff" * 6


def mac(number: int) -> bytes:
    """Return the MAC address of a machine."""
    return bytes([8, 0, 0x27, 0, 0, number])


def frame(target: bytes, source: bytes, data: bytes = b"", *, kind: int = 0x0800) -> bytes:
    """Return an Ethernet frame."""
    return (target + source + kind.to_bytes(2, "big") + data).ljust(60, b"\0")


class Clock:
    """A time that tests set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Station:
    """A machine: one UDP socket, with the switch's port at the other end."""

    def __init__(self, number: int) -> None:
        self.mac = mac(number)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def plug(self, switch: Switch, name: str) -> None:
        """Join a switch."""
        self.end = switch.add_port(name, self.port)

    def send(self, data: bytes) -> None:
        """Send a frame."""
        self.socket.sendto(data, ("127.0.0.1", self.end))

    def receive(self, timeout: float = 0.0) -> bytes | None:
        """Return a frame, or `None` if there is none within so many seconds."""
        self.socket.settimeout(timeout)
        try:
            return self.socket.recv(65_535)
        except (BlockingIOError, TimeoutError):
            return None


@pytest.fixture
def clock() -> Clock:
    """Make the time that `switch` has."""
    return Clock()


@pytest.fixture
def switch(clock: Clock) -> Iterator[Switch]:
    """Make a switch that switches with each `step`."""
    made = Switch(clock=clock)
    yield made
    made.close()


@pytest.fixture
def stations(switch: Switch) -> Iterator[list[Station]]:
    """Plug three machines in: a, b and c."""
    with Station(1) as a, Station(2) as b, Station(3) as c:
        for name, station in zip("abc", (a, b, c), strict=True):
            station.plug(switch, name)
        yield [a, b, c]

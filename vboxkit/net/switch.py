"""
A learning Ethernet switch in user space.

Each port is a UDP socket on 127.0.0.1 with one peer, and each datagram is a frame: what
VirtualBox's driver ``UDPTunnel`` speaks.
"""

from __future__ import annotations

import heapq
import selectors
import socket
import time
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING

from vboxkit.errors import AlreadyExistsError
from vboxkit.net.faults import Faults
from vboxkit.net.services import MAC
from vboxkit.net.table import MacTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit.net.capture import Capture
    from vboxkit.net.services import Services

__all__ = ["Switch"]

_HOST = "127.0.0.1"
#: The longest datagram.
_MOST = 65_535
#: Frames that are taken from one port before the others have their turn.
_BATCH = 64
#: Bytes that wait in a socket; the system may allow less.
_BUFFER = 1 << 20


class _Port:
    """One port: its socket has one peer, the system drops what others send to it."""

    def __init__(self, name: str, peer: int) -> None:
        self.name = name
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            self.socket.bind((_HOST, 0))
            self.socket.connect((_HOST, peer))
            self.socket.setblocking(False)
        except BaseException:
            self.socket.close()
            raise
        self.number: int = self.socket.getsockname()[1]
        self.open = True

    def receive(self) -> bytes | None:
        """Return a frame, or `None` if there is none now."""
        while True:
            try:
                return self.socket.recv(_MOST)
            except BlockingIOError:
                return None
            except ConnectionError:
                continue  # what was sent before found nobody: the machine is off

    def send(self, frame: bytes) -> bool:
        """Send a frame; tell whether it is on its way. Nobody there is no error."""
        for _ in range(2):
            try:
                self.socket.send(frame)
            except ConnectionError:
                continue  # about the one before: it says nothing of this one, which was not sent
            except OSError:
                return False  # no room, or too long
            else:
                return True
        return False

    def close(self) -> None:
        self.open = False
        self.socket.close()


class Switch:
    """
    The switch. All methods are for the thread that runs it, but `post` and `stop`.

    Args:
        faults: What it does to frames; nothing if left out.
        services: What it answers itself; nothing if left out.
        ageing: Seconds after which a card that was not heard is forgotten.
        clock: Tells the time in seconds; tests bring their own.

    Attributes:
        faults: What was given.
        services: What was given.
        capture: Where frames are written, as they come in, or `None`.
        counts: How many frames met what: by port and fate.
    """

    def __init__(
        self,
        *,
        faults: Faults | None = None,
        services: Services | None = None,
        ageing: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.faults = faults or Faults()
        self.services = services
        self.capture: Capture | None = None
        self.counts: Counter[tuple[str, str]] = Counter()
        self._table = MacTable(ageing=ageing)
        self._clock = clock
        self._ports: dict[str, _Port] = {}
        self._late: list[tuple[float, int, _Port, bytes]] = []
        self._number = 0
        self._jobs: deque[Callable[[], None]] = deque()
        self._stopped = False
        self._selector = selectors.DefaultSelector()
        self._waker, self._alarm = socket.socketpair()
        self._waker.setblocking(False)
        self._alarm.setblocking(False)
        self._selector.register(self._alarm, selectors.EVENT_READ, None)

    # Ports

    def add_port(self, name: str, peer: int) -> int:
        """
        Add a port.

        Args:
            name: Its name.
            peer: The UDP port on 127.0.0.1 that is at the other end.

        Returns:
            The UDP port of this end.

        Raises:
            AlreadyExistsError: There is one of this name.
        """
        if name in self._ports:
            raise AlreadyExistsError(
                f"the switch has a port {name!r} already", kind="port", wanted=name
            )
        port = _Port(name, peer)
        self._ports[name] = port
        self._selector.register(port.socket, selectors.EVENT_READ, port)
        return port.number

    def remove_port(self, name: str) -> None:
        """Remove a port with what is on its way to it; doing it twice does no harm."""
        port = self._ports.pop(name, None)
        if port is not None:
            self._selector.unregister(port.socket)
            port.close()
            self._table.forget(name)

    # Running

    def post(self, job: Callable[[], None]) -> None:
        """Let the thread that runs the switch do something; does not wait. For any thread."""
        self._jobs.append(job)
        self._wake()

    def stop(self) -> None:
        """Let `run` return. For any thread."""
        self._stopped = True
        self._wake()

    def _wake(self) -> None:
        # Full of such calls already; or closed, and nobody runs it any more.
        with suppress(OSError):
            self._waker.send(b"\0")

    def run(self, *, idle: Callable[[], bool] | None = None) -> None:
        """
        Switch frames until `stop`.

        Args:
            idle: Called about once a second; if it returns `False` that is the end, too.
        """
        look = self._clock() + 1.0
        while not self._stopped:
            self.step(1.0)
            if idle is not None and self._clock() >= look:
                look = self._clock() + 1.0
                if not idle():
                    return

    def step(self, timeout: float) -> None:
        """Wait up to so many seconds until there is something to do, and do it."""
        if self._late:
            timeout = min(timeout, max(0.0, self._late[0][0] - self._clock()))
        for key, _ in self._selector.select(timeout):
            port: _Port | None = key.data
            if port is None:
                self._drain()
            elif port.open:
                self._serve(port)
        while self._jobs:
            self._jobs.popleft()()
        self._release()
        if self.capture is not None:
            self.capture.flush()

    def close(self) -> None:
        """Close all ports and the capture; doing it twice does no harm."""
        for name in list(self._ports):
            self.remove_port(name)
        self._late.clear()
        if self.capture is not None:
            self.capture.close()
            self.capture = None
        self._selector.close()
        self._waker.close()
        self._alarm.close()

    # Frames

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            self._alarm.recv(4096)

    def _serve(self, port: _Port) -> None:
        for _ in range(_BATCH):
            frame = port.receive()
            if frame is None:
                return
            self._arrived(port, frame)

    def _arrived(self, port: _Port, frame: bytes) -> None:
        name = port.name
        self.counts[name, "received"] += 1
        if len(frame) < 14:
            self.counts[name, "runt"] += 1
            return
        now = self._clock()
        if self.capture is not None:
            self.capture.write(frame)
        source, target = frame[6:12], frame[:6]
        if source == MAC:
            self.counts[name, "forged"] += 1
            return
        everybody = target[0] & 1
        if not source[0] & 1:
            self._table.learn(source, name, now)
        if self.services is not None and (everybody or target == MAC):
            answer = self.services.answer(frame, now)
            if answer is not None:
                self._answer(answer, port, now)
            if target == MAC:
                return
        where = None if everybody else self._table.find(target, now)
        if where is None:
            for other in self._ports.values():
                if other is not port:
                    self._forward(name, other, frame, now)
        elif where != name:
            self._forward(name, self._ports[where], frame, now)

    def _answer(self, frame: bytes, port: _Port, now: float) -> None:
        """Send a frame of the switch's own; no fault meets it."""
        if self.capture is not None:
            self.capture.write(frame)
        target = frame[:6]
        where = None if target[0] & 1 else self._table.find(target, now)
        if target[0] & 1:
            for other in self._ports.values():
                self._send(other, frame)
        else:
            self._send(self._ports.get(where or "", port), frame)

    def _forward(self, source: str, port: _Port, frame: bytes, now: float) -> None:
        faults = self.faults
        if not faults.active:
            self._send(port, frame)
            return
        for due, data in faults.apply(source, port.name, frame, now):
            if due <= now:
                self._send(port, data)
            else:
                self._number += 1  # those that are due together keep their order
                heapq.heappush(self._late, (due, self._number, port, data))

    def _release(self) -> None:
        while self._late and self._late[0][0] <= self._clock():
            _, _, port, frame = heapq.heappop(self._late)
            if port.open:
                self._send(port, frame)

    def _send(self, port: _Port, frame: bytes) -> None:
        self.counts[port.name, "sent" if port.send(frame) else "lost"] += 1

"""A thread that writes down what comes in over a connection."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Recorder"]

#: Seconds that the other side may take nothing of what is sent.
_STALL = 30.0


class Recorder:
    """
    Append all that a connection says to a file, until it ends, and talk back.

    Args:
        connection: A connected socket; closed by `stop`.
        path: The file; made if missing.
    """

    def __init__(self, connection: socket.socket, path: Path) -> None:
        self._connection = connection
        self._file = path.open("ab", buffering=0)
        self._received = 0
        self._last = time.monotonic()
        self._thread = threading.Thread(target=self._record, name=f"record {path}", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the connection has not ended."""
        return self._thread.is_alive()

    @property
    def received(self) -> int:
        """Bytes so far."""
        return self._received

    @property
    def idle(self) -> float:
        """Seconds since the last byte came."""
        return time.monotonic() - self._last

    def send(self, data: bytes, *, stall: float = _STALL) -> None:
        """
        Send bytes, and wait until they are taken.

        Args:
            data: The bytes.
            stall: Seconds without one of them being taken, after which it is given up.

        Raises:
            TimeoutError: The other side takes nothing; some of it may have been sent.
            OSError: The connection has ended.
        """
        left = memoryview(data)
        while left:
            # The thread reads from the same socket, which so must have no timeout of its own.
            if not _writable(self._connection, stall):
                raise TimeoutError(f"nothing taken for {stall:.3g} s")
            with suppress(BlockingIOError):
                left = left[self._connection.send(left, socket.MSG_DONTWAIT) :]

    def stop(self) -> None:
        """End the connection and the thread; what came by then is in the file."""
        with suppress(OSError):  # the other side was first
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._connection.close()

    def _record(self) -> None:
        with self._file:
            while True:
                try:
                    data = self._connection.recv(65536)
                except OSError:
                    return
                if not data:
                    return
                self._file.write(data)
                self._received += len(data)
                self._last = time.monotonic()


def _writable(connection: socket.socket, seconds: float) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(connection, select.POLLOUT)
        return bool(poll.poll(seconds * 1000))
    return bool(select.select([], [connection], [], seconds)[1])

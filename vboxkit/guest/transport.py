"""
The SSH transport: paramiko's, with what it cannot do (see `replies` for one more thing).

- Nothing blocks for good. paramiko has calls without a timeout (a reply to a request, a write into
  a full socket); here each operation is registered with the moment at which it must be over, and
  the transport's own thread, which looks up ten times a second anyway, breaks the connection when
  one is late.
- The signal that ended a command is kept, which paramiko throws away.
- A reader sleeps until something happened on its channel, on whichever stream.
"""

from __future__ import annotations

import errno
import logging
import signal
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakSet

import paramiko
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
    cMSG_CHANNEL_REQUEST,
)

from vboxkit.guest.replies import ReplyingTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vboxkit.guest.users import Way

__all__ = ["LOG", "Ending", "GuardedSocket", "Transport", "Wake", "Watch"]

#: paramiko's messages for our connections. It logs a traceback for each broken banner, which is
#: everyday life while a guest boots, so nothing below CRITICAL passes until somebody sets a level.
LOG = "vboxkit.guest.paramiko"
_log = logging.getLogger(LOG)
_log.addHandler(logging.NullHandler())
if _log.level == logging.NOTSET:
    _log.setLevel(logging.CRITICAL)

#: Seconds between two looks for operations that are late; paramiko's own timeout of its socket.
_LOOK = 0.1


class Watch:
    """The moments at which the operations now going on over a connection must be over."""

    def __init__(self) -> None:
        self._limits: dict[object, float] = {}

    @contextmanager
    def limit(self, seconds: float) -> Iterator[Callable[[], None]]:
        """Break the connection if the block takes longer; calling what it gives starts anew."""
        token = object()

        def renew() -> None:
            self._limits[token] = time.monotonic() + seconds

        renew()
        try:
            yield renew
        finally:
            del self._limits[token]

    @property
    def busy(self) -> int:
        """How many operations are going on."""
        return len(self._limits)

    @property
    def overdue(self) -> bool:
        """Whether one of them is late."""
        if not self._limits:
            return False
        now = time.monotonic()
        return any(end < now for end in tuple(self._limits.values()))


class GuardedSocket(socket.socket):
    """A socket that breaks itself when an operation over it is late."""

    watch: Watch
    _next_look = 0.0

    @classmethod
    def adopt(cls, plain: socket.socket, watch: Watch) -> GuardedSocket:
        """Take over the descriptor of another socket, which is closed by that."""
        guarded = cls(fileno=plain.detach())
        guarded.watch = watch
        return guarded

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive; paramiko's thread comes by here every tenth of a second."""
        try:
            data = super().recv(size, flags)
        except TimeoutError:
            self._break_if_overdue()
            raise
        # What comes in all the time may be anything but the answer that somebody waits for.
        now = time.monotonic()
        if now > self._next_look:
            self._next_look = now + _LOOK
            self._break_if_overdue()
        return data

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Send; whoever is stuck in a full socket comes by here every tenth of a second."""
        try:
            return super().send(data, flags)
        except TimeoutError:
            self._break_if_overdue()
            raise

    def _break_if_overdue(self) -> None:
        if self.watch.overdue:
            # What was half sent cannot be taken back, so the connection is of no more use.
            with suppress(OSError):  # gone already
                self.shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError(errno.ECONNABORTED, "the guest did not answer in time")


class Wake(threading.Event):
    """
    Set by paramiko for news on any stream of a channel, and counted, so that several may wait.

    paramiko clears the event of a stream when that stream is empty, although the other one may
    have news: so its `clear` does nothing, and who waits says which news it has seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()
        #: How many news there were. To be read before looking: what comes after is announced again.
        self.news = 0

    def clear(self) -> None:
        """Do nothing."""

    def set(self) -> None:
        """Tell everybody that there is something new."""
        super().set()
        with self._changed:
            self.news += 1
            self._changed.notify_all()

    def wait_after(self, seen: int, seconds: float) -> bool:
        """Wait for other news than those, and tell whether there are any."""
        with self._changed:
            return self._changed.wait_for(lambda: self.news != seen, seconds)


@dataclass(eq=False)
class Ending:
    """How a channel ended, as far as the guest said so."""

    exit_signal: str | None = None
    refused: bool = False
    closed: bool = False
    wake: Wake = field(default_factory=Wake)

    @property
    def signal_code(self) -> int | None:
        """128 + the number of the signal, as a shell would report it; `None` if it has none."""
        try:
            return 128 + signal.Signals[f"SIG{self.exit_signal}"].value
        except KeyError:
            return None


def _ending(channel: paramiko.Channel) -> Ending | None:
    transport = channel.transport
    return transport.endings.get(channel.chanid) if isinstance(transport, Transport) else None


# These are called by paramiko's thread for a message to a channel, in place of its own.


def _on_request(channel: paramiko.Channel, message: paramiko.Message) -> None:
    ending = _ending(channel)
    start = message.packet.tell()
    if ending is not None and message.get_text() == "exit-signal":
        message.get_boolean()
        ending.exit_signal = message.get_text()
        ending.wake.set()
        return
    message.packet.seek(start)
    _PARAMIKO[MSG_CHANNEL_REQUEST](channel, message)


def _on_failure(channel: paramiko.Channel, message: paramiko.Message) -> None:
    ending = _ending(channel)
    if ending is not None:
        ending.refused = True
    _PARAMIKO[MSG_CHANNEL_FAILURE](channel, message)


def _on_window(channel: paramiko.Channel, message: paramiko.Message) -> None:
    _PARAMIKO[MSG_CHANNEL_WINDOW_ADJUST](channel, message)
    ending = _ending(channel)
    if ending is not None:
        ending.wake.set()  # whoever writes can go on


def _on_close(channel: paramiko.Channel, message: paramiko.Message) -> None:
    ending = _ending(channel)
    if ending is not None:
        ending.closed = True
    _PARAMIKO[MSG_CHANNEL_CLOSE](channel, message)


_PARAMIKO: dict[int, Callable[..., None]] = paramiko.Transport._channel_handler_table  # type: ignore[attr-defined]  # noqa: SLF001 - the only way to see these messages


class Transport(ReplyingTransport):
    """A connection to one guest; see the module."""

    def __init__(self, sock: GuardedSocket) -> None:
        super().__init__(sock)
        self.watch = sock.watch
        self.endings: dict[int, Ending] = {}
        #: What goes on in the background.
        self.talks: WeakSet[object] = WeakSet()
        #: How commands come to run as other users, as far as was found out.
        self.ways: dict[str, Way] = {}
        self.set_log_channel(LOG)

    def abort(self) -> None:
        """Close without waiting for anybody; doing it twice does no harm."""
        # The timer of an unfinished key exchange is a thread that would keep the interpreter from
        # ending for its whole duration.
        self.packetizer.complete_handshake()
        with suppress(OSError):  # wakes paramiko's thread at once
            self.sock.shutdown(socket.SHUT_RDWR)
        self.close()
        self.packetizer.close()
        self.sock.close()

    def send_request(
        self, channel: paramiko.Channel, kind: str, *parts: str | int, reply: bool
    ) -> None:
        """
        Send a request, such as "exec" or "signal", without awaiting the answer.

        paramiko has no method for signals, and its `exec_command` waits without a limit.
        """
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string(kind)
        message.add_boolean(reply)
        for part in parts:
            if isinstance(part, int):
                message.add_int(part)
            else:
                message.add_string(part)
        self._send_user_message(message)

    _channel_handler_table: ClassVar[dict[int, Callable[..., None]]] = {
        **_PARAMIKO,
        MSG_CHANNEL_REQUEST: _on_request,
        MSG_CHANNEL_FAILURE: _on_failure,
        MSG_CHANNEL_WINDOW_ADJUST: _on_window,
        MSG_CHANNEL_CLOSE: _on_close,
    }

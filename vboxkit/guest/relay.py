"""One connection through a tunnel: a socket of this machine and a channel to the guest, joined."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.common import cMSG_CHANNEL_OPEN

from vboxkit.guest.transport import Ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit.guest.transport import Transport

__all__ = ["BrokenError", "Relay", "open_channel", "reset"]

_BLOCK = 1 << 15
#: Seconds that the guest may take to accept a few bytes when a connection is closed.
_LAST_WORD = 10.0
#: SO_LINGER with no time: close() tells the peer of a break, not of an end.
_ABORT = struct.pack("ii", 1, 0)


class BrokenError(Exception):
    """The SSH connection under the tunnel broke."""


def reset(sock: socket.socket) -> None:
    """Close a socket so that its peer sees that something broke (ECONNRESET), and no end."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    sock.close()


def open_channel(
    transport: Transport,
    kind: str,
    write: Callable[[paramiko.Message], object],
    *,
    timeout: float,
    given_up: threading.Event,
) -> paramiko.Channel:
    """
    Open a channel of any kind.

    paramiko's own method knows two kinds of tunnels, and cannot be interrupted.

    Args:
        transport: The connection.
        kind: Such as "direct-tcpip".
        write: Adds what belongs to this kind to the message.
        timeout: Seconds.
        given_up: When set, the wait is over.

    Raises:
        paramiko.ChannelException: The guest refuses.
        TimeoutError: It did not answer, or `given_up` was set.
        EOFError: The connection broke.
    """
    if not transport.is_active():
        raise EOFError
    inside: Any = transport  # private names, missing in the stubs
    with inside.lock:
        number = inside._next_channel()  # noqa: SLF001
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_OPEN)
        message.add_string(kind)
        message.add_int(number)
        message.add_int(inside.default_window_size)
        message.add_int(inside.default_max_packet_size)
        write(message)
        channel = paramiko.Channel(number)
        inside._channels.put(number, channel)  # noqa: SLF001
        inside.channel_events[number] = answered = threading.Event()
        inside.channels_seen[number] = True
        transport.endings[number] = Ending()
        channel._set_transport(transport)  # type: ignore[attr-defined]  # noqa: SLF001
        channel._set_window(  # type: ignore[attr-defined]  # noqa: SLF001
            inside.default_window_size, inside.default_max_packet_size
        )
    done = False
    try:
        inside._send_user_message(message)  # noqa: SLF001
        end = time.monotonic() + timeout
        # Looked up ten times a second, as paramiko does: nobody sets `answered` for `given_up`.
        while transport.is_active() and not answered.wait(0.1):
            if given_up.is_set() or time.monotonic() > end:
                raise TimeoutError
        if not transport.is_active():
            raise EOFError
        if inside._channels.get(number) is None:  # noqa: SLF001
            error = transport.get_exception()
            if not isinstance(error, paramiko.ChannelException):
                # There is one place for the errors of all channels that are opened at once.
                error = paramiko.ChannelException(2, "Connect failed")
            raise error
        done = True
    finally:
        if not done:
            transport.endings.pop(number, None)
    return channel


class Relay:
    """
    Both directions of one connection; each ends by itself, as TCP's do.

    Each direction waits where its receiver is slow, so nothing piles up here: 2 MB at most are on
    their way from the guest.

    Args:
        sock: The socket; it is closed at the end.
        channel: The channel, of an `Ending` in its transport; it is closed at the end.
        transport: The connection of the channel.
        name: The name of the second thread.
    """

    def __init__(
        self, sock: socket.socket, channel: paramiko.Channel, transport: Transport, *, name: str
    ) -> None:
        self._sock = sock
        self._channel = channel
        self._transport = transport
        self._ending = transport.endings[channel.chanid]
        self._over = threading.Event()
        # Set by paramiko when the channel is closed, by whomever; it may be closed already.
        channel.status_event = self._over
        if channel.closed:
            self._over.set()
        self._lock = threading.Lock()
        self._open_directions = 2
        self._cut = False
        self._sending = False
        self._up = threading.Thread(target=self._to_guest, name=name, daemon=True)

    def run(self) -> None:
        """
        Carry all there is, both ways, until both are at their end.

        Raises:
            BrokenError: The SSH connection broke; the socket was reset.
        """
        broken = False
        # Counted as an operation without an end: others do not give this connection up lightly.
        with self._transport.watch.limit(float("inf")):
            self._up.start()
            try:
                broken = not self._from_guest()
                if not broken:
                    self._over.wait()
                    broken = self._is_broken
            except (OSError, EOFError, paramiko.SSHException):
                self._cut = True  # the socket's peer is gone, or `cut` was called
            finally:
                self._finish(abort=broken or self._cut)
        if broken:
            raise BrokenError

    def cut(self) -> None:
        """End both directions at once, from another thread; the socket's peer sees a break."""
        self._cut = True
        with suppress(OSError):
            # The other half would tell the peer of an end, but only it wakes who is sending.
            self._sock.shutdown(socket.SHUT_RDWR if self._sending else socket.SHUT_RD)
        self._hang_up()

    @property
    def _is_broken(self) -> bool:
        ended = self._open_directions == 0 or self._ending.closed
        return not ended and not self._cut and self._channel.closed

    def _from_guest(self) -> bool:
        """Return whether the guest ended its direction, or closed; else the connection broke."""
        channel = self._channel
        while block := channel.recv(_BLOCK):
            self._sending = True
            if self._cut:
                return True
            self._sock.sendall(block)
            self._sending = False
        if channel.eof_received:
            self._sock.shutdown(socket.SHUT_WR)
            self._one_ended()
            return True
        return not self._is_broken

    def _to_guest(self) -> None:
        try:
            while block := self._sock.recv(_BLOCK):
                self._channel.sendall(block)
            if not self._cut:
                self._channel.shutdown_write()
                self._one_ended()
        except ConnectionError:
            self._cut = True
            self._hang_up()
        except (OSError, EOFError, paramiko.SSHException):
            pass  # the guest wants no more; what it still says is carried on

    def _one_ended(self) -> None:
        with self._lock:
            self._open_directions -= 1
            if self._open_directions == 0:
                self._over.set()

    def _hang_up(self) -> None:
        # A guest that does not take even this is paused or gone.
        with (
            suppress(OSError, EOFError, paramiko.SSHException),
            self._transport.watch.limit(_LAST_WORD),
        ):
            self._channel.close()
        self._over.set()

    def _finish(self, *, abort: bool) -> None:
        with suppress(OSError):  # wakes the other thread
            self._sock.shutdown(socket.SHUT_RD if abort else socket.SHUT_RDWR)
        self._hang_up()
        self._up.join(_LAST_WORD)
        self._transport.endings.pop(self._channel.chanid, None)
        if abort:
            reset(self._sock)
        else:
            self._sock.close()

"""What paramiko's thread says by itself, without keeping that thread from listening."""

from __future__ import annotations

import select
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.common import cMSG_GLOBAL_REQUEST

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ReplyingTransport"]

#: The first number of a message of the connection protocol (RFC 4250, 4.1.2). Those below are for
#: the keys and the log in, and go in their order, by the thread that has them to say.
_CONNECTION = 80
#: Seconds. How often who waits looks whether there is a connection still.
_LOOK = 0.1


class ReplyingTransport(paramiko.Transport):
    """
    A transport that goes on listening while it has something to answer.

    paramiko's one thread both listens and answers, as it does the guest's word that a channel is
    closed. While another thread is stuck in a full socket, it waits for that one to say it, and
    listens to nothing. A server that stops listening until it has said what it has to say, as
    dropbear does, then waits for us as we do for it, for good. The same goes for paramiko's wish
    for new keys, after 512 MB.
    """

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        #: Who wants to say something in a key exchange waits, instead of an error after 30 s: whose
        #: time is over breaks the connection, see `transport.Watch`.
        self.clear_to_send_timeout = float("inf")
        self._keys_wanted_there = False
        self._unsaid: deque[paramiko.Message] = deque()
        self._said = threading.Condition()
        self._answered = threading.Event()

    def global_request(
        self,
        kind: str,
        data: Iterable[Any] | None = None,
        wait: bool = True,  # noqa: FBT001, FBT002 - paramiko's signature
    ) -> paramiko.Message | None:
        """
        Send a request that belongs to no channel, and return the answer; `None` for a refusal.

        paramiko has one event for answers and for new keys, and takes these for the answer that it
        waits for. Who waits sees to it that there is one at a time.
        """
        if not wait:
            return super().global_request(kind, data, wait=False)
        message = paramiko.Message()
        message.add_byte(cMSG_GLOBAL_REQUEST)
        message.add_string(kind)
        message.add_boolean(True)
        if data is not None:
            message.add(*data)
        self._answered.clear()
        self._send_user_message(message)
        while self.is_active():
            if self._answered.wait(_LOOK):
                answer: paramiko.Message | None = self.global_response
                return answer
        return None

    def _parse_request_success(self, message: paramiko.Message) -> None:
        super()._parse_request_success(message)  # type: ignore[misc]  # missing in the stubs
        self._answered.set()

    def _parse_request_failure(self, message: paramiko.Message) -> None:
        super()._parse_request_failure(message)  # type: ignore[misc]  # missing in the stubs
        self._answered.set()

    def _send_message(self, data: paramiko.Message) -> None:
        if threading.current_thread() is self and data.asbytes()[0] >= _CONNECTION:
            self._answer(data)
        else:
            super()._send_message(data)  # type: ignore[misc]  # missing in the stubs

    def _negotiate_keys(self, message: paramiko.Message) -> None:
        self._keys_wanted_there = True
        try:
            super()._negotiate_keys(message)  # type: ignore[misc]  # missing in the stubs
        finally:
            self._keys_wanted_there = False

    def _send_kex_init(self) -> None:
        inside: Any = self
        ours = threading.current_thread() is self and not self._keys_wanted_there
        if inside.initial_kex_done and ours:
            # From now on nobody begins to write. While somebody is still at it there is no waiting:
            # our caller listens again, and comes back after a message or a tenth of a second.
            inside.clear_to_send.clear()
            if not inside.clear_to_send_lock.acquire(blocking=False):
                return
            inside.clear_to_send_lock.release()
            if not _has_room(self.sock):
                return
        super()._send_kex_init()  # type: ignore[misc]  # missing in the stubs

    def _send_user_message(self, data: paramiko.Message) -> None:
        if threading.current_thread() is self:
            self._answer(data)
            return
        if self._unsaid:
            # What is on a channel follows the answer that opened it.
            with self._said:
                while self._unsaid and self.is_active():
                    self._said.wait(_LOOK)
        self._say(data)

    def _say(self, data: paramiko.Message) -> None:
        super()._send_user_message(data)  # type: ignore[misc]  # missing in the stubs

    def _answer(self, data: paramiko.Message) -> None:
        inside: Any = self
        with self._said:
            if self._unsaid:
                self._unsaid.append(data)
                return
            lock = inside.clear_to_send_lock
            free = inside.clear_to_send.is_set() and lock.acquire(blocking=False)
            if free and not _has_room(self.sock):
                lock.release()
                free = False
            if not free:
                self._unsaid.append(data)
                threading.Thread(
                    target=self._say_all, name="vboxkit-ssh-reply", daemon=True
                ).start()
                return
        try:
            super()._send_message(data)  # type: ignore[misc]  # missing in the stubs
        finally:
            lock.release()

    def _say_all(self) -> None:
        done = False
        while not done:
            # Over a connection that broke there is nothing to be said.
            with suppress(EOFError, OSError, paramiko.SSHException):
                self._say(self._unsaid[0])
            with self._said:
                self._unsaid.popleft()
                done = not self._unsaid
                self._said.notify_all()


def _has_room(sock: Any) -> bool:
    """Tell whether a socket takes a short message at once."""
    try:
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(sock, select.POLLOUT)
            return bool(poll.poll(0))
        return bool(select.select([], [sock], [], 0)[1])
    except (OSError, ValueError):  # closed meanwhile
        return True

"""One command in the guest over one channel: the shell line, its streams, its end."""

from __future__ import annotations

import io
import os
import re
import shlex
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import paramiko

from vboxkit.core.waiting import Deadline
from vboxkit.guest.patience import RefusedError, SinkError
from vboxkit.guest.transport import Ending, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vboxkit.core.result import StreamName
    from vboxkit.guest.patience import Patience

    #: Takes what a command wrote: which stream, and a piece of it.
    Sink = Callable[[StreamName, bytes], object]

__all__ = ["MARK", "Command", "Exec", "Terminal", "open_channel", "shell_line", "text_of"]

#: In the environment of every command: by it, what a command started is found again.
MARK = "VBOXKIT_COMMAND"

#: A shell line, or a list of arguments.
Command: TypeAlias = "str | Sequence[str | os.PathLike[str]]"

#: Seconds. How long a command that was told to end may take to do so, and how long an order to end
#: it may take on its way.
GRACE = 1.0
ORDER = 3.0

#: Seconds that a command's cleanup may add to its timeout before the connection is broken.
MARGIN = 2 * (GRACE + ORDER)

_CHUNK = 1 << 18
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def text_of(command: str | Sequence[str | os.PathLike[str]]) -> str:
    """Return a shell line as it is, and a list of arguments quoted."""
    line = command if isinstance(command, str) else shlex.join(os.fspath(c) for c in command)
    if not line.strip() or "\0" in line:
        raise ValueError(f"not a command: {command!r}")
    return line


def shell_line(line: str, *, mark: str, cwd: str | None, env: Mapping[str, str] | None) -> str:
    """
    Return what the guest's shell is given: a POSIX shell's builtins only, hence no process more.

    Raises:
        ValueError: The name of a variable is none.
    """
    assignments = [f"{MARK}={mark}"]
    for key, value in (env or {}).items():
        if not _NAME.match(key):
            raise ValueError(f"not the name of an environment variable: {key!r}")
        assignments.append(f"{key}={shlex.quote(value)}")
    # By export and not by sshd, which accepts few variables from outside.
    start = f"export {' '.join(assignments)}; "
    if cwd is not None:
        folder = f"./{cwd}" if cwd.startswith("-") else cwd
        # Not "&&": of `a; b` only `a` would depend on it.
        start += f"cd {shlex.quote(folder)} || exit 1; "
    return start + line


@contextmanager
def open_channel(transport: Transport, timeout: float) -> Iterator[tuple[paramiko.Channel, Ending]]:
    """
    Open a session channel and close it at the end.

    paramiko finds channels by weak references: one that is collected while open disturbs the
    next, so it is held here and closed explicitly.
    """
    channel = transport.open_session(timeout=timeout)
    ending = transport.endings.setdefault(channel.chanid, Ending())
    channel.in_buffer.set_event(ending.wake)
    channel.in_stderr_buffer.set_event(ending.wake)
    # The exit code is news as well.
    channel.status_event = ending.wake
    try:
        yield channel, ending
    finally:
        _close(channel)
        del transport.endings[channel.chanid]


def _close(channel: paramiko.Channel) -> None:
    # Over a connection that is just breaking, this raises; what was done on the channel counts.
    with suppress(EOFError, OSError, paramiko.SSHException):
        channel.close()


@dataclass(frozen=True)
class Terminal:
    """A terminal that a command is given: its type and its size in characters."""

    kind: str
    columns: int
    rows: int


class Exec:
    """
    A command on an open channel.

    Args:
        transport: The connection.
        channel: The open channel.
        ending: What is known of its end.
        line: The shell line.
        terminal: Given to it, if it shall have one; both streams are one then.

    Attributes:
        exit_code: See `Result.exit_code`; known when it ended.
    """

    def __init__(
        self,
        transport: Transport,
        channel: paramiko.Channel,
        ending: Ending,
        line: str,
        *,
        terminal: Terminal | None = None,
    ) -> None:
        self._transport = transport
        self._channel = channel
        self._ending = ending
        self._input_error: SinkError | None = None
        self.exit_code: int | None = None
        if terminal is not None:
            size = (terminal.columns, terminal.rows, 0, 0)
            transport.send_request(channel, "pty-req", terminal.kind, *size, "", reply=True)
        transport.send_request(channel, "exec", line, reply=True)

    def communicate(self, stdin: BinaryIO | bytes | None, sink: Sink, patience: Patience) -> bool:
        """
        Feed the command, hand on what it writes as it comes, and wait for its end.

        Args:
            stdin: Its whole input; `None` for none at all.
            sink: Called with each piece.
            patience: How long to go on; told of all that moves.

        Returns:
            Whether it ended; `False` if the patience ran out.

        Raises:
            EOFError: The connection broke.
            RefusedError: The server does not run commands.
            SinkError: The input could not be read.
        """
        feeder = self._feed(stdin, patience.renew)
        wake = self._ending.wake
        while True:
            seen = wake.news
            if self._input_error is not None:
                raise self._input_error
            ended = self.ended
            pieces = self.take()
            for stream, piece in pieces:
                sink(stream, piece)
                patience.renew()
            if pieces:
                if patience.left <= 0:
                    return False  # one who never stops writing
                continue
            if ended:
                break
            if not wake.wait_after(seen, patience.left) and patience.left <= 0:
                return False
        self.settle()
        if feeder is not None:
            feeder.join(GRACE)  # its channel is closed, so it ends
        return True

    def take(self) -> list[tuple[StreamName, bytes]]:
        """Return a piece of each stream that has one, without waiting."""
        channel = self._channel
        pieces: list[tuple[StreamName, bytes]] = []
        if channel.recv_ready():
            pieces.append(("stdout", channel.recv(_CHUNK)))
        if channel.recv_stderr_ready():
            pieces.append(("stderr", channel.recv_stderr(_CHUNK)))
        return pieces

    def settle(self) -> None:
        """
        Take note of how the command ended, and close the channel.

        Raises:
            EOFError: It did not end, the connection broke.
            RefusedError: The server did not run it.
        """
        if self._ending.refused:
            raise RefusedError
        if not self.has_status and not self._ending.closed:
            raise EOFError
        status = self._channel.exit_status
        self.exit_code = status if status != -1 else self._ending.signal_code
        _close(self._channel)

    @property
    def has_status(self) -> bool:
        """Whether the guest said how the command ended, also if its streams are still open."""
        return self._channel.exit_status != -1 or self._ending.exit_signal is not None

    @property
    def ended(self) -> bool:
        """Whether it ended and both streams did; what they hold can still be taken."""
        if self._ending.refused:
            return True
        return self._channel.closed or bool(self._channel.eof_received and self.has_status)

    def hand_on(self, sink: Sink) -> bool:
        """Hand on what has come, without waiting, and tell whether there was any."""
        pieces = self.take()
        for stream, piece in pieces:
            sink(stream, piece)
        return bool(pieces)

    def wait_closed(self, seconds: float, drain: Callable[[], bool]) -> bool:
        """Wait until both streams are at their end, and tell whether they are."""
        deadline = Deadline(seconds)
        wake = self._ending.wake
        while True:
            seen = wake.news
            closed = self._channel.closed or self._channel.eof_received
            # Not left lying: the end comes behind it, and may wait for room.
            moved = drain()
            if closed:
                return True
            if deadline.expired:
                return False
            if not moved:
                wake.wait_after(seen, deadline.remaining)

    def signal(self, name: str) -> None:
        """Ask the server to send a signal ("TERM") to the command; some do, none answers."""
        self._transport.send_request(self._channel, "signal", name, reply=False)

    def _feed(
        self, stdin: BinaryIO | bytes | None, moved: Callable[[], object]
    ) -> threading.Thread | None:
        if not stdin:
            # Otherwise whatever reads its input would wait for good.
            self._channel.shutdown_write()
            return None
        source = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin

        def read() -> bytes:
            try:
                return source.read(1 << 15)
            except Exception as error:  # whatever the caller's file raises
                self._input_error = SinkError(error)
                self._ending.wake.set()
                raise EOFError from error

        def feed() -> None:
            try:
                while block := read():
                    self._channel.sendall(block)
                    moved()
                self._channel.shutdown_write()
            except (OSError, EOFError, paramiko.SSHException):
                pass  # the command did not want it all, or the connection broke: the reader sees it

        # A thread, as the command may write more than a window before it reads its input.
        feeder = threading.Thread(target=feed, name="vboxkit-ssh-input", daemon=True)
        feeder.start()
        return feeder

"""One command in the guest over one channel: the shell line, its streams, its end."""

from __future__ import annotations

import io
import os
import re
import secrets
import shlex
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

import paramiko

from vboxkit.core.waiting import Deadline
from vboxkit.guest.patience import LateError, Patience, RefusedError
from vboxkit.guest.transport import Ending, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["MARK", "Exec", "RefusedError", "open_channel", "shell_line", "text_of"]

#: In the environment of every command: by it, what a command started is found again.
MARK = "VBOXKIT_COMMAND"

#: Seconds. How long a command that was told to end may take to do so, and how long an order to end
#: it may take on its way.
_GRACE = 1.0
_ORDER = 3.0

#: Seconds that a command's cleanup may add to its timeout before the connection is broken.
MARGIN = 2 * (_GRACE + _ORDER)

_CHUNK = 1 << 20
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


class Exec:
    """
    A command on an open channel.

    Attributes:
        exit_code: See `Result.exit_code`; known when `communicate` has returned.
    """

    def __init__(
        self, transport: Transport, channel: paramiko.Channel, ending: Ending, line: str
    ) -> None:
        self._transport = transport
        self._channel = channel
        self._ending = ending
        self.exit_code: int | None = None
        transport.send_request(channel, "exec", line, reply=True)

    def communicate(
        self,
        stdin: BinaryIO | bytes | None,
        stdout: Callable[[bytes], object],
        stderr: Callable[[bytes], object],
        patience: Patience,
    ) -> bool:
        """
        Feed the command, hand on what it writes as it comes, and wait for its end.

        Args:
            stdin: Its whole input; `None` for none at all.
            stdout: Called with each piece.
            stderr: Called with each piece.
            patience: How long to go on; told of all that moves.

        Returns:
            Whether it ended; `False` if the patience ran out.

        Raises:
            EOFError: The connection broke.
            RefusedError: The server does not run commands.
        """
        moved = patience.renew
        feeder = self._feed(stdin, moved)
        wake = self._ending.wake
        while True:
            wake.reset()  # before looking: what comes after is announced again
            finished = self._finished
            self._drain(stdout, stderr, moved)
            if finished:
                break
            if not wake.wait(patience.left) and patience.left <= 0:
                return False
        if self._ending.refused:
            raise RefusedError
        if not self._has_status and not self._ending.closed:
            raise EOFError
        status = self._channel.exit_status
        self.exit_code = status if status != -1 else self._ending.signal_code
        _close(self._channel)
        if feeder is not None:
            feeder.join(_GRACE)  # its channel is closed, so it ends
        return True

    @property
    def ended(self) -> bool:
        """Whether the guest said how the command ended, also if its streams are still open."""
        return self._has_status

    def drain(self, stdout: Callable[[bytes], object], stderr: Callable[[bytes], object]) -> None:
        """Hand on what has come and was not read yet."""
        self._drain(stdout, stderr, lambda: None)

    def wait_closed(self, seconds: float) -> bool:
        """Wait until both streams are at their end, reading nothing; tell whether they are."""
        deadline = Deadline(seconds)
        wake = self._ending.wake
        while True:
            wake.reset()
            if self._channel.closed or self._channel.eof_received:
                return True
            if not wake.wait(deadline.remaining):
                return False

    def signal(self, name: str) -> None:
        """Ask the server to send a signal ("TERM") to the command; some do, none answers."""
        self._transport.send_request(self._channel, "signal", name, reply=False)

    @property
    def _has_status(self) -> bool:
        return self._channel.exit_status != -1 or self._ending.exit_signal is not None

    @property
    def _finished(self) -> bool:
        return self._channel.closed or bool(self._channel.eof_received and self._has_status)

    def _drain(
        self,
        stdout: Callable[[bytes], object],
        stderr: Callable[[bytes], object],
        moved: Callable[[], object],
    ) -> None:
        channel = self._channel
        while channel.recv_ready():
            stdout(channel.recv(_CHUNK))
            moved()
        while channel.recv_stderr_ready():
            stderr(channel.recv_stderr(_CHUNK))
            moved()

    def _feed(
        self, stdin: BinaryIO | bytes | None, moved: Callable[[], object]
    ) -> threading.Thread | None:
        if not stdin:
            # Otherwise whatever reads its input would wait for good.
            self._channel.shutdown_write()
            return None
        source = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin

        def feed() -> None:
            try:
                while block := source.read(1 << 15):
                    self._channel.sendall(block)
                    moved()
                self._channel.shutdown_write()
            except (OSError, EOFError, paramiko.SSHException):
                pass  # the command did not want it all, or the connection broke: the reader sees it

        # A thread, as the command may write more than a window before it reads its input.
        feeder = threading.Thread(target=feed, name="vboxkit-ssh-input", daemon=True)
        feeder.start()
        return feeder


def new_mark() -> str:
    """Return a word that marks one command and no other."""
    return f"{time.time_ns():x}-{secrets.token_hex(4)}"


def end_command(transport: Transport, command: Exec, mark: str) -> bool:
    """
    End a command in the guest with all that it started, as far as that is possible.

    First by SIGTERM and, if its streams are still open a second later, by SIGKILL. The server is
    asked to signal what it started itself (OpenSSH and dropbear do); everything else is found by
    the mark in ``/proc``, of which a second channel runs a short search.

    Returns:
        Whether the streams of the command are closed, so nothing that it started writes any more.
    """
    # The brackets keep the search from finding itself by its own command line.
    pattern = f"{MARK}=[{mark[0]}]{mark[1:]}"
    # Shells first (found by their command line), lest they replace what was ended under them; and
    # what they did start meanwhile is looked for again.
    for name, rounds in (("TERM", "1"), ("KILL", "1 2 3 4 5")):
        script = (
            f"for i in {rounds}; do "
            f"set -- $(grep -ls '{pattern}' /proc/[0-9]*/cmdline /proc/[0-9]*/environ); "
            f'[ $# -gt 0 ] || break; for p; do p="${{p#/proc/}}"; kill -{name} "${{p%%/*}}"; done; '
            "done 2>/dev/null"
        )
        command.signal(name)
        patience = Patience(Deadline(_ORDER))
        try:
            with open_channel(transport, patience.left) as (channel, ending):
                order = Exec(transport, channel, ending, script)
                order.communicate(None, _ignore, _ignore, patience)
        except (RefusedError, paramiko.ChannelException):
            pass  # one channel only, and that is taken: the server's own signal must do
        except (OSError, EOFError, paramiko.SSHException):
            return False
        if patience.left <= 0:
            return False  # a guest that does not answer is not told twice
        if command.wait_closed(_GRACE):
            return True
    return False


def end_late(transport: Transport, command: Exec, mark: str) -> LateError:
    """End a command whose time is up; see `end_command`. Return the error that tells of it."""
    ended = command.ended
    busy = transport.watch.busy
    if end_command(transport, command, mark):
        late = LateError("it was ended, with all that it started")
    else:
        late = LateError("it could not be ended and may still run")
        if busy <= 1:
            # A guest that does not even take orders is gone or paused, and nobody else uses this
            # connection: the next command shall try a new one.
            transport.abort()
    if ended:
        late.hint = (
            "the command itself ended, but something it started kept its output open; start "
            "services with </dev/null >/dev/null 2>&1 &"
        )
    return late


def _ignore(_: bytes) -> None:
    pass

"""One process of a guest control session: its streams, its end."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from vboxkit.core.result import Result
from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import (
    ApiError,
    CommandTimeoutError,
    GuestError,
    InvalidStateError,
    WaitTimeoutError,
)
from vboxkit.machines.states import ONLINE, MachineState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vboxkit.com.interfaces import IGuestProcess
    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.guest_control import GuestSession

__all__ = ["run_process"]

#: Seconds between two looks at what a process wrote. VirtualBox can wait for a process's end, but
#: not for its output (WaitFlagNotSupported).
_LOOK = 0.02
#: Bytes that are asked for, or given, at once; the Guest Additions take 64 KB.
_CHUNK = 1 << 16
#: Seconds that a process which is told to end may take, and the guest's own limit is longer.
_GRACE = 15.0
_STDIN, _STDOUT, _STDERR = 0, 1, 2
#: In the environment of every process: by it, what a process started is found again.
_MARK = "VBOXKIT_PROCESS"
#: VirtualBox ends the process itself only. The brackets keep the search from finding itself.
_END_ALL = (
    "set -- $(grep -ls '{name}=[{first}]{rest}' /proc/[0-9]*/environ); "
    'for p; do p="${{p#/proc/}}"; kill -KILL "${{p%%/*}}"; done'
)
_ENDED = {"TerminatedNormally", "TerminatedSignal", "TerminatedAbnormally"}
_KILLED = {"TimedOutKilled", "TimedOutAbnormally", "Down", "Error"}


class _Running:
    """A process that was created, with what it wrote so far."""

    def __init__(
        self, session: GuestSession, com: IGuestProcess, stdin: bytes | None, mark: str
    ) -> None:
        self._session = session
        self._mark = mark
        self._api = session._api
        self._machine = session._machine
        self.com = com
        self._stdin = stdin or b""
        self._fed = False
        self.out: dict[int, list[bytes]] = {_STDOUT: [], _STDERR: []}
        self.status = "Undefined"

    def look(self) -> str | None:
        """Move what there is to move; return the status of one that ended."""
        self.status = self._api.name("ProcessStatus", self.com.status)
        if self.status in {"Undefined", "Starting"}:
            if self._machine.state not in ONLINE:
                return "Down"
            return None
        # Before the streams are read: what was written until then is read below.
        ended = self.status in _ENDED | _KILLED
        if not ended:
            self._feed()
        while sum([self._read(stream) for stream in self.out]):
            pass
        return self.status if ended else None

    def _read(self, stream: int) -> int:
        try:
            piece = bytes(self.com.read(stream, _CHUNK, 1000))
        except Exception as error:
            foreign = self._api.foreign(error)
            if foreign is None or foreign.lost:
                raise
            return 0  # a stream that is closed
        if piece:
            self.out[stream].append(piece)
        return len(piece)

    def _feed(self) -> None:
        if self._fed:
            return
        piece, rest = self._stdin[:_CHUNK], self._stdin[_CHUNK:]
        last = [] if rest else [self._api.value("ProcessInputFlag", "EndOfFile")]
        try:
            written = int(self.com.writeArray(_STDIN, last, piece, 1000))
        except Exception as error:
            foreign = self._api.foreign(error)
            if foreign is None or foreign.lost:
                raise
            self._fed = True  # it does not want more
            return
        self._stdin = self._stdin[written:]
        self._fed = not self._stdin

    def end(self) -> bool:
        """Terminate it, and tell whether it is known to have ended."""
        if self._machine.state is not MachineState.RUNNING:
            return False  # terminate() would wait 30 s for a guest that is paused
        try:
            self._end_all()
            if self.look() is None:
                self._terminate()
                wait_until(self.look, what="its end", timeout=_GRACE, poll=_LOOK)
        except WaitTimeoutError:
            return False
        except Exception as error:
            if self._api.foreign(error) is None:
                raise
            return False
        return True

    def _terminate(self) -> None:
        try:
            self.com.terminate()
        except Exception as error:
            # It is an error if the process has just ended.
            if self._api.foreign(error) is None or self.look() is None:
                raise

    def _end_all(self) -> None:
        if self._session.windows:
            return
        script = _END_ALL.format(name=_MARK, first=self._mark[0], rest=self._mark[1:])
        argv = ["/bin/sh", "-c", script]
        com = self._session.com.processCreate(argv[0], argv, "", [], [], int(_GRACE * 1000))

        def ended() -> bool | None:
            status = self._api.name("ProcessStatus", com.status)
            return True if status in _ENDED | _KILLED else None

        wait_until(ended, what="the end of what it started", timeout=_GRACE, poll=_LOOK)


def run_process(
    session: GuestSession,
    argv: Sequence[str],
    *,
    line: str,
    cwd: str,
    env: Sequence[str],
    stdin: bytes | None,
    timeout: Timeout,
) -> Result:
    """See `GuestSession.run`."""
    api, machine = session._api, session._machine
    deadline = Deadline(timeout)
    allowed = deadline.remaining
    flags = [api.value("ProcessCreateFlag", f) for f in ("WaitForStdOut", "WaitForStdErr")]
    # The guest's own limit, for a host that is gone by then.
    limit = int((allowed + 2 * _GRACE) * 1000)
    mark = secrets.token_hex(8)
    com = session.com.processCreate(
        argv[0], list(argv), cwd, [f"{_MARK}={mark}", *env], flags, min(limit, 2**31 - 1)
    )
    running = _Running(session, com, stdin, mark)

    def result(code: int | None) -> Result:
        out = {stream: b"".join(pieces) for stream, pieces in running.out.items()}
        return Result(line, code, out[_STDOUT], out[_STDERR], deadline.elapsed)

    done = False
    try:
        status = wait_until(running.look, what=f"{line!r}", timeout=deadline, poll=_LOOK)
        done = True
    except WaitTimeoutError as error:
        done = True
        gone = running.end()
        raise CommandTimeoutError(
            f"{machine._subject()} ({machine.state}): {line!r} did not end within {allowed:.3g} s; "
            + ("it was ended" if gone else "it could not be ended and may still run"),
            result=result(None),
            hint=None if gone else "is the machine paused, or was VBoxService killed in it?",
        ) from error
    finally:
        if not done:
            running.end()
    if status in _ENDED:
        code = int(com.exitCode)
        return result(128 + code if status == "TerminatedSignal" else code)
    raise _failed(session, com, line, status)


def _failed(
    session: GuestSession, com: IGuestProcess, line: str, status: str
) -> GuestError | ApiError:
    api, machine = session._api, session._machine
    state = str(machine.state)
    if machine.state not in ONLINE or status == "Down":
        return InvalidStateError(
            f"{machine._subject()} is {state}: {line!r} was cut off ({status})",
            state=state,
            needed=["Running"],
            operation="run a command",
        )
    text = status
    try:
        # VirtualBox's words come with a wait for what cannot come any more.
        com.waitForArray([api.value("ProcessWaitForFlag", "Start")], 1)
    except Exception as error:
        foreign = api.foreign(error)
        if foreign is None:
            raise
        text = foreign.text or status
    return GuestError(
        f"{machine._subject()} ({state}): cannot run {line!r}: {text}",
        hint="give the program's full path, or a shell line (a text, not a list)",
    )

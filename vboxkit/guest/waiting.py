"""Waiting for conditions: one loop in the guest, and looks from this host beside it."""

from __future__ import annotations

import io
import shlex
import threading
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import (
    CommandTimeoutError,
    GuestAuthError,
    GuestConnectionError,
    GuestError,
    HostKeyError,
    NotReadyError,
    VBoxKitError,
    WaitTimeoutError,
)
from vboxkit.guest.loops import NOT_YET, script
from vboxkit.guest.readiness import AllOf, AnyOf, Condition, GuestTest, HostLook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vboxkit.core.waiting import Timeout
    from vboxkit.guest.console import SerialLog
    from vboxkit.guest.ssh import SSH
    from vboxkit.guest.stream import Stream

__all__ = ["Met", "Surroundings", "wait_for"]

#: Seconds that the loop in the guest outlives a waiter that was killed, at most, by its own count,
#: if its shell does not see that its input has ended.
_GRACE = 30
#: Seconds that the look at what is there may take when the time is up: an emulated guest's
#: `systemctl` takes 2 to 5.
_LAST_LOOK = 12.0
#: Seconds that the loop may take to end when its input does.
_LEAVE = 1.0
_THREAD = "vboxkit-wait"


@dataclass(frozen=True)
class Surroundings:
    """
    Where conditions are looked for.

    Attributes:
        ssh: The guest.
        console: Its serial console.
        forward: Gives host and port that lead to a port of the guest.
        address: Gives the guest's address, if it is known.
        alive: Raises if there is nothing to wait for any more; called every now and then.
        evidence: Lines for the error.
        name: How messages call the guest.
    """

    ssh: SSH
    console: SerialLog
    forward: Callable[[int], tuple[str, int]]
    address: Callable[[], str | None]
    alive: Callable[[], object]
    evidence: Callable[[], str]
    name: str = "the guest"


@dataclass
class Met:
    """
    What holds: the conditions, each with its value.

    Attributes:
        values: By condition; `True` of those that the guest looked at itself.
    """

    values: dict[Condition, Any] = field(default_factory=dict)

    def __contains__(self, condition: object) -> bool:
        return condition in self.values

    def __getitem__(self, condition: Condition) -> Any:
        return self.values[condition]


def wait_for(condition: Condition, around: Surroundings, *, timeout: Timeout) -> Met:
    """
    Wait until a condition holds.

    Args:
        condition: Of `vboxkit.guest.readiness`.
        around: The guest.
        timeout: Seconds, `timedelta` or `Deadline`.

    Raises:
        WaitTimeoutError: It did not hold in time; says what was there of each part.
        NotReadyError: It cannot hold any more.
        GuestAuthError: The guest does not let us in.
        HostKeyError: The guest shows another host key.
    """
    if not isinstance(condition, Condition):
        raise TypeError(f"a condition is port(80), file(...) or the like, not {condition!r}")
    return _Wait(condition, around, Deadline(timeout)).run()


class _Open(io.RawIOBase):
    """An input on which nothing is ever written, until it ends."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def read(self, size: int = -1, /) -> bytes:
        """Wait for its end."""
        del size
        self._over.wait()
        return b""

    def close(self) -> None:
        """End it."""
        self._over.set()
        super().close()


class _OverError(Exception):
    """Nobody waits any more."""


class _WhileWanted(Deadline):
    """A deadline for a thread: whoever asks for the rest of it is told when nobody waits."""

    __slots__ = ("_over",)

    def __init__(self, timeout: Timeout, over: threading.Event) -> None:
        super().__init__(timeout)
        self._over = over

    @property
    def remaining(self) -> float:
        """See `Deadline`."""
        if self._over.is_set():
            raise _OverError
        return super().remaining


class _Wait:
    def __init__(self, condition: Condition, around: Surroundings, deadline: Deadline) -> None:
        self.condition = condition
        self.around = around
        self.deadline = deadline
        self.what = f"{condition} of {around.name}"
        self.leaves = list(dict.fromkeys(condition.leaves()))
        self.tests = [leaf for leaf in self.leaves if isinstance(leaf, GuestTest)]
        self.met = Met()
        self.news = threading.Event()
        self.over = threading.Event()
        self.loop: Stream | None = None
        self.input: _Open | None = None
        #: Whether the guest's shell does not see the end of its input.
        self.slow = False

    def run(self) -> Met:
        try:
            if len(self.tests) == len(self.leaves):
                while not self.turn(self.condition, self.tests):
                    pass
            else:
                self.beside()
        except WaitTimeoutError as error:
            raise WaitTimeoutError(
                self.what,
                waited=self.deadline.elapsed,
                last_seen=_last_seen(self.leaves, self.met, self.around, error.last_seen),
                evidence=self.around.evidence(),
                hint="give a longer timeout, or look at the evidence",
            ) from error
        return self.met

    def turn(self, condition: Condition | None, tests: list[GuestTest]) -> bool:
        """Let the guest look until it holds, or each test for itself did; tell whether so."""
        ssh, deadline = self.around.ssh, self.deadline
        self.around.alive()
        text = script(tests, condition, int(deadline.remaining) + _GRACE)
        try:
            ssh.wait_ready(_WhileWanted(deadline, self.over))
            with (
                closing(_Open()) as self.input,
                self._stream(text) as self.loop,
            ):
                reason = self._listen(self.loop, tests)
                result = self.loop.result
        except CommandTimeoutError as error:
            raise self.late("not yet") from error
        except (GuestAuthError, HostKeyError):
            raise
        except GuestConnectionError as error:
            # A guest that restarts, or a broken connection: go on, unless there is no machine.
            self.around.alive()
            if deadline.expired:
                raise self.late(error) from error
            return False
        if reason:
            raise NotReadyError(
                f"{self.what} cannot come any more: {reason[0]}",
                what=self.what,
                evidence="\n".join(reason[1:]).strip(),
                hint="wait for a port or a file, which need no systemd"
                if reason[0].startswith("there is no systemd")
                else None,
            )
        if self.over.is_set() or result.exit_code == 0:
            return True
        if result.exit_code != NOT_YET:
            raise GuestError(
                f"{self.what}: the guest cannot look: exit code {result.exit_code},"
                f" {result.stderr.strip()[-300:] or 'no word'}",
                hint="the guest needs a POSIX shell",
            )
        if deadline.expired:
            raise self.late("not yet")
        return False

    def _stream(self, text: str) -> Stream:
        if self.over.is_set():
            raise _OverError
        source: Any = self.input
        return self.around.ssh.stream(text, input=source, timeout=self.deadline, check=False)

    def _listen(self, loop: Stream, tests: list[GuestTest]) -> list[str]:
        """Hear what the guest says until it has ended; return why it cannot come, if it says so."""
        reason: list[str] = []
        for line in loop:
            word, _, rest = line.partition(" ")
            if line.stream == "stderr":
                continue
            if word == "slow":
                self.slow = True
                if self.over.is_set():
                    _close(loop)
            elif reason or word == "never":
                reason.append(str(line) if reason else rest)
            elif word == "met":
                self.met.values.update({tests[int(number)]: True for number in rest.split()})
                self.news.set()
        return reason

    def late(self, seen: object) -> WaitTimeoutError:
        return WaitTimeoutError(self.what, waited=self.deadline.elapsed, last_seen=seen)

    def beside(self) -> None:
        """Look from here, while a thread hears what the guest sees."""
        with ExitStack() as stack:
            looks = {
                leaf: stack.enter_context(closing(leaf.looks(self.around)))
                for leaf in self.leaves
                if isinstance(leaf, HostLook)
            }
            poll = min(look.poll for look in looks)
            failed = stack.enter_context(self.thread())

            def probe() -> bool | None:
                self.news.clear()
                self.around.alive()
                failed()
                for look, seen in looks.items():
                    if look not in self.met and (value := next(seen)) is not None:
                        self.met.values[look] = value
                if _holds(self.condition, self.met):
                    return True
                self.news.wait(min(poll, self.deadline.remaining))
                return None

            wait_until(probe, what=self.what, timeout=self.deadline, poll=0)

    @contextmanager
    def thread(self) -> Iterator[Callable[[], None]]:
        """Let the guest look in a thread; yields what raises the thread's error."""
        errors: list[BaseException] = []

        def run() -> None:
            try:
                while left := [test for test in self.tests if test not in self.met]:
                    if self.over.is_set() or self.deadline.expired:
                        return
                    self.turn(None, left)
            except (WaitTimeoutError, _OverError):
                return  # the one who waits sees that for himself
            except BaseException as error:
                errors.append(error)
            finally:
                self.news.set()

        def failed() -> None:
            if errors:
                raise errors[0]

        thread = threading.Thread(target=run, name=_THREAD, daemon=True)
        if self.tests:
            thread.start()
        try:
            yield failed
        finally:
            self.over.set()
            if self.tests:
                self._leave(thread)

    def _leave(self, thread: threading.Thread) -> None:
        """End the loop in the guest, and the thread that hears it."""
        if self.input is None:
            return  # it is connecting still, and ends with this attempt
        self.input.close()
        if self.slow and self.loop is not None:
            _close(self.loop)
        # A guest that does not answer holds up nobody who has what he waited for.
        thread.join(_LEAVE)


def _close(loop: Stream) -> None:
    with suppress(GuestError):
        loop.close()


def _holds(condition: Condition, met: Met) -> bool:
    if isinstance(condition, AllOf):
        return all(_holds(part, met) for part in condition.parts)
    if isinstance(condition, AnyOf):
        return any(_holds(part, met) for part in condition.parts)
    return condition in met


def _last_seen(leaves: list[Condition], met: Met, around: Surroundings, otherwise: str) -> str:
    """Say of each part what is there; asks the guest once more, if it answers."""
    tests = [leaf for leaf in leaves if isinstance(leaf, GuestTest) and leaf not in met]
    said: dict[Condition, str] = {}
    if tests and around.ssh.connected:
        script = "; ".join(f"( {test.seen} ) 2>&1 | tr '\\n' ' '; echo" for test in tests)
        with suppress(VBoxKitError):
            result = around.ssh.run(f"sh -c {shlex.quote(script)}", timeout=_LAST_LOOK)
            lines = [line.strip() for line in result.stdout.splitlines()]
            said = {test: line for test, line in zip(tests, lines, strict=False) if line}
    parts = []
    for leaf in leaves:
        if leaf in met:
            text = "is there"
        elif isinstance(leaf, HostLook):
            text = leaf.seen(around)
        else:
            text = said.get(leaf, otherwise)
        parts.append(text if len(leaves) == 1 else f"{leaf}: {text}")
    return "; ".join(parts)

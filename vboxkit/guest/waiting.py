"""Waiting for conditions: one loop in the guest, and looks from this host beside it."""

from __future__ import annotations

import shlex
import threading
from contextlib import contextmanager, suppress
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
from vboxkit.guest.readiness import (
    HOPELESS,
    NOT_YET,
    AllOf,
    AnyOf,
    Condition,
    GuestTest,
    HostLook,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vboxkit.core.waiting import Timeout
    from vboxkit.guest.console import SerialLog
    from vboxkit.guest.ssh import SSH

__all__ = ["Met", "Surroundings", "wait_for"]

#: Seconds that the loop in the guest outlives a waiter that was killed, at most, by its own count.
_GRACE = 30
#: Seconds that the look at what is there may take when the time is up.
_LAST_LOOK = 5.0
#: Seconds of one loop in the guest, where something else is waited for beside it.
_TURN = 1
#: What the guest runs. `tries` counts looks where /proc has no clock: then a look counts as 20 ms.
_LOOP = """
never() {{ printf '%s\\n' "$@" >&2; exit {hopeless}; }}
nap() {{ sleep 0.02 2>/dev/null || usleep 20000 2>/dev/null || sleep 1; }}
now() {{ read -r now _ < /proc/uptime && now=${{now%%.*}}; }}
{tests}
tries=0
now 2>/dev/null || now=0
end=$((now + {seconds}))
while :; do
    met=
    if {expression}; then echo "met$met"; exit 0; fi
    tries=$((tries + 1))
    now 2>/dev/null || now=$((tries / 50))
    [ "$now" -lt "$end" ] || exit {not_yet}
    nap
done
"""


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


class _Wait:
    def __init__(self, condition: Condition, around: Surroundings, deadline: Deadline) -> None:
        self.condition = condition
        self.around = around
        self.deadline = deadline
        self.what = f"{condition} of {around.name}"
        self.leaves = list(dict.fromkeys(condition.leaves()))
        self.tests = [leaf for leaf in self.leaves if isinstance(leaf, GuestTest)]
        self.met = Met()

    def run(self) -> Met:
        try:
            if len(self.tests) == len(self.leaves):
                while not self.turn(self.condition, self.tests, None):
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

    def turn(self, condition: Condition, tests: list[GuestTest], seconds: int | None) -> bool:
        """Run the loop in the guest once, and tell whether the condition holds."""
        ssh, deadline = self.around.ssh, self.deadline
        self.around.alive()
        try:
            ssh.wait_ready(deadline)
            limit = int(deadline.remaining) + _GRACE if seconds is None else seconds
            result = ssh.run(_script(condition, tests, limit), timeout=deadline)
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
        words = result.stdout.split()
        if result.exit_code == 0 and words[:1] == ["met"]:
            self.met.values.update({tests[int(number)]: True for number in words[1:]})
            return True
        if result.exit_code == HOPELESS:
            reason, _, evidence = result.stderr.strip().partition("\n")
            raise NotReadyError(
                f"{self.what} cannot come any more: {reason}",
                what=self.what,
                evidence=evidence,
                hint="wait for a port or a file, which need no systemd"
                if reason.startswith("there is no systemd")
                else None,
            )
        if result.exit_code != NOT_YET:
            raise GuestError(
                f"{self.around.name}: cannot wait for {condition}: {result.describe()}",
                hint="the guest needs a POSIX shell",
            )
        if deadline.expired:
            raise self.late("not yet")
        return False

    def late(self, seen: object) -> WaitTimeoutError:
        return WaitTimeoutError(self.what, waited=self.deadline.elapsed, last_seen=seen)

    def beside(self) -> None:
        """Look from here, while a thread lets the guest look, a second at a time."""
        looks = [leaf for leaf in self.leaves if isinstance(leaf, HostLook)]

        def probe() -> bool | None:
            self.around.alive()
            failed()
            for look in looks:
                if look not in self.met and (value := look.look(self.around)) is not None:
                    self.met.values[look] = value
            return True if _holds(self.condition, self.met) else None

        with self.thread() as failed:
            wait_until(
                probe,
                what=self.what,
                timeout=self.deadline,
                poll=min(look.poll for look in looks),
            )

    @contextmanager
    def thread(self) -> Iterator[Callable[[], None]]:
        """Let the guest look in a thread; yields what raises the thread's error."""
        errors: list[BaseException] = []
        over = threading.Event()

        def run() -> None:
            left = list(self.tests)
            try:
                while left and not over.is_set() and not self.deadline.expired:
                    if self.turn(AnyOf(tuple(left)), left, _TURN):
                        left = [test for test in left if test not in self.met]
            except WaitTimeoutError:
                return  # the one who waits sees that for himself
            except BaseException as error:
                errors.append(error)

        def failed() -> None:
            if errors:
                raise errors[0]

        thread = threading.Thread(target=run, name="vboxkit-wait", daemon=True)
        if self.tests:
            thread.start()
        try:
            yield failed
        finally:
            over.set()
            if self.tests:
                thread.join(_TURN + _LAST_LOOK)


def _script(condition: Condition, tests: list[GuestTest], seconds: int) -> str:
    functions = "\n".join(f"t{n}() {{ {test.test}\n}}" for n, test in enumerate(tests))
    return _LOOP.format(
        hopeless=HOPELESS,
        not_yet=NOT_YET,
        tests=functions,
        seconds=seconds,
        expression=_expression(condition, tests),
    )


def _expression(condition: Condition, tests: list[GuestTest]) -> str:
    if isinstance(condition, (AllOf, AnyOf)):
        word = " && " if isinstance(condition, AllOf) else " || "
        return "{ " + word.join(_expression(each, tests) for each in condition.parts) + "; }"
    assert isinstance(condition, GuestTest)  # noqa: S101 - nothing else is sent to a guest
    number = tests.index(condition)
    return f'{{ t{number} && met="$met {number}"; }}'


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

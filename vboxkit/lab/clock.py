"""Setting a guest's clock, and measuring it, by nothing but a shell."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vboxkit.core.waiting import wait_until
from vboxkit.errors import CommandTimeoutError, GuestError

if TYPE_CHECKING:
    from vboxkit.core.waiting import Deadline
    from vboxkit.guest.ssh import SSH
    from vboxkit.machines.guest_control import GuestSession

__all__ = ["offset", "sync"]

#: Prints the time of the guest in seconds: GNU's date has nanoseconds, busybox's adjtimex
#: microseconds; what has neither waits for the next second to begin.
_READ = """
t=$(date +%s.%N)
case $t in *N) t=$(adjtimex 2>/dev/null |
    awk '/tv_sec/ { s = $2 } /tv_usec/ { printf "%d.%06d", s, $2 }') ;; esac
case $t in ''|.*)
    a=$(date +%s); while t=$(date +%s); [ "$t" = "$a" ]; do :; done ;;
esac
echo "$t"
"""
#: Every date can be set to a whole second, few to less: so it is done when one begins.
_SET = "sleep {nap:.3f}; {{ date -u -s @{second} || sudo -n date -u -s @{second}; }} >/dev/null"
#: Seconds that the clock may be wrong when this is content.
_GOOD = 0.5
#: Seconds that an order is on its way, as a first guess.
_WAY = 0.15


def offset(
    guest: SSH | GuestSession, deadline: Deadline, *, name: str = "the guest"
) -> tuple[float, float]:
    """
    Return by how many seconds the guest's clock is ahead of this host's, and how wrong that may be.

    Args:
        guest: The way in: SSH, or guest control.
        deadline: For the command.
        name: Whose clock it is, for the error.

    Raises:
        GuestError: What its `date` says is no time.
    """
    before = time.time()
    said = guest.succeed(_READ, timeout=deadline).strip()
    after = time.time()
    try:
        seconds = float(said.splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise GuestError(
            f"{name}: its clock cannot be read, it says {said[-200:]!r}",
            hint="a date that knows +%s is needed in the guest",
        ) from error
    return seconds - (before + after) / 2, (after - before) / 2


def sync(guest: SSH | GuestSession, deadline: Deadline, *, name: str) -> float:
    """See `VM.sync_clock`."""
    seen: list[float] = []
    way = _WAY

    def attempt() -> bool | None:
        nonlocal way
        try:
            if not seen:
                seen.append(offset(guest, deadline, name=name)[0])
            begins = time.time() + way
            second = int(begins) + 1
            guest.succeed(_SET.format(nap=second - begins, second=second), timeout=deadline)
            seen.append(offset(guest, deadline, name=name)[0])
        except CommandTimeoutError:
            return None
        # Behind by as much as the order took longer than was thought.
        way = min(10.0, max(0.0, way - seen[-1]))
        return True if abs(seen[-1]) <= _GOOD else None

    wait_until(
        attempt,
        what=f"the clock of {name} to be right",
        timeout=deadline,
        poll=0,
        last_seen=lambda: f"{seen[-1]:+.2f} s" if seen else "no answer",
        hint="does something in the guest set it, too, or is the guest very busy?",
    )
    return seen[0]

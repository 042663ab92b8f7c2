"""Faults inside of a guest, made and mended by nothing but a shell: its disk, its clock."""

from __future__ import annotations

import re
import shlex
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from vboxkit.core.fault import Fault
from vboxkit.core.steps import step
from vboxkit.errors import GuestError, InvalidStateError, SettingsError
from vboxkit.lab.refresh import clock_line
from vboxkit.machines.states import MachineState

if TYPE_CHECKING:
    from vboxkit.core.waiting import Timeout
    from vboxkit.lab.waits import Waits

__all__ = ["GuestClock", "GuestDisk"]

#: In the folder that is filled.
_NAME = ".vboxkit-fill"

#: Prints the KiB that are left, of which `leave` are to stay. Space is reserved, and not written,
#: where `fallocate` is there: an emulated guest would take minutes. What is asked for is halved
#: when it does not fit, so that 0 means that not even 4 KiB are left for root. Without it zeros are
#: written.
_FILL = """
cd "$folder" || exit 1
left() { df -Pk . | { read -r _; read -r _ _ _ left _; echo "$left"; }; }
umask 077
: >> "$name" || exit 1
size=$(ls -ln "$name" | { read -r _ _ _ _ size _; echo "$size"; })
more=$(($(left) - leave))
[ "$more" -gt 0 ] || [ "$leave" = 0 ] || { left; exit 0; }
[ "$more" -gt 4 ] || more=4
if command -v fallocate >/dev/null; then
    while [ "$more" -ge 4 ]; do
        if fallocate -o "$size" -l $((more * 1024)) "$name" 2>/dev/null; then
            size=$((size + more * 1024))
            [ "$leave" = 0 ] || break
        else
            more=$((more / 2))
        fi
    done
elif [ "$leave" = 0 ]; then
    cat /dev/zero >> "$name" 2>/dev/null
else
    head -c $((more * 1024)) /dev/zero >> "$name"
fi
left
"""

_FREE = """
cd "$folder" && rm -f "$name"
"""

_LEFT = """
cd "$folder" && df -Pk . | { read -r _; read -r _ _ _ left _; echo "$left"; }
"""

#: What sets the clock by itself. It is stopped and not ended, so that whoever watches over it does
#: not start it again.
_KEEPERS = "VBoxService chronyd ntpd openntpd systemd-timesyncd"
_SIGNAL = """for it in $(pidof {names}); do
    kill -{signal} $it 2>/dev/null || sudo -n kill -{signal} $it 2>/dev/null
done
"""
_CONT = _SIGNAL.format(names=_KEEPERS, signal="CONT")
#: First nobody may set it any more. By the guest's own clock: who knows how long the order is on
#: its way, and to find those who set it takes an emulated guest a second.
_JUMP = (
    _SIGNAL.format(names=_KEEPERS, signal="STOP")
    + """
second=$(($(date +%s) + by))
{ date -u -s @$second 2>/dev/null || sudo -n date -u -s @$second; } >/dev/null
"""
)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"([+-])((?:\d+(?:\.\d+)?[smhdw])+)")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
#: What every `date` takes: until the year 9999.
_LAST = 253_402_300_799


class GuestDisk:
    """
    The space in a guest's file systems, by SSH; see `VM.disk`.

    Example:
        ``with vm.disk.fill(leave_mb=1): ...``
    """

    def __init__(self, vm: Waits) -> None:
        self._vm = vm

    def __repr__(self) -> str:
        return f"<GuestDisk of {self._vm!r}>"

    def left_mb(self, path: str = "/") -> float:
        """
        Return how many MiB are left for those who are not root, in the file system of a folder.

        Raises:
            CommandFailedError: There is no such folder.
        """
        return self._kib(_LEFT, path, leave=0, timeout=None) / 1024

    def fill(
        self, path: str = "/", *, leave_mb: float = 0, timeout: Timeout | None = None
    ) -> Fault:
        """
        Fill the file system that a folder is in.

        A file ``.vboxkit-fill`` in the folder takes the space. Where the guest can reserve it
        (``fallocate``, as on ext4 and XFS) that takes about a second; else it is written.

        Args:
            path: The folder.
            leave_mb: MiB that stay, for those who are not root; 0 fills what is kept for root, too.
            timeout: Seconds; `Settings.command_timeout` if left out.

        Returns:
            What frees it again: ``with vm.disk.fill(): ...``, or ``.mend()``.

        Raises:
            SettingsError: Less than nothing is to be left.
            CommandFailedError: There is no such folder, or the guest's user may not write there.

        Example:
            ``vm.disk.fill("/var/lib/app", leave_mb=1)``
        """
        if not leave_mb >= 0:
            raise SettingsError(
                f"{self._vm._subject()}: a disk cannot have {leave_mb} MB left",  # noqa: SLF001 - of the same machine
                hint="leave_mb=0 or more",
            )
        fault = Fault(f"the disk of {self._vm._name} is full at {path}", lambda: self._mend(path))  # noqa: SLF001
        done = False
        with step(f"{self._vm._subject()}: fill the disk at {path}"):  # noqa: SLF001
            try:
                self._kib(_FILL, path, leave=int(leave_mb * 1024), timeout=timeout)
                done = True
            finally:
                if not done:
                    fault.__exit__(GuestError, None, None)
        return fault

    def free(self, path: str = "/", *, timeout: Timeout | None = None) -> None:
        """
        Give back what `fill` took, in this machine or in what it is a fork of.

        Doing it twice does no harm.

        Raises:
            CommandFailedError: There is no such folder.
        """
        self._vm.ssh.succeed(_script(_FREE, folder=path, name=_NAME), timeout=timeout)

    def _mend(self, path: str) -> None:
        if not self._vm.registered:
            return
        if not self._vm.running:
            state = str(self._vm.state)
            raise InvalidStateError(
                f"{self._vm._subject()} is {state}: its disk cannot be freed",  # noqa: SLF001
                state=state,
                needed=["Running"],
                operation="free the disk",
                hint=f"start() it, and vm.disk.free({path!r})",
            )
        self.free(path)

    def _kib(self, script: str, path: str, *, leave: int, timeout: Timeout | None) -> int:
        line = _script(script, folder=path, name=_NAME, leave=str(leave))
        said = self._vm.ssh.succeed(line, timeout=timeout)
        try:
            return int(said.split()[-1])
        except (IndexError, ValueError) as error:
            raise GuestError(
                f"{self._vm._subject()}: the space at {path} cannot be read, df says {said!r}",  # noqa: SLF001
                hint="a df that knows -P and -k is needed in the guest",
            ) from error


class GuestClock:
    """
    The clock of a guest, put wrong on purpose and right again, by SSH; see `VM.clock`.

    Attributes:
        ahead: By how many seconds `jump` has put it ahead of this host's; negative if behind.

    Example:
        ``with vm.clock.jump("+1d"): ...``
    """

    def __init__(self, vm: Waits) -> None:
        self._vm = vm
        self.ahead = 0.0
        self._held = False

    def __repr__(self) -> str:
        return f"<GuestClock of {self._vm!r}, {self.ahead:+.0f} s>"

    def line(self) -> str:
        """Return shell lines that set the clock to what it should be, see `refresh.clock_line`."""
        let_go = self._held and not self.ahead
        self._held = self._held and not let_go
        return (_CONT if let_go else "") + clock_line(ahead=self.ahead)

    @property
    def jumped(self) -> bool:
        """Whether it was put wrong, and not right again."""
        return self._held or self.ahead != 0

    def jump(self, to: str | float | timedelta | datetime) -> Fault:
        """
        Put the clock forward or back, to the second.

        It stays so when the machine is paused, saved or goes back to a snapshot, until `back`,
        `VM.sync_clock`, `VM.rewind` or a cold start. What would set it right in the guest
        (VBoxService of the Guest Additions, chronyd, ntpd, systemd-timesyncd) is stopped
        meanwhile: guest control waits until it goes on.

        Args:
            to: ``"+1d"``, ``"-90m"``, ``"+1d12h"`` (s, m, h, d, w) or seconds or a `timedelta`
                from the guest's time now on; or a `datetime` (this host's time zone if it has
                none).

        Returns:
            What puts it right again: ``with vm.clock.jump("+1d"): ...``, or ``.mend()``.

        Raises:
            SettingsError: That is no time, or none that a guest could have (1970 to 9999).
            CommandFailedError: The guest's user may not set it, also not by ``sudo -n``.

        Example:
            ``vm.clock.jump(datetime(2038, 1, 19, 3, 14, tzinfo=timezone.utc))``
        """
        now = time.time()
        try:
            ahead = to.timestamp() - now if isinstance(to, datetime) else self.ahead + _seconds(to)
        except (OverflowError, OSError, ValueError) as error:
            if isinstance(error, SettingsError):
                raise
            ahead = -now - 1  # before all that a timestamp can tell
        if not 0 <= now + ahead <= _LAST:
            raise SettingsError(
                f"{self._vm._subject()}: its clock cannot be set by {to!r}",  # noqa: SLF001 - of the same machine
                hint="a time from 1970 to 9999",
            )
        fault = Fault(f"the clock of {self._vm._name} is {ahead:+.0f} s wrong", self._mend)  # noqa: SLF001
        done = False
        with step(f"{self._vm._subject()}: set the clock {ahead:+.0f} s wrong"):  # noqa: SLF001
            try:
                self._vm.ssh.succeed(_script(_JUMP, by=f"{ahead - self.ahead:.0f}"))
                self.ahead = ahead
                done = True
            finally:
                self._held = True
                if not done:
                    fault.__exit__(GuestError, None, None)
        return fault

    def back(self, *, timeout: Timeout = 30) -> float:
        """
        Set it to this host's time, and let what keeps it right go on; see `VM.sync_clock`.

        Args:
            timeout: Seconds.

        Returns:
            By how many seconds it was wrong; positive if it was ahead.
        """
        self._held = True  # in a fork of one whose clock has jumped nobody knows
        return self._vm.sync_clock(timeout=timeout)

    def forget(self) -> None:
        """Take note that the guest booted, or went back to its image: it has the right time."""
        self.ahead = 0.0
        self._held = False

    def let_go(self) -> None:
        """Let what keeps it right go on, if `jump` stopped it: `VM.sync_clock` has set it."""
        if self._held:
            self._vm.ssh.run(_CONT)
        self.forget()

    def _mend(self) -> None:
        vm = self._vm
        if not vm.registered or not self.jumped:
            return
        if vm.state is MachineState.RUNNING:
            self.back()
        else:
            # When it goes on, all is mended with the first command, and by a boot anyway.
            self.ahead = 0.0


def _seconds(span: str | float | timedelta) -> float:
    """Return a span of time in seconds."""
    if isinstance(span, timedelta):
        return span.total_seconds()
    if isinstance(span, str):
        found = _SPAN.fullmatch(span.replace(" ", ""))
        if found is not None:
            total = sum(float(n) * _UNITS[unit] for n, unit in _PART.findall(found[2]))
            return -total if found[1] == "-" else total
    elif type(span) in (int, float) and abs(span) <= _LAST:  # True is no number here
        return float(span)
    raise SettingsError(
        f"a clock cannot jump by {span!r}",
        hint="'+1d', '-90m', '+1d12h' (s, m, h, d, w), seconds, a timedelta or a datetime",
    )


def _script(text: str, **values: str) -> str:
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()) + text

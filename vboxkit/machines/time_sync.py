"""Whether and how the Guest Additions keep the guest's clock right."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.core.waiting import seconds
from vboxkit.machines.parts import MachinePart, invalid

if TYPE_CHECKING:
    from vboxkit.machines.hardware import MachineHardware

__all__ = ["TimeSync"]

_DISABLED = "VBoxInternal/Devices/VMMDev/0/Config/GetHostTimeDisabled"
#: The same in VBox.log, which tells what the running VM was started with.
_STARTED_WITH = re.compile(r"GetHostTimeDisabled\s+<integer> = 0x0*([0-9a-f]+)")
#: VBoxService looks for its options here when it starts.
_OPTION = "/VirtualBox/GuestAdd/VBoxService/--timesync-"


class TimeSync(MachinePart):
    """
    How the guest's clock is kept right by the Guest Additions; see `Additions.time_sync`.

    VBoxService compares the guest's clock with VirtualBox's time every 10 s. After a saved state
    was restored it sets the clock; otherwise it lets it go faster or slower, and sets it if it is
    wrong by more than 20 minutes. `VM.sync_clock` does not need it, and does not wait.

    Example:
        ``machine.additions.time_sync.enabled = False``
    """

    noun = "time synchronisation"
    _machine: MachineHardware

    def _locate(self, machine: Any) -> Any:
        return machine

    @property
    def enabled(self) -> bool:
        """
        Whether VirtualBox tells the guest the time; can be set.

        A change holds from the next start on, also that of a saved machine.
        """
        return (self._machine.get_extra_data(_DISABLED) or "0") in {"0", ""}

    @enabled.setter
    def enabled(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise TypeError(f"{self._subject()}: enabled is bool, not {type(value).__name__}")
        self._machine.set_extra_data(_DISABLED, None if value else "1")

    @property
    def active(self) -> bool:
        """
        Whether it is at work: the VM runs and tells its time, and VBoxService runs in the guest.

        A service that was started with ``--disable-timesync`` looks the same from here.
        """
        if not self._machine.additions.running:  # type: ignore[attr-defined]  # of Machine
            return False
        try:
            log = (Path(self._machine.com.logFolder) / "VBox.log").read_text("utf-8", "replace")
        except OSError:  # no log is written, or this is another host's
            return self.enabled
        told = _STARTED_WITH.search(log)
        return told is None or int(told[1], 16) == 0

    @property
    def interval(self) -> float:
        """
        Seconds between two looks at the clock; can be set, `None` for VBoxService's own 10.

        This and the other options are read by VBoxService when it starts, and kept in guest
        properties.
        """
        return self._read("interval", 10.0)

    @interval.setter
    def interval(self, value: float | timedelta | None) -> None:
        self._write("interval", value, 0.05, (2**32 - 2) / 1000)

    @property
    def threshold(self) -> float:
        """By how many seconds the clock may be wrong before it is set; `None` for 1200."""
        return self._read("set-threshold", 1200.0)

    @threshold.setter
    def threshold(self, value: float | timedelta | None) -> None:
        self._write("set-threshold", value, 0, 604_800)

    @property
    def on_restore(self) -> bool:
        """Whether the clock is set after a saved state was restored; can be set."""
        return f"{_OPTION}no-set-on-restore" not in self._machine.guest_properties

    @on_restore.setter
    def on_restore(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise TypeError(f"{self._subject()}: on_restore is bool, not {type(value).__name__}")
        if value:
            self._machine.guest_properties.pop(f"{_OPTION}no-set-on-restore", None)
        else:
            self._machine.guest_properties[f"{_OPTION}no-set-on-restore"] = "1"

    def _read(self, option: str, default: float) -> float:
        text = self._machine.guest_properties.get(_OPTION + option)
        try:
            return default if text is None else int(text) / 1000
        except ValueError:  # VBoxService does not heed it, either
            return default

    def _write(
        self, option: str, value: float | timedelta | None, least: float, most: float
    ) -> None:
        if value is None:
            self._machine.guest_properties.pop(_OPTION + option, None)
            return
        wanted = seconds(value)
        if not least <= wanted <= most:
            raise invalid(
                self,
                f"{option} cannot be {wanted:g} s",
                hint=f"{least:g} to {most:g} s, or None for VBoxService's own",
                operation="set it",
            )
        self._machine.guest_properties[_OPTION + option] = str(round(wanted * 1000))

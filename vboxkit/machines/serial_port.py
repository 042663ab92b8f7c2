"""Serial ports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.machines.base import ComObject, api_call

if TYPE_CHECKING:
    from vboxkit.machines.properties import MachineProperties

__all__ = ["SerialPort"]

#: COM1, as BIOS and guests know it.
_IO_BASE, _IRQ = 0x3F8, 4


class SerialPort(ComObject):
    """
    A serial port of a machine.

    Attributes:
        slot: 0 for COM1.
    """

    def __init__(self, machine: MachineProperties, slot: int) -> None:
        super().__init__(machine._api, machine.com.getSerialPort(slot))
        self._machine = machine
        self.slot = slot

    def _subject(self) -> str:
        return f"{self._machine._subject()}: serial port {self.slot}"

    def _state(self) -> str:
        return str(self._machine.state)

    def __repr__(self) -> str:
        return f"<SerialPort {self.slot} of {self._machine!r}>"

    @property
    @api_call("read whether the port is enabled")
    def enabled(self) -> bool:
        """Whether the guest sees it."""
        return bool(self.com.enabled)

    @property
    @api_call("read where the port leads")
    def file(self) -> Path | None:
        """The file that what the guest writes goes to, or `None`."""
        if self._api.name("PortMode", self.com.hostMode) != "RawFile":
            return None
        return Path(str(self.com.path))

    @api_call("write the serial port to a file")
    def to_file(self, path: Path | str) -> Path:
        """
        Send all that the guest writes to this port to a file, from the next start on.

        Works on a machine that is powered off or saved. The file is made new at each start.

        Args:
            path: Its folder must exist.
        """
        with self._machine._changing() as com:
            port = com.getSerialPort(self.slot)
            if not port.enabled:
                # A saved guest knows its hardware: there only the other end can be changed.
                port.enabled = True
                port.IOAddress, port.IRQ = _IO_BASE, _IRQ
            port.path = str(Path(path).absolute())
            port.hostMode = self._api.value("PortMode", "RawFile")
        return Path(path).absolute()

    @api_call("disconnect the serial port")
    def disconnect(self) -> None:
        """Let the port lead nowhere."""
        with self._machine._changing() as com:
            com.getSerialPort(self.slot).hostMode = self._api.value("PortMode", "Disconnected")

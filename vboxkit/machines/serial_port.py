"""Serial ports."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vboxkit.com.versions import holder, spelling
from vboxkit.core.ports import is_free
from vboxkit.errors import NotFoundError, PortInUseError, StorageError
from vboxkit.machines.base import api_call
from vboxkit.machines.locks import pending_undo
from vboxkit.machines.parts import Choice, MachinePart, Setting, invalid, require_text, within
from vboxkit.machines.states import ONLINE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.com.interfaces import ISerialPort
    from vboxkit.machines.base import ComObject
    from vboxkit.machines.properties import MachineProperties

__all__ = ["PortMode", "SerialPort", "SerialPorts", "UartType"]

PortMode = Literal["Disconnected", "HostPipe", "HostDevice", "RawFile", "TCP"]
UartType = Literal["U16450", "U16550A", "U16750"]

#: IO base and IRQ of COM1 to COM4, as BIOS and guests know them.
_USUAL = ((0x3F8, 4), (0x2F8, 3), (0x3E8, 4), (0x2E8, 3))


class _IoBase(Setting[int]):
    """Another name in 7.0: see `com.versions.spelling`."""

    def _read(self, obj: ComObject) -> Any:
        return getattr(obj._current(), spelling(obj._api, self._name))

    def _write(self, obj: ComObject, com: Any, raw: Any) -> None:
        setattr(com, spelling(obj._api, self._name), raw)


class _PortEnabled(Setting[bool]):
    def _write(self, obj: ComObject, com: Any, raw: Any) -> None:
        if raw and not com.enabled and isinstance(obj, SerialPort):
            # A port that was never on may have no address, and guests look for COM1 to COM4.
            base = spelling(obj._api, "IOAddress")
            usual_base, usual_irq = _USUAL[obj.slot]
            setattr(com, base, getattr(com, base) or usual_base)
            com.IRQ = com.IRQ or usual_irq
        super()._write(obj, com, raw)


class SerialPort(MachinePart):
    """
    A serial port of a machine.

    What it leads to can be changed at any time, the rest while the machine is powered off.

    Attributes:
        slot: 0 for COM1.

    Example:
        ``machine.serial_ports[1].to_tcp(2023)``
    """

    com: ISerialPort

    enabled = _PortEnabled(
        "enabled", bool, "Whether the guest sees it; turned on, it has the usual IO base and IRQ."
    )
    io_base = _IoBase("IOAddress", int, "Its IO base, as 0x3F8.", check=within(0, 0xFFFF))
    irq = Setting("IRQ", int, "Its interrupt.", check=within(0, 255))
    uart = Choice[UartType]("uartType", "UartType", "The chip that the guest sees.")

    def __init__(self, machine: MachineProperties, slot: int) -> None:
        self.slot = slot
        self.noun = f"serial port {slot}"
        super().__init__(machine)

    def _locate(self, machine: Any) -> Any:
        return machine.getSerialPort(self.slot)

    def __repr__(self) -> str:
        return f"<SerialPort {self.slot} of {self._machine!r}>"

    # Reading

    @property
    @api_call("read what the port leads to")
    def mode(self) -> PortMode:
        """What it leads to; changed by `to_file` and the like, and by `disconnect`."""
        return self._api.name("PortMode", self._current().hostMode)  # type: ignore[return-value]

    @property
    @api_call("read where the port leads")
    def path(self) -> str:
        """The path of the file, pipe or device, or ``[host:]port``; empty if disconnected."""
        return str(self._current().path)

    @property
    @api_call("read which end the port is")
    def server(self) -> bool:
        """Whether VirtualBox makes the pipe, or listens; otherwise it connects."""
        return bool(self._current().server)

    @property
    def file(self) -> Path | None:
        """The file that what the guest writes goes to, or `None`."""
        return Path(self.path) if self.mode == "RawFile" else None

    # Changing

    @api_call("write the serial port to a file")
    def to_file(self, path: Path | str) -> Path:
        """
        Send all that the guest writes to this port to a file.

        At once on a machine that runs, otherwise from the next start on. The file is made new at
        each start.

        Args:
            path: Its folder must exist.

        Raises:
            StorageError: The machine runs, and the folder does not exist.
        """
        target = Path(path).absolute()
        self._lead("RawFile", str(target), server=False)
        return target

    @api_call("connect the serial port to a pipe")
    def to_pipe(self, path: Path | str, *, server: bool = True) -> Path:
        r"""
        Connect the port to a local socket (a named pipe on Windows).

        Args:
            path: The socket's path; on Windows ``\\.\pipe\name``.
            server: Whether VirtualBox makes it; otherwise it must be there when the VM starts.

        Raises:
            StorageError: The machine runs, and the socket, or the folder for it, does not exist.
        """
        target = Path(path).absolute()
        self._lead("HostPipe", str(target), server=server)
        return target

    @api_call("connect the serial port to a device")
    def to_device(self, path: Path | str) -> Path:
        """Connect the port to a serial device of the host, as ``/dev/ttyS0``."""
        target = Path(path)
        self._lead("HostDevice", str(target), server=False)
        return target

    @api_call("connect the serial port to TCP")
    def to_tcp(self, port: int, *, host: str | None = None) -> None:
        """
        Connect the port to TCP.

        On a machine that runs, VirtualBox tells only VBox.log if nobody listens at `host`.

        Args:
            port: The port to listen on, on all addresses; or to connect to.
            host: The host to connect to; it must listen when the VM starts. Listens if left out.

        Raises:
            ApiError: There is no such port.
            PortInUseError: The machine runs, and the port to listen on is taken.
        """
        within(1, 65_535)(self, "the TCP port", port)
        target = str(port) if host is None else f"{host}:{port}"
        self._lead("TCP", target, server=host is None)

    @api_call("disconnect the serial port")
    def disconnect(self) -> None:
        """Let the port lead nowhere."""
        with self._changing() as com:
            if self._machine.state in ONLINE:
                pending_undo(self._machine).append(self._again)
            com.hostMode = self._api.value("PortMode", "Disconnected")

    def connect(self, mode: PortMode, path: str = "", *, server: bool = False) -> None:
        """Let the port lead to what `mode`, `path` and `server` of another one say."""
        if mode == "Disconnected":
            self.disconnect()
            return
        if not path:
            raise invalid(self, f"{mode} needs a path", hint="see SerialPort.path")
        with self._translated(f"connect the serial port by {mode}"):
            self._lead(mode, path, server=server)

    def _lead(self, mode: PortMode, path: str, *, server: bool) -> None:
        require_text(self, "path", path)
        live = self._machine.state in ONLINE
        if live:
            self._require_there(mode, path, server=server)
        with self._machine.edit():
            if live:
                pending_undo(self._machine).append(self._again)
            if not self.enabled:
                # A saved guest knows its hardware: there only the other end can be changed.
                self.enabled = True
            with self._changing() as com:
                # A mode refuses a path of another mode, and a path is checked by the mode.
                com.hostMode = self._api.value("PortMode", "Disconnected")
                com.path = path
                com.server = server
                com.hostMode = self._api.value("PortMode", mode)

    def _again(self, machine: Any) -> None:
        """
        Lead a running machine's port to where its settings say.

        ``discardSettings`` undoes only the settings: the running machine was told already.
        """
        if self._machine.state not in ONLINE:
            return
        com = self._locate(machine)
        mode, off = com.hostMode, self._api.value("PortMode", "Disconnected")
        if mode == off:
            com.path, path = os.devnull, str(com.path)
            com.hostMode = self._api.value("PortMode", "RawFile")
            com.hostMode, com.path = off, path
        else:
            com.hostMode = off
            com.hostMode = mode
        machine.saveSettings()

    def _require_there(self, mode: PortMode, path: str, *, server: bool) -> None:
        """Refuse what a running machine could not open: VirtualBox would tell only VBox.log."""
        made = mode == "RawFile" or (mode == "HostPipe" and server)
        missing = None
        if made and not Path(path).parent.is_dir():
            missing = Path(path).parent
        elif not made and mode != "TCP" and not Path(path).exists():
            missing = Path(path)
        if missing is not None:
            raise StorageError(
                f"{self._subject()} ({self._state()}): cannot lead it to {path}:"
                f" {missing} does not exist",
                symbol="VBOX_E_FILE_ERROR",
                operation="connect the serial port",
                hint="make it first, or check the path",
            )
        if mode == "TCP" and server and not is_free(int(path), host_ip="0.0.0.0"):  # noqa: S104
            raise PortInUseError(
                f"{self._subject()} ({self._state()}): TCP port {path} is taken",
                host_ip="0.0.0.0",  # noqa: S104 - VirtualBox listens on all addresses
                port=int(path),
                hint="choose another port",
            )


class SerialPorts:
    """The serial ports of a machine: ``machine.serial_ports[0]``, iteration, ``len``."""

    def __init__(self, machine: MachineProperties) -> None:
        self._machine = machine

    def __len__(self) -> int:
        api = self._machine._api
        with self._machine._translated("count the serial ports"):
            properties = api.virtualbox.systemProperties
            return int(holder(api, properties, "serialPortCount").serialPortCount)

    def __getitem__(self, slot: int) -> SerialPort:
        count = len(self)
        if not 0 <= slot < count:
            raise NotFoundError(
                f"{self._machine._subject()} has no serial port {slot}",
                kind="serial port",
                wanted=str(slot),
                available=[str(n) for n in range(count)],
                hint=f"0 to {count - 1}",
            )
        with self._machine._translated("read a serial port"):
            return SerialPort(self._machine, slot)

    def __iter__(self) -> Iterator[SerialPort]:
        return (self[slot] for slot in range(len(self)))

"""Storage controllers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from vboxkit.com.versions import holder, spelling
from vboxkit.errors import AlreadyExistsError, InvalidStateError
from vboxkit.machines.accessors import one_of
from vboxkit.machines.base import api_call
from vboxkit.machines.medium_attachment import MediumAttachment
from vboxkit.machines.parts import Choice, MachinePart, Setting, invalid, require_text

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit.com.api import Api
    from vboxkit.machines.medium import Medium
    from vboxkit.machines.properties import MachineProperties

__all__ = ["Bus", "ControllerKind", "StorageController", "require_free_name"]

Bus = Literal["IDE", "SATA", "SCSI", "Floppy", "SAS", "USB", "PCIe", "VirtioSCSI"]
ControllerKind = Literal[
    "PIIX3", "PIIX4", "ICH6", "IntelAhci", "LsiLogic", "BusLogic", "LsiLogicSas", "I82078", "USB",
    "NVMe", "VirtioSCSI",
]  # fmt: skip


def _per_bus(api: Api, method: str, value: Any) -> Any:
    """Ask what the platform says of a bus or a kind of controller."""
    properties = holder(api, api.virtualbox.systemProperties, method)
    return getattr(properties, spelling(api, method))(value)


def _check_kind(controller: Any, _name: str, kind: str) -> None:
    api = controller._api
    raw = _per_bus(api, "getStorageControllerTypesForBus", api.value("StorageBus", controller.bus))
    one_of(controller, f"{controller.bus} controller", kind, [
        api.name("StorageControllerType", each) for each in raw
    ])  # fmt: skip


def _check_ports(controller: Any, _name: str, count: int) -> None:
    com = controller._current()
    least, most = int(com.minPortCount), int(com.maxPortCount)
    if not least <= count <= most:
        raise invalid(controller, f"it cannot have {count} ports", hint=f"{least} to {most}")
    # VirtualBox takes it, and what hangs on the others is out of reach.
    beyond = [str(each) for each in controller.attachments if each.port >= count]
    if beyond:
        raise InvalidStateError(
            f"{controller._subject()} cannot have {count} ports: {', '.join(beyond)}",
            state=controller._state(),
            operation="change the number of ports",
            hint="detach() those first",
        )


class StorageController(MachinePart):
    """
    A storage controller of a machine, by its name.

    Attributes:
        machine: Its machine.
    """

    kind: Choice[ControllerKind] = Choice(
        "controllerType",
        "StorageControllerType",
        "The hardware that the guest sees: ``IntelAhci``, ``PIIX4``, ... of the same bus.",
        check=_check_kind,
    )
    ports = Setting(
        "portCount",
        int,
        "How many ports it has; some buses have a fixed number.",
        check=_check_ports,
    )
    host_io_cache = Setting(
        "useHostIOCache", bool, "Whether the host's cache is between its disks and their images."
    )

    def __init__(self, machine: MachineProperties, name: str) -> None:
        self._name = name
        self._api = machine._api
        self._machine = self.machine = machine
        self.com = self._locate(machine._current())

    def _locate(self, machine: Any) -> Any:
        return machine.getStorageControllerByName(self._name)

    def _subject(self) -> str:
        return f"{self._machine._subject()}: storage controller {self._name!r}"

    def _current(self) -> Any:
        # Made in an edit(), its raw object ends with that.
        self.com = self._locate(self._machine._current())
        return self.com

    def __repr__(self) -> str:
        return f"<StorageController {self._name!r} of {self._machine!r}>"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, StorageController)
            and other._name == self._name
            and other._machine == self._machine
        )

    def __hash__(self) -> int:
        return hash((self._machine, self._name))

    @property
    @api_call("read the name")
    def name(self) -> str:
        """Its name; one of a kind in its machine."""
        return str(self._current().name)

    @name.setter
    @api_call("rename the controller")
    def name(self, value: str) -> None:
        if value == self._name:
            return
        require_free_name(self._machine, value)
        with self._changing() as com:
            com.name = value
            self._name = value

    @property
    @api_call("read the bus")
    def bus(self) -> Bus:
        """What it is: ``SATA``, ``IDE``, ..."""
        return self._api.name("StorageBus", self._current().bus)  # type: ignore[return-value]

    @property
    @api_call("read whether it boots")
    def bootable(self) -> bool:
        """Whether the firmware looks for something to boot on it."""
        return bool(self._current().bootable)

    @bootable.setter
    @api_call("set whether it boots")
    def bootable(self, value: bool) -> None:
        with self._machine._changing() as machine:
            machine.setStorageControllerBootable(self._name, bool(value))

    @property
    @api_call("read the number of devices")
    def devices_per_port(self) -> int:
        """How many devices hang on a port: 2 for IDE and floppies, otherwise 1."""
        return int(self._current().maxDevicesPerPortCount)

    @property
    @api_call("read whether it can be plugged")
    def hot_plug(self) -> bool:
        """Whether disks can be attached and detached while the machine runs."""
        kind = self._api.value("StorageControllerType", self.kind)
        return bool(_per_bus(self._api, "getStorageControllerHotplugCapable", kind))

    @property
    @api_call("read what can be attached")
    def takes(self) -> tuple[str, ...]:
        """What can be attached: ``HardDisk``, ``DVD``, ``Floppy``."""
        bus = self._api.value("StorageBus", self.bus)
        raw = _per_bus(self._api, "getDeviceTypesForStorageBus", bus)
        return tuple(sorted(self._api.name("DeviceType", each) for each in raw))

    @property
    @api_call("list the attachments")
    def attachments(self) -> list[MediumAttachment]:
        """What is attached to it, by port and device."""
        raw = self._api.array(self._machine._current(), "mediumAttachments")
        slots = [(int(c.port), int(c.device)) for c in raw if str(c.controller) == self._name]
        return [MediumAttachment(self._machine, self._name, *slot) for slot in sorted(slots)]

    def free_slots(self) -> list[tuple[int, int]]:
        """Return the pairs of port and device on which nothing is."""
        taken = {(each.port, each.device) for each in self.attachments}
        every = ((p, d) for p in range(self.ports) for d in range(self.devices_per_port))
        return [slot for slot in every if slot not in taken]

    def attach(self, medium: Medium | Path | str | None = None, **options: Any) -> MediumAttachment:
        """Attach a disk, or a drive, to it; see `Storage.attach`."""
        from vboxkit.machines.storage import Storage  # it makes controllers

        return Storage(self._machine).attach(medium, controller=self, **options)


def require_free_name(machine: MachineProperties, name: str) -> None:
    """Refuse a name that a controller of the machine has, and an empty one."""
    if not name.strip():
        raise invalid(machine, "a controller needs a name", hint="its bus is one, as 'SATA'")
    require_text(machine, "a controller's name", name)
    if name in {
        str(each.name) for each in machine._api.array(machine._current(), "storageControllers")
    }:
        raise AlreadyExistsError(
            f"{machine._subject()} has a storage controller {name!r} already",
            kind="storage controller",
            wanted=name,
            operation="name a controller",
            hint="choose another name, or remove() that one",
        )

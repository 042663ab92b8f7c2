"""The storage of a machine: its controllers, and what is attached to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vboxkit.com.versions import holder
from vboxkit.errors import InvalidStateError, NotFoundError
from vboxkit.machines import medium_attaching
from vboxkit.machines.base import ComObject, api_call
from vboxkit.machines.medium_attachment import MediumAttachment
from vboxkit.machines.parts import choose, invalid
from vboxkit.machines.storage_controller import StorageController, require_free_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from vboxkit.machines.medium import Medium
    from vboxkit.machines.properties import MachineProperties
    from vboxkit.machines.storage_controller import Bus, ControllerKind

__all__ = ["Storage"]


class Storage(ComObject):
    """
    The storage controllers of a machine: ``machine.storage["SATA"]``, iteration, ``in``, ``len``.

    Example:
        ``machine.storage.add("SATA").attach("/vm/data.vdi")``
    """

    def __init__(self, machine: MachineProperties) -> None:
        self._machine = machine
        self._api = machine._api

    def _subject(self) -> str:
        return f"{self._machine._subject()}: storage"

    def _state(self) -> str:
        return self._machine._state()

    def _changing(self) -> AbstractContextManager[Any]:
        return self._machine._changing()

    def __repr__(self) -> str:
        return f"<Storage of {self._machine!r}>"

    @property
    @api_call("list the controllers")
    def controllers(self) -> list[StorageController]:
        """Its controllers."""
        raw = self._api.array(self._machine._current(), "storageControllers")
        return [StorageController(self._machine, str(com.name)) for com in raw]

    def names(self) -> list[str]:
        """Return the names of its controllers."""
        return [controller._name for controller in self.controllers]

    def __iter__(self) -> Iterator[StorageController]:
        return iter(self.controllers)

    def __len__(self) -> int:
        return len(self.controllers)

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __getitem__(self, name: str) -> StorageController:
        names = self.names()
        if name not in names:
            raise NotFoundError(
                f"{self._machine._subject()} has no storage controller {name!r}, only {names}",
                kind="storage controller",
                wanted=name,
                available=names,
                hint="storage.add(name, bus=...) makes one",
            )
        with self._translated("read a controller"):
            return StorageController(self._machine, name)

    @property
    @api_call("list the attachments")
    def attachments(self) -> list[MediumAttachment]:
        """What is attached to the machine, by controller, port and device."""
        raw = self._api.array(self._machine._current(), "mediumAttachments")
        slots = [(str(com.controller), int(com.port), int(com.device)) for com in raw]
        order = self.names()
        slots.sort(key=lambda slot: (order.index(slot[0]), *slot[1:]))
        return [MediumAttachment(self._machine, *slot) for slot in slots]

    @property
    def disks(self) -> list[Medium]:
        """The hard disks that are attached now."""
        found = (each.medium for each in self.attachments if each.kind == "HardDisk")
        return [medium for medium in found if medium is not None]

    @api_call("add a controller")
    def add(
        self,
        name: str,
        *,
        bus: Bus | None = None,
        kind: ControllerKind | None = None,
        ports: int | None = None,
        host_io_cache: bool | None = None,
        bootable: bool | None = None,
    ) -> StorageController:
        """
        Add a storage controller; for machines that are powered off.

        Args:
            name: Its name.
            bus: ``SATA``, ``IDE``, ``SCSI``, ``SAS``, ``USB``, ``PCIe``, ``VirtioSCSI`` or
                ``Floppy``; the name, if left out, is the bus.
            kind: The hardware; the bus's usual one if left out.
            ports: How many ports; as VirtualBox decides if left out.
            host_io_cache: See `StorageController.host_io_cache`; as VirtualBox decides.
            bootable: Whether the firmware boots from it.

        Raises:
            AlreadyExistsError: There is a controller of that name.
            InvalidStateError: It runs, or is saved.
            ApiError: There are enough of that bus, or no such bus, kind, or number of ports.

        Example:
            ``machine.storage.add("SATA", ports=4)``
        """
        require_free_name(self._machine, name)
        value = choose(self, "StorageBus", bus if bus is not None else name)
        self._require_room(bus if bus is not None else name, value)
        with self._changing() as com:
            done = False
            com.addStorageController(name, value)
            try:
                made = StorageController(self._machine, name)
                if kind is not None:
                    made.kind = kind
                if ports is not None:
                    made.ports = ports
                if host_io_cache is not None:
                    made.host_io_cache = host_io_cache
                if bootable is not None:
                    made.bootable = bootable
                done = True
            finally:
                if not done:
                    # In an edit() that goes on all the same, it must not stay half made.
                    com.removeStorageController(name)
        return made

    def _require_room(self, bus: str, value: Any) -> None:
        api = self._api
        machine = self._machine._current()
        chipset = holder(api, machine, "chipsetType").chipsetType
        properties = holder(api, api.virtualbox.systemProperties, "getMaxInstancesOfStorageBus")
        most = int(properties.getMaxInstancesOfStorageBus(chipset, value)) if bus != "Null" else 0
        there = [each._name for each in self if each.bus == bus]
        if len(there) >= most:
            raise invalid(
                self,
                f"it can have {most} controllers of bus {bus}, and has {there}",
                hint="use one that is there, or chipset.kind = 'ICH9', which has room for more",
            )

    @api_call("remove a controller")
    def remove(self, controller: StorageController | str, *, detach: bool = False) -> None:
        """
        Remove a storage controller; for machines that are powered off.

        Args:
            controller: It, or its name.
            detach: Detach what is attached to it first; the media stay known to VirtualBox.

        Raises:
            NotFoundError: There is none of that name.
            InvalidStateError: Something is attached to it, or the machine runs or is saved.
        """
        name = controller if isinstance(controller, str) else controller._name
        found = self[name]
        attached = found.attachments
        if attached and not detach:
            raise InvalidStateError(
                f"{found._subject()} cannot be removed: {', '.join(map(str, attached))}",
                state=self._state(),
                operation="remove a controller",
                hint="detach() that first, or detach=True",
            )
        with self._changing() as com:
            # VirtualBox removes it with all that is attached, and takes the media for used by this
            # machine from then on: they could never be closed.
            for each in attached:
                each.detach()
            com.removeStorageController(name)

    @api_call("attach")
    def attach(
        self,
        medium: Medium | Path | str | None = None,
        *,
        controller: StorageController | str | None = None,
        port: int | None = None,
        device: int | None = None,
        kind: str | None = None,
        non_rotational: bool | None = None,
        discard: bool | None = None,
        hot_pluggable: bool | None = None,
        bandwidth_group: str | None = None,
        passthrough: bool | None = None,
    ) -> MediumAttachment:
        """
        Attach a disk, or a DVD or floppy drive with a medium or without.

        A running machine takes hard disks where `StorageController.hot_plug` is true.

        Args:
            medium: A medium, or the path of an image; nothing for an empty drive.
            controller: It, or its name; the first one that takes such a device and has a free
                place if left out.
            port: The port, from 0; the first free one if left out.
            device: The device on that port; the first free one if left out.
            kind: ``HardDisk``, ``DVD`` or ``Floppy``; by the medium if left out.
            non_rotational: Show a hard disk to the guest as one without moving parts.
            discard: Pass the guest's TRIM on to the image, which then shrinks (VDI, VHD).
            hot_pluggable: Whether the guest is told that it can be unplugged.
            bandwidth_group: The name of a group of the machine that limits it.
            passthrough: Let the guest write to a DVD drive of the host.

        Raises:
            NotFoundError: There is no such controller, or none that takes it.
            StorageError: The image is missing or damaged.
            InvalidStateError: The place is taken, the controller is full, another machine has the
                disk, or the machine runs and the controller cannot be plugged.
            ApiError: There is no such port, device or kind.

        Example:
            ``machine.storage.attach("/vm/data.vdi", controller="SATA", port=1)``
        """
        return medium_attaching.attach(
            self,
            medium,
            controller=controller,
            port=port,
            device=device,
            kind=kind,
            options={
                "non_rotational": non_rotational,
                "discard": discard,
                "hot_pluggable": hot_pluggable,
                "bandwidth_group": bandwidth_group,
                "passthrough": passthrough,
            },
        )

    @api_call("detach")
    def detach(self, medium: Medium | Path | str) -> None:
        """
        Detach a medium, wherever it is attached to this machine. Its file stays.

        Args:
            medium: It, its path or its UUID.

        Raises:
            NotFoundError: It is not attached to this machine.
        """
        medium_attaching.find(self, medium).detach()

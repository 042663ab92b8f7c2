"""A place on a storage controller, with the disk or drive that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vboxkit.errors import InvalidStateError
from vboxkit.machines import medium_attaching
from vboxkit.machines.base import ComObject, api_call
from vboxkit.machines.medium import Medium
from vboxkit.machines.medium_undo import remember, require_saved
from vboxkit.machines.parts import Setting

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from vboxkit.machines.medium_formats import DeviceKind
    from vboxkit.machines.properties import MachineProperties
    from vboxkit.machines.storage_controller import StorageController

__all__ = ["MediumAttachment"]


class _Flag(Setting[bool]):
    """A setting of an attachment, which is changed by a method of the machine."""

    def __init__(self, name: str, method: str, doc: str) -> None:
        super().__init__(name, bool, doc)
        self._method = method

    def _write(self, obj: Any, com: Any, raw: Any) -> None:
        getattr(com, self._method)(*obj._slot, raw)


class MediumAttachment(ComObject):
    """
    A hard disk, or a DVD or floppy drive, on a storage controller.

    Attributes:
        port: The port, from 0.
        device: The device on that port.
    """

    non_rotational = _Flag(
        "nonRotational",
        "nonRotationalDevice",
        "Whether the guest sees a disk without moving parts.",
    )
    discard = _Flag(
        "discard", "setAutoDiscardForDevice", "Whether the image shrinks by the guest's TRIM."
    )
    hot_pluggable = _Flag(
        "hotPluggable",
        "setHotPluggableForDevice",
        "Whether the guest is told that it can be unplugged.",
    )
    passthrough = _Flag(
        "passthrough", "passthroughDevice", "Whether the guest may write to the host's drive."
    )
    temporary_eject = _Flag(
        "temporaryEject",
        "temporaryEjectDevice",
        "Whether a medium that the guest ejects is back at the next start.",
    )

    def __init__(self, machine: MachineProperties, controller: str, port: int, device: int) -> None:
        self._machine = machine
        self._api = machine._api
        self._slot = (controller, port, device)
        self.port = port
        self.device = device
        self.com = self._locate(machine._current())

    def _locate(self, machine: Any) -> Any:
        return machine.getMediumAttachment(*self._slot)

    def _current(self) -> Any:
        self.com = self._locate(self._machine._current())
        return self.com

    def _changing(self) -> AbstractContextManager[Any]:
        return self._machine._changing()

    def _subject(self) -> str:
        return f"{self._machine._subject()}: {self}"

    def _state(self) -> str:
        return self._machine._state()

    def __str__(self) -> str:
        name, port, device = self._slot
        return f"{name!r} port {port} device {device}"

    def __repr__(self) -> str:
        return f"<MediumAttachment {self} of {self._machine!r}>"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, MediumAttachment)
            and other._slot == self._slot
            and other._machine == self._machine
        )

    def __hash__(self) -> int:
        return hash((self._machine, self._slot))

    @property
    def controller(self) -> StorageController:
        """The controller that it is on."""
        from vboxkit.machines.storage_controller import (
            StorageController,
        )  # it knows its attachments

        return StorageController(self._machine, self._slot[0])

    @property
    @api_call("read the kind of device")
    def kind(self) -> DeviceKind:
        """What it is: ``HardDisk``, ``DVD`` or ``Floppy``."""
        return self._api.name("DeviceType", self._current().type)  # type: ignore[return-value]

    @property
    @api_call("read the medium")
    def medium(self) -> Medium | None:
        """The disk, or what is in the drive; `None` for an empty one."""
        com = self._current().medium
        return None if com is None else Medium(self._api, com, self._machine.settings)

    @property
    @api_call("read whether it was ejected")
    def ejected(self) -> bool:
        """Whether the guest has ejected what was in the drive."""
        return bool(self._current().isEjected)

    @property
    @api_call("read the bandwidth group")
    def bandwidth_group(self) -> str | None:
        """The name of the group of the machine that limits it; can be set to `None`."""
        group = self._current().bandwidthGroup
        return None if group is None else str(group.name)

    @bandwidth_group.setter
    @api_call("set the bandwidth group")
    def bandwidth_group(self, value: str | None) -> None:
        with self._changing() as machine:
            if value is None:
                machine.setNoBandwidthGroupForDevice(*self._slot)
                return
            group = medium_attaching.disk_group(self, machine, value)
            machine.setBandwidthGroupForDevice(*self._slot, group)

    @api_call("insert a medium")
    def insert(self, medium: Medium | Path | str, *, force: bool = False) -> None:
        """
        Put a medium into the drive, instead of what is in it; at any time.

        Args:
            medium: A medium, or the path of an image.
            force: Also if the guest has locked the drive.

        Raises:
            InvalidStateError: It is no drive, or the guest has locked it.
            StorageError: The image is missing or damaged; the drive is as it was.

        Example:
            ``drive.insert("debian.iso")``
        """
        kind = self._require_drive("insert a medium")
        with (
            medium_attaching.opened(self._machine, medium, kind) as com,
            self._changing() as machine,
        ):
            machine.mountMedium(*self._slot, com, force)

    @api_call("eject the medium")
    def eject(self, *, force: bool = False) -> None:
        """
        Take what is in the drive out of it; at any time. An empty one is left as it is.

        Args:
            force: Also if the guest has locked the drive.

        Raises:
            InvalidStateError: It is no drive, or the guest has locked it.
        """
        self._require_drive("eject the medium")
        with self._changing() as machine:
            machine.unmountMedium(*self._slot, force)

    def _require_drive(self, operation: str) -> str:
        kind = self.kind
        if kind == "HardDisk":
            raise InvalidStateError(
                f"{self._subject()} ({self._state()}) is a hard disk: cannot {operation}",
                state=self._state(),
                operation=operation,
                hint="detach() it and attach() another one",
            )
        return kind

    @api_call("detach")
    def detach(self) -> None:
        """
        Detach the disk, or remove the drive. The medium's file stays.

        So does a differencing image, with what was written since the last snapshot: it is then
        among `vbox.media.orphans()`, and in the way of removing what it stands on.

        Raises:
            InvalidStateError: It runs, and the controller cannot be plugged, or it is saved.
        """
        medium_attaching.require_pluggable(self.controller, "detach")
        require_saved(self)
        with self._changing() as machine:
            remember(self._machine)
            machine.detachDevice(*self._slot)

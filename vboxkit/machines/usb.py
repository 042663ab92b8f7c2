"""USB: controllers, filters, and devices of the host."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from vboxkit.errors import AlreadyExistsError, NotFoundError
from vboxkit.machines.accessors import offered
from vboxkit.machines.base import api_call
from vboxkit.machines.locks import locked
from vboxkit.machines.parts import MachinePart, choose, invalid
from vboxkit.machines.states import ONLINE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vboxkit.com.api import Api

__all__ = ["Usb", "UsbController", "UsbControllerKind", "UsbDevice", "UsbFilter"]

UsbControllerKind = Literal["OHCI", "EHCI", "XHCI"]

#: A kind that is here once is enough: VirtualBox has no second one of a kind.
_check_kind = offered("supportedUSBControllerTypes", "USBControllerType")


@dataclass(frozen=True)
class UsbController:
    """
    A USB controller.

    Attributes:
        name: Its name.
        kind: ``OHCI`` (USB 1.1), ``EHCI`` (2.0) or ``XHCI`` (3.0).
    """

    name: str
    kind: UsbControllerKind


@dataclass(frozen=True)
class UsbFilter:
    """
    Which devices of the host are attached when they are plugged in; an empty text fits all.

    Attributes:
        name: Its name.
        active: Whether it is used.
        vendor_id: Four hexadecimal digits, as ``046d``; ranges and lists are possible.
        product_id: Likewise.
        revision: Likewise.
        manufacturer: The device's own text.
        product: The device's own text.
        serial_number: The device's own text.
        port: The number of the host's port, four hexadecimal digits.
        remote: Whether it is a device of a VRDE client: ``yes``, ``no``, or either.
    """

    name: str
    active: bool = True
    vendor_id: str = ""
    product_id: str = ""
    revision: str = ""
    manufacturer: str = ""
    product: str = ""
    serial_number: str = ""
    port: str = ""
    remote: str = ""


@dataclass(frozen=True)
class UsbDevice:
    """
    A USB device of the host.

    Attributes:
        id: Its UUID in VirtualBox.
        vendor_id: As ``046d``.
        product_id: As ``c52b``.
        manufacturer: Its own text.
        product: Its own text.
        serial_number: Its own text.
        address: Where the host sees it.
    """

    id: str
    vendor_id: str
    product_id: str
    manufacturer: str
    product: str
    serial_number: str
    address: str


#: The fields of a filter and VirtualBox's names.
_FILTER = {
    "name": "name",
    "active": "active",
    "vendor_id": "vendorId",
    "product_id": "productId",
    "revision": "revision",
    "manufacturer": "manufacturer",
    "product": "product",
    "serial_number": "serialNumber",
    "port": "port",
    "remote": "remote",
}


def _device(com: Any) -> UsbDevice:
    return UsbDevice(
        id=str(com.id),
        vendor_id=f"{int(com.vendorId):04x}",
        product_id=f"{int(com.productId):04x}",
        manufacturer=str(com.manufacturer),
        product=str(com.product),
        serial_number=str(com.serialNumber),
        address=str(com.address),
    )


class Usb(MachinePart):
    """
    The USB controllers of a machine, and what is plugged into them.

    Controllers can be added and removed while the machine is powered off, filters at any time.

    Example:
        ``machine.usb.add_controller("XHCI")``
    """

    noun = "USB"

    def _locate(self, machine: Any) -> Any:
        return machine

    # Controllers

    @property
    @api_call("list the USB controllers")
    def controllers(self) -> tuple[UsbController, ...]:
        """The controllers that the guest sees."""
        return tuple(
            UsbController(str(com.name), self._kind(com.type))
            for com in self._api.array(self._current(), "USBControllers")
        )

    def _kind(self, raw: Any) -> UsbControllerKind:
        return self._api.name("USBControllerType", raw)  # type: ignore[return-value]

    @api_call("add a USB controller")
    def add_controller(self, kind: UsbControllerKind, *, name: str | None = None) -> UsbController:
        """
        Add a controller.

        Args:
            kind: ``OHCI`` (USB 1.1), ``EHCI`` (2.0) or ``XHCI`` (3.0).
            name: Its name; the kind if left out.

        Raises:
            AlreadyExistsError: There is one of that kind or name.
            ApiError: There is no such kind.
            InvalidStateError: The machine is not powered off.
        """
        raw = choose(self, "USBControllerType", kind)
        _check_kind(self, "kind", kind)
        label = name or kind
        if not label.strip():
            raise invalid(self, "a USB controller needs a name", hint="leave name out")
        for known in self.controllers:
            if kind == known.kind or label == known.name:
                raise AlreadyExistsError(
                    f"{self._machine._subject()} has a {known.kind} controller {known.name!r}",
                    kind="USB controller",
                    wanted=label,
                    operation="add a USB controller",
                    hint="a machine has at most one of a kind",
                )
        with self._changing() as com:
            com.addUSBController(label, raw)
        return UsbController(label, kind)

    @api_call("remove a USB controller")
    def remove_controller(self, controller: UsbController | str) -> None:
        """
        Remove a controller, by itself, its name or its kind.

        Raises:
            NotFoundError: There is no such one; the error lists those there are.
            InvalidStateError: The machine is not powered off.
        """
        wanted = controller if isinstance(controller, str) else controller.name
        there = self.controllers
        name = next((c.name for c in there if wanted in {c.name, c.kind}), None)
        if name is None:
            known = [c.name for c in there]
            raise NotFoundError(
                f"{self._machine._subject()} has no USB controller {wanted!r}, only {known}",
                kind="USB controller",
                wanted=wanted,
                available=known,
                operation="remove a USB controller",
                hint="give the name or the kind of one of those",
            )
        with self._changing() as com:
            com.removeUSBController(name)

    # Filters

    @property
    @api_call("list the USB filters")
    def filters(self) -> tuple[UsbFilter, ...]:
        """The filters, in the order in which they are tried; can be assigned."""
        filters = self._api.array(self._current().USBDeviceFilters, "deviceFilters")
        return tuple(_read_filter(com) for com in filters)

    @filters.setter
    @api_call("set the USB filters")
    def filters(self, filters: Iterable[UsbFilter]) -> None:
        wanted = tuple(filters)
        with self._machine.edit(), self._changing() as com:
            for _ in self._api.array(com.USBDeviceFilters, "deviceFilters"):
                com.USBDeviceFilters.removeDeviceFilter(0)
            for position, each in enumerate(wanted):
                self._insert(com, position, each)

    def _insert(self, com: Any, position: int, wanted: UsbFilter) -> None:
        raw = com.USBDeviceFilters.createDeviceFilter(wanted.name)
        for field in fields(wanted):
            if field.name == "name":
                continue
            value = getattr(wanted, field.name)
            try:
                setattr(raw, _FILTER[field.name], value)
            except Exception as error:
                foreign = self._api.foreign(error)
                if foreign is None or foreign.lost:
                    raise
                raise invalid(
                    self,
                    f"{field.name} of filter {wanted.name!r} cannot be {value!r}: {foreign.text}",
                    hint="ids are four hexadecimal digits, as 046d",
                    operation="add a USB filter",
                ) from error
        com.USBDeviceFilters.insertDeviceFilter(position, raw)

    @api_call("add a USB filter")
    def add_filter(self, wanted: UsbFilter, *, position: int | None = None) -> None:
        """
        Add a filter.

        Args:
            wanted: What it lets through.
            position: 0 to try it first; last if left out.

        Raises:
            ApiError: One of its texts is wrong, or there is no such position.
        """
        count = len(self.filters)
        place = count if position is None else position
        if not 0 <= place <= count:
            raise invalid(self, f"there is no position {place}", hint=f"0 to {count}")
        with self._changing() as com:
            self._insert(com, place, wanted)

    @api_call("remove a USB filter")
    def remove_filter(self, wanted: UsbFilter | str) -> None:
        """
        Remove a filter, by itself or its name (the first of that name).

        Raises:
            NotFoundError: There is no such one.
        """
        there = self.filters
        name = wanted if isinstance(wanted, str) else wanted.name
        for position, known in enumerate(there):
            if known == wanted or (isinstance(wanted, str) and known.name == name):
                with self._changing() as com:
                    com.USBDeviceFilters.removeDeviceFilter(position)
                return
        names = [known.name for known in there]
        raise NotFoundError(
            f"{self._machine._subject()} has no USB filter {name!r}, only {names}",
            kind="USB filter",
            wanted=name,
            available=names,
            operation="remove a USB filter",
            hint="machine.usb.filters has those there are",
        )

    # Devices

    @property
    @api_call("list the host's USB devices")
    def host_devices(self) -> tuple[UsbDevice, ...]:
        """The USB devices of the host, whether attached or not."""
        return host_devices(self._api)

    @property
    @api_call("list the attached USB devices")
    def devices(self) -> tuple[UsbDevice, ...]:
        """The host's devices that the running machine has; empty if it does not run."""
        if self._machine.state not in ONLINE:
            return ()
        with locked(self._machine, timeout=0, needs_vm=True) as session:
            return tuple(_device(com) for com in self._api.array(session.console, "USBDevices"))

    @api_call("attach a USB device")
    def attach(self, device: UsbDevice | str) -> None:
        """
        Take a USB device from the host and plug it into the running guest.

        Args:
            device: One of `host_devices`, or its UUID, address or ``vendor:product``.

        Raises:
            NotFoundError: The host has no such device.
            InvalidStateError: The machine does not run.
            ApiError: The machine has no USB controller, or the host keeps the device.
        """
        found = self._find(device, self.host_devices, "host")
        with locked(
            self._machine, timeout=self._machine.settings.lock_timeout, needs_vm=True
        ) as session:
            session.console.attachUSBDevice(found.id, "")

    @api_call("detach a USB device")
    def detach(self, device: UsbDevice | str) -> None:
        """
        Plug a USB device out of the running guest and give it back to the host.

        Args:
            device: As for `attach`.

        Raises:
            NotFoundError: The machine does not have it.
            InvalidStateError: The machine does not run.
        """
        with locked(
            self._machine, timeout=self._machine.settings.lock_timeout, needs_vm=True
        ) as session:
            found = self._find(device, self.devices, "machine")
            session.console.detachUSBDevice(found.id)

    def _find(self, device: UsbDevice | str, there: tuple[UsbDevice, ...], where: str) -> UsbDevice:
        wanted = device.id if isinstance(device, UsbDevice) else device
        for each in there:
            if wanted in {each.id, each.address, f"{each.vendor_id}:{each.product_id}"}:
                return each
        known = [f"{d.vendor_id}:{d.product_id} {d.product}" for d in there]
        raise NotFoundError(
            f"{self._machine._subject()}: the {where} has no USB device {wanted!r}, only {known}",
            kind="USB device",
            wanted=wanted,
            available=known,
            hint="plug it in; usb.host_devices has what the host shows of them"
            if where == "host"
            else "usb.attach() takes it from the host",
        )


def host_devices(api: Api) -> tuple[UsbDevice, ...]:
    """Return the USB devices of the host."""
    return tuple(_device(com) for com in api.array(api.virtualbox.host, "USBDevices"))


def _read_filter(com: Any) -> UsbFilter:
    texts: dict[str, str] = {
        field: str(getattr(com, raw)) for field, raw in _FILTER.items() if field != "active"
    }
    return UsbFilter(**texts, active=bool(com.active))

"""Serial ports and USB."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vboxkit.errors import AlreadyExistsError, ApiError, InvalidStateError, NotFoundError
from vboxkit.machines.usb import UsbController, UsbFilter

if TYPE_CHECKING:
    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


# Serial ports


def test_there_are_four_serial_ports(machine: Machine) -> None:
    """They are found by slot; a fifth is an error that lists those there are."""
    ports = machine.serial_ports
    assert [port.slot for port in ports] == [0, 1, 2, 3]
    assert len(ports) == 4
    with pytest.raises(NotFoundError) as caught:
        ports[4]
    assert caught.value.available == ("0", "1", "2", "3")
    assert machine.name in str(caught.value)


def test_every_way_a_port_can_lead(vbox: VirtualBox, machine: Machine, tmp_path: Path) -> None:
    """From each mode to each other one: mode, path and end are read back."""
    port = machine.serial_ports[1]
    again = vbox.machines[machine.id].serial_ports[1]
    assert not port.enabled
    for _ in range(2):
        port.to_tcp(2023)
        assert (again.mode, again.path, again.server) == ("TCP", "2023", True)
        port.to_file(tmp_path / "out")
        assert (again.mode, again.file) == ("RawFile", tmp_path / "out")
        port.to_tcp(2023, host="127.0.0.1")
        assert (again.mode, again.path, again.server) == ("TCP", "127.0.0.1:2023", False)
        port.to_pipe(tmp_path / "socket")
        assert (again.mode, again.path, again.server) == ("HostPipe", f"{tmp_path}/socket", True)
        assert again.file is None
        port.to_device("/dev/ttyS9")
        assert (again.mode, again.path) == ("HostDevice", "/dev/ttyS9")
        port.to_pipe(tmp_path / "socket", server=False)
        assert not again.server
        port.disconnect()
        assert again.mode == "Disconnected"
    assert (again.enabled, again.io_base, again.irq) == (True, 0x2F8, 3)


def test_a_port_can_be_led_as_another_one(machine: Machine, tmp_path: Path) -> None:
    """connect() takes what mode, path and server of another one say."""
    first, second = machine.serial_ports[1], machine.serial_ports[2]
    first.to_pipe(tmp_path / "socket")
    second.connect(first.mode, first.path, server=first.server)
    assert (second.mode, second.path, second.server) == ("HostPipe", f"{tmp_path}/socket", True)
    second.connect("Disconnected")
    assert second.mode == "Disconnected"
    with pytest.raises(ApiError, match="TCP needs a path"):
        second.connect("TCP")


def test_settings_of_a_port(vbox: VirtualBox, machine: Machine) -> None:
    """Address, interrupt and chip are read back; an edit that fails changes none of them."""
    port = machine.serial_ports[3]
    port.enabled = True
    with machine.edit():
        port.io_base, port.irq, port.uart = 0x4F8, 5, "U16750"
    again = vbox.machines[machine.id].serial_ports[3]
    assert (again.enabled, again.io_base, again.irq, again.uart) == (True, 0x4F8, 5, "U16750")
    with pytest.raises(RuntimeError, match="mine"), machine.edit():
        port.to_tcp(2023)
        port.irq = 6
        raise RuntimeError("mine")
    assert (again.mode, again.irq) == ("Disconnected", 5)
    port.enabled = False
    assert not again.enabled


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [("io_base", 0x10000, "0 to 65535"), ("irq", 256, "0 to 255"), ("uart", "8250", "one of")],
)
def test_wrong_settings_of_a_port(machine: Machine, name: str, value: object, hint: str) -> None:
    """The error names machine and port and what is possible."""
    with pytest.raises(ApiError, match=hint) as caught:
        setattr(machine.serial, name, value)
    assert f"{machine.name!r}: serial port 0" in str(caught.value)


@pytest.mark.parametrize("number", [0, 65_536, -1])
def test_a_tcp_port_that_is_none(machine: Machine, number: int) -> None:
    """Nothing is changed, not even that the port is on."""
    with pytest.raises(ApiError, match="1 to 65535"):
        machine.serial_ports[2].to_tcp(number)
    assert not machine.serial_ports[2].enabled


# USB


def test_controllers_come_and_go(vbox: VirtualBox, machine: Machine) -> None:
    """One of each kind, by name or kind, also removed by either."""
    for known in machine.usb.controllers:
        machine.usb.remove_controller(known)
    assert machine.usb.controllers == ()
    assert machine.usb.add_controller("OHCI") == UsbController("OHCI", "OHCI")
    machine.usb.add_controller("XHCI", name="fast one")
    again = vbox.machines[machine.id].usb
    assert again.controllers == (UsbController("OHCI", "OHCI"), UsbController("fast one", "XHCI"))
    again.remove_controller("XHCI")
    again.remove_controller("OHCI")
    assert machine.usb.controllers == ()


def test_controllers_that_cannot_be(machine: Machine) -> None:
    """Twice, unknown, not there: each error says what there is."""
    for known in machine.usb.controllers:
        machine.usb.remove_controller(known)
    machine.usb.add_controller("XHCI")
    with pytest.raises(AlreadyExistsError, match="at most one of a kind") as twice:
        machine.usb.add_controller("XHCI", name="another")
    assert machine.name in str(twice.value)
    with pytest.raises(AlreadyExistsError):
        machine.usb.add_controller("OHCI", name="XHCI")
    with pytest.raises(ApiError, match="did you mean XHCI"):
        machine.usb.add_controller("XHCl")  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ApiError, match="needs a name"):
        machine.usb.add_controller("OHCI", name=" ")
    with pytest.raises(NotFoundError) as missing:
        machine.usb.remove_controller("EHCI")
    assert missing.value.available == ("XHCI",)
    assert machine.usb.controllers == (UsbController("XHCI", "XHCI"),)


def test_controllers_in_an_edit_that_fails(machine: Machine) -> None:
    """What was added is not there afterwards, what was removed is."""
    before = machine.usb.controllers
    with pytest.raises(RuntimeError, match="mine"), machine.edit():
        for known in before:
            machine.usb.remove_controller(known)
        machine.usb.add_controller("EHCI", name="mine")
        raise RuntimeError("mine")
    assert machine.usb.controllers == before


def test_filters(vbox: VirtualBox, machine: Machine) -> None:
    """They keep their order and all they say; they are removed by name or by themselves."""
    mouse = UsbFilter("mouse", vendor_id="046d", product_id="c52b", revision="0100")
    stick = UsbFilter(
        "stick",
        active=False,
        manufacturer="Somebody",
        product="A stick",
        serial_number="4711",
        port="0002",
        remote="no",
    )
    machine.usb.add_filter(stick)
    machine.usb.add_filter(mouse, position=0)
    again = vbox.machines[machine.id].usb
    assert again.filters == (mouse, stick)
    again.remove_filter("mouse")
    assert machine.usb.filters == (stick,)
    machine.usb.filters = [mouse, stick, mouse]
    machine.usb.remove_filter(stick)
    assert vbox.machines[machine.id].usb.filters == (mouse, mouse)
    machine.usb.filters = ()
    assert machine.usb.filters == ()


def test_filters_that_cannot_be(machine: Machine) -> None:
    """A wrong number, position or name: nothing is changed, also of several at once."""
    keep = UsbFilter("keep", vendor_id="1234")
    machine.usb.add_filter(keep)
    wrong = UsbFilter("wrong", vendor_id="mouse")
    with pytest.raises(ApiError, match=r"vendor_id of filter 'wrong'.*\n.*046d") as caught:
        machine.usb.add_filter(wrong)
    assert machine.name in str(caught.value)
    with pytest.raises(ApiError, match="vendor_id"):
        machine.usb.filters = (UsbFilter("new"), wrong)
    with pytest.raises(ApiError, match="0 to 1"):
        machine.usb.add_filter(UsbFilter("new"), position=2)
    with pytest.raises(NotFoundError) as missing:
        machine.usb.remove_filter("new")
    assert missing.value.available == ("keep",)
    assert machine.usb.filters == (keep,)


def test_devices_need_a_running_machine(machine: Machine) -> None:
    """One that is off has none; to attach one that the host does not have names those it has."""
    assert machine.usb.devices == ()
    with pytest.raises(NotFoundError, match="host") as caught:
        machine.usb.attach("dead:beef")
    assert caught.value.kind == "USB device"
    assert len(caught.value.available) == len(machine.usb.host_devices)
    with pytest.raises(InvalidStateError, match="no running VM"):
        machine.usb.detach("dead:beef")

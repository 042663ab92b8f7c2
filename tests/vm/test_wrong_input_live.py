"""Wrong input to machines that run; the harness is in ``tests/wrong_input.py``."""

from __future__ import annotations

import socket
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.vbox.disks import forget
from tests.wrong_input import Case, World, check, in_edit, put
from vboxkit.com.installation import driver_available
from vboxkit.errors import (
    ApiError,
    DriverNeededError,
    InvalidStateError,
    NotFoundError,
    PortInUseError,
    StorageError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit import Image, Lab

pytestmark = pytest.mark.vm

RUNS = "Running"


def taken(world: World) -> int:
    """Take a port of this host."""
    if "server" not in world.kept:
        world.kept["server"] = socket.create_server(("127.0.0.1", 0))
    return int(world.kept["server"].getsockname()[1])


CASES = [
    Case("start what runs", lambda w: w.web.start(),
         InvalidStateError, "machine '{web}'", RUNS, "power_off() one that hangs"),
    Case("resume what is not paused", lambda w: w.web.resume(),
         InvalidStateError, "machine '{web}'", RUNS, "nothing has to be done"),
    Case("discard the state of what runs", lambda w: w.web.discard_state(),
         InvalidStateError, "machine '{web}'", RUNS, "power_off()"),
    Case("more memory while it runs", lambda w: put(w.web, memory_mb=96),
         InvalidStateError, "machine '{web}'", RUNS, "power_off()"),
    Case("more CPUs while it runs", lambda w: put(w.web, cpus=2),
         InvalidStateError, "machine '{web}'", RUNS, "power_off()"),
    Case("resize while it runs", lambda w: w.web.resize(memory_mb=96, cpus=2),
         InvalidStateError, "machine '{web}'", RUNS, "shutdown()"),
    Case("other firmware while it runs", lambda w: put(w.web.firmware, kind="EFI"),
         InvalidStateError, "machine '{web}': firmware", RUNS, "power_off()"),
    Case("one of several changes needs it off", in_edit(lambda m: put(m, cpus=2)),
         InvalidStateError, "machine '{web}'", RUNS, "power_off()"),
    Case("a record that needs it off", lambda w: w.web.apply({"memory_mb": 96}),
         InvalidStateError, "machine '{web}'", RUNS, "power_off()"),
    Case("plug a CPU in without hot plug", lambda w: w.web.cpu.plug(1),
         ApiError, "machine '{web}': CPU", RUNS, "cpu.hot_plug = True"),
    Case("a controller while it runs", lambda w: w.web.storage.add("new", bus="SCSI"),
         InvalidStateError, "machine '{web}'", RUNS, "power_off()"),
    Case("another kind of network adapter", lambda w: put(w.web.network[0], kind="I82540EM"),
         InvalidStateError, "machine '{web}': network adapter 0", RUNS, "power_off()"),
    Case("a USB controller while it runs", lambda w: w.web.usb.add_controller("XHCI"),
         InvalidStateError, "machine '{web}'", RUNS, "power_off()"),
    Case("EFI variables of what runs", lambda w: dict(w.web.efi.variables),
         InvalidStateError, "machine '{web}'", RUNS, "power_off()"),
    Case("detach the disk that it runs from",
         lambda w: w.web.storage.detach(w.web.disks[0]),
         InvalidStateError, "machine '{web}'", RUNS, "power off the machine"),
    Case("delete the disk that it runs from", lambda w: w.web.disks[0].delete(),
         InvalidStateError, "used by machine '{web}'", "Locked", "detach it"),
    Case("go back to a snapshot while it runs", lambda w: w.web.snapshots["s"].restore(),
         InvalidStateError, "machine '{web}'", RUNS, "restore_to_running()",
         lambda w: w.web.snapshots.find("s") or w.web.snapshots.take("s")),
    Case("a full clone of what runs", lambda w: w.web.clone("copy"),
         InvalidStateError, "machine '{web}'", RUNS, "fork()"),
    Case("unregister what runs", lambda w: w.web.unregister(),
         InvalidStateError, "machine '{web}'", RUNS, "power_off()"),
    Case("encrypt what runs", lambda w: w.web.encrypt("secret"),
         InvalidStateError, "machine '{web}'", RUNS, "power it off"),
    Case("forward a port that is taken",
         lambda w: w.web.network[0].forward(guest=80, host=taken(w)),
         PortInUseError, "is taken", "", "leave the port out", taken),
    Case("pin to a CPU that is missing", lambda w: w.web.pin({9999}),
         ApiError, "machine '{web}'", RUNS, "this host has"),
    Case("measure every other minute", lambda w: w.web.metrics_stream(period=120),
         ApiError, "machine '{web}'", RUNS, "1 to 60"),
    Case("a screenshot into a missing folder",
         lambda w: w.web.screenshot(w.folder / "no" / "s.png"),
         StorageError, "machine '{web}'", RUNS, "folder that exists"),
    Case("serial output to a missing folder", lambda w: w.web.serial_ports[1].to_file("/no/such/x"),
         StorageError, "machine '{web}': serial port 1", RUNS, "make it first"),
    Case("a USB device that is missing", lambda w: w.web.usb.attach("dead:beef"),
         NotFoundError, "no USB device 'dead:beef'", "", "host_devices"),
    Case("wait for what does not come", lambda w: w.web.wait_for_state(
            "Saved", timeout=0.05),  # type: ignore[arg-type]
         WaitTimeoutError, "machine '{web}'", RUNS, "longer timeout"),
]  # fmt: skip

PAUSED = [
    Case("pause what is paused", lambda w: w.web.pause(),
         InvalidStateError, "machine '{web}'", "Paused", "resume()"),
    Case("shut down what is paused", lambda w: w.web.shutdown(),
         InvalidStateError, "machine '{web}'", "Paused", "resume() first"),
]  # fmt: skip

WITHOUT_DRIVER = Case(
    "an attachment that needs the driver",
    lambda w: w.web.network[0].attach("Internal", network="lab"),
    DriverNeededError,
    "machine '{web}': network adapter 0",
    "",
    "driver",
)


@pytest.fixture(scope="module")
def world(
    vm_lab: Lab, vm_image: Image, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Start one machine for all mistakes: none of them changes it."""
    numbers = count(1)
    folder = tmp_path_factory.mktemp("wrong")
    with vm_lab.fork(vm_image) as guest:
        world = World(
            vm_lab.vbox, folder, lambda kind: f"{guest.name}-{kind}-{next(numbers)}", guest=guest
        )
        yield world
        if "server" in world.kept:
            world.kept["server"].close()
        assert guest.ssh.run("echo here").stdout == "here\n"
    forget(vm_lab.vbox, folder)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mistake_has_its_error_and_changes_nothing(world: World, case: Case) -> None:
    """Its class, the object, the state and the remedy in its message; the guest goes on."""
    check(world, case)


def test_mistakes_with_a_paused_guest(world: World) -> None:
    """The same; it is paused afterwards, too, and goes on when it is let."""
    world.web.pause()
    try:
        for case in PAUSED:
            check(world, case)
    finally:
        world.web.resume()


def test_what_needs_the_driver_says_so(world: World) -> None:
    """The same for a running machine without VirtualBox's kernel driver."""
    if driver_available():
        pytest.skip("it can")
    check(world, WITHOUT_DRIVER)

"""Storage controllers, and attaching, inserting, ejecting and detaching."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.vbox.disks import state_of
from vboxkit.errors import (
    AlreadyExistsError,
    ApiError,
    InvalidStateError,
    NotFoundError,
    StorageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, VirtualBox
    from vboxkit.machines.medium import Medium

pytestmark = pytest.mark.vbox

BUSES = ["SATA", "IDE", "SCSI", "SAS", "USB", "PCIe", "VirtioSCSI", "Floppy"]


@pytest.fixture
def machine(bare: Callable[[], Machine]) -> Machine:
    """Give a machine without any controller."""
    return bare()


# Controllers


@pytest.mark.parametrize("bus", BUSES)
def test_every_bus(vbox: VirtualBox, machine: Machine, bus: str) -> None:
    """A controller named after its bus is of that bus, and saved; it can be renamed, removed."""
    controller = machine.storage.add(bus)
    assert (controller.name, controller.bus) == (bus, bus)
    again = vbox.machines[machine.id].storage[bus]
    assert again == controller
    assert again.kind in repr(again.kind)
    assert controller.attachments == []
    assert len(controller.free_slots()) == controller.ports * controller.devices_per_port
    controller.name = "other name"
    assert machine.storage.names() == ["other name"]
    assert bus not in machine.storage
    machine.storage.remove(controller)
    assert len(machine.storage) == 0


def test_options_of_a_controller(vbox: VirtualBox, machine: Machine) -> None:
    """Kind, ports, cache and boot flag are set together, and one by one."""
    machine.storage.add("disks", bus="SATA", ports=4, host_io_cache=True, bootable=False)
    machine.storage.add("old", bus="IDE", kind="ICH6")
    again = vbox.machines[machine.id].storage
    sata, ide = again["disks"], again["old"]
    assert (sata.kind, sata.ports, sata.host_io_cache, sata.bootable) == (
        "IntelAhci",
        4,
        True,
        False,
    )
    assert (ide.kind, ide.ports, ide.devices_per_port) == ("ICH6", 2, 2)
    sata.ports, sata.host_io_cache, sata.bootable = 7, False, True
    ide.kind = "PIIX4"
    assert [c.name for c in again] == ["disks", "old"]
    assert (sata.ports, sata.host_io_cache, sata.bootable, ide.kind) == (7, False, True, "PIIX4")
    assert sata.hot_plug
    assert not ide.hot_plug
    assert sata.takes == ("DVD", "HardDisk")


@pytest.mark.parametrize(
    ("arguments", "error", "message", "hint"),
    [
        (("there",), AlreadyExistsError, "controller 'there' already", "another name"),
        (("second", "SATA"), ApiError, "1 controllers of bus SATA", "ICH9"),
        (("x", "SATTA"), ApiError, "no StorageBus 'SATTA'", "SATA"),
        (("x", "Null"), ApiError, "0 controllers of bus Null", ""),
        (("some disks",), ApiError, "no StorageBus 'some disks'", "SATA"),
        (("", "IDE"), ApiError, "needs a name", "SATA"),
        (("x", "IDE", "IntelAhci"), ApiError, "no IDE controller 'IntelAhci'", "PIIX4"),
        (("x", "IDE", "PIIX5"), ApiError, "no IDE controller 'PIIX5'", "PIIX4"),
        (("x", "SCSI", None, 17), ApiError, "cannot have 17 ports", "16 to 16"),
        (("x", "SAS", None, 0), ApiError, "cannot have 0 ports", "1 to 255"),
    ],
)
def test_wrong_controllers(
    machine: Machine, arguments: tuple[Any, ...], error: type[ApiError], message: str, hint: str
) -> None:
    """The error names machine, state and value; no half made controller stays."""
    machine.storage.add("there", bus="SATA")
    name, bus, kind, ports = (*arguments, None, None, None)[:4]
    with pytest.raises(error, match=message) as caught:
        machine.storage.add(name, bus=bus, kind=kind, ports=ports)
    assert machine.name in str(caught.value)
    assert hint in str(caught.value.hint)
    assert machine.storage.names() == ["there"]


def test_wrong_controller_does_not_spoil_an_edit(machine: Machine) -> None:
    """Inside an `edit` that goes on after the error, nothing of it stays, either."""
    with machine.edit():
        machine.storage.add("SATA")
        with pytest.raises(ApiError):
            machine.storage.add("IDE", ports=5)
    assert machine.storage.names() == ["SATA"]


def test_ports_are_not_taken_from_below_a_disk(
    machine: Machine, disks: Callable[[], Medium]
) -> None:
    """VirtualBox would do it, and the disk would be out of reach."""
    sata = machine.storage.add("SATA", ports=4)
    sata.attach(disks(), port=3)
    with pytest.raises(InvalidStateError, match=r"cannot have 3 ports: 'SATA' port 3 device 0"):
        sata.ports = 3
    assert sata.ports == 4
    for wrong, message in ((31, "1 to 30"), (0, "1 to 30")):
        with pytest.raises(ApiError, match=message):
            sata.ports = wrong
    text: Any = "3"
    with pytest.raises(TypeError, match="ports is int"):
        sata.ports = text


def test_remove_of_a_controller_in_use(machine: Machine, disks: Callable[[], Medium]) -> None:
    """Refused, with what is on it; with `detach` the disks are free afterwards, and can go."""
    medium = disks()
    sata = machine.storage.add("SATA")
    sata.attach(medium)
    sata.attach(kind="DVD")
    with pytest.raises(InvalidStateError, match="port 0 device 0, 'SATA' port 1 device 0"):
        machine.storage.remove("SATA")
    assert machine.disks == [medium]
    machine.storage.remove("SATA", detach=True)
    assert machine.storage.attachments == []
    # VirtualBox alone takes the disk for used from then on.
    assert medium.users() == []
    medium.delete()


def test_missing_controller_lists_those_there_are(machine: Machine) -> None:
    """Reading, removing, attaching: `NotFoundError` with the names."""
    machine.storage.add("SATA")
    for verb in (
        machine.storage.__getitem__,
        machine.storage.remove,
        lambda name: machine.storage.attach(kind="DVD", controller=name),
    ):
        with pytest.raises(NotFoundError) as caught:
            verb("SATTA")
        assert caught.value.available == ("SATA",)


# Attaching


def test_first_fit(machine: Machine, disks: Callable[[], Medium]) -> None:
    """Disks go to the first controller with a free place, floppies to a floppy controller."""
    machine.storage.add("SATA", ports=1)
    machine.storage.add("Floppy")
    machine.storage.add("IDE")
    slots = [str(machine.storage.attach(disks())) for _ in range(3)]
    assert slots == [
        "'SATA' port 0 device 0",
        "'IDE' port 0 device 0",
        "'IDE' port 0 device 1",
    ]
    assert str(machine.storage.attach(kind="floppy")) == "'Floppy' port 0 device 0"
    assert str(machine.storage.attach(kind="dvd", port=1)) == "'IDE' port 1 device 0"
    assert [a.kind for a in machine.storage.attachments] == [
        "HardDisk",
        "Floppy",
        "HardDisk",
        "HardDisk",
        "DVD",
    ]
    assert len(machine.disks) == 3


def test_options_of_an_attachment(vbox: VirtualBox, machine: Machine, place: Path) -> None:
    """A path is enough; the options are set, read back, saved, and can be changed."""
    vbox.media.create(place / "disk.vdi", size_mb=1).close()
    sata = machine.storage.add("SATA", ports=8)
    disk = sata.attach(
        place / "disk.vdi", port=5, non_rotational=True, discard=True, hot_pluggable=True
    )
    (saved,) = vbox.machines[machine.id].storage.attachments
    assert saved == disk
    assert (saved.port, saved.device, saved.kind) == (5, 0, "HardDisk")
    assert (saved.non_rotational, saved.discard, saved.hot_pluggable) == (True, True, True)
    assert saved.medium == vbox.media[place / "disk.vdi"]
    assert saved.controller == sata
    disk.discard = False
    assert not saved.discard
    drive = sata.attach(kind="DVD", passthrough=True)
    assert drive.passthrough
    drive.temporary_eject = True
    assert drive.temporary_eject
    wrong: Any = "yes"
    with pytest.raises(TypeError, match="discard is bool"):
        disk.discard = wrong


def test_bandwidth_group(machine: Machine, disks: Callable[[], Medium]) -> None:
    """A group for disks limits the attachment; one for networks is refused."""
    api = machine._api
    with machine._changing() as com:
        control = com.bandwidthControl
        control.createBandwidthGroup("slow", api.value("BandwidthGroupType", "Disk"), 1 << 20)
        control.createBandwidthGroup("net", api.value("BandwidthGroupType", "Network"), 1 << 20)
    sata = machine.storage.add("SATA")
    disk = sata.attach(disks(), bandwidth_group="slow")
    assert disk.bandwidth_group == "slow"
    for name in ("net", "none"):
        with pytest.raises(ApiError, match=f"no bandwidth group '{name}'") as caught:
            disk.bandwidth_group = name
        assert "slow" in str(caught.value.hint)
        with pytest.raises(ApiError, match=f"no bandwidth group '{name}'"):
            sata.attach(disks(), bandwidth_group=name)
    assert sata.attachments == [disk]
    disk.bandwidth_group = None
    assert disk.bandwidth_group is None


@pytest.mark.parametrize(
    ("options", "error", "message", "hint"),
    [
        ({"port": 0}, InvalidStateError, "no free place at port 0", "(1, 0)"),
        ({"port": 2}, ApiError, "has no port 2", "0 to 1"),
        ({"port": -1}, ApiError, "has no port -1", "0 to 1"),
        ({"device": 1}, ApiError, "has no device 1", "0 to 0"),
        ({"controller": "Floppy"}, ApiError, "a HardDisk cannot be attached", "Floppy"),
        ({"controller": "IDE"}, NotFoundError, "no storage controller 'IDE'", "add"),
        ({"kind": "DVD"}, ApiError, "it is for a HardDisk, not a DVD", "kind="),
        ({"kind": "tape"}, ApiError, "no kind of medium 'tape'", "HardDisk"),
        ({"bandwidth_group": "g"}, ApiError, "no bandwidth group 'g'", "make one"),
        ({"passthrough": True}, ApiError, "a HardDisk has no passthrough", "DVD"),
    ],
)
def test_wrong_places(
    machine: Machine,
    disks: Callable[[], Medium],
    *,
    options: dict[str, Any],
    error: type[ApiError],
    message: str,
    hint: str,
) -> None:
    """Each is refused with what would do, before anything is changed."""
    machine.storage.add("SATA", ports=2).attach(disks())
    machine.storage.add("Floppy")
    medium = disks()
    before = machine.storage.attachments
    with pytest.raises(error, match=message) as caught:
        machine.storage.attach(medium, **options)
    assert hint in str(caught.value.hint)
    assert machine.storage.attachments == before
    assert medium.users() == []


def test_controller_is_full(machine: Machine, disks: Callable[[], Medium]) -> None:
    """The error says what is on it, and how many ports it could have."""
    sata = machine.storage.add("SATA", ports=1)
    first = disks()
    sata.attach(first)
    with pytest.raises(InvalidStateError, match="is full") as caught:
        machine.storage.attach(disks())
    assert str(first.location) in str(caught.value)
    assert "1 ports of at most 30" in str(caught.value.hint)


def test_no_controller_at_all(machine: Machine, disks: Callable[[], Medium]) -> None:
    """The hint says how to get one."""
    with pytest.raises(NotFoundError, match="no storage controller for a HardDisk") as caught:
        machine.storage.attach(disks())
    assert caught.value.hint == "machine.storage.add('SATA') makes one"
    with pytest.raises(NotFoundError) as caught:
        machine.storage.attach(kind="Floppy")
    assert caught.value.hint == "machine.storage.add('Floppy') makes one"


def test_nothing_to_attach(machine: Machine) -> None:
    """Neither a medium nor a kind, or a hard disk without an image."""
    machine.storage.add("SATA")
    with pytest.raises(ApiError, match="nothing to attach"):
        machine.storage.attach()
    with pytest.raises(ApiError, match="a hard disk has an image"):
        machine.storage.attach(kind="hdd")


def test_disk_of_another_machine(
    bare: Callable[[], Machine], machine: Machine, disks: Callable[[], Medium]
) -> None:
    """VirtualBox would attach it to both; the error names who has it."""
    medium = disks()
    machine.storage.add("SATA").attach(medium)
    other = bare()
    other.storage.add("SATA")
    with pytest.raises(InvalidStateError, match=f"is used by machine '{machine.name}'") as caught:
        other.storage.attach(medium)
    assert "clone()" in str(caught.value.hint)
    assert other.disks == []
    with pytest.raises(InvalidStateError, match="already attached"):
        machine.storage.attach(medium)
    assert [user.machine for user in medium.users()] == [machine.name]


def test_path_that_is_no_image_leaves_nothing(
    vbox: VirtualBox, machine: Machine, place: Path
) -> None:
    """Missing and garbage files: `StorageError`, and no medium is known afterwards."""
    machine.storage.add("SATA")
    (place / "garbage.vdi").write_text("garbage")
    for name in ("garbage.vdi", "none.vdi"):
        with pytest.raises(StorageError):
            machine.storage.attach(place / name)
    vbox.media.create(place / "good.vdi", size_mb=1).close()
    with pytest.raises(ApiError):
        machine.storage.attach(place / "good.vdi", port=99)
    assert state_of(vbox, place) == ({"garbage.vdi", "good.vdi"}, set())
    assert machine.storage.attachments == []


def test_detach(machine: Machine, disks: Callable[[], Medium]) -> None:
    """By the attachment, the medium, its path or its UUID; what is not there lists what is."""
    sata = machine.storage.add("SATA")
    media = [disks() for _ in range(4)]
    for medium in media:
        sata.attach(medium)
    sata.attachments[0].detach()
    machine.storage.detach(media[1])
    machine.storage.detach(media[2].location)
    assert machine.disks == [media[3]]
    with pytest.raises(NotFoundError) as caught:
        machine.storage.detach(media[0])
    assert caught.value.available == (str(media[3].location),)
    machine.storage.detach(media[3].id)
    assert machine.disks == []
    for medium in media:
        medium.delete()

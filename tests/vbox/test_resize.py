"""Resizing machines that are powered off: up and down, refused, taken back."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit import diff
from vboxkit.errors import ApiError, InvalidStateError, NotFoundError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, VirtualBox
    from vboxkit.machines.medium import Medium

pytestmark = pytest.mark.vbox


@pytest.fixture
def machine(vbox: VirtualBox, make: Callable[..., Machine]) -> Machine:
    """Import a machine and give it a second disk, which can grow."""
    machine = make()
    disk = vbox.media.create(machine.folder / "data.vdi", size_mb=16)
    machine.storage.attach(disk)
    return machine


def data(machine: Machine) -> Medium:
    """Return the disk that can grow."""
    return next(disk for disk in machine.storage.disks if disk.base.name == "data.vdi")


def test_up_and_down(vbox: VirtualBox, machine: Machine) -> None:
    """Memory, CPUs and a disk at once; memory and CPUs also down, and nothing else changes."""
    before = machine.describe()
    machine.resize(memory_mb=128, cpus=2, disk_mb=32, disk="data.vdi")
    again = vbox.machines[machine.id]
    assert (again.memory_mb, again.cpus, data(again).size_mb) == (128, 2, 32)
    machine.resize(memory_mb=64, cpus=1)
    left = diff(before, again)
    assert len(left) == 1
    assert str(left).endswith("medium.size_mb: 16 -> 32")


def test_what_it_is_already_is_no_change(machine: Machine) -> None:
    """The same numbers, or none at all, leave the settings file alone."""
    text = machine.settings_file.read_text()
    machine.resize()
    machine.resize(memory_mb=64, cpus=1, disk_mb=16, disk="data.vdi")
    assert machine.settings_file.read_text() == text


def test_cpus_with_hot_plug(vbox: VirtualBox, machine: Machine) -> None:
    """The number is that of CPUs plugged in; the room for them grows, and does not shrink."""
    with machine.edit():
        machine.cpus = 2
        machine.cpu.hot_plug = True
    machine.resize(cpus=1)
    assert (machine.cpu.plugged, machine.cpus) == ((0,), 2)
    machine.resize(cpus=4)
    again = vbox.machines[machine.id]
    assert (again.cpu.plugged, again.cpus) == ((0, 1, 2, 3), 4)


@pytest.mark.parametrize("how", ["location", "name", "medium", "id"])
def test_ways_to_name_a_disk(machine: Machine, how: str) -> None:
    """By path, name, UUID, or itself."""
    disk = data(machine)
    names: dict[str, Any] = {
        "location": disk.location, "name": disk.name, "medium": disk, "id": disk.id,
    }  # fmt: skip
    machine.resize(disk_mb=24, disk=names[how])
    assert data(machine).size_mb == 24


def test_a_single_disk_needs_no_name(vbox: VirtualBox, machine: Machine) -> None:
    """The only disk is meant; of several, the error names them all."""
    with pytest.raises(ApiError, match=r"2 hard disks: .*data\.vdi.*\n.*disk=") as caught:
        machine.resize(disk_mb=32)
    assert machine.name in str(caught.value)
    machine.storage.detach(next(d for d in machine.storage.disks if d.name != "data.vdi"))
    machine.resize(disk_mb=32)
    assert data(machine).size_mb == 32
    for medium in [d for d in vbox.media.orphans() if machine.name in str(d.location)]:
        medium.delete()


#: Arguments, the error, and what its message has.
WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"memory_mb": 1}, ApiError, r"memory_mb cannot be 1 MiB\n.*4 to \d+ MiB"),
    ({"memory_mb": 10**9}, ApiError, "4 to"),
    ({"memory_mb": 64.5}, TypeError, "memory_mb is int"),
    ({"cpus": 0}, ApiError, "1 to"),
    ({"cpus": 10_000}, ApiError, "1 to"),
    ({"disk_mb": 8, "disk": "data.vdi"}, ApiError, r"cannot be made smaller.*\n.*new disk"),
    ({"disk_mb": 0, "disk": "data.vdi"}, ApiError, "cannot be made smaller"),
    ({"disk_mb": 10**12, "disk": "data.vdi"}, ApiError, "data.vdi"),
    ({"disk_mb": 32, "disk": "nope.vdi"}, NotFoundError, r"nope\.vdi.*only .*data\.vdi"),
    ({"disk": "data.vdi"}, TypeError, "needs disk_mb"),
]


@pytest.mark.parametrize(("arguments", "error", "text"), WRONG)
def test_what_cannot_be(
    machine: Machine, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    """Typed errors that say what can be; with the rest of the arguments nothing is done either."""
    before = machine.describe()
    with pytest.raises(error, match=text) as caught:
        machine.resize(rollback_on_failure=True, **{"memory_mb": 128, "cpus": 2, **arguments})
    assert machine.name in str(caught.value)
    assert str(diff(before, machine)) == "no difference"
    assert machine.session_state == "Unlocked"


def test_a_disk_with_snapshots(machine: Machine) -> None:
    """VirtualBox would resize the differences only: refused, with what to do."""
    machine.snapshots.take("one")
    with pytest.raises(
        InvalidStateError, match=r"has 1 snapshot\n.*delete the snapshots"
    ) as caught:
        machine.resize(memory_mb=128, disk_mb=32, disk="data.vdi")
    assert machine.name in str(caught.value)
    assert machine.memory_mb == 64
    machine.resize(memory_mb=128, disk_mb=16, disk="data.vdi")
    assert machine.memory_mb == 128


def test_a_disk_on_which_a_linked_clone_stands(
    machine: Machine, label: Callable[[str], str]
) -> None:
    """Neither the clone's disk nor the original's can be resized; the clone's memory can."""
    machine.snapshots.take("base")
    clone = machine.clone(label("clone"), linked=True, snapshot="base")
    disk = next(d for d in clone.storage.disks if d.base == data(machine).base)
    with pytest.raises(InvalidStateError, match=r"differences to .*\n.*full clone"):
        clone.resize(memory_mb=128, disk_mb=32, disk=disk)
    assert clone.memory_mb == 64
    clone.resize(memory_mb=128)
    assert clone.memory_mb == 128


# Failures halfway


def fail_halfway(machine: Machine, *, rollback: bool) -> ApiError:
    """Resize, with a disk whose file goes away between the check and the deed."""
    disk = data(machine)
    hidden = disk.location.with_suffix(".hidden")
    shutil.move(disk.location, hidden)
    try:
        with pytest.raises(StorageError) as caught:
            machine.resize(
                memory_mb=128, cpus=3, disk_mb=32, disk=disk, rollback_on_failure=rollback
            )
    finally:
        shutil.move(hidden, disk.location)
    return caught.value


def test_rollback_on_failure(vbox: VirtualBox, machine: Machine) -> None:
    """The disk fails after memory and CPUs were set: they are as before."""
    before = machine.describe()
    error = fail_halfway(machine, rollback=True)
    assert "data.vdi" in str(error)
    assert str(diff(before, vbox.machines[machine.id])) == "no difference"


def test_without_rollback_the_error_says_what_stays(vbox: VirtualBox, machine: Machine) -> None:
    """What was done before the failure is named, and is there."""
    error = fail_halfway(machine, rollback=False)
    assert "done before, and stays: memory_mb 64 -> 128, cpus 1 -> 3" in str(error)
    again = vbox.machines[machine.id]
    assert (again.memory_mb, again.cpus, data(again).size_mb) == (128, 3, 16)


def test_rollback_of_plugged_cpus(machine: Machine) -> None:
    """Also which CPUs were plugged in, and how many there could be."""
    with machine.edit():
        machine.cpus = 3
        machine.cpu.hot_plug = True
    machine.cpu.unplug(1)
    before = machine.describe()
    fail_halfway_with_cpus(machine)
    assert str(diff(before, machine)) == "no difference"


def fail_halfway_with_cpus(machine: Machine) -> None:
    """As above, with more CPUs than there was room for."""
    disk = data(machine)
    hidden: Path = disk.location.with_suffix(".hidden")
    shutil.move(disk.location, hidden)
    try:
        with pytest.raises(StorageError):
            machine.resize(cpus=5, disk_mb=32, disk=disk, rollback_on_failure=True)
    finally:
        shutil.move(hidden, disk.location)

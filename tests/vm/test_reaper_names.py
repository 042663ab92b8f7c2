"""Leases of machines that are gone, or never came to be, whose names others have got since."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from vboxkit.core.processes import ProcessId
from vboxkit.lab import leases
from vboxkit.lab.places import TAG_LEASE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit import Image, Lab, Machine

pytestmark = pytest.mark.vm


@pytest.fixture
def foreign(vm_lab: Lab) -> Iterator[Machine]:
    """Make a machine of the user's own where the lab keeps its machines."""
    machine = vm_lab.vbox.create(
        f"foreign-{os.getpid()}", os_type="Other_64", memory_mb=16, disk_mb=4
    )
    assert machine.folder == vm_lab.places.machines / machine.name
    yield machine
    if machine.registered:
        machine.destroy()


def left_by_the_dead(lab: Lab, name: str, machine: str) -> None:
    """Write a lease of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        dead = ProcessId.of(child.pid)
        child.communicate(b"\n")
    lease = leases.Lease(
        name=name, pid=dead.pid, started=dead.started, created=time.time(), machine=machine
    )
    leases.write(lab.places.leases, lease)


@pytest.mark.parametrize("machine", ["", "00000000-0000-0000-0000-000000000001"])
def test_a_name_that_the_user_has_given_since(vm_lab: Lab, foreign: Machine, machine: str) -> None:
    """The fork never came to be, or was removed by hand: only its lease goes."""
    left_by_the_dead(vm_lab, foreign.name, machine)
    assert any(foreign.name in line for line in vm_lab.gc())
    assert leases.find(vm_lab.places.leases, foreign.name) is None
    assert foreign.registered
    (disk,) = foreign.storage.disks
    assert disk.location.exists()
    assert foreign.settings_file.exists()
    foreign.memory_mb = 32  # it can be used


def test_a_fork_that_gave_its_name_away(vm_lab: Lab, vm_image: Image) -> None:
    """Renamed, it is removed all the same; the user's machine that has its name now is not."""
    vm = vm_lab.fork(vm_image, wait=False)
    vm_lab.forget(vm)
    label = vm.name
    vm.power_off()
    vm.name = f"{label}-renamed"
    mine = vm_lab.vbox.create(label, os_type="Other_64", memory_mb=16, disk_mb=4)
    try:
        left_by_the_dead(vm_lab, label, vm.id)
        vm_lab.gc()
        assert not vm.registered
        assert mine.registered
        (disk,) = mine.storage.disks
        assert disk.location.exists()
    finally:
        mine.destroy()
        vm.destroy()
        # What the fork left where it was called so, as its serial port's file.
        shutil.rmtree(vm_lab.places.machines / label, ignore_errors=True)


def test_machines_carry_whose_they_are(vm_lab: Lab, vm_image: Image) -> None:
    """Owner, session, test and end are in the extra data, as in the lease."""
    with vm_lab.fork(vm_image, wait=False, test="tests/x.py::test_y", ttl=600) as vm:
        text = vm.get_extra_data(TAG_LEASE)
        assert text is not None
        said = msgspec.json.decode(text, type=leases.Lease)
        known = leases.find(vm_lab.places.leases, vm.name)
        assert known is not None
        assert said == msgspec.structs.replace(known, machine="")
        assert (said.pid, said.test, said.session) == (
            os.getpid(), "tests/x.py::test_y", vm_lab.session,
        )  # fmt: skip
        assert said.expires is not None
        assert 500 < said.expires - time.time() <= 600

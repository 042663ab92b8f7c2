"""Guest properties and shared folders of a machine that runs; it needs no operating system."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from vboxkit import MachineState
from vboxkit.errors import InvalidStateError, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def running(vbox: VirtualBox) -> Iterator[Machine]:
    """Make a machine from nothing, and start it: its BIOS finds nothing to boot."""
    machine = vbox.create(
        f"vt{os.getpid()}-live", os_type="Linux_64", memory_mb=64, cpus=1, disk_mb=10
    )
    try:
        machine.start()
        yield machine
    finally:
        machine.destroy()
    assert not machine.folder.exists()


def test_guest_properties_hold_at_once(vbox: VirtualBox, running: Machine) -> None:
    """What is written is there for everybody, with flags that only a running machine has."""
    assert running.state == MachineState.RUNNING
    properties = running.guest_properties
    properties["/vt/a"] = "1"
    properties.set("/vt/t", "2", flags=["TRANSIENT", "RDONLYGUEST"])
    other = vbox.machines[running.id].guest_properties
    assert other["/vt/a"] == "1"
    assert other.entry("/vt/t").flags == {"TRANSIENT", "RDONLYGUEST"}
    assert {"/vt/a", "/vt/t"} <= set(other)
    del other["/vt/a"]
    assert "/vt/a" not in properties
    assert running.state == MachineState.RUNNING


def test_waiting_for_a_guest_property(running: Machine) -> None:
    """It ends with the write of another thread; an old value does not count as a change."""
    properties = running.guest_properties
    properties["/vt/w"] = "old"
    writer = threading.Timer(0.3, properties.update, [{"/vt/w": "new"}])
    writer.start()
    try:
        assert properties.wait_for("/vt/w", change=True, timeout=20).value == "new"
    finally:
        writer.join()
    with pytest.raises(WaitTimeoutError, match="last seen: new"):
        properties.wait_for("/vt/w", value="newer", timeout=0.2)


def test_transient_shared_folders(running: Machine, tmp_path: Path) -> None:
    """They are beside the permanent ones while it runs, and in no settings file."""
    folders = running.shared_folders
    folders["vt-permanent"] = tmp_path
    made = folders.add("vt-transient", tmp_path, writable=True, transient=True)
    assert made.transient
    assert set(folders) == {"vt-permanent", "vt-transient"}
    assert not folders["vt-permanent"].transient
    text = running.settings_file.read_text()
    assert "vt-permanent" in text
    assert "vt-transient" not in text
    del folders["vt-transient"]
    folders.clear()
    assert folders == {}


def test_what_a_running_machine_cannot_do(vbox: VirtualBox, running: Machine) -> None:
    """It cannot be unregistered; it stays as it is."""
    with pytest.raises(InvalidStateError, match=r"Running.*locked"):
        running.unregister()
    assert vbox.machines[running.name].state == MachineState.RUNNING


def test_transient_things_go_with_the_stop(running: Machine, tmp_path: Path) -> None:
    """After a stop what is transient is gone, and what is not is there."""
    running.guest_properties["/vt/kept"] = "1"
    running.guest_properties.set("/vt/gone", "1", flags=["TRANSIENT"])
    running.shared_folders.add("vt-gone", tmp_path, transient=True)
    running.power_off()
    assert running.guest_properties["/vt/kept"] == "1"
    assert "/vt/gone" not in running.guest_properties
    assert running.shared_folders == {}

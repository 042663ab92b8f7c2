"""Destroying machines at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit.errors import CleanupError, InvalidStateError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


def test_nothing_is_left(
    vbox: VirtualBox, machine: Machine, inventory: Callable[[], set[str]]
) -> None:
    """Registry, media and folder are gone, with snapshots and their disks."""
    machine.snapshots.take("one")
    machine.snapshots.take("two")
    assert len(inventory()) > 4
    machine.destroy()
    assert machine.id not in vbox.machines
    assert inventory() == set()


def test_twice_does_no_harm(
    vbox: VirtualBox, machine: Machine, make: Callable[..., Machine]
) -> None:
    """A machine that is gone stays gone, and another one of its name is not touched."""
    machine.destroy()
    machine.destroy()
    same_name = make(name=machine._name)
    machine.destroy()
    assert same_name.id in vbox.machines
    assert list(same_name.folder.glob("*.vmdk"))


def test_linked_clones_forbid_it(
    vbox: VirtualBox,
    machine: Machine,
    label: Callable[[str], str],
    inventory: Callable[[], set[str]],
) -> None:
    """What linked clones stand on is not destroyed: the error names them all."""
    names = sorted(label("clone") for _ in range(2))
    for name in names:
        machine.clone(name, linked=True)
    before = inventory()
    with pytest.raises(InvalidStateError) as caught:
        machine.destroy()
    for name in (machine.name, *names):
        assert repr(name) in str(caught.value)
    assert caught.value.state == "PoweredOff"
    assert caught.value.hint
    assert inventory() == before
    for name in names:
        vbox.machines[name].destroy()
    machine.destroy()
    assert machine.id not in vbox.machines


def test_foreign_files_stay_and_are_named(vbox: VirtualBox, machine: Machine) -> None:
    """What somebody put into the folder is not ours to delete: `CleanupError` lists it."""
    folder = machine.folder
    notes = folder / "notes.txt"
    notes.write_text("mine")
    with pytest.raises(CleanupError) as caught:
        machine.destroy()
    assert len(caught.value.left) == 1
    assert str(notes) in caught.value.left[0]
    assert machine._name in str(caught.value)
    assert caught.value.hint
    assert machine.id not in vbox.machines
    assert notes.read_text() == "mine"
    assert list(folder.iterdir()) == [notes]
    notes.unlink()
    folder.rmdir()


def test_logs_and_consoles_are_ours(machine: Machine, inventory: Callable[[], set[str]]) -> None:
    """Logs and serial logs in the folder go with the machine."""
    machine.log_folder.mkdir(exist_ok=True)
    (machine.log_folder / "VBox.log").write_text("log")
    (machine.log_folder / "VBox.log.1").write_text("older")
    (machine.folder / "serial.log").write_text("console")
    machine.destroy()
    assert inventory() == set()


def test_a_disk_that_is_gone_already(
    vbox: VirtualBox, machine: Machine, inventory: Callable[[], set[str]]
) -> None:
    """A machine whose disk file was deleted can still be removed."""
    (file,) = machine.folder.glob("*.vmdk")
    file.unlink()
    machine.destroy()
    assert machine.id not in vbox.machines
    assert inventory() == set()


def test_verbs_on_a_destroyed_machine(vbox: VirtualBox, machine: Machine) -> None:
    """Its object still answers reads; start() and clone() say that the machine is gone."""
    machine.destroy()
    assert not machine.registered
    for verb in (machine.start, lambda: machine.clone("copy of nothing")):
        with pytest.raises(NotFoundError, match="does not exist any more") as caught:
            verb()
        assert caught.value.wanted == machine.id
        assert machine._name in str(caught.value)
    assert "copy of nothing" not in vbox.machines


def test_a_folder_that_two_machines_share(vbox: VirtualBox, machine: Machine) -> None:
    """What lies in the folder of another machine as well is not removed with this one."""
    api = vbox._api
    folder = machine.folder
    second = api.virtualbox.createMachine(
        str(folder / f"{machine.name}-2.vbox"),
        f"{machine.name}-2",
        api.value("PlatformArchitecture", "x86"),
        [],
        "Linux_64",
        *("", "", "", ""),
    )
    api.virtualbox.registerMachine(second)
    other = vbox.machines[f"{machine.name}-2"]
    try:
        assert other.folder == folder
        (folder / "Logs").mkdir(exist_ok=True)
        (folder / "Logs" / "other.log").write_text("not its log")
        machine.destroy()
        assert not (folder / f"{machine._name}.vbox").exists()
        assert other.settings_file.exists()
        assert (folder / "Logs" / "other.log").exists()
        assert other.memory_mb > 0
    finally:
        other.destroy()
    assert not folder.exists()

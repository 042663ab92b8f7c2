"""Forgetting a machine without touching its files, and making it known again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from vboxkit.errors import AlreadyExistsError, InvalidStateError, NotFoundError, StorageError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


def test_there_and_back(vbox: VirtualBox, machine: Machine) -> None:
    """Its files stay, its disks are unknown meanwhile; then all is as before."""
    machine.snapshots.take("one")
    machine.extra_data["example.com/x"] = "1"
    disks = {str(disk.location) for disk in vbox.media.disks}
    files = sorted(machine.folder.rglob("*"))
    file = machine.unregister()
    assert machine.name not in vbox.machines
    assert not any(machine.name in str(disk.location) for disk in vbox.media.disks)
    assert sorted(file.parent.rglob("*")) == files
    again = vbox.machines.register(file)
    assert again == machine
    assert {str(disk.location) for disk in vbox.media.disks} == disks
    assert [snapshot.name for snapshot in again.snapshots] == ["one"]
    assert again.extra_data == {"example.com/x": "1"}
    assert vbox.machines[machine.name].id == machine.id


def test_a_folder_that_was_moved(vbox: VirtualBox, machine: Machine, tmp_path: Path) -> None:
    """Registered from another place, with a space in its path, it has its disks there."""
    machine.snapshots.take("one")
    file = machine.unregister()
    target = tmp_path / "another place" / machine.name
    target.parent.mkdir()
    shutil.move(file.parent, target)
    again = vbox.machines.register(str(target / file.name))
    assert again.folder == target
    mine = [disk for disk in vbox.media.disks if target in disk.location.parents]
    assert len(mine) == 2
    again.destroy()
    assert not target.exists()


def test_a_linked_clone_outlives_the_original(
    vbox: VirtualBox, machine: Machine, label: Callable[[str], str]
) -> None:
    """The disk that a clone stands on stays known, and the clone usable."""
    copy = machine.clone(label("copy"), linked=True)
    file = machine.unregister()
    assert copy.com.accessible
    assert any(disk.children for disk in vbox.media.disks)
    again = vbox.machines.register(file)
    assert again.linked_clones() == [copy.name]


def test_a_machine_that_is_gone(vbox: VirtualBox, machine: Machine) -> None:
    """A second unregister(), of which VBoxSVC would die, is refused; so is one after destroy()."""
    file = machine.unregister()
    with pytest.raises(NotFoundError, match=r"does not exist any more: cannot unregister"):
        machine.unregister()
    vbox.machines.register(file).destroy()
    with pytest.raises(NotFoundError):
        machine.unregister()


def test_a_machine_that_is_locked(
    vbox: VirtualBox, machine: Machine, child: Callable[..., subprocess.Popen[str]]
) -> None:
    """While somebody works on it, it stays registered."""
    with machine.edit(), pytest.raises(InvalidStateError, match="it is locked") as caught:
        machine.unregister()
    assert caught.value.hint
    assert machine.name in vbox.machines


def test_registering_twice(vbox: VirtualBox, machine: Machine) -> None:
    """It is there already, and the error says where; a copy of its file is the same machine."""
    with pytest.raises(AlreadyExistsError, match=machine.name) as caught:
        vbox.machines.register(machine.settings_file)
    assert str(machine.settings_file) in str(caught.value)
    copy = machine.folder / "copy.vbox"
    copy.write_text(machine.settings_file.read_text())
    with pytest.raises(AlreadyExistsError):
        vbox.machines.register(copy)
    copy.unlink()
    assert vbox.machines.names().count(machine.name) == 1


@pytest.mark.parametrize(
    "text", [None, "", "garbage", "<a/>", "<VirtualBox/>", "<VirtualBox><Machine/></VirtualBox>"]
)
def test_files_that_are_no_settings(vbox: VirtualBox, tmp_path: Path, text: str | None) -> None:
    """Each is an error with the path and a hint; VBoxSVC, which would die of some, lives on."""
    path = tmp_path / "bad.vbox"
    if text is not None:
        path.write_text(text)
    before = vbox.machines.names()
    with pytest.raises(StorageError, match=r"bad\.vbox") as caught:
        vbox.machines.register(path)
    assert caught.value.hint
    assert vbox.machines.names() == before
    assert vbox.machines.inaccessible() == {}


def test_a_folder_instead_of_a_file(vbox: VirtualBox, tmp_path: Path) -> None:
    """The error says that it is a directory."""
    with pytest.raises(StorageError, match="directory"):
        vbox.machines.register(tmp_path)


def test_move(vbox: VirtualBox, machine: Machine, tmp_path: Path) -> None:
    """The folder goes along with its disks and snapshots, into one that is made for it."""
    machine.snapshots.take("before")
    old, name = machine.folder, machine.name
    percents: list[int] = []
    place = machine.move(
        tmp_path / "a b" / f"{name}-place", on_update=lambda it: percents.append(it.percent)
    )
    assert place == machine.folder == tmp_path / "a b" / f"{name}-place" / name
    assert not old.exists()
    assert machine.disks
    assert all(disk.location.is_relative_to(place) for disk in machine.disks)
    assert machine.snapshot_folder.is_relative_to(place)
    assert percents[-1] == 100
    assert "before" in vbox.machines[name].snapshots


def test_move_onto_something(machine: Machine, tmp_path: Path) -> None:
    """What is there stays, and the machine too."""
    (tmp_path / machine.folder.name).mkdir()
    before = machine.folder
    with pytest.raises(AlreadyExistsError, match="PoweredOff") as caught:
        machine.move(tmp_path)
    assert caught.value.hint
    assert machine.folder == before


def test_move_to_where_no_folder_can_be(machine: Machine, tmp_path: Path) -> None:
    """A folder below a file: the error names it, and nothing is made."""
    (tmp_path / "file").write_text("")
    before = machine.folder
    with pytest.raises(StorageError, match="cannot make"):
        machine.move(tmp_path / "file" / "deeper")
    assert machine.folder == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_move_inside_an_edit(machine: Machine, tmp_path: Path) -> None:
    """It would save what the edit may still undo: refused."""
    with pytest.raises(InvalidStateError, match="inside"), machine.edit():
        machine.move(tmp_path / "x")
    assert not (tmp_path / "x").exists()

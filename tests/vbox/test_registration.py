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

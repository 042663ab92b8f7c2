"""Drives, attaching inside an edit and undoing it, machines that are locked or gone."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.vbox.disks import iso, state_of
from vboxkit.errors import ApiError, InvalidStateError, LockedError, StorageError
from vboxkit.machines.locks import locked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, VirtualBox
    from vboxkit.machines.medium import Medium

pytestmark = pytest.mark.vbox


@pytest.fixture
def machine(bare: Callable[[], Machine]) -> Machine:
    """Give a machine without any controller."""
    return bare()


# Drives


def test_insert_and_eject(vbox: VirtualBox, machine: Machine, place: Path) -> None:
    """A path or a medium goes into the drive, and out of it; an empty one may be ejected."""
    drive = machine.storage.add("IDE").attach(kind="DVD")
    assert drive.medium is None
    drive.insert(iso(place / "a b.iso"))
    assert drive.medium == vbox.media[place / "a b.iso"]
    other = vbox.media.open(iso(place / "other.iso"))
    drive.insert(other)
    assert vbox.machines[machine.id].storage.attachments[0].medium == other
    drive.eject()
    drive.eject(force=True)
    assert drive.medium is None
    assert other.users() == []
    assert not drive.ejected


def test_insert_what_is_no_dvd(vbox: VirtualBox, machine: Machine, place: Path) -> None:
    """The drive has what it had, and nothing new is known."""
    drive = machine.storage.add("IDE").attach(iso(place / "x.iso"))
    disk = vbox.media.create(place / "disk.vdi", size_mb=1)
    (place / "garbage.iso").write_text("garbage")
    before = state_of(vbox, place)
    for wrong, error in (
        (place / "none.iso", StorageError),
        (place / "garbage.iso", StorageError),
        (disk, ApiError),
        (disk.location, ApiError),
    ):
        with pytest.raises(error):
            drive.insert(wrong)
    assert state_of(vbox, place) == before
    assert drive.medium is not None
    assert drive.medium.location == place / "x.iso"


def test_hard_disk_is_no_drive(machine: Machine, disks: Callable[[], Medium], place: Path) -> None:
    """It can be neither ejected nor swapped."""
    attachment = machine.storage.add("SATA").attach(disks())
    with pytest.raises(InvalidStateError, match=r"\(PoweredOff\) is a hard disk"):
        attachment.eject()
    with pytest.raises(InvalidStateError, match="is a hard disk"):
        attachment.insert(iso(place / "x.iso"))


# In an edit


def test_edit_makes_all_of_it(
    vbox: VirtualBox, machine: Machine, disks: Callable[[], Medium]
) -> None:
    """Controller, disk, options and name in one lock and one save; seen inside already."""
    medium = disks()
    with machine.edit() as m:
        m.storage.add("SATA").attach(medium, hot_pluggable=True)
        m.storage["SATA"].name = "disks"
        assert m.disks == [medium]
        assert m.storage["disks"].attachments[0].hot_pluggable
        assert "disks" not in machine.settings_file.read_text()
    assert vbox.machines[machine.id].storage.names() == ["disks"]
    assert machine.disks == [medium]


@pytest.mark.parametrize("new_controller", [False, True])
def test_edit_that_fails_leaves_disks_free(
    machine: Machine, disks: Callable[[], Medium], *, new_controller: bool
) -> None:
    """VirtualBox alone would take the disk for used by the machine for ever."""
    machine.storage.add("SATA", ports=2)
    kept, medium, drive = disks(), disks(), None
    machine.storage.attach(kept)
    with pytest.raises(KeyError), machine.edit():
        machine.description = "changed"
        if new_controller:
            machine.storage.add("USB")
        drive = machine.storage.attach(medium, controller="USB" if new_controller else "SATA")
        assert machine.disks == [kept, medium]
        raise KeyError
    assert drive is not None
    assert machine.disks == [kept]
    assert machine.storage.names() == ["SATA"]
    assert machine.description == ""
    assert medium.users() == []
    assert [user.machine for user in kept.users()] == [machine.name]
    medium.delete()


def test_edit_that_fails_puts_back_what_was_detached(
    machine: Machine, disks: Callable[[], Medium]
) -> None:
    """Detached and attached elsewhere, then undone: it is where it was."""
    medium, other = disks(), disks()
    before = machine.storage.add("SATA").attach(medium)
    with pytest.raises(KeyError), machine.edit():
        machine.storage.detach(medium)
        machine.storage.attach(medium, port=4)
        machine.storage.attach(other, port=0)
        raise KeyError
    assert machine.storage.attachments == [before]
    assert before.medium == medium
    assert other.users() == []
    with machine.edit():
        machine.storage.detach(medium)
        machine.storage.attach(medium, port=4)
    assert [a.port for a in machine.storage.attachments] == [4]


def test_edit_that_fails_puts_back_options_and_controllers(
    vbox: VirtualBox, machine: Machine, disks: Callable[[], Medium], place: Path
) -> None:
    """A controller removed with a disk, a DVD drive and their options: all of it is back."""
    medium = disks()
    sata = machine.storage.add("SATA", ports=6, host_io_cache=True)
    disk = sata.attach(medium, port=2, non_rotational=True, discard=True, hot_pluggable=True)
    drive = sata.attach(iso(place / "x.iso"), port=4, passthrough=True)
    sata.attach(kind="DVD", port=5)
    before = machine.storage.attachments
    with pytest.raises(KeyError), machine.edit():
        machine.storage.remove("SATA", detach=True)
        machine.storage.add("USB").attach(medium)
        raise KeyError
    assert machine.storage.names() == ["SATA"]
    assert machine.storage.attachments == before
    assert (sata.ports, sata.host_io_cache) == (6, True)
    assert (disk.medium, disk.non_rotational, disk.discard, disk.hot_pluggable) == (
        medium,
        True,
        True,
        True,
    )
    assert drive.medium == vbox.media[place / "x.iso"]
    assert drive.passthrough
    assert [user.machine for user in medium.users()] == [machine.name]
    machine.description = "a later save"
    assert machine.storage.attachments == before


def test_edit_that_fails_puts_back_a_differencing_disk(
    machine: Machine, disks: Callable[[], Medium]
) -> None:
    """The very image that holds what was written since the snapshot is attached again."""
    machine.storage.add("SATA").attach(disks())
    machine.snapshots.take("clean")
    before = machine.disks
    with pytest.raises(KeyError), machine.edit():
        machine.storage.detach(machine.disks[0])
        machine.storage.attach(disks())
        raise KeyError
    assert machine.disks == before
    assert machine.disks[0].parent is not None
    assert len(machine.disks[0].parent.children) == 1
    assert machine.disks[0].is_encrypted is False


def test_detach_of_what_the_same_edit_attached_is_refused(
    machine: Machine, disks: Callable[[], Medium]
) -> None:
    """VBoxSVC 7.2 dies of it; the edit can go on."""
    medium = disks()
    machine.storage.add("SATA")
    with machine.edit():
        attachment = machine.storage.attach(medium)
        with pytest.raises(InvalidStateError, match="attached in the same edit"):
            attachment.detach()
    assert machine.disks == [medium]
    attachment.detach()
    assert machine.disks == []


# States and locks


def test_locked_machine(machine: Machine, vbox: VirtualBox) -> None:
    """Somebody else works on it: `LockedError` with the holder, and nothing is changed."""
    machine.storage.add("SATA")
    other = vbox.machines[machine.id]
    other.settings = replace(other.settings, lock_timeout=0.2)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            other.storage.attach(kind="DVD")
        except LockedError as error:
            errors.append(error)

    with locked(machine, timeout=5):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert "is locked by" in str(errors[0])
    assert machine.storage.attachments == []


def test_destroyed_machine(machine: Machine) -> None:
    """Every verb says so with a typed error."""
    sata = machine.storage.add("SATA")
    machine.destroy()
    for verb in (
        lambda: machine.storage.add("IDE"),
        lambda: sata.attach(kind="DVD"),
        lambda: setattr(sata, "ports", 3),
    ):
        with pytest.raises(ApiError):
            verb()

"""Full and linked clones of machines at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.errors import AlreadyExistsError, ApiError, NotFoundError, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


def disk(machine: Machine) -> Any:
    """Return the raw medium of the first hard disk."""
    attachments = machine._api.array(machine.com, "mediumAttachments")
    return next(a.medium for a in attachments if a.medium is not None)


@pytest.fixture
def name(label: Callable[[str], str]) -> str:
    """Choose a free name."""
    return label("copy")


def test_full_clone_has_disks_of_its_own(vbox: VirtualBox, machine: Machine, name: str) -> None:
    """A full clone is registered, powered off, and shares no disk with the original."""
    copy = machine.clone(name)
    assert vbox.machines[name] == copy
    assert copy != machine
    assert copy.state == "PoweredOff"
    assert (copy.memory_mb, copy.cpus) == (machine.memory_mb, machine.cpus)
    assert disk(copy).location != disk(machine).location
    assert disk(copy).parent is None
    assert str(disk(copy).location).startswith(str(copy.folder))
    assert machine.linked_clones() == []


def test_a_full_clone_outlives_the_original(vbox: VirtualBox, machine: Machine, name: str) -> None:
    """The original can be destroyed; the copy's disk is still there."""
    copy = machine.clone(name)
    machine.destroy()
    assert machine.id not in vbox.machines
    assert disk(copy).refreshState() == vbox._api.value("MediumState", "Created")


def test_linked_clone_stands_on_the_originals_disk(machine: Machine, name: str) -> None:
    """A linked clone's disk is a differencing one, below the disk of the snapshot."""
    snapshot = machine.snapshots.take("base")
    copy = machine.clone(name, linked=True, snapshot=snapshot)
    assert disk(copy).parent.id == disk_of_snapshot(machine, "base").id
    assert disk(copy).base.id == disk(machine).base.id
    assert machine.linked_clones() == [name]
    assert machine.linked_clones(snapshot) == [name]
    assert copy.linked_clones() == []


def disk_of_snapshot(machine: Machine, snapshot: str) -> Any:
    """Return the raw medium of a snapshot's first hard disk."""
    com = machine.snapshots[snapshot].com.machine
    attachments = machine._api.array(com, "mediumAttachments")
    return next(a.medium for a in attachments if a.medium is not None)


def test_linked_clone_takes_the_snapshot_that_it_needs(machine: Machine, name: str) -> None:
    """Without any snapshot, one is taken and named after the copy."""
    copy = machine.clone(name, linked=True)
    assert [s.name for s in machine.snapshots] == [f"base of {name}"]
    assert disk(copy).parent is not None


def test_linked_clone_uses_the_current_snapshot(machine: Machine, name: str) -> None:
    """With a current snapshot, no other one is taken."""
    machine.snapshots.take("one")
    machine.snapshots.take("two")
    copy = machine.clone(name, linked=True)
    assert len(machine.snapshots) == 2
    assert disk(copy).parent.id == disk_of_snapshot(machine, "two").id


def test_clone_of_a_named_snapshot_is_as_the_machine_was_then(machine: Machine, name: str) -> None:
    """The copy has the settings of the snapshot, not those of now, and no snapshots itself."""
    machine.snapshots.take("small")
    machine.memory_mb = 128
    copy = machine.clone(name, snapshot="small")
    assert (copy.memory_mb, machine.memory_mb) == (64, 128)
    assert len(copy.snapshots) == 0


def test_a_linked_clone_can_be_cloned_again(
    machine: Machine, name: str, label: Callable[[str], str]
) -> None:
    """Clones of clones: each is named by what it stands on."""
    child = machine.clone(name, linked=True)
    grandchild = child.clone(label("grandchild"), linked=True)
    assert child.linked_clones() == [grandchild.name]
    assert machine.linked_clones() == sorted([child.name, grandchild.name])


def test_macs_are_new_unless_kept(machine: Machine, label: Callable[[str], str]) -> None:
    """A clone has a MAC address of its own; with `keep_macs` the original's."""
    mac = machine.network[0].mac
    assert machine.clone(label("new")).network[0].mac != mac
    assert machine.clone(label("kept"), keep_macs=True).network[0].mac == mac


@pytest.mark.parametrize("linked", [False, True])
def test_clone_into_a_group(
    vbox: VirtualBox, machine: Machine, name: str, label: Callable[[str], str], *, linked: bool
) -> None:
    """The clone is in the groups asked for, with folder and disks; destroyed, no folder stays."""
    group = f"/{label('group')}"
    copy = machine.clone(name, linked=linked, groups=[group])
    assert vbox._api.array(vbox.machines[name].com, "groups") == [group]
    assert copy.folder == vbox.home / "machines" / group[1:] / name
    assert str(disk(copy).location).startswith(str(copy.folder))
    copy.destroy()
    assert not (vbox.home / "machines" / group[1:]).exists()


def test_an_impossible_group_leaves_nothing(
    vbox: VirtualBox, machine: Machine, name: str, inventory: Callable[[], set[str]]
) -> None:
    """A group without a slash: the error names it, and there is no clone."""
    before = inventory()
    with pytest.raises(ApiError, match="no-slash"):
        machine.clone(name, groups=["no-slash"])
    assert name not in vbox.machines
    assert inventory() == before


@pytest.mark.parametrize("linked", [False, True])
def test_name_taken(
    machine: Machine,
    make: Callable[..., Machine],
    inventory: Callable[[], set[str]],
    *,
    linked: bool,
) -> None:
    """A taken name leaves no clone, no folder, and no snapshot taken for it."""
    other = make()
    before = inventory()
    with pytest.raises(AlreadyExistsError) as caught:
        machine.clone(other.name, linked=linked)
    assert caught.value.wanted == other.name
    assert len(machine.snapshots) == 0
    assert inventory() == before


@pytest.mark.parametrize("bad", ["", "..", "a/b", "x" * 300])
def test_name_that_is_no_file_name(
    machine: Machine, inventory: Callable[[], set[str]], bad: str
) -> None:
    """A name that no folder can have is refused before anything is made."""
    before = inventory()
    with pytest.raises(ApiError, match="cannot be named"):
        machine.clone(bad, linked=True)
    assert len(machine.snapshots) == 0
    assert inventory() == before


def test_unknown_snapshot(machine: Machine, name: str, inventory: Callable[[], set[str]]) -> None:
    """A snapshot that is not there: the error names those that are."""
    machine.snapshots.take("there")
    before = inventory()
    with pytest.raises(NotFoundError) as caught:
        machine.clone(name, linked=True, snapshot="not there")
    assert (caught.value.kind, caught.value.wanted) == ("snapshot", "not there")
    assert caught.value.available == ("/there",)
    assert inventory() == before


def test_time_is_up(
    vbox: VirtualBox, machine: Machine, name: str, inventory: Callable[[], set[str]]
) -> None:
    """A clone that takes too long is stopped, and its folder and disks are removed."""
    before = inventory()
    with pytest.raises(WaitTimeoutError):
        machine.clone(name, timeout=0)
    assert name not in vbox.machines
    assert inventory() == before
    machine.clone(name)
    assert name in vbox.machines

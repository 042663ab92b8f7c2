"""Every option of a clone: whole trees, MAC addresses, disks, UUIDs, folders; and wrong input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.errors import ApiError, NotFoundError, ProgressFailedError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


@pytest.fixture
def name(label: Callable[[str], str]) -> str:
    """Choose a free name."""
    return label("copy")


@pytest.fixture
def tree(machine: Machine) -> Machine:
    """
    Give the machine snapshots, each with memory of its own; now it has 96 MiB.

    a (64) -> b (72) -> c (80), and a -> now
    """
    for number, name in enumerate("abc"):
        machine.memory_mb = 64 + 8 * number
        machine.snapshots.take(name, description=f"text of {name}")
    machine.snapshots["a"].restore()
    machine.memory_mb = 96
    return machine


def disks(machine: Machine) -> list[Any]:
    """Return the raw hard disks of the present state."""
    attachments = machine._api.array(machine.com, "mediumAttachments")
    hard_disk = machine._api.value("DeviceType", "HardDisk")
    return [a.medium for a in attachments if a.type == hard_disk]


def memories(machine: Machine) -> dict[str, int]:
    """Return the memory at each snapshot, by path."""
    return {s.path: s.hardware.memory_mb for s in machine.snapshots}


def test_all_copies_every_snapshot_and_now(tree: Machine, name: str) -> None:
    """
    The copy has the same tree with disks of its own, and is where the original is.

    VirtualBox keeps the snapshots' UUIDs; they are other ones all the same.
    """
    copy = tree.clone(name, mode="all")
    assert memories(copy) == memories(tree) == {"/a": 64, "/a/b": 72, "/a/b/c": 80}
    assert [s.description for s in copy.snapshots] == [f"text of {n}" for n in "abc"]
    assert copy.snapshots.current == copy.snapshots["a"]
    assert copy.memory_mb == 96
    assert [s.id for s in copy.snapshots] == [s.id for s in tree.snapshots]
    assert set(copy.snapshots).isdisjoint(tree.snapshots)
    assert tree.linked_clones() == []
    base = disks(copy)[0].base
    assert str(base.location).startswith(str(copy.folder))


def test_a_copied_tree_outlives_the_original(tree: Machine, name: str) -> None:
    """With the original gone, each snapshot of the copy can be restored."""
    copy = tree.clone(name, mode="all")
    tree.destroy()
    for snapshot in copy.snapshots:
        snapshot.restore()
        assert copy.memory_mb == snapshot.hardware.memory_mb
        assert disks(copy)[0].refreshState() == copy._api.value("MediumState", "Created")


def test_machine_and_children_copies_a_branch(tree: Machine, name: str) -> None:
    """From a snapshot on: those before it are not there; the copy stands at it."""
    copy = tree.clone(name, mode="machine and children", snapshot="b")
    assert memories(copy) == {"/b": 72, "/b/c": 80}
    assert copy.snapshots.current == copy.snapshots["b"]
    assert copy.memory_mb == 72


def test_machine_and_children_has_the_present_state_too(tree: Machine, name: str) -> None:
    """If the machine stands in that branch now, the copy is where the machine is."""
    tree.snapshots["c"].restore()
    tree.memory_mb = 112
    copy = tree.clone(name, mode="machine and children", snapshot="b")
    assert memories(copy) == {"/b": 72, "/b/c": 80}
    assert copy.snapshots.current == copy.snapshots["c"]
    assert copy.memory_mb == 112


def test_machine_copies_one_state(tree: Machine, name: str, label: Callable[[str], str]) -> None:
    """Without a mode neither the copy of now nor that of a snapshot has snapshots."""
    now, then = tree.clone(name), tree.clone(label("then"), snapshot="a/b")
    assert (now.memory_mb, then.memory_mb) == (96, 72)
    assert len(now.snapshots) == len(then.snapshots) == 0


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"linked": True, "mode": "all"}, "cannot have a tree"),
        ({"linked": True, "mode": "machine and children", "snapshot": "a"}, "cannot have a tree"),
        ({"mode": "all", "snapshot": "a"}, "not only 'a'"),
        ({"mode": "machine and children"}, "which one"),
        ({"mode": "everything"}, "no clone mode 'everything'"),
        ({"keep_macs": "Bridged"}, "keep_macs cannot be 'Bridged'"),
    ],
)
def test_options_that_do_not_go_together(
    tree: Machine,
    name: str,
    inventory: Callable[[], set[str]],
    options: dict[str, Any],
    problem: str,
) -> None:
    """Each is refused with machine, state and remedy, before anything is made."""
    before = inventory()
    with pytest.raises(ApiError, match=problem) as caught:
        tree.clone(name, **options)
    assert f"machine '{tree.name}' (PoweredOff)" in str(caught.value)
    assert caught.value.hint
    assert caught.value.symbol == "E_INVALIDARG"
    assert len(tree.snapshots) == 3
    assert inventory() == before


def test_macs_behind_nat_alone(machine: Machine, name: str) -> None:
    """`NAT` keeps the address of an adapter behind NAT, and gives the other one a new one."""
    with machine._changing() as com:
        second = com.getNetworkAdapter(1)
        second.enabled = True
        second.attachmentType = machine._api.value("NetworkAttachmentType", "Internal")
    before = [machine.network[slot].mac for slot in (0, 1)]
    copy = machine.clone(name, keep_macs="NAT")
    after = [copy.network[slot].mac for slot in (0, 1)]
    assert after[0] == before[0]
    assert after[1] != before[1]


@pytest.mark.parametrize("linked", [False, True])
def test_hardware_uuid(
    machine: Machine, name: str, label: Callable[[str], str], *, linked: bool
) -> None:
    """The guest of a clone sees a UUID of its own unless told otherwise."""
    old = str(machine.com.hardwareUUID)
    assert str(machine.clone(name, linked=linked).com.hardwareUUID) != old
    kept = machine.clone(label("kept"), linked=linked, keep_hardware_uuid=True)
    assert str(kept.com.hardwareUUID) == old
    assert kept.id != machine.id


def test_disk_names(machine: Machine, name: str, label: Callable[[str], str]) -> None:
    """Disks are named after the copy, or as the original's."""
    old = Path(str(disks(machine)[0].location)).name
    assert Path(str(disks(machine.clone(name))[0].location)).stem == f"{name}-disk1"
    kept = machine.clone(label("kept"), keep_disk_names=True)
    assert Path(str(disks(kept)[0].location)).name == old


@pytest.mark.parametrize("linked", [False, True])
def test_folder_of_its_own(
    tree: Machine, name: str, tmp_path: Path, vbox: VirtualBox, *, linked: bool
) -> None:
    """The copy's folder with settings and disks is there; destroyed, it goes with them."""
    place = tmp_path / "my machines" / "ünï"
    copy = tree.clone(name, linked=linked, folder=place)
    assert copy.folder == place / name
    assert vbox.machines[name] == copy
    assert all(place in Path(str(d.location)).parents for d in disks(copy))
    copy.destroy()
    assert list(place.iterdir()) == []


def test_a_relative_folder_is_the_callers(
    machine: Machine, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is where the caller is, not in the home of VirtualBox."""
    monkeypatch.chdir(tmp_path)
    copy = machine.clone(name, folder="here")
    assert copy.folder == tmp_path / "here" / name
    copy.destroy()


def test_a_folder_in_a_group(
    machine: Machine, name: str, tmp_path: Path, label: Callable[[str], str], vbox: VirtualBox
) -> None:
    """A folder of its own and groups go together: it stays there, and is in the group."""
    group = f"/{label('group')}"
    copy = machine.clone(name, folder=tmp_path, groups=[group])
    assert vbox._api.array(vbox.machines[name].com, "groups") == [group]
    assert tmp_path in copy.folder.parents
    assert all(d.refreshState() == vbox._api.value("MediumState", "Created") for d in disks(copy))
    copy.destroy()
    assert not list(tmp_path.rglob("*.v*"))


@pytest.mark.parametrize("linked", [False, True])
def test_a_folder_that_cannot_be_written(
    machine: Machine, name: str, inventory: Callable[[], set[str]], tmp_path: Path, *, linked: bool
) -> None:
    """A file is in the way, or nothing can be made: a typed error with the path, nothing left."""
    blocker = tmp_path / "file"
    blocker.write_text("mine")
    before = inventory()
    with pytest.raises(StorageError, match="is no folder") as caught:
        machine.clone(name, folder=blocker / "deep", linked=linked)
    assert str(blocker / "deep") in str(caught.value)
    assert f"machine '{machine.name}' (PoweredOff)" in str(caught.value)
    assert caught.value.hint
    with pytest.raises(ProgressFailedError, match="/proc/vboxkit"):
        machine.clone(name, folder="/proc/vboxkit", linked=linked)
    assert len(machine.snapshots) == 0
    assert inventory() == before
    assert blocker.read_text() == "mine"


def test_foreign_files_in_the_folder_stay(
    machine: Machine, name: str, tmp_path: Path, vbox: VirtualBox
) -> None:
    """A clone that fails takes back its own files only, from a folder that was there."""
    mine = tmp_path / name / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")

    def stop(progress: Any) -> None:
        if progress.percent == 100:
            raise RuntimeError("at the end")

    with pytest.raises(RuntimeError, match="at the end"):
        machine.clone(name, folder=tmp_path, on_update=stop)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [mine]
    assert name not in vbox.machines
    with pytest.raises(RuntimeError, match="at the end"):
        machine.clone(name, folder=tmp_path / "new" / "deep", on_update=stop)
    assert not (tmp_path / "new").exists()


def test_a_tree_cancelled_in_the_middle(
    tree: Machine, name: str, inventory: Callable[[], set[str]], vbox: VirtualBox
) -> None:
    """A copy of a whole tree that ends after it was made: no disk of any snapshot is left."""
    before = inventory()

    def stop(progress: Any) -> None:
        if progress.percent == 100:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        tree.clone(name, mode="all", on_update=stop)
    assert inventory() == before
    assert name not in vbox.machines
    assert len(tree.clone(name, mode="all").snapshots) == 3


def test_a_snapshot_by_path_of_an_unknown_one(
    tree: Machine, name: str, inventory: Callable[[], set[str]]
) -> None:
    """The near path is offered, and nothing is made."""
    before = inventory()
    with pytest.raises(NotFoundError) as caught:
        tree.clone(name, snapshot="a/bb")
    assert "'/a/b'" in str(caught.value.hint)
    assert inventory() == before


def test_linked_to_a_snapshot_by_path(tree: Machine, name: str) -> None:
    """A path tells the snapshot, also for a linked clone, whose snapshot then cannot go."""
    copy = tree.clone(name, linked=True, snapshot="/a/b/c", keep_macs=True)
    assert copy.memory_mb == 80
    assert tree.linked_clones(tree.snapshots["c"]) == [name]
    assert copy.network[0].mac == tree.snapshots["c"].hardware.network[0].mac

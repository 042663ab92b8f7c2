"""The tree of images: which stands on which, who uses what, what nobody uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.vbox.disks import fill, iso, read
from vboxkit.errors import ApiError, InvalidStateError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


def test_tree_shows_snapshots_and_linked_clones(
    vbox: VirtualBox, place: Path, bare: Callable[[], Machine], label: Callable[[str], str]
) -> None:
    """The base is used in the snapshot; the machine and its clone have an image of their own."""
    machine = bare()
    base = vbox.media.create(place / "base.vdi", size_mb=4)
    machine.storage.add("SATA").attach(base)
    machine.snapshots.take("clean")
    clone = machine.clone(label("clone"), linked=True)
    tree = vbox.media.tree()
    node = tree.find(base)
    assert node is not None
    assert [(u.machine, u.current, u.snapshots) for u in node.users] == [
        (machine.name, False, ("clean",))
    ]
    assert {child.medium for child in node.children} == {machine.disks[0], clone.disks[0]}
    assert {str(user) for child in node.children for user in child.users} == {
        f"machine '{machine.name}'",
        f"machine '{clone.name}'",
    }
    assert [m.parent for m in base.children] == [base, base]
    assert clone.disks[0].base == base
    drawing = str(tree).splitlines()
    start = next(n for n, line in enumerate(drawing) if line.startswith(f"{base.location}  "))
    assert drawing[start] == (
        f"{base.location}  (VDI, 4 MiB)  machine '{machine.name}' (in 'clean')"
    )
    assert drawing[start + 1].startswith("├─ {")
    assert drawing[start + 2].startswith("└─ {")
    clone.destroy()


def test_deeper_snapshots_are_drawn_below_each_other(
    vbox: VirtualBox, place: Path, bare: Callable[[], Machine]
) -> None:
    """Each snapshot adds a level; the walk gives parents before children."""
    machine = bare()
    base = vbox.media.create(place / "base.vdi", size_mb=1)
    machine.storage.add("SATA").attach(base)
    for name in ("one", "two"):
        machine.snapshots.take(name)
    node = vbox.media.tree().find(base)
    assert node is not None
    chain = list(node.walk())
    assert [n.medium for n in chain] == [base, base.children[0], machine.disks[0]]
    assert [user.snapshots for n in chain for user in n.users] == [("one",), ("two",), ()]
    assert "\n   └─ " in str(vbox.media.tree())
    with pytest.raises(InvalidStateError, match="differencing image"):
        chain[1].medium.delete()


def test_orphans_are_what_nobody_uses(
    vbox: VirtualBox, place: Path, bare: Callable[[], Machine]
) -> None:
    """Neither a disk in use, nor one that only a snapshot's image stands on, is an orphan."""
    machine = bare()
    used = vbox.media.create(place / "used.vdi", size_mb=1)
    left = vbox.media.create(place / "left.vdi", size_mb=1)
    dvd = vbox.media.open(iso(place / "x.iso"))
    machine.storage.add("SATA").attach(used)
    machine.snapshots.take("clean")
    orphans = vbox.media.orphans()
    assert left in orphans
    assert dvd in orphans
    assert used not in orphans
    assert machine.disks[0] not in orphans
    # What is detached leaves the image with what was written since the snapshot.
    difference = machine.disks[0]
    machine.storage.detach(difference)
    assert difference in vbox.media.orphans()
    difference.delete()
    assert "nobody uses it" in str(vbox.media.tree())


def test_inaccessible_tells_the_reason(vbox: VirtualBox, place: Path) -> None:
    """A file that is gone and one that is something else: each with VirtualBox's words."""
    gone = vbox.media.create(place / "gone.vdi", size_mb=1)
    changed = vbox.media.create(place / "changed.vdi", size_mb=1)
    fine = vbox.media.create(place / "fine.vdi", size_mb=1)
    (place / "gone.vdi").unlink()
    (place / "changed.vdi").write_text("something else")
    found = vbox.media.inaccessible()
    assert "VERR_FILE_NOT_FOUND" in found[gone]
    assert str(changed.location) in found[changed]
    assert fine not in found
    assert gone.access_error == found[gone]


def test_merge_of_free_images(vbox: VirtualBox, place: Path) -> None:
    """What a differencing image holds goes into its parent, and the image is gone."""
    base = vbox.media.create(place / "base.vdi", size_mb=4)
    fill(base, b"old")
    difference = base.create_difference(place / "difference")
    assert (difference.parent, difference.format, difference.size_mb) == (base, "VDI", 4)
    assert read(difference, 3) == b"old"
    fill(difference, b"new")
    assert read(base, 3) == b"old"
    difference.merge(base)
    assert read(base, 3) == b"new"
    assert base.children == []
    assert not (place / "difference.vdi").exists()


def test_reset_empties_a_difference(
    vbox: VirtualBox, place: Path, bare: Callable[[], Machine]
) -> None:
    """After a reset the disk reads as its parent does."""
    machine = bare()
    base = vbox.media.create(place / "base.vdi", size_mb=4)
    fill(base, b"old")
    machine.storage.add("SATA").attach(base)
    machine.snapshots.take("clean")
    difference = machine.disks[0]
    fill(difference, b"new")
    assert read(difference, 3) == b"new"
    difference.reset()
    assert read(difference, 3) == b"old"
    difference.auto_reset = True
    assert difference.auto_reset


def test_immutable_disk_is_for_several_machines(
    vbox: VirtualBox, place: Path, bare: Callable[[], Machine]
) -> None:
    """Each machine gets an image of its own, which goes when it is detached."""
    base = vbox.media.create(place / "base.vdi", size_mb=1)
    base.kind = "Immutable"
    machines = [bare(), bare()]
    for machine in machines:
        machine.storage.add("SATA").attach(base)
    assert {machine.disks[0].parent for machine in machines} == {base}
    assert len({machine.disks[0] for machine in machines}) == 2
    assert all(child.auto_reset for child in base.children)


def test_a_base_is_not_resized_under_what_stands_on_it(vbox: VirtualBox, place: Path) -> None:
    """VirtualBox would do it, and leave the images above with the old size."""
    base = vbox.media.create(place / "base.vdi", size_mb=4)
    base.create_difference(place / "difference")
    with pytest.raises(ApiError, match="1 differencing images stand on it") as caught:
        base.resize(8)
    assert caught.value.hint
    assert base.size_mb == 4

"""Images: made, opened, cloned, converted, resized, moved, closed and deleted."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.vbox.disks import fill, iso, read, state_of
from vboxkit.errors import ApiError, InvalidStateError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("VDI", ".vdi"),
        ("VMDK", ".vmdk"),
        ("VHD", ".vhd"),
        ("HDD", ".hdd"),
        ("Parallels", ".hdd"),
        ("QED", ".qed"),
        ("qcow", ".qcow"),
        ("RAW", ".img"),
    ],
)
def test_every_format_that_can_be_made(
    vbox: VirtualBox, place: Path, name: str, suffix: str
) -> None:
    """Each holds data, is known from then on, and leaves nothing when it is deleted."""
    medium = vbox.media.create(place / "disk", size_mb=3, format=name, description="of a test")
    assert medium.location == place / f"disk{suffix}"
    assert medium.format.lower() in {name.lower(), "parallels"}
    assert (medium.size_mb, medium.logical_size_bytes) == (3, 3 << 20)
    assert (medium.state, medium.kind, medium.device_type) == ("Created", "Normal", "HardDisk")
    assert medium.description == "of a test"
    assert medium in vbox.media.disks
    fill(medium, b"hello" * 1000)
    assert read(medium, 5000) == b"hello" * 1000
    medium.delete()
    assert state_of(vbox, place) == (set(), set())


def test_formats_are_those_that_create_takes(vbox: VirtualBox, place: Path) -> None:
    """What `formats` says can be created is created in each of its variants; others are not."""
    for entry in vbox.media.formats.values():
        for variant in entry.variants:
            # Of a disk that fits into one file, VirtualBox forgets that it may be split.
            size = 3000 if variant == "VmdkSplit2G" else 2
            medium = vbox.media.create(
                place / "x", size_mb=size, format=entry.name, variant=variant
            )
            expected = {variant} | ({"Fixed"} if variant == "VmdkESX" else set())
            assert set(medium.variant) == expected
            medium.delete()
        if not entry.can_create:
            with pytest.raises(ApiError, match=f"cannot create images of format {entry.name}"):
                vbox.media.create(place / "x", size_mb=2, format=entry.name)
    assert {"VDI", "VMDK", "VHD", "QCOW", "QED", "Parallels"} <= vbox.media.formats.keys()
    assert vbox.media.formats["VMDK"].variants[:3] == ("Standard", "Fixed", "VmdkSplit2G")
    assert state_of(vbox, place) == (set(), set())


def test_split_image_is_several_files_and_all_of_them_go(vbox: VirtualBox, place: Path) -> None:
    """Split2G makes a file for every 2 GB; move and delete take all of them."""
    medium = vbox.media.create(place / "big.vmdk", size_mb=5000, variant="Split2G")
    assert len(list(place.glob("big-s00*.vmdk"))) == 3
    medium.move(place / "sub" / "other.vmdk")
    assert not list(place.glob("*.vmdk"))
    assert len(list((place / "sub").glob("other*.vmdk"))) == 4
    medium.delete()
    assert not list(place.rglob("*.vmdk"))


def test_path_alone_says_the_format_and_folders_are_made(vbox: VirtualBox, place: Path) -> None:
    """Spaces, quotes, umlauts and missing folders in a path are no trouble."""
    path = place / "a b" / 'qu"ote' / "日本 ü.vhd"
    medium = vbox.media.create(path, size_mb=1)
    assert medium.format == "VHD"
    assert path.is_file()
    assert vbox.media[path] == medium
    assert vbox.media[medium.id] == medium
    assert path in vbox.media
    assert medium in vbox.media


def test_default_format_is_virtualboxs(vbox: VirtualBox, place: Path) -> None:
    """A path without a suffix gets that of VirtualBox's own default."""
    assert vbox.media.create(place / "disk", size_mb=1).location.name == "disk.vdi"


def test_floppy(vbox: VirtualBox, place: Path) -> None:
    """A formatted floppy holds a FAT boot sector; one that is not holds zeros."""
    formatted = vbox.media.create_floppy(place / "f.img")
    assert formatted.device_type == "Floppy"
    assert formatted.size_on_disk_bytes == 1_474_560
    assert (place / "f.img").read_bytes()[510:512] == b"\x55\xaa"
    assert formatted in vbox.media.floppies
    plain = vbox.media.create_floppy(place / "g", formatted=False)
    assert set((place / "g.img").read_bytes()) == {0}
    for medium in (formatted, plain):
        medium.delete()


def test_open_knows_it_until_it_is_closed(vbox: VirtualBox, place: Path) -> None:
    """Opening twice is the same medium; closing leaves the file; opening again has its data."""
    medium = vbox.media.create(place / "disk.vdi", size_mb=1)
    fill(medium, b"kept")
    assert vbox.media.open(place / "disk.vdi") == medium
    medium.close()
    assert vbox.media.find(place / "disk.vdi") is None
    assert (place / "disk.vdi").is_file()
    again = vbox.media.open(place / "disk.vdi")
    assert again == medium  # the UUID is in the file
    assert read(again, 4) == b"kept"


def test_open_a_copy_needs_a_new_uuid(vbox: VirtualBox, place: Path) -> None:
    """A copied file has the UUID of the first: an error that says so; `new_uuid` helps."""
    medium = vbox.media.create(place / "disk.vdi", size_mb=1)
    shutil.copy(place / "disk.vdi", place / "copy.vdi")
    with pytest.raises(InvalidStateError, match="already exists") as caught:
        vbox.media.open(place / "copy.vdi")
    assert str(place / "copy.vdi") in str(caught.value)
    assert "new_uuid" in str(caught.value.hint)
    copy = vbox.media.open(place / "copy.vdi", new_uuid=True)
    assert copy.id != medium.id


def test_dvd_is_opened_by_its_suffix(vbox: VirtualBox, place: Path) -> None:
    """An ISO is a DVD, read only; deleting it removes the file."""
    dvd = vbox.media.open(iso(place / "x.iso"))
    assert (dvd.device_type, dvd.kind) == ("DVD", "Readonly")
    assert vbox.media.dvds == [dvd]
    dvd.delete()
    assert not (place / "x.iso").exists()


@pytest.mark.parametrize("variant", ["Standard", "Fixed", "Split2G", "StreamOptimized"])
def test_clone_has_the_data_in_another_format(vbox: VirtualBox, place: Path, variant: str) -> None:
    """A clone stands alone, has a UUID of its own, and the same bytes."""
    medium = vbox.media.create(place / "disk.vdi", size_mb=3)
    content = os.urandom(200_000)
    fill(medium, content, at=1 << 20)
    seen: list[str] = []
    copy = medium.clone(
        place / "copy.vmdk", variant=variant, on_update=lambda p: seen.append(p.what)
    )
    assert (copy.format, copy.size_mb, copy.parent) == ("VMDK", 3, None)
    assert copy.id != medium.id
    assert read(copy, 200_000, at=1 << 20) == content
    assert seen
    assert "clone to" in seen[0]


def test_clone_can_be_larger_and_not_smaller(vbox: VirtualBox, place: Path) -> None:
    """`size_mb` makes the new disk larger; a smaller one is refused before anything is made."""
    medium = vbox.media.create(place / "disk.vdi", size_mb=3)
    fill(medium, b"kept")
    copy = medium.clone(place / "large", size_mb=7)
    assert (copy.location.name, copy.size_mb) == ("large.vdi", 7)
    assert read(copy, 4) == b"kept"
    before = state_of(vbox, place)
    with pytest.raises(ApiError, match="cannot have 2 MiB, its disk has 3"):
        medium.clone(place / "small", size_mb=2)
    assert state_of(vbox, place) == before


def test_convert_swaps_the_file(vbox: VirtualBox, place: Path) -> None:
    """The image is another format under another suffix, with its data and description."""
    medium = vbox.media.create(place / "disk.vdi", size_mb=3, description="mine")
    fill(medium, b"kept")
    converted = medium.convert("VMDK", variant="Fixed")
    assert converted.location == place / "disk.vmdk"
    assert converted.description == "mine"
    assert converted.variant == ("Fixed",)
    assert read(converted, 4) == b"kept"
    assert not (place / "disk.vdi").exists()
    assert [m for m in vbox.media if place in m.location.parents] == [converted]


def test_convert_of_a_disk_in_use_is_refused_and_names_the_user(
    vbox: VirtualBox, place: Path, bare: Callable[[], Machine]
) -> None:
    """The machine that has it is named, and no file is made."""
    machine = bare()
    machine.storage.add("SATA").attach(vbox.media.create(place / "disk.vdi", size_mb=1))
    before = state_of(vbox, place)
    with pytest.raises(InvalidStateError, match=f"used by machine '{machine.name}'"):
        machine.disks[0].convert("VMDK")
    assert state_of(vbox, place) == before


@pytest.mark.parametrize("name", ["VDI", "VHD", "QED"])
def test_resize_makes_it_larger_and_keeps_the_data(
    vbox: VirtualBox, place: Path, name: str
) -> None:
    """The new size is there at once; the same size again is nothing to do."""
    medium = vbox.media.create(place / "disk", size_mb=3, format=name)
    fill(medium, b"kept")
    medium.resize(9)
    assert medium.size_mb == 9
    medium.resize(9)
    assert read(medium, 4) == b"kept"


@pytest.mark.parametrize(
    ("name", "variant"), [("VMDK", None), ("VDI", "Fixed"), ("QCOW", None), ("RAW", None)]
)
def test_resize_of_what_cannot_grow_says_so(
    vbox: VirtualBox, place: Path, name: str, variant: str | None
) -> None:
    """Also of a VMDK, of which VirtualBox says that it has grown."""
    medium = vbox.media.create(place / "disk", size_mb=3, format=name, variant=variant)
    with pytest.raises(ApiError, match="disk") as caught:
        medium.resize(9)
    assert "clone(size_mb=...)" in str(caught.value.hint)
    assert medium.size_mb == 3


@pytest.mark.parametrize(("size", "reason"), [(2, "smaller"), (0, "0 MiB"), (10**9, "MiB")])
def test_resize_to_a_wrong_size(vbox: VirtualBox, place: Path, size: int, reason: str) -> None:
    """Smaller, nothing, and beyond VirtualBox's limit: refused, with what would do."""
    medium = vbox.media.create(place / "disk.vdi", size_mb=3)
    with pytest.raises(ApiError, match=reason) as caught:
        medium.resize(size)
    assert caught.value.hint
    assert medium.size_mb == 3


def test_compact_gives_space_back(vbox: VirtualBox, place: Path) -> None:
    """Blocks that hold zeros again are taken out of a VDI; a VMDK cannot do that."""
    medium = vbox.media.create(place / "disk.vdi", size_mb=6)
    fill(medium, b"x" * (4 << 20))
    full = medium.size_on_disk_bytes
    fill(medium, bytes(4 << 20))
    medium.compact()
    assert medium.size_on_disk_bytes < full - (3 << 20)
    other = vbox.media.create(place / "disk.vmdk", size_mb=6)
    with pytest.raises(ApiError, match="Compacting is not yet supported") as caught:
        other.compact()
    assert "clone()" in str(caught.value.hint)


def test_move_takes_machines_along(
    vbox: VirtualBox, place: Path, bare: Callable[[], Machine]
) -> None:
    """The file has another name, folder and place; the machine has the same disk."""
    machine = bare()
    medium = vbox.media.create(place / "disk.vdi", size_mb=1)
    machine.storage.add("SATA").attach(medium)
    medium.move(place / "sub dir" / "other")
    assert medium.location == place / "sub dir" / "other.vdi"
    assert machine.disks == [medium]
    assert machine.disks[0].location.is_file()
    assert not (place / "disk.vdi").exists()
    medium.move(place)
    assert medium.location == place / "other.vdi"


def test_properties_are_a_mapping(vbox: VirtualBox, place: Path) -> None:
    """Those of the format can be read and set; others are no such property."""
    medium = vbox.media.create(place / "disk.vmdk", size_mb=1)
    assert set(medium.properties) >= {"BootSector", "RawDrive"}
    medium.properties["BootSector"] = "AAAA"
    assert dict(medium.properties)["BootSector"] == "AAAA"
    with pytest.raises(ApiError, match="has no property 'Nonsense'"):
        medium.properties["Nonsense"] = "1"
    with pytest.raises(KeyError):
        medium.properties["Nonsense"]


def test_kind_is_set_and_read(vbox: VirtualBox, place: Path) -> None:
    """Immutable and back; a dynamic image cannot be shared; a wrong name lists the right ones."""
    medium = vbox.media.create(place / "disk.vdi", size_mb=1)
    medium.kind = "Immutable"
    assert medium.kind == "Immutable"
    medium.kind = "Normal"
    with pytest.raises(InvalidStateError, match="dynamic"):
        medium.kind = "Shareable"
    wrong: Any = "Imutable"
    with pytest.raises(ApiError) as caught:
        medium.kind = wrong
    assert "Immutable" in str(caught.value.hint)
    shared = vbox.media.create(place / "fixed.vdi", size_mb=1, variant="Fixed")
    shared.kind = "Shareable"
    assert shared.kind == "Shareable"


def test_delete_of_a_missing_file_only_forgets_it(vbox: VirtualBox, place: Path) -> None:
    """Its file is gone: `inaccessible` says why, and deleting it does no harm."""
    medium = vbox.media.create(place / "disk.vdi", size_mb=1)
    (place / "disk.vdi").unlink()
    assert "VERR_FILE_NOT_FOUND" in vbox.media.inaccessible()[medium]
    assert medium.state == "Inaccessible"
    medium.delete()
    assert medium not in vbox.media


def test_what_is_not_known(vbox: VirtualBox, place: Path) -> None:
    """A path that VirtualBox does not know is a `NotFoundError` with those that it does."""
    medium = vbox.media.create(place / "disk.vdi", size_mb=1)
    with pytest.raises(NotFoundError) as caught:
        vbox.media[place / "other.vdi"]
    assert str(medium.location) in caught.value.available
    assert place / "other.vdi" not in vbox.media
    assert len(vbox.media) == len(list(vbox.media))


def test_repr_and_identity_call_nobody(vbox: VirtualBox, place: Path) -> None:
    """Two objects of one medium are equal, and a deleted one can still be shown."""
    medium = vbox.media.create(place / "disk.vdi", size_mb=1)
    same = vbox.media[medium.id]
    assert {medium, same} == {medium}
    medium.delete()
    assert str(place / "disk.vdi") in repr(medium)
    with pytest.raises(ApiError):
        _ = medium.size_mb

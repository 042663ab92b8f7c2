"""Media and wrong inputs: each has its typed error, and leaves no file and no medium behind."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.vbox.disks import fill, iso, state_of
from vboxkit.errors import (
    AlreadyExistsError,
    ApiError,
    InvalidStateError,
    ProgressCanceledError,
    StorageError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, VirtualBox
    from vboxkit.machines.progress import Progress

pytestmark = pytest.mark.vbox


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"size_mb": 0}, "cannot have 0 MiB", r"1 to \d+ MiB"),
        ({"size_mb": -1}, "cannot have -1 MiB", r"1 to \d+ MiB"),
        ({"size_mb": 10**12}, "cannot have", r"1 to \d+ MiB"),
        ({"size_mb": 3 << 20, "format": "VHD"}, "a disk of format VHD", "1 to 2088960 MiB"),
        ({"size_mb": 1, "format": "VDJ"}, "no image format 'VDJ'", "did you mean VHD or VDI"),
        ({"size_mb": 1, "format": ""}, "no image format ''", "one of"),
        ({"size_mb": 1, "format": "DMG"}, "cannot create images of format DMG", "VDI"),
        ({"size_mb": 1, "format": "iSCSI"}, "cannot create images of format iSCSI", "VDI"),
        ({"size_mb": 1, "variant": "Split2G"}, "VDI have no variant 'Split2G'", "Fixed"),
        ({"size_mb": 1, "variant": "fixd"}, "no variant 'fixd'", "Standard"),
        ({"size_mb": 1, "format": "QCOW", "variant": "Fixed"}, "QCOW have no variant", "Standard"),
        (
            {"size_mb": 1, "format": "VMDK", "variant": ["StreamOptimized", "Fixed"]},
            "do not go together",
            "alone",
        ),
    ],
)
def test_create_with_wrong_values(
    vbox: VirtualBox, place: Path, options: dict[str, Any], message: str, hint: str
) -> None:
    """The error names the value, and its hint the range or the near matches."""
    with pytest.raises(ApiError, match=re.escape(message)) as caught:
        vbox.media.create(place / "x", **options)
    assert re.search(hint, str(caught.value.hint))
    assert state_of(vbox, place) == (set(), set())


def test_create_with_a_size_that_is_no_number(vbox: VirtualBox, place: Path) -> None:
    """Text, a float or a bool is a `TypeError` at once."""
    for size in ("5", 1.5, True):
        wrong: Any = size
        with pytest.raises(TypeError, match="size_mb is int"):
            vbox.media.create(place / "x", size_mb=wrong)
    assert state_of(vbox, place) == (set(), set())


def test_suffix_and_format_disagree(vbox: VirtualBox, place: Path) -> None:
    """A VDI called `.vmdk` would trap whoever opens it later."""
    with pytest.raises(ApiError, match=r"x\.vmdk has the suffix of VMDK, not of VDI"):
        vbox.media.create(place / "x.vmdk", size_mb=1, format="VDI")


def test_path_is_taken(vbox: VirtualBox, place: Path) -> None:
    """A file, a folder and a dangling link are not overwritten, by none of the verbs."""
    (place / "file.vdi").write_text("mine")
    (place / "folder.vdi").mkdir()
    (place / "link.vdi").symlink_to(place / "nowhere")
    medium = vbox.media.create(place / "disk.vdi", size_mb=1)
    before = state_of(vbox, place)
    for name in ("file.vdi", "folder.vdi", "link.vdi", "disk.vdi"):
        for verb in (
            lambda path: vbox.media.create(path, size_mb=1),
            medium.clone,
            lambda path: medium.convert("VDI", path=path),
        ):
            with pytest.raises(AlreadyExistsError) as caught:
                verb(place / name)
            assert caught.value.wanted == str(place / name)
            assert isinstance(caught.value, FileExistsError)
    with pytest.raises(AlreadyExistsError):
        medium.move(place / "file.vdi")
    assert state_of(vbox, place) == before
    assert (place / "file.vdi").read_text() == "mine"


def test_path_of_a_medium_whose_file_is_gone(vbox: VirtualBox, place: Path) -> None:
    """VirtualBox would make the whole image first, and then refuse it."""
    gone = vbox.media.create(place / "gone.vdi", size_mb=1)
    (place / "gone.vdi").unlink()
    with pytest.raises(AlreadyExistsError, match="whose file is gone") as caught:
        vbox.media.create(place / "gone.vdi", size_mb=1)
    assert "close()" in str(caught.value.hint)
    assert state_of(vbox, place) == (set(), {str(gone.location)})


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/proc/vboxkit/x.vdi", "cannot"),
        ("/sys/x.vdi", "cannot"),
        ("file/x.vdi", "is not a folder"),
        ("x" * 252 + ".vdi", "longer than 255 bytes"),
        ("ü" * 126 + ".vdi", "longer than 255 bytes"),
        ("nu\0ll.vdi", "null character"),
    ],
)
def test_path_that_cannot_be_written(vbox: VirtualBox, place: Path, path: str, reason: str) -> None:
    """Folders that take no files, names that are too long: `StorageError` with path and reason."""
    medium = vbox.media.create(place / "disk.vdi", size_mb=1)
    (place / "file").write_text("mine")
    before = state_of(vbox, place)
    verbs: list[Callable[[Path], object]] = [
        lambda p: vbox.media.create(p, size_mb=1),
        medium.clone,
        medium.move,
    ]
    for verb in verbs:
        with pytest.raises(StorageError, match=re.escape(reason)) as caught:
            verb(place / path)
        assert isinstance(caught.value, OSError)
        assert caught.value.hint
        assert repr(path)[1:-1].split("/")[-1] in str(caught.value)
    assert state_of(vbox, place) == before
    assert medium.location == place / "disk.vdi"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_may_not_be_written_to(vbox: VirtualBox, place: Path) -> None:
    """A read-only folder is found out before anything is made."""
    locked = place / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(StorageError, match="may not be written to"):
        vbox.media.create(locked / "x.vdi", size_mb=1)


def test_no_room_for_a_fixed_image(vbox: VirtualBox, place: Path) -> None:
    """More than is free: refused before a byte is written, with both numbers."""
    free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize >> 20
    medium = vbox.media.create(place / "disk.vdi", size_mb=min(free + 10_000, 2_000_000))
    before = state_of(vbox, place)
    verbs: list[Callable[[], object]] = [
        lambda: vbox.media.create(place / "x.vdi", size_mb=medium.size_mb, variant="Fixed"),
        lambda: medium.clone(place / "y.vmdk", variant="Fixed"),
    ]
    for verb in verbs:
        with pytest.raises(StorageError, match=rf"takes {medium.size_mb} MiB, and \d+ MiB are"):
            verb()
    assert state_of(vbox, place) == before


#: Run in a process with a VBoxSVC of its own, which sees what that process mounts.
_FULL = """
    import ctypes, os, sys
    import vboxkit
    from vboxkit.errors import StorageError
    home, place = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", place.encode(), b"tmpfs", 0, b"size=4m"):
        sys.exit("cannot mount")
    try:
        with vboxkit.connect(home) as vbox:
            medium = vbox.media.create(home + "/disk.vdi", size_mb=8)
            file = medium.com.openForIO(True, "")
            for start in range(0, 7 << 20, 65536):
                file.write(start, list(os.urandom(65536)))
            file.close()
            for verb in (medium.clone, medium.move):
                try:
                    verb(place + "/full.vdi")
                except StorageError as error:
                    print("DISK_FULL" in str(error), os.listdir(place), len(vbox.media))
            medium.delete()
    finally:
        libc.umount(place.encode())
"""


def test_disk_is_full_on_the_way(
    child: Callable[..., Any], private_home: Path, tmp_path: Path
) -> None:
    """The half of a clone, or of a move, is removed; the medium is where it was."""
    place = tmp_path / "small"
    place.mkdir()
    process = child(_FULL, private_home, place)
    out, _ = process.communicate(timeout=120)
    if "cannot mount" in out:
        pytest.skip("no right to mount a small file system")
    assert out.splitlines() == ["True [] 1", "True [] 1"], out


def cancel(progress: Progress) -> None:
    """Cancel an operation as soon as it is seen."""
    if not progress.completed:
        progress.cancel()


@pytest.mark.parametrize("name", ["x.vdi", "deep/er/x.vmdk", "x.vhd", "x.img"])
def test_canceled_create_leaves_nothing(vbox: VirtualBox, place: Path, name: str) -> None:
    """Neither the file, its parts or its new folders, nor a medium."""
    with pytest.raises(ProgressCanceledError, match="cannot create an image"):
        vbox.media.create(place / name, size_mb=4000, variant="Fixed", on_update=cancel)
    assert state_of(vbox, place) == (set(), set())


def test_canceled_clone_leaves_nothing(vbox: VirtualBox, place: Path) -> None:
    """The original is as it was, and can be used at once."""
    medium = vbox.media.create(place / "disk.vdi", size_mb=64)
    fill(medium, os.urandom(1 << 20))
    before = state_of(vbox, place)
    with pytest.raises(ProgressCanceledError):
        medium.clone(place / "copy" / "x.vmdk", variant="Fixed", on_update=cancel)
    assert state_of(vbox, place) == before
    assert medium.refresh() == "Created"


def test_time_is_up(vbox: VirtualBox, place: Path) -> None:
    """What takes too long is stopped and taken back."""
    with pytest.raises(WaitTimeoutError, match="create an image"):
        vbox.media.create(place / "x.vdi", size_mb=4000, variant="Fixed", timeout=0)
    assert state_of(vbox, place) == (set(), set())


def test_hook_that_raises(vbox: VirtualBox, place: Path) -> None:
    """Its own exception passes, and nothing is left."""

    def hook(_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        vbox.media.create(place / "x.vdi", size_mb=2000, variant="Fixed", on_update=hook)
    assert state_of(vbox, place) == (set(), set())


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("none.vdi", None, "No such file"),
        ("garbage.vdi", b"garbage" * 1000, "is no image of a HardDisk"),
        ("empty.vmdk", b"", "is no image of a HardDisk"),
        ("garbage.iso", b"garbage" * 1000, "is no image of a DVD"),
        ("empty.iso", b"", "is no image of a DVD"),
        ("text.txt", b"hello", "is no image of a HardDisk"),
        ("cut.vdi", b"<<< Oracle VM VirtualBox Disk Image >>>\n", "is no image of a HardDisk"),
    ],
)
def test_open_what_is_no_image(
    vbox: VirtualBox, place: Path, name: str, content: bytes | None, reason: str
) -> None:
    """The error has VirtualBox's reason, which its exception does not; nothing is known."""
    if content is not None:
        (place / name).write_bytes(content)
    before = state_of(vbox, place)
    with pytest.raises(StorageError, match=reason) as caught:
        vbox.media.open(place / name)
    assert str(place / name) in str(caught.value)
    assert caught.value.hint
    assert state_of(vbox, place) == before


def test_open_what_is_no_file(vbox: VirtualBox, place: Path) -> None:
    """A folder, and a pipe, from which reading would wait for ever."""
    (place / "folder.vdi").mkdir()
    os.mkfifo(place / "pipe.vdi")
    for name, reason in (("folder.vdi", "Is a directory"), ("pipe.vdi", "it is no file")):
        with pytest.raises(StorageError, match=reason):
            vbox.media.open(place / name)


def test_open_as_something_else(vbox: VirtualBox, place: Path) -> None:
    """A disk is no DVD, known or not; and there is no such thing as a tape."""
    medium = vbox.media.create(place / "disk.vdi", size_mb=1)
    with pytest.raises(InvalidStateError, match="known as something else"):
        vbox.media.open(place / "disk.vdi", kind="DVD")
    medium.close()
    with pytest.raises(StorageError, match="is no image of a DVD"):
        vbox.media.open(place / "disk.vdi", kind="dvd")
    with pytest.raises(ApiError, match="no kind of medium 'tape'"):
        vbox.media.open(iso(place / "x.iso"), kind="tape")
    assert state_of(vbox, place)[1] == set()


def test_verbs_on_a_medium_whose_file_is_gone(vbox: VirtualBox, place: Path) -> None:
    """Each says that it is inaccessible, and why; VirtualBox would move it to nowhere."""
    medium = vbox.media.create(place / "disk.vdi", size_mb=1)
    (place / "disk.vdi").rename(place / "away.vdi")
    verbs: list[Callable[[], object]] = [
        lambda: medium.clone(place / "copy.vdi"),
        lambda: medium.move(place / "moved.vdi"),
        lambda: medium.resize(5),
        medium.compact,
        medium.reset,
        lambda: medium.encrypt("secret"),
    ]
    for verb in verbs:
        with pytest.raises(StorageError, match=r"(?s)Inaccessible.*VERR_FILE_NOT_FOUND") as caught:
            verb()
        assert "close()" in str(caught.value.hint)
    assert state_of(vbox, place)[0] == {"away.vdi"}
    (place / "away.vdi").rename(place / "disk.vdi")
    assert medium.refresh() == "Created"


def test_delete_does_not_touch_what_is_no_image_any_more(vbox: VirtualBox, place: Path) -> None:
    """Somebody put another file there: it stays, and the medium stays known."""
    medium = vbox.media.create(place / "disk.vdi", size_mb=1)
    (place / "disk.vdi").write_text("mine")
    with pytest.raises(StorageError, match="cannot delete"):
        medium.delete()
    assert (place / "disk.vdi").read_text() == "mine"
    assert medium in vbox.media


def test_delete_and_close_name_who_uses_it(
    vbox: VirtualBox, place: Path, bare: Callable[[], Machine]
) -> None:
    """The machine, its snapshot, and the images that stand on it are in the message."""
    machine = bare()
    medium = vbox.media.create(place / "disk.vdi", size_mb=1)
    machine.storage.add("SATA").attach(medium)
    machine.snapshots.take("clean")
    child = medium.children[0]
    for verb in (medium.close, medium.delete):
        with pytest.raises(InvalidStateError) as caught:
            verb()
        assert f"machine '{machine.name}' (in 'clean')" in str(caught.value)
        assert child.location.name in str(caught.value)
        assert caught.value.symbol == "VBOX_E_OBJECT_IN_USE"
    with pytest.raises(InvalidStateError, match=f"used by machine '{machine.name}'"):
        child.delete()
    assert medium.location.is_file()
    assert child.location.is_file()


def test_merge_and_reset_of_what_they_are_not_for(
    vbox: VirtualBox, place: Path, bare: Callable[[], Machine]
) -> None:
    """A base cannot be reset, strangers cannot be merged; a machine's disk is not merged away."""
    machine = bare()
    medium = vbox.media.create(place / "disk.vdi", size_mb=1)
    other = vbox.media.create(place / "other.vdi", size_mb=1)
    with pytest.raises(ApiError, match="only differencing ones"):
        medium.reset()
    for target in (other, medium):
        with pytest.raises(ApiError, match="does not stand on"):
            medium.merge(target)
    machine.storage.add("SATA").attach(medium)
    machine.snapshots.take("clean")
    # VirtualBox would do it, and leave the machine with a disk that is gone.
    with pytest.raises(InvalidStateError, match=f"used by machine '{machine.name}'"):
        machine.disks[0].merge(medium)
    assert machine.disks[0].parent == medium

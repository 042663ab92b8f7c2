"""Wrong input to `create`: the error, what it says, and that nothing is left behind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.errors import (
    AlreadyExistsError,
    ApiError,
    NotFoundError,
    StorageError,
    VBoxKitError,
)
from vboxkit.machines import creation, drives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vboxkit import VirtualBox

pytestmark = pytest.mark.vbox

_BAD: list[tuple[dict[str, Any], type[VBoxKitError], str]] = [
    ({"os_type": "debian64"}, NotFoundError, r"no operating system 'debian64'.*\n.*Debian_64"),
    ({"os_type": "Windows 11"}, NotFoundError, r"did you mean .*Windows11_64"),
    ({"os_type": ""}, NotFoundError, r"no operating system ''"),
    ({"os_type": "Debian_arm64"}, ApiError, r"a system for ARM.*x86 only"),
    ({"memory_mb": 10**7}, ApiError, r"memory_mb cannot be 10000000 MiB.*\n.*4 to \d+ MiB"),
    ({"memory_mb": 3}, ApiError, r"memory_mb cannot be 3 MiB.*\n.*4 to \d+ MiB on this host"),
    ({"memory_mb": -64}, ApiError, r"memory_mb cannot be -64"),
    ({"cpus": 0}, ApiError, r"cpus cannot be 0.*\n.*1 to \d+ on this host"),
    ({"cpus": 1000}, ApiError, r"cpus cannot be 1000.*\n.*1 to \d+ on this host"),
    ({"disk_mb": -1}, ApiError, r"disk cannot have -1 MiB\n.*1 to \d+ MiB"),
    ({"disk_mb": 10**9}, ApiError, r"disk cannot have 1000000000 MiB\n.*1 to \d+ MiB"),
    ({"disk_format": "VDX"}, ApiError, r"no image format 'VDX'\n.*VHD or VDI"),
    ({"disk_format": "VHDX"}, ApiError, r"cannot create images of format VHDX"),
    ({"disk_variant": "Fixt"}, ApiError, r"no variant 'Fixt'\n.*Fixed"),
    ({"firmware": "EFI63"}, ApiError, r"no FirmwareType 'EFI63'\n.*EFI64"),
    ({"chipset": "ICH8"}, ApiError, r"no ChipsetType 'ICH8'\n.*ICH9"),
    ({"chipset": "ARMv8Virtual"}, ApiError, r"the platform has no ChipsetType"),
    ({"nics": ["NATT"]}, ApiError, r"no NetworkAttachmentType 'NATT'\n.*NAT"),
    ({"nics": [{"atachment": "NAT"}]}, ApiError, r"'atachment'\n.*attachment"),
    ({"nics": [{"kind": "Virtual"}]}, ApiError, r"NetworkAdapterType 'Virtual'\n.*Virtio"),
    ({"nics": ["Internal"]}, ApiError, r"needs the name of its network\n.*network="),
    ({"nics": [{"attachment": "Bridged", "interface": "no0"}]}, NotFoundError, r"'no0'"),
    ({"nics": [{"attachment": "NATNetwork", "network": "no"}]}, NotFoundError, r"'no'"),
    ({"nics": [{"mac": "8:0:27"}]}, ApiError, r"8:0:27"),
    ({"nics": ["NAT"] * 9}, ApiError, r"cannot have 9 network adapters\n.*0 to 8.*ICH9"),
    ({"iso": "/none/such.iso"}, StorageError, r"/none/such\.iso: No such file"),
    ({"iso": "/"}, StorageError, r"directory"),
    ({"boot_order": ["CD"]}, ApiError, r"no boot device 'CD'\n.*'DVD'"),
    ({"boot_order": ["DVD", "DVD"]}, ApiError, r"names a device twice"),
    ({"groups": ["team"]}, ApiError, r"a group cannot be 'team'\n.*/team/web"),
    ({"groups": ["/a/../b"]}, ApiError, r"a group cannot be '/a/\.\./b'"),
    ({"icon": b"GIF89a"}, ApiError, r"no PNG file"),
    ({"extra_data": {"a\nb": "x"}}, ApiError, r"extra data key cannot be"),
    ({"extra_data": {"a": "\0"}}, ApiError, r"extra data text cannot hold"),
    ({"folder": "/dev/null"}, StorageError, r"cannot make its folder /dev/null/.*: "),
    ({"folder": "/proc/none"}, StorageError, r"cannot make its folder /proc/none/"),
]


@pytest.fixture
def untouched(
    vbox: VirtualBox, inventory: Callable[[], set[str]], tmp_path: Path
) -> Iterator[None]:
    """Check that machines, media and files are afterwards what they were before."""

    def look() -> tuple[object, ...]:
        return (
            vbox.machines.names(),
            sorted(str(medium.location) for medium in vbox.media),
            inventory(),
            sorted((vbox.home / "machines").iterdir()),
            sorted(tmp_path.rglob("*")),
        )

    before = look()
    yield
    assert look() == before


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("options", "kind", "text"), _BAD, ids=lambda v: str(v)[:40])
def test_wrong_values(
    vbox: VirtualBox,
    label: Callable[[str], str],
    options: dict[str, Any],
    kind: type[VBoxKitError],
    text: str,
) -> None:
    """Each has its error, which says what was wrong and what would be right."""
    with pytest.raises(kind, match=text) as caught:
        vbox.create(label("bad"), **{"os_type": "Debian_64", "disk_mb": 10, **options})
    found = caught.value
    assert found.hint or (isinstance(found, NotFoundError) and found.available)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", ["", "..", "a/b", "../../up", "x" * 300, "a\tb", 'say "x"'])
def test_names_that_no_file_can_have(vbox: VirtualBox, name: str) -> None:
    """The error comes before anything is made."""
    with pytest.raises(ApiError, match="cannot be named"):
        vbox.create(name, os_type="Other", disk_mb=0)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "options",
    [{"memory_mb": "64"}, {"cpus": True}, {"disk_mb": 1.5}, {"nics": "NAT"}, {"groups": "/a"}],
)
def test_values_of_another_type(
    vbox: VirtualBox, label: Callable[[str], str], options: dict[str, Any]
) -> None:
    """A value of a wrong type is a `TypeError`, before anything is made."""
    with pytest.raises(TypeError):
        vbox.create(label("typed"), **{"os_type": "Other", "disk_mb": 0, **options})


def test_a_name_that_is_taken(
    vbox: VirtualBox, label: Callable[[str], str], inventory: Callable[[], set[str]]
) -> None:
    """The machine that has it stays as it is, also if the other one is to be elsewhere."""
    machine = vbox.create(label("taken"), os_type="Other", disk_mb=10)
    before = inventory()
    for options in ({}, {"folder": vbox.home / "elsewhere"}, {"groups": ["/elsewhere"]}):
        with pytest.raises(AlreadyExistsError, match=machine.name) as caught:
            vbox.create(machine.name, os_type="Other", **options)
        assert caught.value.kind == "machine"
        assert caught.value.hint
    assert inventory() == before
    assert not (vbox.home / "elsewhere").exists()


def test_a_settings_file_is_there_already(
    vbox: VirtualBox, label: Callable[[str], str], inventory: Callable[[], set[str]]
) -> None:
    """The file of a machine that is not registered is not overwritten."""
    machine = vbox.create(label("forgotten"), os_type="Other", disk_mb=10)
    file = machine.unregister()
    before = (inventory(), file.read_text())
    with pytest.raises(AlreadyExistsError, match=r"(?s)settings file .*register") as caught:
        vbox.create(machine.name, os_type="Other")
    assert caught.value.wanted == machine.name
    assert (inventory(), file.read_text()) == before
    vbox.machines.register(file).destroy()


def test_a_disk_is_there_already(
    vbox: VirtualBox, label: Callable[[str], str], tmp_path: Path
) -> None:
    """A file of the disk's name is not overwritten; the machine is undone, the file stays."""
    name = label("disk")
    (tmp_path / name).mkdir()
    disk = tmp_path / name / f"{name}.vdi"
    disk.write_text("somebody's")
    with pytest.raises(AlreadyExistsError, match=r"\.vdi"):
        vbox.create(name, os_type="Other", disk_mb=10, folder=tmp_path)
    assert name not in vbox.machines
    assert disk.read_text() == "somebody's"
    assert list((tmp_path / name).iterdir()) == [disk]


@pytest.mark.usefixtures("untouched")
def test_a_fixed_disk_needs_room_now(vbox: VirtualBox, label: Callable[[str], str]) -> None:
    """It is refused before it is written, with what is free."""
    free = os.statvfs(vbox.home)
    size = (free.f_bavail * free.f_frsize >> 20) + 1024
    if size > 2_000_000:
        pytest.skip("there is more room here than a disk can have")
    with pytest.raises(StorageError, match=r"it takes \d+ MiB, and \d+ MiB are free"):
        vbox.create(label("large"), os_type="Other", disk_mb=size, disk_variant="Fixed")


@pytest.mark.usefixtures("untouched")
def test_a_disk_larger_than_its_file_system(vbox: VirtualBox, label: Callable[[str], str]) -> None:
    """One that could never be filled is refused, with the size that could."""
    whole = os.statvfs(vbox.home)
    size = (whole.f_blocks * whole.f_frsize >> 20) + 1024
    if size > 2_000_000:
        pytest.skip("there is more room here than a disk can have")
    with pytest.raises(StorageError, match=r"does not fit.*\n.*1 to \d+ MiB"):
        vbox.create(label("large"), os_type="Other", disk_mb=size)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("size", [0, 1, 5000])
def test_an_iso_that_is_none(
    vbox: VirtualBox,
    label: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
    size: int,
) -> None:
    """A file whose size no DVD has is refused, and VirtualBox does not know it afterwards."""
    iso = tmp_path_factory.mktemp("iso") / "no.iso"
    iso.write_bytes(bytes(size))
    with pytest.raises(StorageError, match=r"no\.iso"):
        vbox.create(label("iso"), os_type="Other", disk_mb=0, iso=iso)


@pytest.mark.usefixtures("untouched")
def test_an_iso_is_forgotten_if_something_else_fails(
    vbox: VirtualBox, label: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A good ISO that VirtualBox did not know is not known afterwards."""
    iso = tmp_path_factory.mktemp("iso") / "good.iso"
    iso.write_bytes(bytes(2048 * 100))
    with pytest.raises(ApiError, match="no boot device"):
        vbox.create(label("iso"), os_type="Other", disk_mb=10, iso=iso, boot_order=["CD"])
    assert iso.exists()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("step", ["_set_up", "attach"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_on_the_way(
    vbox: VirtualBox,
    label: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: type[BaseException],
) -> None:
    """Whatever comes in between, machine, disk and folder are taken back."""
    place = creation if step == "_set_up" else drives
    original = getattr(place, step)

    def interrupted(*arguments: Any, **options: Any) -> None:
        original(*arguments, **options)
        raise error

    monkeypatch.setattr(place, step, interrupted)
    with pytest.raises(error):
        vbox.create(label("cut"), os_type="Other", disk_mb=10, groups=["/vt-cut"])


_FULL = """
def attempt(**options):
    try:
        print(vbox.create("m", os_type="Other", folder=small, **options))
    except VBoxKitError as error:
        print(type(error).__name__, str(error).splitlines()[0])
    print(vbox.machines.names(), len(vbox.media), os.listdir(small))
attempt(disk_mb=100)
attempt(disk_mb=2, disk_variant="Fixed")
fill()
attempt(disk_mb=0)
make_read_only()
attempt(disk_mb=0)
"""


def test_no_space_and_a_read_only_folder(on_small_disk: Callable[[str], list[str]]) -> None:
    """On a disk that is full, or read-only, the error says so, and nothing is left on it."""
    lines = on_small_disk(_FULL)
    assert lines[0].startswith("StorageError new machine 'm': a disk of 100 MiB does not fit")
    assert lines[2].startswith("StorageError cannot make")
    assert lines[1] == lines[3] == "[] 0 []"
    assert "Error" in lines[4]
    assert "Read-only" in lines[6] or "may not be written" in lines[6]
    assert lines[6].startswith("StorageError")
    assert lines[5] == lines[7] == "[] 0 ['rest']"

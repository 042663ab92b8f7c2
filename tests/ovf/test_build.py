"""`build` makes appliances that everybody can read, without VirtualBox."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.ovf.builder import MIB, vmdk
from vboxkit.errors import AlreadyExistsError, OvfError, StorageError
from vboxkit.ovf import build, inspect, verify


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Make a disk that an appliance takes as it is."""
    path = tmp_path / "disk.vmdk"
    path.write_bytes(vmdk(content=b"content" * 500_000))
    return path


def test_the_least(disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk and a name are enough; the result has no problem, and is as its manifest says."""
    monkeypatch.chdir(tmp_path)
    path = build(disk, name="box")
    assert path == tmp_path / "box.ova"
    package = inspect(path)
    assert package.problems == ()
    (system,) = package.systems
    assert (system.name, system.cpus, system.memory_bytes, system.networks) == (
        "box", 1, 1024 * MIB, ("NAT",),
    )  # fmt: skip
    assert package.disks[0].image == "vmdk streamOptimized"
    assert len(verify(path).files) == 2
    with tarfile.open(path) as tar:
        assert tar.getnames() == ["box.ovf", "box.mf", "box-disk001.vmdk"]
        extracted = tar.extractfile("box-disk001.vmdk")
        assert extracted is not None
        assert extracted.read() == disk.read_bytes()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["box.ova", "disk.vmdk"]


@pytest.mark.parametrize("controller", ["sata", "ide", "scsi"])
@pytest.mark.parametrize("firmware", ["bios", "efi"])
def test_all_words(controller: Any, firmware: Any, disk: Path, tmp_path: Path) -> None:
    """Each word is in the descriptor, whatever characters it has."""
    path = build(
        [disk, disk],
        name="a & b",
        target=tmp_path / "x.ova",
        memory_mb=64,
        cpus=4,
        os_type="Debian_64",
        firmware=firmware,
        controller=controller,
        networks=["NAT", "my <net>", "Bridged", "NAT"],
        product='"Web" <1>',
        vendor="Ärger\x00 & Söhne",
        version="1.0",
        annotation="two\nlines",
        eula="]]> agree",
        digest="sha512",
    )
    package = inspect(path).check()
    assert package.problems == ()
    (system,) = package.systems
    assert (system.name, system.cpus, system.memory_bytes) == ("a & b", 4, 64 * MIB)
    assert (system.os.vbox_type, system.os.id) == ("Debian_64", 96)
    assert system.firmware == ("efi" if firmware == "efi" else "")
    assert [one.kind for one in system.items if one.kind in {"sata", "ide", "scsi"}] == [controller]
    assert system.networks == ("NAT", "my <net>", "Bridged", "NAT")
    assert system.disks == ("vmdisk1", "vmdisk2")
    assert system.annotation == "two\nlines"
    assert package.eulas[0].text == "]]> agree"
    product = package.products[0]
    assert (product.name, product.vendor, product.version) == (
        '"Web" <1>', "Ärger & Söhne", "1.0",
    )  # fmt: skip
    assert {one.algorithm for one in verify(path).files} == {"sha512"}


def test_the_same_gives_the_same(disk: Path, tmp_path: Path) -> None:
    """Two builds of the same are equal, byte by byte."""
    first = build(disk, name="box", target=tmp_path / "1.ova", firmware="efi").read_bytes()
    second = build(disk, name="box", target=tmp_path / "2.ova", firmware="efi").read_bytes()
    assert first == second


def test_a_raw_disk_is_compressed(tmp_path: Path) -> None:
    """A raw disk becomes a stream-optimised one of the same capacity; nothing else stays."""
    raw = tmp_path / "disk.raw"
    raw.write_bytes(b"boot" * 128 + bytes(5 * MIB))
    path = build(raw, name="box", target=tmp_path / "box.ova")
    disk = inspect(path).check().disks[0]
    assert disk.image == "vmdk streamOptimized"
    assert disk.capacity_bytes == disk.image_bytes == 5 * MIB + 512
    assert disk.file_bytes is not None
    assert disk.file_bytes < MIB
    assert sorted(one.name for one in tmp_path.iterdir()) == ["box.ova", "disk.raw"]


def test_a_target_that_is_there(disk: Path, tmp_path: Path) -> None:
    """It is not replaced, unless that is asked for."""
    target = tmp_path / "box.ova"
    target.write_text("mine")
    with pytest.raises(AlreadyExistsError, match=r"box\.ova"):
        build(disk, name="box", target=target)
    assert target.read_text() == "mine"
    build(disk, name="box", target=target, overwrite=True)
    assert inspect(target).problems == ()


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"QFI\xfb" + bytes(999), "a.qcow2", "this is qcow2"),
        (bytes(64) + b"\x7f\x10\xda\xbe" + bytes(999), "a.vdi", "this is vdi"),
        (b"conectix" + bytes(999), "a.vhd", "this is vhd"),
        (b"KDMV" + bytes(999), "a.vmdk", "this is vmdk monolithicSparse"),
        (b"hello" * 999, "a.bin", "no image known"),
        (b"hello" * 999, "a.raw", "whole sectors"),
        (b"", "a.img", "whole sectors"),
        (vmdk()[:-600], "a.vmdk", "it is cut"),
    ],
)
def test_other_disks_are_refused(content: bytes, name: str, reason: str, tmp_path: Path) -> None:
    """Another format is an `OvfError` that says how to convert it; nothing is left."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(OvfError, match=reason) as caught:
        build(tmp_path / name, name="box", target=tmp_path / "box.ova")
    if "this is v" in reason:
        assert caught.value.hint is not None
        assert "clonemedium" in caught.value.hint
    assert [one.name for one in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("more", "element"),
    [
        ({"name": "../evil"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": ".."}, "name"),
        ({"memory_mb": 0}, "memory_mb"),
        ({"memory_mb": 10**9}, "memory_mb"),
        ({"cpus": 0}, "cpus"),
        ({"cpus": 65}, "cpus"),
        ({"firmware": "uefi"}, "firmware"),
        ({"controller": "nvme"}, "controller"),
        ({"networks": ["NAT"] * 9}, "networks"),
        ({"networks": [""]}, "networks"),
        ({"digest": "md5"}, "digest"),
        ({"target": "box.zip"}, "target"),
    ],
)
def test_wrong_words_are_refused(
    more: dict[str, Any], element: str, disk: Path, tmp_path: Path
) -> None:
    """A value that no appliance can have is an `OvfError` that names the argument."""
    with pytest.raises(OvfError) as caught:
        build(disk, **{"name": "box", "target": tmp_path / "box.ova", **more})
    assert caught.value.element == element
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == [disk]


def test_what_cannot_be_read_or_written(disk: Path, tmp_path: Path) -> None:
    """A disk that is not there, and a folder that is not there, are `StorageError`s."""
    with pytest.raises(StorageError, match="No such file"):
        build(tmp_path / "no.vmdk", name="box", target=tmp_path / "box.ova")
    with pytest.raises(StorageError, match="No such file"):
        build(disk, name="box", target=tmp_path / "no" / "box.ova")
    assert list(tmp_path.iterdir()) == [disk]


def test_progress_and_an_end_in_the_middle(disk: Path, tmp_path: Path) -> None:
    """It tells how far it is; when that raises, nothing is left."""
    seen: list[int] = []
    build(disk, name="a", target=tmp_path / "a.ova", on_progress=lambda *now: seen.append(now[0]))
    assert seen == sorted(seen)
    assert seen[-1] == disk.stat().st_size
    (tmp_path / "a.ova").unlink()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(disk, name="a", target=tmp_path / "a.ova", on_progress=stop)
    assert list(tmp_path.iterdir()) == [disk]

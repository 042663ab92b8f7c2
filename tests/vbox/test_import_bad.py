"""Importing what is no good appliance: a typed error, and nothing left behind."""

from __future__ import annotations

import os
import re
import tarfile
from typing import TYPE_CHECKING

import pytest

from vboxkit.errors import (
    AlreadyExistsError,
    ApiError,
    OvfError,
    StorageError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


def test_missing_file(vbox: VirtualBox, tmp_path: Path, inventory: Callable[[], set[str]]) -> None:
    """A path that leads nowhere is a `StorageError` with the path."""
    with pytest.raises(StorageError, match=r"no\.ova: No such file") as caught:
        vbox.appliances.import_(tmp_path / "no.ova")
    assert isinstance(caught.value, OSError)
    assert caught.value.hint == "check the path"
    assert inventory() == set()


def test_folder_instead_of_a_file(vbox: VirtualBox, tmp_path: Path) -> None:
    """A folder is a `StorageError`."""
    folder = tmp_path / "folder.ova"
    folder.mkdir()
    with pytest.raises(StorageError, match=re.escape(str(folder))):
        vbox.appliances.import_(folder)


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("empty.ova", b"", "empty"),
        ("empty.ovf", b"", "empty"),
        ("text.ova", b"Not found\n", "tar.s end is missing"),
        ("zeros.ova", b"\0" * 10240, "no .ovf descriptor"),
        ("text.ovf", b"Not found\n", "no well-formed XML"),
        ("cut.ovf", b"<?xml version='1.0'?><Envelope><References>", "no well-formed XML"),
        ("other.ovf", b"<?xml version='1.0'?><html><body/></html>", "Envelope"),
        ("none.ovf", b"<?xml version='1.0'?><html/>", "no OVF descriptor"),
    ],
)
def test_not_an_appliance(
    vbox: VirtualBox,
    tmp_path: Path,
    inventory: Callable[[], set[str]],
    *,
    file: str,
    content: bytes,
    reason: str,
) -> None:
    """What is no appliance is an `OvfError` with file and reason, and VBoxSVC survives it."""
    (tmp_path / file).write_bytes(content)
    with pytest.raises(OvfError, match=reason) as caught:
        vbox.appliances.import_(tmp_path / file, name="never")
    assert isinstance(caught.value, ValueError)
    assert caught.value.file == str(tmp_path / file)
    assert caught.value.reason
    assert "never" not in vbox.machines
    assert inventory() == set()


def test_another_suffix_is_refused(vbox: VirtualBox, tmp_path: Path, ova: Path) -> None:
    """VirtualBox goes by the suffix; the error says which ones it takes."""
    other = tmp_path / "appliance.zip"
    other.symlink_to(ova)
    with pytest.raises(StorageError, match=r"\.ovf or \.ova"):
        vbox.appliances.import_(other)


def test_archive_without_a_descriptor(vbox: VirtualBox, tmp_path: Path) -> None:
    """A tar archive with something else in it is an `OvfError`."""
    (tmp_path / "readme").write_text("hello")
    with tarfile.open(tmp_path / "other.ova", "w") as tar:
        tar.add(tmp_path / "readme", arcname="readme")
    with pytest.raises(OvfError, match=r"no \.ovf descriptor"):
        vbox.appliances.import_(tmp_path / "other.ova")


@pytest.mark.parametrize("share", [0.00001, 0.0001, 0.0005, 0.01, 0.3, 0.7, 0.99, 0.9995])
def test_truncated_archive(
    vbox: VirtualBox,
    package: Callable[..., Path],
    label: Callable[[str], str],
    inventory: Callable[[], set[str]],
    share: float,
) -> None:
    """Cut in its header, its descriptor or anywhere in its disk: `OvfError`, no remains."""
    whole = package()
    os.truncate(whole, int(whole.stat().st_size * share))
    name = label("cut")
    with pytest.raises(OvfError) as caught:
        vbox.appliances.import_(whole, name=name)
    assert caught.value.file == str(whole)
    assert caught.value.hint
    assert name not in vbox.machines
    assert inventory() == set()


def test_damaged_disk(
    vbox: VirtualBox,
    package: Callable[..., Path],
    label: Callable[[str], str],
    inventory: Callable[[], set[str]],
) -> None:
    """Zeros in the middle of the disk are found while it is unpacked."""
    whole = package()
    with whole.open("r+b") as file:
        file.seek(whole.stat().st_size // 2)
        file.write(b"\0" * 8192)
    with pytest.raises(OvfError):
        vbox.appliances.import_(whole, name=label("zeros"))
    assert inventory() == set()


def _all_wrong(text: str) -> str:
    return re.sub(r"= [0-9a-f]{64}", "= " + "0" * 64, text)


def _disk_wrong(text: str) -> str:
    descriptor, disk = text.splitlines(keepends=True)
    return descriptor + _all_wrong(disk)


@pytest.mark.parametrize("alter", [_all_wrong, _disk_wrong])
def test_damaged_manifest(
    vbox: VirtualBox,
    package: Callable[..., Path],
    inventory: Callable[[], set[str]],
    alter: Callable[[str], str],
) -> None:
    """A digest that does not fit is an `OvfError`; the whole import is taken back."""
    whole = package(manifest=alter)
    with pytest.raises(OvfError) as caught:
        vbox.appliances.import_(whole)
    assert caught.value.file == str(whole)
    assert inventory() == set()


def test_disk_missing_in_the_archive(
    vbox: VirtualBox, package: Callable[..., Path], inventory: Callable[[], set[str]]
) -> None:
    """A descriptor whose disk is not in the archive is an `OvfError`."""
    with pytest.raises(OvfError, match="is missing") as caught:
        vbox.appliances.import_(package(leave_out=".vmdk"))
    assert caught.value.element == "Envelope/References/File (line 4)"
    assert "tiny-disk001.vmdk" in caught.value.reason
    assert inventory() == set()


def test_disk_missing_beside_the_descriptor(
    vbox: VirtualBox,
    parts: dict[str, bytes],
    tmp_path: Path,
    label: Callable[[str], str],
    inventory: Callable[[], set[str]],
) -> None:
    """An `.ovf` without its disk file is an `OvfError` that names the file."""
    ovf, disk = (next(n for n in parts if n.endswith(end)) for end in (".ovf", ".vmdk"))
    (tmp_path / ovf).write_bytes(parts[ovf])
    with pytest.raises(OvfError) as caught:
        vbox.appliances.import_(tmp_path / ovf, name=label("diskless"))
    assert disk in caught.value.reason
    assert inventory() == set()


def test_name_taken(
    vbox: VirtualBox, machine: Machine, ova: Path, inventory: Callable[[], set[str]]
) -> None:
    """A name that is taken is `AlreadyExistsError`; the machine that has it is untouched."""
    before = inventory()
    with pytest.raises(AlreadyExistsError) as caught:
        vbox.appliances.import_(ova, name=machine.name)
    assert isinstance(caught.value, FileExistsError)
    assert (caught.value.kind, caught.value.wanted) == ("machine", machine.name)
    assert caught.value.hint
    assert inventory() == before
    assert vbox.machines[machine.name] == machine


@pytest.mark.parametrize(
    "name", ["", "..", ".", "  ", "a/b", "a\\b", "../up", "a\nb", 'a"b', "x" * 300]
)
def test_name_that_is_no_file_name(vbox: VirtualBox, ova: Path, name: str) -> None:
    """Slashes, dots alone, control characters and endless names are refused at once."""
    before = vbox.machines.names()
    folders = sorted((vbox.home / "machines").iterdir())
    with pytest.raises(ApiError, match="cannot be named") as caught:
        vbox.appliances.import_(ova, name=name)
    assert caught.value.hint
    assert vbox.machines.names() == before
    assert sorted((vbox.home / "machines").iterdir()) == folders


@pytest.mark.parametrize(
    "values", [{"memory_mb": 0}, {"memory_mb": 1}, {"memory_mb": 10**8}, {"cpus": 0}, {"cpus": 999}]
)
def test_impossible_sizes(
    make: Callable[..., Machine], inventory: Callable[[], set[str]], values: dict[str, int]
) -> None:
    """Memory and CPUs beyond VirtualBox's limits: the error names value and limits."""
    with pytest.raises(ApiError, match=r"\n.*\d+ to \d+") as caught:
        make(**values)
    ((name, value),) = values.items()
    assert f"{name} = {value}" in str(caught.value)
    assert inventory() == set()


def test_time_is_up(make: Callable[..., Machine], inventory: Callable[[], set[str]]) -> None:
    """An import that takes too long is stopped and taken back."""
    with pytest.raises(WaitTimeoutError) as caught:
        make(timeout=0)
    assert caught.value.what
    assert inventory() == set()


def test_folder_in_the_way(
    vbox: VirtualBox, ova: Path, label: Callable[[str], str], inventory: Callable[[], set[str]]
) -> None:
    """A file where the machine's folder would go: typed error, and the file is not touched."""
    name = label("blocked")
    blocker = vbox.home / "machines" / name
    blocker.write_text("mine")
    try:
        with pytest.raises(ApiError):
            vbox.appliances.import_(ova, name=name)
        assert blocker.read_text() == "mine"
        assert inventory() == {f"path {blocker}"}
    finally:
        blocker.unlink()

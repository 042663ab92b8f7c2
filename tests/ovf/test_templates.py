"""The descriptors in ``ovf/`` are what their comments say."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.ovf.builder import vmdk
from vboxkit.ovf import Collection, inspect

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit.ovf import Package

_FOLDER = Path(__file__).parents[2] / "ovf"
_FILES = sorted(_FOLDER.glob("*.ovf"))

_SHOWS: dict[str, Callable[[Package], Any]] = {
    "single-disk.ovf": lambda p: len(p.systems) == len(p.disks) == 1,
    "multi-disk.ovf": lambda p: [bool(disk.file) for disk in p.disks] == [True] * 3,
    "multi-vm.ovf": lambda p: isinstance(p.content[0], Collection) and len(p.systems) == 2,
    "uefi.ovf": lambda p: p.systems[0].firmware == "efi" and p.flavour == "virtualbox",
    "vmware.ovf": lambda p: p.flavour == "vmware" and p.properties[0].key.endswith("hostname"),
    "ovf-2.0.ovf": lambda p: p.version == "2.0",
}


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.name)
def test_a_template_has_no_problem(file: Path, tmp_path: Path) -> None:
    """With disks beside it, nothing is wrong with it but that nobody has made a manifest."""
    path = Path(shutil.copy(file, tmp_path))
    for disk in inspect(path).disks:
        if disk.file:
            (tmp_path / disk.file).write_bytes(vmdk(disk.capacity_bytes or 0))
    package = inspect(path).check()
    assert {one.code for one in package.problems} == {"no-manifest"}
    assert _SHOWS[file.name](package)
    assert all(system.cpus and system.memory_bytes for system in package.systems)


def test_each_template_says_what_it_shows() -> None:
    """There are these six, and each begins with a comment."""
    assert {file.name for file in _FILES} == set(_SHOWS)
    for file in _FILES:
        assert file.read_text(encoding="utf-8").splitlines()[1] == "<!--"

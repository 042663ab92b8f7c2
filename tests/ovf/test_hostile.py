"""What is built to harm, or is damaged, is an `OvfError`: nothing is written, memory is bounded."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.ovf.builder import cpu, disk_item, ide, manifest, memory, ova, put, simple, vmdk
from tests.ovf.hostile import HOSTILE, Hostile
from vboxkit.errors import OvfError
from vboxkit.ovf import inspect, verify

_DISK = vmdk()
_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_each_attack_is_refused(hostile: Hostile, tmp_path: Path) -> None:
    """It is an `OvfError` with file, element and reason; and nothing was written anywhere."""
    folder = tmp_path / "in" / "package"
    folder.mkdir(parents=True)
    path = hostile.make(folder)
    before = sorted((one, one.lstat().st_mtime_ns) for one in tmp_path.rglob("*"))
    start = time.monotonic()
    with pytest.raises(OvfError) as caught:
        inspect(path).check()
    assert time.monotonic() - start < 20
    with pytest.raises(OvfError):
        verify(path)  # there is no manifest, if nothing else
    assert re.search(hostile.reason, caught.value.reason), caught.value.reason
    assert hostile.element in caught.value.element
    assert caught.value.file == str(path)
    assert len(str(caught.value)) < 2000
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301
    assert sorted((one, one.lstat().st_mtime_ns) for one in tmp_path.rglob("*")) == before


def test_there_are_enough() -> None:
    """There are at least 30 attacks."""
    assert len(HOSTILE) >= 30


def test_all_of_them_in_little_memory() -> None:
    """All are refused by a process that can have 400 MiB of addresses, Python's own among them."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.ovf.hostile", str(400 << 20)],
        capture_output=True,
        text=True,
        check=False,
        cwd=_ROOT,
    )
    assert (done.stdout.strip(), done.stderr) == (str(len(HOSTILE)), "")


def test_a_cut_ova_is_told_wherever_it_is_cut(tmp_path: Path) -> None:
    """Cut at any byte before tar's end mark, an OVA is an `OvfError`."""
    descriptor = simple().encode()
    files = {"a.ovf": descriptor, "disk.vmdk": _DISK}
    files = {"a.ovf": descriptor, "a.mf": manifest(files), "disk.vmdk": _DISK}
    data = ova(tmp_path / "whole.ova", files).read_bytes()
    inspect(tmp_path / "whole.ova").check()
    end = sum(512 + -(-len(one) // 512) * 512 for one in files.values()) + 512
    path = tmp_path / "cut.ova"
    path.write_bytes(data[:end])
    inspect(path).check()
    for length in range(end - 1, -1, -29):
        with path.open("r+b") as file:
            file.truncate(length)
        with pytest.raises(OvfError) as caught:
            inspect(path)
        assert caught.value.reason
        assert caught.value.hint


def test_a_cut_descriptor_is_told_wherever_it_is_cut(tmp_path: Path) -> None:
    """Cut at any byte before its last ``>``, a descriptor is an `OvfError`."""
    data = simple().encode().rstrip()
    for length in range(len(data) - 1, -1, -23):
        path = put(tmp_path, {"a.ovf": data[:length], "disk.vmdk": _DISK})
        with pytest.raises(OvfError):
            inspect(path)


def test_a_cut_disk_is_told_wherever_it_is_cut(tmp_path: Path) -> None:
    """Cut at any byte, a disk beside its descriptor is an error, even if nobody says its size."""
    path = put(tmp_path, {"a.ovf": simple().encode(), "disk.vmdk": _DISK})
    inspect(path).check()
    for length in range(len(_DISK) - 1, -1, -29):
        (tmp_path / "disk.vmdk").write_bytes(_DISK[:length])
        with pytest.raises(OvfError):
            inspect(path).check()


def test_many_machines_and_items_take_time_in_proportion(tmp_path: Path) -> None:
    """A descriptor near the limits, full of duplicates and wrong references, is read in seconds."""
    items = cpu() + memory() + ide() + disk_item("gone") * 8_000
    path = put(tmp_path, {"a.ovf": simple(items=items).encode(), "disk.vmdk": _DISK})
    start = time.monotonic()
    package = inspect(path)
    assert time.monotonic() - start < 20
    counts = Counter(one.severity for one in package.problems)
    assert counts == {"error": 1000, "warning": 1000, "note": 1}


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    """A link from one file of the package's folder to another is no attack."""
    path = put(tmp_path, {"a.ovf": simple().encode(), "real.vmdk": _DISK})
    (tmp_path / "disk.vmdk").symlink_to("real.vmdk")
    assert inspect(path).check().disks[0].file_bytes == len(_DISK)

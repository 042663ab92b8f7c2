"""`inspect` reads each form of appliance."""

from __future__ import annotations

import json
import os
import pickle
import resource
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from tests.ovf.builder import MIB, manifest, ova, put, simple, vmdk
from tests.ovf.corpus import CASES, Case
from vboxkit.core.resources import resource as shipped
from vboxkit.errors import OvfError, StorageError
from vboxkit.ovf import Place, Problem, inspect

_DISK = vmdk()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_form_is_read(case: Case, tmp_path: Path) -> None:
    """What is in a package is what `inspect` says, and only what is wrong is a problem."""
    path = case.write(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    package = inspect(path)
    assert case.sees(package) == case.expected
    assert {problem.code for problem in package.problems} == case.codes
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_package_is_frozen_json_and_pickles(case: Case, tmp_path: Path) -> None:
    """It goes through JSON and pickle, is hashable, and is equal to itself read again."""
    path = case.write(tmp_path)
    package = inspect(path)
    data = json.loads(json.dumps(package.to_dict()))
    assert data["version"] == package.version
    assert [one["severity"] for one in data["problems"]] == [p.severity for p in package.problems]
    assert pickle.loads(pickle.dumps(package)) == package == inspect(path)  # noqa: S301
    assert hash(package)
    with pytest.raises(AttributeError):
        package.version = "3"  # type: ignore[misc]


def test_the_corpus_is_large_enough() -> None:
    """There are at least 25 forms."""
    assert len(CASES) >= 25


def test_what_vboxkit_ships_has_no_problem() -> None:
    """The tiny guest is read without a complaint, and is VirtualBox's."""
    package = inspect(shipped("tiny/tiny.ova"))
    assert package.problems == ()
    assert package.check() is package
    assert package.flavour == "virtualbox"


def test_a_problem_says_where_and_what_to_do(tmp_path: Path) -> None:
    """A problem has a severity, a file with line and element, a sentence, and a remedy."""
    path = put(tmp_path, {"a.ovf": simple(href="gone.vmdk").encode()})
    package = inspect(path)
    problem = next(one for one in package.problems if one.code == "file-missing")
    assert problem.severity == "error"
    line = next(
        number for number, text in enumerate(path.read_text().splitlines(), 1) if "<File" in text
    )
    assert problem.place == Place(file="a.ovf", line=line, element="Envelope/References/File")
    assert "gone.vmdk" in problem.sentence
    assert problem.remedy
    assert str(problem).startswith(f"error: a.ovf:{line}: Envelope/References/File: ")
    with pytest.raises(OvfError, match=r"'gone.vmdk' is missing") as caught:
        package.check()
    assert (caught.value.file, caught.value.element) == (
        str(path),
        f"Envelope/References/File (line {line})",
    )


def test_the_worst_comes_first(tmp_path: Path) -> None:
    """Errors before warnings before notes."""
    descriptor = simple(href="gone.vmdk", items="")
    codes = [
        one.severity for one in inspect(put(tmp_path, {"a.ovf": descriptor.encode()})).problems
    ]
    assert codes == sorted(codes, key=["error", "warning", "note"].index)
    assert set(codes) == {"error", "warning", "note"}


def test_a_folder_a_text_and_nothing_are_refused(tmp_path: Path) -> None:
    """What is no appliance by its name, or cannot be opened, is a `StorageError`."""
    for name in ("no.ova", "a.txt"):
        with pytest.raises(StorageError, match=name):
            inspect(tmp_path / name)
    (tmp_path / "folder.ova").mkdir()
    with pytest.raises(StorageError, match="it is no file"):
        inspect(tmp_path / "folder.ova")
    os.mkfifo(tmp_path / "pipe.ovf")
    with pytest.raises(StorageError, match="it is no file"):
        inspect(tmp_path / "pipe.ovf")


def test_problems_are_not_lost_in_an_ova_of_another_order(tmp_path: Path) -> None:
    """A descriptor behind its disk, and a member that nothing refers to, are told."""
    path = ova(
        tmp_path / "a.ova",
        {"disk.vmdk": _DISK, "a.ovf": simple().encode(), "notes.txt": b"hello"},
    )
    codes = {one.code for one in inspect(path).problems}
    assert codes == {"descriptor-not-first", "member-unused", "no-manifest"}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_each_form_of_tar(form: int, tmp_path: Path) -> None:
    """OVAs of each kind of tar are read, also with names that need an extension."""
    # Behind the extension of GNU's form, the name's first 100 bytes end within a character.
    name = "d" * 93 + "/" + ("e" * 60 if form == tarfile.USTAR_FORMAT else "\N{EURO SIGN}" * 60)
    name += ".vmdk"
    path = ova(tmp_path / "a.ova", {"ä.ovf": simple(href=name).encode(), name: _DISK}, format=form)
    package = inspect(path)
    assert package.disks[0].file_bytes == len(_DISK)
    assert package.descriptor == "ä.ovf"


def test_reading_loads_nothing_heavy() -> None:
    """`inspect` loads neither SSH, nor cryptography, nor VirtualBox."""
    code = (
        "import sys; from vboxkit.ovf import inspect; inspect(sys.argv[1]);"
        "print([m for m in ('paramiko', 'cryptography', 'vboxapi', 'rich', 'msgspec')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, shipped("tiny/tiny.ova")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


def _sparse(path: Path, size: int) -> None:
    """Write an OVA with a disk of this size, which takes no space."""
    descriptor = simple(size=size, capacity=8 * MIB).encode()
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT):
        pass
    with path.open("wb") as file:
        for name, data, length in (
            ("a.ovf", descriptor, len(descriptor)),
            ("disk.vmdk", vmdk(at_end=False), size),
        ):
            info = tarfile.TarInfo(name)
            info.size = length
            file.write(info.tobuf(tarfile.GNU_FORMAT))
            start = file.tell()
            file.write(data)
            file.seek(start + -(-length // 512) * 512)
        file.write(bytes(1024))
        file.truncate()


def test_twenty_gigabytes_are_read_at_once(tmp_path: Path) -> None:
    """An OVA of 20 GB takes well under a second and no memory to speak of."""
    path = tmp_path / "large.ova"
    _sparse(path, 20_000_000_000)
    inspect(shipped("tiny/tiny.ova"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    package = inspect(path)
    took = time.monotonic() - start
    assert package.disks[0].file_bytes == 20_000_000_000
    assert package.bytes > 20_000_000_000
    assert took < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


def test_a_manifest_is_compared_by_its_names(tmp_path: Path) -> None:
    """A file that the manifest lists and is not there, and the other way round, are errors."""
    files = {"a.ovf": simple().encode(), "disk.vmdk": _DISK}
    lines = manifest({"a.ovf": files["a.ovf"], "gone.vmdk": b""})
    package = inspect(put(tmp_path, {**files, "a.mf": lines}))
    found: dict[str, Problem] = {one.code: one for one in package.problems}
    assert set(found) == {"manifest-file", "manifest-incomplete"}
    assert "'gone.vmdk'" in found["manifest-file"].sentence
    assert "'disk.vmdk'" in found["manifest-incomplete"].sentence


def test_sha1_in_a_package_of_2_0_is_a_warning(tmp_path: Path) -> None:
    """OVF 2.0 asks for SHA-256."""
    files = {"a.ovf": simple(version="2.0").encode(), "disk.vmdk": _DISK}
    package = inspect(put(tmp_path, {**files, "a.mf": manifest(files, "sha1")}))
    assert {(one.severity, one.code) for one in package.problems} == {("warning", "manifest-sha1")}

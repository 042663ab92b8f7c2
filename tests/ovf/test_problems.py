"""Each kind of problem is found, and only where it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import vboxkit.ovf
from tests.ovf.builder import (
    MIB,
    STREAM,
    cpu,
    disk_item,
    envelope,
    file,
    ide,
    item,
    memory,
    nic,
    put,
    sata,
    simple,
    system,
    vmdk,
)
from vboxkit.ovf import inspect

_DISK = vmdk()
_BASE = cpu() + memory() + ide() + disk_item() + nic()
_FILE = file("disk.vmdk")


def _disk(more: str = "", *, id: str = "vmdisk1", capacity: int = 8 * MIB) -> str:  # noqa: A002
    return (
        f'<Disk ovf:diskId="{id}" ovf:fileRef="file1" ovf:capacity="{capacity}"'
        f' ovf:format="{STREAM}" {more}/>'
    )


def _all(items: str = _BASE, *, files: str = _FILE, disks: str = "", more: str = "") -> str:
    return envelope(system(items), files=files, disks=disks or _disk(), more=more)


_OPTION = '<Configuration ovf:id="a"><Label>l</Label></Configuration>'
#: A descriptor, with the code and the severity of its problem.
_WRONG: dict[str, tuple[str, str, str]] = {
    "a file elsewhere": (simple(href="http://a.invalid/d.vmdk"), "file-remote", "warning"),
    "a file without a name": (simple(href=""), "file-missing", "error"),
    "two files of an id": (_all(files=_FILE * 2), "duplicate-id", "error"),
    "two disks of an id": (_all(disks=_disk() * 2), "duplicate-id", "error"),
    "two networks": (
        envelope(system(cpu() + memory()), networks=("a", "a")),
        "duplicate-id",
        "error",
    ),
    "two machines of an id": (
        envelope(
            '<VirtualSystemCollection ovf:id="c"><Info>i</Info>'
            f"{system(cpu() + memory()) * 2}</VirtualSystemCollection>"
        ),
        "duplicate-id",
        "error",
    ),
    "two configurations of an id": (
        _all(more=f"<DeploymentOptionSection>{_OPTION * 2}</DeploymentOptionSection>"),
        "duplicate-id",
        "error",
    ),
    "a disk without an id": (_all(disks=_disk() + _disk(id="")), "no-name", "error"),
    "a disk of no file": (_all(disks=_disk().replace("file1", "file9")), "disk-file", "error"),
    "a disk of no parent": (_all(disks=_disk('ovf:parentRef="gone"')), "disk-parent", "error"),
    "a disk that is its parent": (
        _all(disks=_disk('ovf:parentRef="vmdisk1"')),
        "disk-parent",
        "error",
    ),
    "a disk without capacity": (
        _all(disks=f'<Disk ovf:diskId="vmdisk1" ovf:format="{STREAM}"/>'),
        "no-capacity",
        "error",
    ),
    "a disk without a format": (
        _all(disks=f'<Disk ovf:diskId="vmdisk1" ovf:capacity="{MIB}"/>'),
        "no-format",
        "warning",
    ),
    "a disk smaller than it says": (
        _all(disks=_disk(capacity=16 * MIB)),
        "capacity-mismatch",
        "warning",
    ),
    "a disk larger than it says": (_all(disks=_disk(capacity=MIB)), "capacity-mismatch", "error"),
    "a unit of nobody": (
        _all(disks=_disk('ovf:capacityAllocationUnits="blocks"')),
        "unit-unknown",
        "warning",
    ),
    "a number that is none": (
        _all(_BASE + item(14, 20, Reservation="many")),
        "not-a-number",
        "error",
    ),
    "an item of no type": (
        _all(_BASE + "<Item><rasd:InstanceID>20</rasd:InstanceID></Item>"),
        "no-resource-type",
        "error",
    ),
    "no processor": (_all(memory() + ide() + disk_item()), "no-processor", "warning"),
    "no memory": (_all(cpu() + ide() + disk_item()), "no-memory", "warning"),
    "two items of an id": (_all(_BASE + item(14, 3)), "duplicate-instance", "warning"),
    "a configuration of nobody": (
        _all(_BASE + memory(1, more='ovf:configuration="x"')),
        "configuration-unknown",
        "error",
    ),
    "a disk on nothing": (_all(cpu() + memory() + disk_item()), "item-parent", "error"),
    "a disk on the memory": (_all(cpu() + memory() + disk_item(parent=2)), "item-parent", "error"),
    "an item of no disk": (_all(_BASE + disk_item("gone", id=20)), "item-disk", "error"),
    "an item of no file": (
        _all(_BASE + item(15, 20, Parent=3, HostResource="ovf:/file/gone")),
        "item-file",
        "error",
    ),
    "a network of nobody": (_all(_BASE + nic("lan", id=20)), "network-undeclared", "warning"),
    "memory in bytes": (
        _all(cpu() + memory(MIB, "byte") + ide() + disk_item()),
        "memory-unit",
        "warning",
    ),
    "a controller of nobody": (
        _all(_BASE + sata(20, subtype="x")),
        "controller-unknown",
        "warning",
    ),
    "an empty collection": (
        envelope('<VirtualSystemCollection ovf:id="c"><Info>i</Info></VirtualSystemCollection>'),
        "collection-empty",
        "warning",
    ),
    "nothing": (envelope(""), "no-machine", "error"),
    "texts in no file": (
        _all(more='<Strings ovf:fileRef="gone" xml:lang="de"/>'),
        "strings-file",
        "warning",
    ),
}


@pytest.mark.parametrize(("descriptor", "code", "severity"), _WRONG.values(), ids=_WRONG)
def test_a_problem_is_found(descriptor: str, code: str, severity: str, tmp_path: Path) -> None:
    """It has its code and severity, a place with a line, a sentence, and a remedy."""
    path = put(tmp_path, {"a.ovf": descriptor.encode(), "disk.vmdk": _DISK})
    found = [one for one in inspect(path).problems if one.code != "no-manifest"]
    assert (code, severity) in {(one.code, one.severity) for one in found}
    for one in found:
        assert one.place.line > 0
        assert one.place.element.startswith("Envelope")
        assert one.sentence
        assert one.remedy


def test_where_nothing_is_wrong(tmp_path: Path) -> None:
    """What the descriptors above are made from has no problem of theirs."""
    path = put(tmp_path, {"a.ovf": _all().encode(), "disk.vmdk": _DISK})
    assert {one.code for one in inspect(path).problems} == {"no-manifest"}


@pytest.mark.parametrize(
    ("sizes", "code"),
    [
        ((1000, 1000, 9), "chunk-missing"),
        ((1000,), "chunk-missing"),
        ((1000, 9), "size-mismatch"),
        ((900, 1000), "chunk-size"),
    ],
)
def test_chunks_that_do_not_fit(sizes: tuple[int, ...], code: str, tmp_path: Path) -> None:
    """Too few, too many and too short chunks are errors."""
    descriptor = simple(size=2000, file_more='ovf:chunkSize="1000"').encode()
    parts = {f"disk.vmdk.{n:09d}": bytes(size) for n, size in enumerate(sizes)}
    problems = inspect(put(tmp_path, {"a.ovf": descriptor, **parts})).problems
    assert code in {one.code for one in problems if one.severity == "error"}


def test_every_code_has_a_test() -> None:
    """No problem is found that no test of this folder knows."""
    codes: set[str] = set()
    for path in Path(vboxkit.ovf.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and len(node.args) == 5:
                code = node.args[1]
                if isinstance(code, ast.Constant) and isinstance(code.value, str):
                    codes.add(code.value)
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.py"))
    # These are told by what the hostile ones say.
    hostile = {"absolute-path", "file-outside", "size-mismatch", "disk-cut", "image-format",
               "compression-unknown"}  # fmt: skip
    assert len(codes) > 40
    assert {code for code in codes if f'"{code}"' not in tests} <= hostile

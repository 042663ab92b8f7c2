"""What VirtualBox really refuses, or misreads, and imports when it is mended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.ovf.builder import MIB, cpu, envelope09, file, gz, ide, item, manifest, memory, ova, sata
from tests.vbox.packages import DISK, descriptor, disk, folder_package
from vboxkit.errors import OvfError, ProgressFailedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


@dataclass(frozen=True)
class Case:
    """What is wrong with a descriptor, the code of its repair, and what comes of it."""

    words: dict[str, Any]
    code: str
    sees: Callable[[Machine], Any] = field(default=lambda machine: machine.memory_mb)
    expected: Any = 64
    files: Callable[[], dict[str, bytes]] = field(default=lambda: {"disk.vmdk": disk()})


def _kinds(machine: Machine) -> list[str]:
    return [str(one.kind) for one in machine.storage.controllers]


def _gzipped() -> dict[str, bytes]:
    return {"disk.vmdk": gz(disk())}


CASES = {
    "sata": Case({"controller": sata(subtype="SATA")}, "controller-name", _kinds, ["IntelAhci"]),
    "sas": Case(
        {"controller": item(6, 3, Address=0, ResourceSubType="LsiLogicSAS")},
        "controller-name", _kinds, ["LsiLogicSas"],
    ),
    "sas as storage": Case(
        {"controller": sata(subtype="LsiLogicSas")}, "controller-name", _kinds, ["LsiLogicSas"]
    ),
    "memory unit": Case({"memory": memory(64, "byte*2^20")}, "memory-unit"),
    "graphics": Case({"more": item(24, 20, ElementName="video")}, "resource-required"),
    "serial port": Case({"more": item(21, 20, ElementName="serial")}, "resource-required"),
    "DVD": Case({"more": item(16, 20, Parent=3, AddressOnParent=1)}, "resource-type"),
    "disk of 0.9": Case(
        {"drive": item(17, 5, HostResource="disk/vmdisk1", Parent=3, AddressOnParent=0)},
        "host-resource",
    ),
    "no format": Case({"disks": DISK.partition(" ovf:format")[0] + "/>"}, "format"),
    "no capacity": Case(
        {"disks": DISK.replace(f'ovf:capacity="{8 * MIB}"', "")}, "capacity"
    ),
    "absolute path": Case({"href": "/home/me/disk.vmdk"}, "absolute-path"),
    "escape": Case(
        {"href": "my%20disk.vmdk"}, "percent", files=lambda: {"my disk.vmdk": disk()}
    ),
    "letters": Case({"href": "DISK.vmdk"}, "file-name"),
    "gzip": Case({"file_more": 'ovf:compression="gzip"'}, "gzip-name", files=_gzipped),
    "unknown system": Case(
        {"os": '<OperatingSystemSection ovf:id="96"><Info>i</Info>'
               "<vbox:OSType>Debian99_64</vbox:OSType></OperatingSystemSection>"},
        "os-type", lambda machine: machine.os_type, "Debian_64",
    ),
}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True], ids=["ovf", "ova"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_it_is_refused_as_it_is_and_imported_mended(
    vbox: VirtualBox,
    tmp_path: Path,
    label: Callable[[str], str],
    inventory: Callable[[], set[str]],
    case: Case,
    *,
    packed: bool,
) -> None:
    """The error's hint says that it can be mended; mended, it is what was meant."""
    path = folder_package(tmp_path / "p", descriptor(label("mended"), **case.words), case.files())
    if packed:
        path = ova(tmp_path / "a.ova", {"a.ovf": path.read_bytes(), **case.files()})
    # What VirtualBox finds out only when it makes the machine is an error of its progress.
    with pytest.raises((OvfError, ProgressFailedError)) as caught:
        vbox.appliances.import_(path)
    assert "repair=True" in f"{caught.value.hint}"
    assert inventory() == set()
    with vbox.appliances.open(path, repair=True) as appliance:
        assert [one.code for one in appliance.repairs] == [case.code]
        machine = appliance.import_()
    assert case.sees(machine) == case.expected
    (used,) = [one.medium for one in machine.storage.attachments if one.kind == "HardDisk"]
    assert used is not None
    assert used.size_mb == 8
    assert _private(vbox) == []


def _private(vbox: VirtualBox) -> list[str]:
    return [str(path) for path in (vbox.home / "repairs").glob("*/*")]


def test_vmwares_name_of_the_system(
    vbox: VirtualBox, tmp_path: Path, label: Callable[[str], str]
) -> None:
    """VirtualBox takes a guest of 64 bits for one of 32; mended, it is what VMware calls it."""
    section = '<OperatingSystemSection ovf:id="36" vmw:osType="debian10_64Guest"><Info>i</Info>'
    text = descriptor(label("vmware"), os=f"{section}</OperatingSystemSection>")
    path = folder_package(tmp_path / "p", text)
    assert vbox.appliances.import_(path).os_type == "Linux"
    assert vbox.appliances.import_(path, repair=True).os_type == "Debian10_64"


def test_ovf_09_as_vmware_wrote_it(
    vbox: VirtualBox, tmp_path: Path, label: Callable[[str], str]
) -> None:
    """Sections by type, the old names of ids, and the old form of resources."""
    items = cpu() + memory(64, "MegaBytes") + ide()
    items += item(17, 5, HostResource="disk/vmdisk1", Parent=3, AddressOnParent=0)
    text = envelope09(
        items.replace("InstanceID", "InstanceId").replace("ElementName", "Caption"),
        files=file("/vmfs/disk.vmdk"),
        disks=DISK,
    ).replace('ovf:id="old"', f'ovf:id="{label("old")}"')
    path = folder_package(tmp_path / "p", text)
    with vbox.appliances.open(path, repair=True) as appliance:
        assert {one.code for one in appliance.repairs} == {"absolute-path", "host-resource"}
        assert appliance.package.version == "0.9"
        assert appliance.import_().memory_mb == 64


def test_the_disk_is_still_held_against_the_manifest(
    vbox: VirtualBox,
    tmp_path: Path,
    label: Callable[[str], str],
    inventory: Callable[[], set[str]],
) -> None:
    """Mending the descriptor does not switch the check of the rest off."""
    text = descriptor(label("signed"), controller=sata(subtype="SATA"))
    good = {"a.ovf": text.encode(), "disk.vmdk": disk()}
    path = folder_package(tmp_path / "p", text)
    path.with_suffix(".mf").write_bytes(manifest({**good, "disk.vmdk": b"other"}))
    with pytest.raises(OvfError, match=r"disk\.vmdk"):
        vbox.appliances.import_(path, repair=True)
    assert inventory() == set()
    path.with_suffix(".mf").write_bytes(manifest(good))
    assert vbox.appliances.import_(path, repair=True).id in vbox.machines


@pytest.mark.parametrize(
    "words", [{"memory": memory(64, "%s%s%s%s%s%n")}, {"controller": sata(subtype="%s%s%s%n")}]
)
def test_what_would_kill_the_server_never_gets_there(
    vbox: VirtualBox, tmp_path: Path, words: dict[str, str]
) -> None:
    """VBoxSVC 7.2 takes these texts for formats."""
    path = folder_package(tmp_path / "p", descriptor("format", **words))
    for repair in (False, True):
        with pytest.raises(OvfError, match="for a format"):
            vbox.appliances.open(path, repair=repair)
    assert "format" not in vbox.machines
    assert _private(vbox) == []


@pytest.mark.parametrize("packed", [False, True], ids=["ovf", "ova"])
def test_a_path_that_would_kill_the_server(
    vbox: VirtualBox, tmp_path: Path, label: Callable[[str], str], *, packed: bool
) -> None:
    """VBoxSVC 7.2 takes the path for a format when it refuses the package: it sees another one."""
    folder = tmp_path / "100%s%s%s%s%n"
    for text, good in (
        (descriptor(label("good")), True),
        (descriptor(label("bad"), memory=memory(64, "KB")), False),
    ):
        path = folder_package(folder, text)
        path.with_suffix(".mf").write_bytes(manifest({"a.ovf": text.encode(), "disk.vmdk": disk()}))
        if packed:
            path = ova(folder / "a%s.ova", {"a.ovf": text.encode(), "disk.vmdk": disk()})
        with vbox.appliances.open(path) as appliance:
            if good:
                assert appliance.import_().memory_mb == 64
            else:
                with pytest.raises(OvfError, match="Invalid allocation unit"):
                    appliance.plan()
        assert _private(vbox) == []


def test_nothing_to_mend_takes_no_space(
    vbox: VirtualBox, tmp_path: Path, label: Callable[[str], str]
) -> None:
    """An OVA that is right is imported as it is."""
    text = descriptor(label("right"))
    path = ova(tmp_path / "a.ova", {"a.ovf": text.encode(), "disk.vmdk": disk()})
    with vbox.appliances.open(path, repair=True) as appliance:
        assert appliance.repairs == ()
        assert _private(vbox) == []
        assert appliance.import_().memory_mb == 64


_CHILD = """
import json, sys, vboxkit
vbox = vboxkit.connect(sys.argv[1])
appliance = vbox.appliances.open(sys.argv[2], repair=True)
print(json.dumps([len(appliance.repairs)]), flush=True)
sys.stdin.read()
"""


def test_a_killed_process_leaves_its_copy_to_the_next(
    vbox: VirtualBox, tmp_path: Path, label: Callable[[str], str]
) -> None:
    """The copy of a process that lives is not touched."""
    text = descriptor(label("killed"), controller=sata(subtype="SATA"))
    path = ova(tmp_path / "a.ova", {"a.ovf": text.encode(), "disk.vmdk": disk()})
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(vbox.home), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert json.loads(child.stdout.readline()) == [1]
        with vbox.appliances.open(path, repair=True):
            assert len(list((vbox.home / "repairs").glob("*/package"))) == 2
        assert len(list((vbox.home / "repairs").glob("*/package"))) == 1
        os.kill(child.pid, signal.SIGKILL)
        child.wait(30)
    finally:
        child.kill()
        child.communicate(timeout=30)
    with vbox.appliances.open(path, repair=True):
        assert len(list((vbox.home / "repairs").glob("*/package"))) == 1
    assert _private(vbox) == []

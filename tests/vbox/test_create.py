"""Machines made from nothing: what is left out, what is asked for, and who comes first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from vboxkit.errors import AlreadyExistsError
from vboxkit.machines.nics import Nic

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


def attached(machine: Machine) -> dict[str, tuple[str, int]]:
    """Return what is attached, by kind: its file's name (none if empty) and its size in MiB."""
    found = {}
    for com in machine._api.array(machine.com, "mediumAttachments"):
        kind = machine._api.name("DeviceType", com.type)
        medium = com.medium
        name = "" if medium is None else str(medium.name)
        found[kind] = (name, 0 if medium is None else int(medium.logicalSize) >> 20)
    return found


def image(path: Path) -> Path:
    """Make a file that VirtualBox takes for an ISO."""
    path.write_bytes(bytes(2048 * 100))
    return path


def test_what_is_left_out_is_what_the_system_needs(
    vbox: VirtualBox, label: Callable[[str], str]
) -> None:
    """Memory, CPUs, disk, graphics and adapter are those recommended; the DVD drive is empty."""
    machine = vbox.create(label("plain"), os_type="Debian_64")
    best = vbox.os_types["Debian_64"].recommended
    assert machine.os_type == "Debian_64"
    assert (machine.memory_mb, machine.cpus) == (best.memory_mb, best.cpus)
    assert machine.graphics.controller == best.graphics
    assert machine.firmware.kind == best.firmware
    assert attached(machine) == {
        "HardDisk": (f"{machine.name}.vdi", best.disk_mb),
        "DVD": ("", 0),
    }
    assert [a.attachment for a in machine.network if a.enabled] == ["NAT"]
    assert machine.network[0].kind == best.network
    assert machine.boot_order == ("HardDisk", "DVD")
    assert not any(port.enabled for port in machine.serial_ports)
    assert vbox.machines[machine.name] == machine
    assert machine.session_state == "Unlocked"
    assert machine.folder == vbox.home / "machines" / machine.name


def test_all_that_can_be_asked_for(
    vbox: VirtualBox, label: Callable[[str], str], tmp_path: Path
) -> None:
    """Each option is in the machine, and in its settings file at once."""
    iso = image(tmp_path / f"{label('an image')}.iso")
    machine = vbox.create(
        label("full"),
        os_type=vbox.os_types["Ubuntu_64"],
        memory_mb=128,
        cpus=2 if vbox.com.host.processorOnlineCount > 1 else 1,
        disk_mb=50,
        disk_format="vmdk",
        firmware="EFI",
        chipset="ICH9",
        nics=["NAT", {"attachment": "Internal", "network": "lab", "kind": "Virtio"}],
        iso=iso,
        boot_order=["DVD", "HardDisk", "Network"],
        groups=["/vt-a/b", "/vt-c"],
        description="line 1\nümläut <&>",
        icon=b"\x89PNG\r\n\x1a\n..",
        extra_data={"example.com/owner": "ci"},
    )
    assert machine.memory_mb == 128
    assert machine.firmware.kind == "EFI"
    assert machine.chipset.kind == "ICH9"
    assert attached(machine) == {
        "HardDisk": (f"{machine.name}.vmdk", 50),
        "DVD": (iso.name, 0),
    }
    adapters = [(a.attachment, a.network, a.kind) for a in machine.network if a.enabled]
    assert adapters[0][0] == "NAT"
    assert adapters[1] == ("Internal", "lab", "Virtio")
    assert len(adapters) == 2
    assert machine.boot_order == ("DVD", "HardDisk", "Network")
    assert list(machine.groups) == ["/vt-a/b", "/vt-c"]
    assert machine.folder == vbox.home / "machines" / "vt-a" / "b" / machine.name
    assert machine.description == "line 1\nümläut <&>"
    assert machine.icon == b"\x89PNG\r\n\x1a\n.."
    assert machine.extra_data == {"example.com/owner": "ci"}
    assert 'RAMSize="128"' in machine.settings_file.read_text()
    machine.destroy()
    assert iso.exists()
    assert not (vbox.home / "machines" / "vt-a").exists()
    vbox.media[iso].close()


def test_without_disk_and_network(vbox: VirtualBox, label: Callable[[str], str]) -> None:
    """Nothing of what is not wanted is made."""
    machine = vbox.create(label("bare"), os_type="Other_64", disk_mb=0, nics=[])
    assert set(attached(machine)) == {"DVD"}
    assert not any(adapter.enabled for adapter in machine.network)
    assert not list(machine.folder.glob("*.vdi"))


@pytest.mark.parametrize(
    "nic",
    [
        Nic("Internal", network="lab", mac="08:00:27:12:34:56", cable_connected=False),
        {"attachment": "Internal", "network": "lab", "mac": "080027123456", "cable_connected": 0},
    ],
)
def test_a_network_adapter_in_detail(
    vbox: VirtualBox, label: Callable[[str], str], nic: Nic | dict[str, object]
) -> None:
    """A record and a dict say the same."""
    if isinstance(nic, dict):
        nic = {**nic, "cable_connected": bool(nic["cable_connected"])}
    adapter = vbox.create(label("nic"), os_type="Other_64", disk_mb=0, nics=[nic]).network[0]
    assert (adapter.attachment, adapter.network) == ("Internal", "lab")
    assert adapter.mac == "08:00:27:12:34:56"
    assert not adapter.cable_connected


@pytest.mark.parametrize(
    "system", ["Windows11_64", "MacOS_64", "WindowsXP", "DOS", "Solaris11_64", "Other"]
)
def test_systems_of_all_kinds(vbox: VirtualBox, label: Callable[[str], str], system: str) -> None:
    """Disk and DVD drive find a place on whichever controllers a system has; no serial port."""
    machine = vbox.create(label("kind"), os_type=system, memory_mb=64, cpus=1, disk_mb=20)
    assert {"HardDisk", "DVD"} <= set(attached(machine))
    assert machine.os_type == system
    assert not any(port.enabled for port in machine.serial_ports)


def test_a_folder_of_its_own(vbox: VirtualBox, label: Callable[[str], str], tmp_path: Path) -> None:
    """A folder with spaces and umlauts, which is made; a foreign file in it stays."""
    base = tmp_path / "with space" / "übung"
    name = label("elsewhere ü")
    (base / name).mkdir(parents=True)
    (base / name / "mine.txt").write_text("mine")
    machine = vbox.create(name, os_type="Other", disk_mb=10, folder=base)
    assert machine.folder == base / name
    assert (base / name / f"{name}.vdi").exists()
    machine.unregister()
    assert (base / name / "mine.txt").read_text() == "mine"


def test_a_name_like_a_disk(vbox: VirtualBox, label: Callable[[str], str]) -> None:
    """A dot in the name does not choose the disk's format."""
    machine = vbox.create(label("a.vmdk"), os_type="Other", disk_mb=10, disk_format="VDI")
    assert attached(machine)["HardDisk"] == (f"{machine.name}.vdi", 10)


def test_a_fixed_disk_has_all_its_size_now(vbox: VirtualBox, label: Callable[[str], str]) -> None:
    """One that grows is small at first; a fixed one is as large as it says."""
    fixed = vbox.create(label("fixed"), os_type="Other", disk_mb=8, disk_variant="Fixed")
    grows = vbox.create(label("grows"), os_type="Other", disk_mb=8)
    assert (fixed.folder / f"{fixed.name}.vdi").stat().st_size >= 8 << 20
    assert (grows.folder / f"{grows.name}.vdi").stat().st_size < 8 << 20


def test_one_of_several_threads_gets_the_name(
    vbox: VirtualBox, label: Callable[[str], str]
) -> None:
    """Exactly one machine is made; the others are told that it is there."""
    name = label("race")

    def make(_: int) -> str:
        try:
            return vbox.create(name, os_type="Other", disk_mb=10).id
        except AlreadyExistsError:
            return ""

    with ThreadPoolExecutor(4) as pool:
        ids = [found for found in pool.map(make, range(4)) if found]
    assert len(ids) == 1
    assert vbox.machines.names().count(name) == 1
    assert attached(vbox.machines[ids[0]])["HardDisk"][1] == 10


_MAKE = """
import sys, vboxkit
from vboxkit.errors import AlreadyExistsError
vbox = vboxkit.connect(sys.argv[1])
sys.stdin.readline()
try:
    vbox.create("race", os_type="Other", disk_mb=10, folder=sys.argv[2])
    print("made")
except AlreadyExistsError:
    print("late")
"""


def test_one_of_two_processes_gets_the_name(
    private_home: Path, child: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """Also where their folders differ, which VirtualBox would let be two of one name."""
    both = [child(_MAKE, private_home, tmp_path / str(n)) for n in range(2)]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert sorted(process.communicate(timeout=60)[0].strip() for process in both) == [
        "late",
        "made",
    ]
    assert sum((tmp_path / str(n)).exists() for n in range(2)) == 1

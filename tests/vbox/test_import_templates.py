"""The descriptors in ``ovf/`` are imported as they stand, with disks beside them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.vbox.packages import disk
from vboxkit.ovf import inspect

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox

_FOLDER = Path(__file__).parents[2] / "ovf"


def _drives(machine: Machine) -> list[tuple[str, int, str]]:
    found = []
    for one in machine.storage.attachments:
        if one.kind == "HardDisk":
            assert one.medium is not None
            found.append((one.controller.name, one.port, one.medium.location.name))
    return found


def _sees(machine: Machine) -> tuple[Any, ...]:
    return (
        machine.os_type,
        machine.memory_mb,
        machine.cpus,
        str(machine.firmware.kind),
        [(one.name, str(one.kind)) for one in machine.storage.controllers],
        _drives(machine),
    )


_AHCI = ("SATA", "IntelAhci")
_EXPECTED: dict[str, list[tuple[Any, ...]]] = {
    "single-disk": [
        ("Debian_64", 1024, 1, "BIOS", [_AHCI], [("SATA", 0, "disk1.vmdk")]),
    ],
    "multi-disk": [
        (
            "Debian_64", 2048, 2, "BIOS", [("IDE", "PIIX4"), _AHCI],
            [("SATA", 0, "system.vmdk"), ("SATA", 1, "data.vmdk"), ("SATA", 2, "scratch.vmdk")],
        ),
    ],
    "multi-vm": [
        ("Debian_64", 2048, 2, "BIOS", [_AHCI], [("SATA", 0, "database.vmdk")]),
        ("Debian_64", 1024, 1, "BIOS", [_AHCI], [("SATA", 0, "web.vmdk")]),
    ],
    "uefi": [
        ("Debian_64", 2048, 2, "EFI", [_AHCI], [("SATA", 0, "disk1.vmdk")]),
    ],
    "vmware": [
        (
            "Debian_64", 4096, 2, "BIOS", [("IDE", "PIIX4"), ("SCSI", "LsiLogic")],
            [("SCSI", 0, "disk1.vmdk")],
        ),
    ],
    "ovf-2.0": [
        ("Debian_64", 1024, 1, "BIOS", [_AHCI], [("SATA", 0, "disk1.vmdk")]),
    ],
}  # fmt: skip


@pytest.fixture
def template(tmp_path: Path) -> Callable[[str], Path]:
    """Put a descriptor beside disks of the capacities that it says."""

    def make(name: str) -> Path:
        path = Path(shutil.copy(_FOLDER / f"{name}.ovf", tmp_path))
        for one in inspect(path).disks:
            assert one.capacity_bytes is not None
            (tmp_path / one.file).write_bytes(disk(one.capacity_bytes >> 20))
        return path

    return make


@pytest.mark.parametrize("name", _EXPECTED)
def test_a_template_is_imported_as_it_stands(
    vbox: VirtualBox,
    template: Callable[[str], Path],
    label: Callable[[str], str],
    name: str,
) -> None:
    """Its machines have the hardware that it describes, and the disks have their sizes."""
    path = template(name)
    with vbox.appliances.open(path) as appliance:
        appliance.package.check()
        names = {one.original_name: label(one.original_name) for one in appliance.plan().machines}
        made = appliance.import_all(names=names)
    assert [one.name for one in made] == list(names.values())
    assert [_sees(one) for one in made] == _EXPECTED[name]
    sizes = [
        one.medium.size_mb << 20
        for machine in made
        for one in machine.storage.attachments
        if one.medium is not None
    ]
    assert sizes == [one.capacity_bytes for one in inspect(path).disks]


def test_every_template_is_imported() -> None:
    """None is forgotten."""
    assert {path.stem for path in _FOLDER.glob("*.ovf")} == set(_EXPECTED)


def test_the_network_between_two_machines(
    vbox: VirtualBox, template: Callable[[str], Path], label: Callable[[str], str]
) -> None:
    """VirtualBox bridges a network that it does not know, and warns nobody; `networks` says."""
    with vbox.appliances.open(template("multi-vm")) as appliance:
        names = {name: label(name) for name in ("database", "web")}
        told: list[str] = []
        made = appliance.import_all(names=names, on_warning=told.append)
        assert [one.network[_on(one)[-1]].attachment for one in made] == ["Bridged"] * 2
        assert sum("no network 'backend'" in text for text in told) == 2
        for one in made:
            one.destroy()
        made = appliance.import_all(names=names, networks={"backend": ("internal", "backend")})
    assert [[one.network[slot].attachment for slot in _on(one)] for one in made] == [
        ["Internal"],
        ["NAT", "Internal"],
    ]


def _on(machine: Machine) -> list[int]:
    return [slot for slot in range(8) if machine.network[slot].enabled]

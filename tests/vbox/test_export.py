"""Exporting machines, and importing them again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.vbox.disks import fill, iso, read
from tests.vbox.test_describe import change_everything
from vboxkit import diff
from vboxkit.ovf import VMware, inspect, verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox

_FORMATS = {"ovf-0.9": "0.9", "ovf-1.0": "1.0", "ovf-2.0": "2.0"}
#: Bytes that VirtualBox gives at a time.
_MOST_READ = 256 << 10
_DIGESTS = {"ovf-0.9": "sha1", "ovf-1.0": "sha1", "ovf-2.0": "sha256"}


def lost(machine: Machine, again: Machine) -> set[str]:
    """Return what differs, but for what has to: the name, and the disks' files."""
    return {
        path
        for path in diff(machine.describe(), again.describe()).paths
        if path != "name" and not path.endswith((".medium.location", ".medium.format"))
    }


def contents(machine: Machine, *, most: int = 8 << 20) -> list[str]:
    """Return digests of what the guest sees on its disks, from their beginnings."""
    found = []
    for each in machine.storage.attachments:
        if each.kind == "HardDisk":
            medium: Any = each.medium
            size, value = min(most, medium.size_mb << 20), hashlib.sha256()
            file = medium.com.openForIO(False, "")
            try:
                for start in range(0, size, _MOST_READ):
                    value.update(bytes(file.read(start, min(_MOST_READ, size - start))))
            finally:
                file.close()
            found.append(value.hexdigest())
    assert found
    return found


@pytest.fixture
def back(vbox: VirtualBox, label: Callable[[str], str]) -> Callable[..., Machine]:
    """Import an appliance under a name of its own, with the addresses it has."""
    return lambda path: vbox.appliances.import_(path, name=label("back"), keep_macs=True)


@pytest.mark.parametrize("suffix", [".ova", ".ovf"])
@pytest.mark.parametrize("manifest", [True, False])
@pytest.mark.parametrize("format", list(_FORMATS))
def test_each_form_comes_back_equal(
    machine: Machine,
    back: Callable[..., Machine],
    tmp_path: Path,
    *,
    format: Any,  # noqa: A002 - the option's name
    manifest: bool,
    suffix: str,
) -> None:
    """Sound by `inspect` and `verify`, it is imported to an equal machine with equal disks."""
    done = machine.export(tmp_path / f"a{suffix}", format=format, manifest=manifest)
    package = inspect(done.path)
    assert (package.version, package.flavour) == (_FORMATS[format], "virtualbox")
    assert {one.code for one in package.problems} == (set() if manifest else {"no-manifest"})
    if manifest:
        checked = verify(done.path).files
        assert len(checked) == 2
        assert {one.algorithm for one in checked} == {_DIGESTS[format]}
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in done.files}
    assert done.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert (done.machines, done.warnings) == ((machine.name,), ())
    again = back(done)
    assert lost(machine, again) == set()
    # All of it once; it takes seconds.
    most = 1 << 40 if (format, manifest, suffix) == ("ovf-1.0", True, ".ova") else 8 << 20
    assert contents(again, most=most) == contents(machine, most=most)


def test_all_settings_come_back_but_those_in_the_docs(
    machine: Machine, back: Callable[..., Machine], tmp_path: Path
) -> None:
    """What docs/ovf.md lists as lost is lost, and no more."""
    change_everything(machine, tmp_path)
    for format_ in ("ovf-0.9", "ovf-1.0", "ovf-2.0"):
        done = machine.export(tmp_path / f"{format_}.ova", format=format_)
        assert inspect(done.path).problems == ()
        again = back(done)
        assert lost(machine, again) == {
            "serial_ports[0].mode",
            "serial_ports[0].path",
            "serial_ports[0].server",
            "shared_folders.src",
            'extra_data["example.com/a"]',
        }
        again.destroy()


@pytest.mark.parametrize("bus", ["SATA", "SCSI", "SAS", "PCIe", "VirtioSCSI"])
@pytest.mark.parametrize("flavour", ["virtualbox", "vmware"])
def test_each_controller_comes_back(
    vbox: VirtualBox,
    machine: Machine,
    back: Callable[..., Machine],
    tmp_path: Path,
    *,
    bus: Any,
    flavour: Any,
) -> None:
    """Or, for VMware, as SATA where VMware has none such; what is on the disks is the same."""
    machine.storage.add(bus)
    disk = vbox.media.create(machine.folder / "second.vdi", size_mb=2)
    fill(disk, b"second" * 1000, at=4096)
    machine.storage.attach(disk, controller=bus)
    done = machine.export(tmp_path / "a.ova", flavour=flavour)
    assert inspect(done.path).problems == ()
    again = back(done)
    assert contents(again) == contents(machine)
    moved = flavour == "vmware" and bus in {"PCIe", "VirtioSCSI"}
    assert [each.controller.bus for each in again.storage.attachments] == [
        "IDE",
        "SATA" if moved else bus,
    ]
    assert any("is on SATA" in word for word in done.warnings) == moved
    if flavour == "virtualbox":
        assert lost(machine, again) == set()


def test_images_in_dvd_drives(
    vbox: VirtualBox, machine: Machine, back: Callable[..., Machine], place: Path
) -> None:
    """An ISO image comes along if it is asked for, with its digest, which VirtualBox forgets."""
    image = iso(place / "tools.iso")
    machine.storage.attach(image, controller="IDE")
    for suffix in (".ova", ".ovf"):
        done = machine.export(place / f"with{suffix}", dvd_images=True)
        assert inspect(done.path).problems == ()
        assert {one.name[-4:] for one in verify(done.path).files} == {".ovf", "vmdk", ".iso"}
        again = back(done)
        (drive,) = [each for each in again.storage.attachments if each.kind == "DVD"]
        assert drive.medium is not None
        assert drive.medium.location.read_bytes() == image.read_bytes()
        # An image of a drive is no disk: destroy() leaves it.
        copied = drive.medium.location
        again.storage.detach(drive.medium)
        vbox.media.open(copied).close()
        copied.unlink()
        again.destroy()
    without = machine.export(place / "without.ova")
    assert without.warnings == (
        f"{machine.name}: the image in the DVD drive is left out: tools.iso",
    )
    assert len(verify(without.path).files) == 2


def test_several_machines(
    vbox: VirtualBox, make: Callable[..., Machine], tmp_path: Path, label: Callable[[str], str]
) -> None:
    """One appliance holds them all, in their order, with what is said of the product."""
    first, second = make(memory_mb=70), make(memory_mb=80)
    done = vbox.appliances.export(
        [first, second],
        tmp_path / "two.ova",
        product='A <b> & "c" é',
        product_url="https://example.com/p",
        vendor="Example",
        vendor_url="https://example.com",
        version="1.2",
        description="two\nlines",
        license="agree",
    )
    package = inspect(done.path)
    assert package.problems == ()
    assert [one.id for one in package.systems] == [first.name, second.name]
    assert [one.memory_bytes for one in package.systems] == [70 << 20, 80 << 20]
    for system in package.systems:
        assert (system.annotation, system.eulas[0].text) == ("two\nlines", "agree")
        (product,) = system.products
        assert (product.name, product.vendor, product.version) == (
            'A <b> & "c" é',
            "Example",
            "1.2",
        )
        assert (product.product_url, product.vendor_url) == (
            "https://example.com/p",
            "https://example.com",
        )
    memory = {first.memory_mb, second.memory_mb}
    first.destroy()
    second.destroy()
    with vbox.appliances.open(done.path) as appliance:
        again = appliance.import_all(eula="accept")
    assert {machine.memory_mb for machine in again} == memory
    for machine in again:
        machine.destroy()


@pytest.mark.parametrize("macs", ["keep", "strip", "strip-non-nat"])
def test_mac_addresses(
    machine: Machine, back: Callable[..., Machine], tmp_path: Path, macs: Any
) -> None:
    """They come back, or new ones do, or only those behind NAT come back."""
    machine.network[1].enabled = True
    machine.network[1].attach("Internal", network="lab")
    again = back(machine.export(tmp_path / "a.ova", macs=macs))
    same = [machine.network[slot].mac == again.network[slot].mac for slot in (0, 1)]
    assert (
        same
        == {
            "keep": [True, True],
            "strip": [False, False],
            "strip-non-nat": [True, False],
        }[macs]
    )


def test_snapshots_and_linked_clones_are_written_as_they_are_now(
    machine: Machine, back: Callable[..., Machine], tmp_path: Path, label: Callable[[str], str]
) -> None:
    """The present state of a tree, with the disks of all it stands on."""
    machine.snapshots.take("before")
    (disk,) = machine.storage.disks
    fill(disk, b"after the snapshot", at=300 << 20)
    machine.memory_mb = 80
    copy = machine.clone(label("linked"), linked=True)
    for source, expected in ((machine, b"after the snapshot"), (copy, bytes(18))):
        again = back(source.export(tmp_path / f"{source.name}.ova"))
        assert lost(source, again) == set()
        assert again.snapshot_count == 0
        (disk,) = again.storage.disks
        assert read(disk, 18, at=300 << 20) == expected


def test_an_efi_machine_keeps_its_variables(
    machine: Machine, back: Callable[..., Machine], tmp_path: Path
) -> None:
    """They are a file of the appliance, with a digest; older VirtualBoxes refuse it."""
    machine.firmware.kind = "EFI"
    machine.efi.initialize()
    machine.efi.enroll_default_keys()
    names = sorted(machine.efi.variables)
    done = machine.export(tmp_path / "a.ova")
    assert done.warnings == (f"{machine.name}: VirtualBox before 7.2 refuses its EFI variables",)
    assert inspect(done.path).problems == ()
    assert {one.name[-4:] for one in verify(done.path).files} == {".ovf", "vram", "vmdk"}
    again = back(done)
    assert lost(machine, again) == set()
    assert names
    assert sorted(again.efi.variables) == names
    assert again.efi.file != machine.efi.file
    vmware = machine.export(tmp_path / "b.ova", flavour="vmware")
    assert f"{machine.name}: the EFI variables are left out" in vmware.warnings
    assert inspect(vmware.path).systems[0].firmware == "efi"
    assert inspect(vmware.path).problems == ()


@pytest.mark.parametrize("suffix", [".ova", ".ovf"])
@pytest.mark.parametrize(
    ("what", "family", "digest"),
    [
        ("vmware", "vmx-13", "sha256"),
        (VMware(hardware=10), "vmx-10", "sha1"),
        (VMware(hardware=20, adapter="VmxNet3", digest="sha512"), "vmx-20", "sha512"),
    ],
)
def test_vmware_reads_no_word_of_virtualbox(
    machine: Machine,
    back: Callable[..., Machine],
    tmp_path: Path,
    *,
    what: Any,
    family: str,
    digest: str,
    suffix: str,
) -> None:
    """Family, controllers and digests are VMware's; VirtualBox imports it again."""
    done = machine.export(tmp_path / f"a{suffix}", flavour=what)
    package = inspect(done.path)
    assert (package.flavour, package.problems) == ("vmware", ())
    (system,) = package.systems
    assert system.families == (family,)
    assert system.os.vmware_type == "other26xLinux64Guest"
    assert [item.kind for item in system.items] == [
        "processor", "memory", "ide", "ide", "disk", "ethernet",
    ]  # fmt: skip
    checked = verify(done.path).files
    assert {one.algorithm for one in checked} == {digest}
    again = back(done)
    assert contents(again) == contents(machine)
    assert (again.memory_mb, again.cpus, again.os_type) == (64, 1, machine.os_type)


def test_encrypted_disks_are_written_in_the_clear(
    vbox: VirtualBox, machine: Machine, back: Callable[..., Machine], tmp_path: Path
) -> None:
    """With the password, what is exported is readable without."""
    disk = vbox.media.create(machine.folder / "secret.vdi", size_mb=1)
    fill(disk, b"secret" * 100)
    machine.storage.attach(disk, controller="IDE")
    disk.encrypt(password="right", password_id="it")
    done = machine.export(tmp_path / "a.ova", passwords={"it": "right"})
    again = back(done)
    assert read(again.storage.disks[1], 600) == b"secret" * 100


def test_it_can_be_written_over(machine: Machine, tmp_path: Path) -> None:
    """Also an .ovf, whose old manifest goes if the new one has none."""
    for suffix in (".ova", ".ovf"):
        first = machine.export(tmp_path / f"a{suffix}")
        machine.memory_mb += 4
        second = machine.export(first.path, manifest=False, overwrite=True)
        assert inspect(second.path).systems[0].memory_bytes == machine.memory_mb << 20
        assert inspect(second.path).manifest == ""
    assert not (tmp_path / "a.mf").exists()

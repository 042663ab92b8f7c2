"""Appliances described as VMware's products want them, without VirtualBox."""

from __future__ import annotations

import shutil
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.ovf.builder import (
    MIB,
    STREAM,
    cpu,
    disk_item,
    envelope,
    file,
    ide,
    item,
    manifest,
    memory,
    nic,
    ova,
    product,
    put,
    sata,
    simple,
    system,
    vmdk,
)
from vboxkit.core.resources import resource
from vboxkit.errors import AlreadyExistsError, OvfError, StorageError
from vboxkit.ovf import VMware, inspect, to_vmware, verify
from vboxkit.ovf.finishing import finish
from vboxkit.ovf.vmware_os import vmware_os

if TYPE_CHECKING:
    from pathlib import Path

_DISK = vmdk(content=b"grain" * 100)


def _text(path: Path) -> str:
    if path.suffix == ".ovf":
        return path.read_text(encoding="utf-8")
    with tarfile.open(path) as tar:
        member = tar.extractfile(f"{path.stem}.ovf")
        assert member is not None
        with member:
            return member.read().decode()


def _disks(count: int) -> str:
    return "".join(
        f'<Disk ovf:diskId="vmdisk{n}" ovf:fileRef="file{n}" ovf:capacity="{8 * MIB}"'
        f' ovf:format="{STREAM}" vbox:uuid="00000000-0000-4000-8000-{n:012}"/>'
        for n in range(1, count + 1)
    )


def _package(folder: Path, items: str, *, disks: int = 1, **more: Any) -> Path:
    """Write an appliance like VirtualBox's, of one machine."""
    names = [f"disk{n}.vmdk" for n in range(1, disks + 1)]
    text = envelope(
        system(cpu() + memory() + items, **more),
        files="".join(file(name, id=f"file{n}") for n, name in enumerate(names, 1)),
        disks=_disks(disks),
    )
    return put(folder, {"a.ovf": text.encode(), **dict.fromkeys(names, _DISK)})


def _on(disk: str, id: int, *, parent: int, slot: int) -> str:  # noqa: A002 - it is called so
    """Return a disk in a slot of a controller."""
    return item(17, id, HostResource=f"ovf:/disk/{disk}", Parent=parent, AddressOnParent=slot)


@pytest.mark.parametrize("source", [".ova", ".ovf"])
@pytest.mark.parametrize("target", [".ova", ".ovf"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_each_form_becomes_each(tmp_path: Path, source: str, target: str, version: str) -> None:
    """What is written is sound, VMware's, and holds the same disks."""
    files = {"a.ovf": simple(version=version).encode(), "disk.vmdk": _DISK}
    files["a.mf"] = manifest(files)
    path = put(tmp_path, files) if source == ".ovf" else ova(tmp_path / "a.ova", files)
    (tmp_path / "out").mkdir()
    done = to_vmware(path, tmp_path / "out" / f"b{target}")
    package = inspect(done.path)
    assert (package.version, package.flavour, package.problems) == ("1.0", "vmware", ())
    assert {one.digest for one in verify(done.path).files} >= {
        one.digest for one in verify(path).files if one.name == "disk.vmdk"
    }
    assert sorted(tmp_path.joinpath("out").iterdir()) == sorted(done.files)
    assert "virtualbox" not in _text(done.path).lower()


def test_the_built_in_guest(tmp_path: Path) -> None:
    """Its texts and networks are there again, its OS has VMware's name; a change is told."""
    before = inspect(resource("tiny/tiny.ova"))
    done = to_vmware(resource("tiny/tiny.ova"), tmp_path / "t.ova")
    (system_,) = inspect(done.path).systems
    (old,) = before.systems
    assert (system_.name, system_.annotation, system_.networks) == (
        old.name,
        old.annotation,
        old.networks,
    )
    assert (system_.cpus, system_.memory_bytes) == (old.cpus, old.memory_bytes)
    assert system_.families == ("vmx-13",)
    assert system_.os.vmware_type == "other26xLinux64Guest"
    assert done.changes == (
        f"{old.name}: a network adapter is E1000, and was another one (virtio)",
    )


def test_controllers_drives_and_adapters(tmp_path: Path) -> None:
    """What VMware has stays where it is; the rest comes to one SATA controller, and is told."""
    items = (
        ide(3)
        + sata(4)
        + item(6, 5, ResourceSubType="lsilogic")
        + item(20, 6, ResourceSubType="NVMe")
        + item(20, 7, ResourceSubType="VirtioSCSI")
        + _on("vmdisk1", 11, parent=3, slot=1)
        + _on("vmdisk2", 12, parent=4, slot=2)
        + _on("vmdisk3", 13, parent=5, slot=7)
        + _on("vmdisk4", 14, parent=6, slot=2)
        + _on("vmdisk5", 15, parent=7, slot=0)
        + item(15, 16, Parent=3, AddressOnParent=0)
        + item(23, 17)
        + item(35, 18, ResourceSubType="ensoniq1371")
        + nic(id=19, subtype="PCNet32")
        + nic(id=20)
        + nic(id=21, subtype="")
    )
    done = to_vmware(_package(tmp_path, items, disks=5), tmp_path / "b.ova")
    package = inspect(done.path)
    assert package.problems == ()
    found = package.systems[0].items
    kinds = {one.id: (one.kind, one.subtype) for one in found}
    assert [(one.disk, kinds[one.parent], one.address_on_parent) for one in found if one.disk] == [
        ("vmdisk1", ("ide", ""), "1"),
        ("vmdisk2", ("sata", "vmware.sata.ahci"), "2"),
        ("vmdisk3", ("scsi", "lsilogic"), "0"),  # 7 is the controller's own
        ("vmdisk4", ("sata", "vmware.sata.ahci"), "0"),
        ("vmdisk5", ("sata", "vmware.sata.ahci"), "1"),
    ]
    assert [one.kind for one in found].count("sata") == 1
    (drive,) = [one for one in found if one.kind == "cd"]
    assert (drive.subtype, drive.required, kinds[drive.parent][0]) == (
        "vmware.cdrom.remotepassthrough",
        False,
        "ide",
    )
    assert [one.subtype for one in found if one.kind == "ethernet"] == ["PCNet32", "E1000", "E1000"]
    assert [(one.subtype, one.required) for one in found if one.kind == "usb"] == [
        ("vmware.usb.ehci", False)
    ]
    assert not [one for one in found if one.kind == "sound"]
    assert done.changes == (
        "web: what was on NVMe is on SATA",
        "web: what was on VirtioSCSI is on SATA",
        "web: the sound card is left out",
        "web: a network adapter is E1000, and was another one (virtio)",
    )


def test_texts_are_as_they_were(tmp_path: Path) -> None:
    """Names, products and licences survive, whatever is in them."""
    path = _package(
        tmp_path,
        ide() + disk_item() + nic("a &amp; b"),
        id="w &lt;&amp;&quot; é",
        before=product("P &amp; Q")
        + "<EulaSection><Info>i</Info><License>a\nb</License></EulaSection>",
    )
    package = inspect(to_vmware(path, tmp_path / "b.ova").path)
    (system_,) = package.systems
    assert (system_.id, system_.networks) == ('w <&" é', ("a & b",))
    assert (system_.products[0].name, system_.eulas[0].text) == ("P & Q", "a\nb")
    assert {network.name for network in package.networks} >= {"a & b"}


@pytest.mark.parametrize(
    ("hardware", "digest", "name"), [(10, "sha1", "vmx-10"), (13, "sha256", "vmx-13")]
)
def test_hardware_versions(tmp_path: Path, hardware: int, digest: str, name: str) -> None:
    """Hosts before ESXi 6.5 read SHA-1 alone."""
    path = _package(tmp_path, ide() + disk_item())
    done = to_vmware(path, tmp_path / "b.ova", what=VMware(hardware=hardware))
    assert inspect(done.path).systems[0].families == (name,)
    assert {one.algorithm for one in verify(done.path).files} == {digest}
    bare = to_vmware(path, tmp_path / "c.ova", manifest=False)
    assert inspect(bare.path).manifest == ""


@pytest.mark.parametrize(
    ("vbox", "old", "new"),
    [
        ("Debian12_64", "debian7_64Guest", "debian10_64Guest"),
        ("Debian9", "debian7Guest", "debian9Guest"),
        ("Ubuntu24_LTS_64", "ubuntu64Guest", "ubuntu64Guest"),
        ("RedHat9_64", "rhel6_64Guest", "rhel7_64Guest"),
        ("Oracle9_64", "otherLinux64Guest", "oracleLinux7_64Guest"),
        ("Linux26_64", "other26xLinux64Guest", "other26xLinux64Guest"),
        ("Windows11_64", "windows8_64Guest", "windows9_64Guest"),
        ("Windows2022_64", "windows8Server64Guest", "windows9Server64Guest"),
        ("WindowsXP", "winXPProGuest", "winXPProGuest"),
        ("FreeBSD_64", "freebsd64Guest", "freebsd64Guest"),
        ("Other_64", "otherGuest64", "otherGuest64"),
        ("", "otherGuest", "otherGuest"),
    ],
)
def test_operating_systems(vbox: str, old: str, new: str) -> None:
    """Each has a name that hosts of the hardware version know."""
    assert (vmware_os(vbox, hardware=10), vmware_os(vbox, hardware=13)) == (old, new)


def test_what_cannot_be_carried_over_is_refused(tmp_path: Path) -> None:
    """Nothing is lost without a word, and nothing is written."""
    cases = {
        "properties": (
            product(inside='<Property ovf:key="a" ovf:type="string"/>'),
            _DISK,
            "deployment options or properties",
        ),
        "another format": ("", b"conectix".ljust(512, b"\0"), "VMDK"),
    }
    for name, (before, disk, sentence) in cases.items():
        folder = tmp_path / name
        folder.mkdir()
        path = _package(folder, ide() + disk_item(), before=before)
        (folder / "disk1.vmdk").write_bytes(disk)
        names = {one.name for one in folder.iterdir()}
        with pytest.raises(OvfError, match=sentence):
            to_vmware(path, folder / "b.ova")
        assert {one.name for one in folder.iterdir()} == names


def test_nothing_is_written_over_and_nothing_is_left(tmp_path: Path) -> None:
    """Taken names, wrong places, and a callback that raises."""
    path = _package(tmp_path, ide() + disk_item())
    (tmp_path / "b.ova").write_text("mine")
    names = {one.name for one in tmp_path.iterdir()}
    with pytest.raises(AlreadyExistsError, match=r"b\.ova"):
        to_vmware(path, tmp_path / "b.ova")
    with pytest.raises(AlreadyExistsError, match=r"disk1\.vmdk"):
        to_vmware(path, tmp_path / "b.ovf")
    with pytest.raises(StorageError, match="no folder"):
        to_vmware(path, tmp_path / "no" / "b.ova")
    with pytest.raises(StorageError, match=r"\.ova or \.ovf"):
        to_vmware(path, tmp_path / "b.zip")

    def stop(done: int, total: int, name: str) -> None:
        raise KeyboardInterrupt(done, total, name)

    for target in ("c.ova", "c.ovf"):
        with pytest.raises(KeyboardInterrupt):
            to_vmware(path, tmp_path / target, overwrite=True, on_progress=stop)
    assert {one.name for one in tmp_path.iterdir()} == names
    assert (tmp_path / "b.ova").read_text() == "mine"
    to_vmware(path, tmp_path / "b.ova", overwrite=True)
    assert inspect(tmp_path / "b.ova").flavour == "vmware"


def _virtualbox_ova(path: Path, files: dict[str, bytes]) -> Path:
    """Write an OVA as VirtualBox does: its own owner, and no end mark."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.uname, info.gname = len(data), "vboxovf10", "vbox_v7.2.22r175245"
            source = path.with_name("member")
            source.write_bytes(data)
            with source.open("rb") as member:
                tar.addfile(info, member)
            source.unlink()
        end = tar.offset
    with path.open("r+b") as file_:
        file_.truncate(end)
    return path


def test_virtualboxes_ovas_without_an_end(tmp_path: Path) -> None:
    """They are read; those of others, and those that are cut within a member, are not."""
    files = {"a.ovf": simple().encode(), "disk.vmdk": _DISK}
    files = {**files, "a.mf": manifest(files, "sha1")}
    path = _virtualbox_ova(tmp_path / "a.ova", files)
    assert inspect(path).problems == ()
    assert len(verify(path).files) == 2
    data = path.read_bytes()
    (tmp_path / "b.ova").write_bytes(data.replace(b"vbox_v7", b"other_7"))
    with pytest.raises(OvfError):
        inspect(tmp_path / "b.ova")
    for length in (len(data) - 1, len(data) - 513, len(data) - 1025):
        (tmp_path / "b.ova").write_bytes(data[:length])
        with pytest.raises(OvfError, match="is cut"):
            inspect(tmp_path / "b.ova")


@pytest.mark.parametrize("suffix", [".ova", ".ovf"])
def test_what_virtualbox_leaves_open_is_finished(tmp_path: Path, suffix: str) -> None:
    """An ISO image gets its digest, and an OVA its end; a second time nothing changes."""
    text = envelope(
        system(cpu() + memory() + ide() + disk_item() + item(15, 9, Parent=3,
               HostResource="ovf:/disk/iso2")),
        files=file("disk1.vmdk") + file("disk2.iso", id="file2"),
        disks=_disks(1) + '<Disk ovf:diskId="iso2" ovf:fileRef="file2" ovf:capacity="53248"'
        ' ovf:format="http://www.ecma-international.org/publications/standards/Ecma-119.htm"/>',
    )  # fmt: skip
    image = (bytes(32769) + b"CD001").ljust(53248, b"\0")
    listed = {"a.ovf": text.encode(), "disk1.vmdk": _DISK}
    files = {**listed, "disk2.iso": image, "a.mf": manifest(listed, "sha1")}
    path = _virtualbox_ova(tmp_path / "a.ova", files) if suffix == ".ova" else put(tmp_path, files)
    with pytest.raises(OvfError, match=r"disk2\.iso"):
        verify(path)
    assert {one.severity for one in inspect(path).problems} == {"warning"}
    finish(path)
    assert inspect(path).problems == ()
    assert {one.name for one in verify(path).files} == {"a.ovf", "disk1.vmdk", "disk2.iso"}
    before = path.read_bytes()
    finish(path)
    assert path.read_bytes() == before
    if suffix == ".ova":
        assert before.endswith(bytes(1024))
        shutil.unpack_archive(path, tmp_path / "out", "tar")
        assert (tmp_path / "out" / "disk2.iso").read_bytes() == image
    done = to_vmware(path, tmp_path / "vm.ova")
    (drive,) = [one for one in inspect(done.path).systems[0].items if one.kind == "cd"]
    assert (drive.subtype, drive.file) == ("vmware.cdrom.iso", "file2")
    assert inspect(done.path).problems == ()

"""What VirtualBox refuses is mended on a copy, each repair is listed, and the rest is an error."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.ovf.builder import (
    MIB,
    STREAM,
    cpu,
    disk_item,
    envelope,
    envelope09,
    file,
    gz,
    ide,
    item,
    manifest,
    memory,
    nic,
    ova,
    put,
    sata,
    simple,
    system,
    vmdk,
)
from tests.ovf.signing import signed
from vboxkit.errors import OvfError, StorageError
from vboxkit.ovf import inspect, verify
from vboxkit.ovf.repair import repair, repairs
from vboxkit.ovf.screening import screen
from vboxkit.ovf.vmware_types import candidates, without_version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from vboxkit.ovf import Package

_DISK = vmdk()
_KNOWN = ("Debian_64", "Debian10_64", "Ubuntu_64", "Windows10_64")


def _items(
    *, controller: str = "", units: str = "byte * 2^20", amount: int = 512, more: str = ""
) -> str:
    return simple(
        items=cpu() + memory(amount, units) + (controller or ide()) + disk_item() + nic() + more
    )


def _os(attributes: str, inside: str = "") -> str:
    section = (
        f"<OperatingSystemSection {attributes}><Info>i</Info>{inside}</OperatingSystemSection>"
    )
    items = cpu() + memory() + ide() + disk_item() + nic()
    return _disks(
        f'<Disk ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:capacity="{8 * MIB}"'
        f' ovf:format="{STREAM}"/>',
        content=system(items, os=section),
    )


def _disks(disks: str, *, content: str = "", more: str = "") -> str:
    items = cpu() + memory() + ide() + disk_item() + nic()
    return envelope(content or system(items), files=file("disk.vmdk", more=more), disks=disks)


def _disk(attributes: str, **more: str) -> str:
    return _disks(f'<Disk ovf:diskId="vmdisk1" ovf:fileRef="file1" {attributes}/>', **more)


@dataclass(frozen=True)
class Case:
    """A descriptor, what is mended in it, and how the mended package reads."""

    text: str
    code: str
    before: str
    after: str
    sees: Callable[[Package], Any] = field(default=lambda package: len(package.systems))
    expected: Any = 1
    files: Mapping[str, bytes] = field(default_factory=lambda: {"disk.vmdk": _DISK})


def _storage(package: Package) -> list[tuple[str, str]]:
    return [
        (one.kind, one.subtype) for one in package.systems[0].items if one.kind in {"sata", "scsi"}
    ]


def _hrefs(package: Package) -> list[str]:
    return [one.href for one in package.files]


_SCSI = "LsiLogicSAS"
CASES = {
    "sata by another name": Case(
        _items(controller=sata(subtype="SATA")),
        "controller-name", "SATA", "AHCI", _storage, [("sata", "AHCI")],
    ),
    "sata without a model": Case(
        _items(controller=item(20, 3, Address=0, ElementName="SATA Controller 0")),
        "controller-name", "", "AHCI", _storage, [("sata", "AHCI")],
    ),
    "sas in other letters": Case(
        _items(controller=item(6, 3, Address=0, ResourceSubType=_SCSI)),
        "controller-name", _SCSI, "lsilogicsas", _storage, [("scsi", "lsilogicsas")],
    ),
    "sas as another storage device": Case(
        _items(controller=sata(subtype=_SCSI)),
        "controller-name", _SCSI, "lsilogicsas", _storage, [("scsi", "lsilogicsas")],
    ),
    "vmware's system": Case(
        _os('ovf:id="1" vmw:osType="debian10_64Guest"'),
        "os-type", "debian10_64Guest", "Debian10_64", lambda p: p.systems[0].os.vbox_type,
        "Debian10_64",
    ),
    "a system of a newer VirtualBox": Case(
        _os('ovf:id="96"', "<vbox:OSType>Debian14_64</vbox:OSType>"),
        "os-type", "Debian14_64", "Debian_64", lambda p: p.systems[0].os.vbox_type, "Debian_64",
    ),
    "a system that nobody knows": Case(
        _os('ovf:id="96"', "<vbox:OSType>Plan9</vbox:OSType>"),
        "os-type", "Plan9", "", lambda p: p.systems[0].os.vbox_type, "",
    ),
    "memory without blanks": Case(
        _items(units="byte*2^20"),
        "memory-unit", "512 byte*2^20", "512 byte * 2^20",
        lambda p: p.systems[0].memory_bytes, 512 * MIB,
    ),
    "memory in kilobytes": Case(
        _items(units="KB", amount=65536),
        "memory-unit", "65536 KB", "64 byte * 2^20", lambda p: p.systems[0].memory_bytes, 64 * MIB,
    ),
    "graphics": Case(
        _items(more=item(24, 20, ElementName="video")),
        "resource-required", "required", "left out",
        lambda p: [one.required for one in p.systems[0].items if one.kind == "graphics"], [False],
    ),
    "vmci": Case(
        _items(more=item(1, 20, ResourceSubType="vmware.vmci")),
        "resource-required", "required", "left out",
        lambda p: p.systems[0].items[-1].required, False,
    ),
    "a DVD drive": Case(
        _items(more=item(16, 20, Parent=3, AddressOnParent=1)),
        "resource-type", "16", "15", lambda p: p.systems[0].items[-1].kind, "cd",
    ),
    "a resource of OVF 0.9": Case(
        envelope09(
            cpu() + memory(512, "MegaBytes") + ide()
            + item(17, 5, HostResource="disk/vmdisk1", Parent=3, AddressOnParent=0),
            files=file("disk.vmdk"),
            disks=f'<Disk ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:capacity="{8 * MIB}"'
            f' ovf:format="{STREAM}"/>',
        ),
        "host-resource", "disk/vmdisk1", "ovf:/disk/vmdisk1",
        lambda p: p.systems[0].disks, ("vmdisk1",),
    ),
    "a capacity in MiB": Case(
        _disk(f'ovf:capacity="8" ovf:capacityAllocationUnits="byte * 2^20" ovf:format="{STREAM}"'),
        "capacity", "8 byte * 2^20", str(8 * MIB), lambda p: p.disks[0].capacity, str(8 * MIB),
    ),
    "no capacity": Case(
        _disk(f'ovf:format="{STREAM}"'),
        "capacity", "", str(8 * MIB), lambda p: p.disks[0].capacity_bytes, 8 * MIB,
    ),
    "no format": Case(
        _disk(f'ovf:capacity="{8 * MIB}"'), "format", "", STREAM,
        lambda p: p.disks[0].format, STREAM,
    ),
    "no namespace": Case(
        simple().replace('xmlns="http://schemas.dmtf.org/ovf/envelope/1"', ""),
        "namespace", "", "http://schemas.dmtf.org/ovf/envelope/1", lambda p: p.version, "1.0",
    ),
    "an absolute path": Case(
        simple(href="/home/me/disk.vmdk"), "absolute-path", "/home/me/disk.vmdk", "disk.vmdk",
        _hrefs, ["disk.vmdk"],
    ),
    "a path of Windows": Case(
        simple(href="C:\\vm\\disk.vmdk"), "absolute-path", "C:\\vm\\disk.vmdk", "disk.vmdk",
        _hrefs, ["disk.vmdk"],
    ),
    "a file URL": Case(
        simple(href="file:///home/me/disk.vmdk"),
        "absolute-path", "file:///home/me/disk.vmdk", "disk.vmdk", _hrefs, ["disk.vmdk"],
    ),
    "an escape": Case(
        simple(href="my%20disk.vmdk"), "percent", "my%20disk.vmdk", "my disk.vmdk",
        _hrefs, ["my disk.vmdk"], {"my disk.vmdk": _DISK},
    ),
    "a percent sign": Case(
        simple(href="50%25.vmdk"), "percent", "50%25.vmdk", "50_25.vmdk",
        _hrefs, ["50_25.vmdk"], {"50%25.vmdk": _DISK},
    ),
    "other letters": Case(
        simple(href="DISK.vmdk"), "file-name", "DISK.vmdk", "disk.vmdk", _hrefs, ["disk.vmdk"],
    ),
    "gzip without its end": Case(
        _disk(f'ovf:capacity="{8 * MIB}" ovf:format="{STREAM}"', more='ovf:compression="gzip"'),
        "gzip-name", "disk.vmdk", "disk.vmdk.gz", _hrefs, ["disk.vmdk.gz"],
        {"disk.vmdk": gz(_DISK)},
    ),
    "items of another configuration": Case(
        simple(
            items=cpu(1) + cpu(8, more='ovf:configuration="large"') + memory() + ide()
            + disk_item(),
            more='<DeploymentOptionSection><Info>i</Info><Configuration ovf:id="small"/>'
            '<Configuration ovf:id="large"/></DeploymentOptionSection>',
        ),
        "configuration", "cpu", "", lambda p: [one.quantity for one in p.systems[0].items][:1], [1],
    ),
}  # fmt: skip


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Give an empty folder for the copy."""
    folder = tmp_path / "copy"
    folder.mkdir()
    return folder


def _state(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("packed", [False, True], ids=["ovf", "ova"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_it_is_mended_and_listed(case: Case, copy: Path, tmp_path: Path, *, packed: bool) -> None:
    """The copy reads as it should, one repair tells what and where, the original is untouched."""
    source = tmp_path / "source"
    source.mkdir()
    files = {"a.ovf": case.text.encode(), **case.files}
    path = ova(source / "a.ova", files) if packed else put(source, files)
    before = _state(source)
    done = repair(path, copy, os_types=_KNOWN)
    (found,) = done.repairs
    assert (found.code, found.before, found.after) == (case.code, case.before, case.after)
    assert found.place.file == "a.ovf"
    assert found.place.line > 1
    assert repr(found.after) in str(found)
    assert done.path == copy / "a.ovf"
    assert case.sees(done.package) == case.expected
    assert _state(source) == before
    assert done.copied_bytes == (sum(map(len, case.files.values())) if packed else 0)
    # It is whole by itself: its files are beside it.
    for file_ in done.package.files:
        assert (copy / file_.href).read_bytes() in case.files.values()
    assert repairs(path, os_types=_KNOWN) == done.repairs


def test_what_is_right_is_not_copied(copy: Path, tmp_path: Path) -> None:
    """No repair, no file: the original itself is to be imported."""
    path = put(tmp_path, {"a.ovf": simple().encode(), "disk.vmdk": _DISK})
    done = repair(path, copy)
    assert (done.path, done.repairs, done.copied_bytes) == (path, (), 0)
    assert list(copy.iterdir()) == []


def test_a_member_that_begins_with_a_dot(copy: Path, tmp_path: Path) -> None:
    """VirtualBox does not find ``./disk.vmdk`` in an OVA."""
    path = ova(tmp_path / "a.ova", {"./a.ovf": simple().encode(), "./disk.vmdk": _DISK})
    done = repair(path, copy)
    assert [one.code for one in done.repairs] == ["member-name"]
    assert (copy / "disk.vmdk").read_bytes() == _DISK


def test_comments_prefixes_and_what_nobody_knows_stay(copy: Path, tmp_path: Path) -> None:
    """Only what is mended changes."""
    text = simple(
        href="/disk.vmdk", more='<x:Y xmlns:x="urn:x" x:z="&amp;&quot;"><!-- hello --></x:Y>'
    )
    repair(put(tmp_path, {"a.ovf": text.encode(), "disk.vmdk": _DISK}), copy)
    changed = (copy / "a.ovf").read_text(encoding="utf-8")
    assert "<!-- hello -->" in changed
    assert 'x:z="&amp;&quot;"' in changed
    assert changed.count("/disk.vmdk") == 0
    assert {one.namespace for one in inspect(tmp_path / "a.ovf").extensions} == {
        one.namespace for one in inspect_copy(copy, tmp_path).extensions
    }


def inspect_copy(copy: Path, original: Path) -> Package:
    """Inspect a copy, with the file itself in place of the link."""
    (copy / "disk.vmdk").unlink()
    (copy / "disk.vmdk").write_bytes((original / "disk.vmdk").read_bytes())
    return inspect(copy / "a.ovf")


# ---- manifests


def _wrong() -> bytes:
    return simple(href="/home/disk.vmdk").encode()


def test_the_manifest_is_made_for_the_copy(copy: Path, tmp_path: Path) -> None:
    """The disk's digest is still checked, by the maker's manifest; the descriptor's is new."""
    files = {"a.ovf": _wrong(), "disk.vmdk": _DISK}
    path = ova(tmp_path / "a.ova", {**files, "a.mf": manifest(files, "sha1")})
    done = repair(path, copy)
    checked = {one.name: one for one in verify(done.path).files}
    assert checked["disk.vmdk"].digest == hashlib.sha1(_DISK, usedforsecurity=False).hexdigest()
    assert checked["a.ovf"].algorithm == "sha1"


def test_a_descriptor_that_was_tampered_with_is_not_mended(copy: Path, tmp_path: Path) -> None:
    """Its digest is compared before: a repair must not hide it."""
    files = {"a.ovf": _wrong(), "disk.vmdk": _DISK}
    text = manifest({**files, "a.ovf": b"other"})
    with pytest.raises(OvfError, match="sha256 is") as caught:
        repair(put(tmp_path, {**files, "a.mf": text}), copy)
    assert caught.value.element == "a.ovf"
    assert list(copy.iterdir()) == []


def test_a_manifest_that_lacks_a_file_is_listed(copy: Path, tmp_path: Path) -> None:
    """VirtualBox takes it; so nothing is copied, and who imports it knows."""
    files = {"a.ovf": simple().encode(), "disk.vmdk": _DISK}
    text = manifest({"a.ovf": files["a.ovf"], "gone.iso": b""})
    path = put(tmp_path, {**files, "a.mf": text})
    done = repair(path, copy)
    assert {(one.code, one.before) for one in done.repairs} == {
        ("manifest-file", "gone.iso"),
        ("manifest-incomplete", "disk.vmdk"),
    }
    assert done.path == path


def test_a_signature_is_checked_and_left_out(copy: Path, tmp_path: Path) -> None:
    """It fits the original, and cannot fit the copy."""
    files = {"a.ovf": _wrong(), "disk.vmdk": _DISK}
    text = manifest(files)
    path = put(tmp_path, {**files, "a.mf": text, "a.cert": signed(text, "a.mf")})
    done = repair(path, copy)
    assert [one.code for one in done.repairs] == ["absolute-path", "certificate"]
    assert not (copy / "a.cert").exists()
    (tmp_path / "a.cert").write_bytes(signed(b"another", "a.mf"))
    with pytest.raises(OvfError, match="signature does not fit"):
        repairs(path)


# ---- what cannot be mended


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (simple(href="/home/me/other.vmdk"), "is a path of the machine"),
        (simple(href="other.vmdk"), "is missing"),
        (simple(size=5), "has .* bytes, and not 5"),
        (_items(controller=ide(id=7)), "which is no controller"),
        (_disk('ovf:capacity="lots"'), "no number"),
    ],
)
def test_what_would_be_a_guess_is_an_error(
    copy: Path, tmp_path: Path, text: str, reason: str
) -> None:
    """With the place in the original, and nothing written."""
    path = put(tmp_path, {"a.ovf": text.encode(), "disk.vmdk": _DISK})
    with pytest.raises(OvfError, match=reason) as caught:
        repair(path, copy)
    assert caught.value.file == str(path)
    assert caught.value.hint
    assert list(copy.iterdir()) == []


@pytest.mark.parametrize("amount", [1000, 2**64 - 1])
def test_memory_that_is_no_number_of_mib_stays(tmp_path: Path, amount: int) -> None:
    """VirtualBox counts in MiB: rounding would be a guess."""
    text = _items(units="byte", amount=amount)
    assert repairs(put(tmp_path, {"a.ovf": text.encode(), "disk.vmdk": _DISK})) == ()


def test_no_room(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is known before a byte is unpacked."""
    path = ova(tmp_path / "a.ova", {"a.ovf": _wrong(), "disk.vmdk": _DISK})
    usage = shutil.disk_usage(copy)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(StorageError, match="unpacked it takes") as caught:
        repair(path, copy)
    assert caught.value.hint is not None
    assert list(copy.iterdir()) == []


def test_progress_of_the_unpacking_can_end_it(copy: Path, tmp_path: Path) -> None:
    """Its exception passes, and each piece is told."""
    big = _DISK[:-1024] + bytes(3 * MIB) + _DISK[-1024:]
    path = ova(tmp_path / "a.ova", {"a.ovf": _wrong(), "disk.vmdk": big})
    seen: list[tuple[int, int, str]] = []
    repair(path, copy, on_progress=lambda *told: seen.append(told))
    assert seen[-1] == (len(big), len(big), "disk.vmdk")
    assert len(seen) >= 4

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(KeyboardInterrupt):
        repair(path, other, on_progress=stop)


# ---- what VirtualBox must not see


@pytest.mark.parametrize(
    "text",
    [
        _items(units="%s%s%s%n"),
        _items(controller=sata(subtype="%s%s")),
        simple(href="%s%s.vmdk"),
        _os('ovf:id="96"', "<vbox:OSType>%n</vbox:OSType>"),
        _disk(f'ovf:capacity="{8 * MIB}" ovf:format="%s"'),
    ],
)
def test_a_format_is_refused(tmp_path: Path, text: str) -> None:
    """VirtualBox's server dies of ``%s`` in texts that it quotes."""
    path = put(tmp_path, {"a.ovf": text.encode(), "disk.vmdk": _DISK})
    with pytest.raises(OvfError, match="for a format") as caught:
        screen(inspect(path))
    assert "line" in caught.value.element


def test_what_is_right_passes_the_screen(tmp_path: Path) -> None:
    """A percent sign in a name for people does no harm."""
    text = _items(more=item(24, 20, ElementName="100 %", more='ovf:required="false"'))
    screen(inspect(put(tmp_path, {"a.ovf": text.encode(), "disk.vmdk": _DISK})))


# ---- names


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ubuntu64Guest", ("Ubuntu_64",)),
        ("rhel7_64Guest", ("RedHat7_64", "RedHat_64")),
        ("windows9Server64Guest", ("Windows2016_64",)),
        ("windows2019srvNext_64Guest", ("Windows2022_64",)),
        ("otherGuest64", ("Other_64",)),
        ("sles12_64Guest", ("SUSE_LE_64",)),
        ("debian6Guest", ("Debian6", "Debian")),
        ("beos", ()),
        ("", ()),
        ("%s", ()),
    ],
)
def test_vmwares_names(name: str, found: tuple[str, ...]) -> None:
    """The most exact first; nothing for those that are not known."""
    assert candidates(name) == found


def test_a_type_without_its_version() -> None:
    """Only a version at the end is taken away."""
    assert without_version("Ubuntu26_LTS_64") == "Ubuntu_64"
    assert without_version("Debian_64") == "Debian_64"

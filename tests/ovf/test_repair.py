"""What VirtualBox refuses is mended on a copy, each repair is listed, and the rest is an error."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.ovf.builder import MIB, ide, manifest, ova, put, simple
from tests.ovf.repairable import CASES, DISK, KNOWN, Case, with_disk, with_items
from tests.ovf.signing import signed
from vboxkit.errors import OvfError, StorageError
from vboxkit.ovf import inspect, verify
from vboxkit.ovf.repair import repair, repairs

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit.ovf import Package


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
    done = repair(path, copy, os_types=KNOWN)
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
    assert repairs(path, os_types=KNOWN) == done.repairs


def test_what_is_right_is_not_copied(copy: Path, tmp_path: Path) -> None:
    """No repair, no file: the original itself is to be imported."""
    path = put(tmp_path, {"a.ovf": simple().encode(), "disk.vmdk": DISK})
    done = repair(path, copy)
    assert (done.path, done.repairs, done.copied_bytes) == (path, (), 0)
    assert list(copy.iterdir()) == []


def test_a_member_that_begins_with_a_dot(copy: Path, tmp_path: Path) -> None:
    """VirtualBox does not find ``./disk.vmdk`` in an OVA."""
    path = ova(tmp_path / "a.ova", {"./a.ovf": simple().encode(), "./disk.vmdk": DISK})
    done = repair(path, copy)
    assert [one.code for one in done.repairs] == ["member-name"]
    assert (copy / "disk.vmdk").read_bytes() == DISK


def test_comments_prefixes_and_what_nobody_knows_stay(copy: Path, tmp_path: Path) -> None:
    """Only what is mended changes."""
    text = simple(
        href="/disk.vmdk", more='<x:Y xmlns:x="urn:x" x:z="&amp;&quot;"><!-- hello --></x:Y>'
    )
    repair(put(tmp_path, {"a.ovf": text.encode(), "disk.vmdk": DISK}), copy)
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
    files = {"a.ovf": _wrong(), "disk.vmdk": DISK}
    path = ova(tmp_path / "a.ova", {**files, "a.mf": manifest(files, "sha1")})
    done = repair(path, copy)
    checked = {one.name: one for one in verify(done.path).files}
    assert checked["disk.vmdk"].digest == hashlib.sha1(DISK, usedforsecurity=False).hexdigest()
    assert checked["a.ovf"].algorithm == "sha1"


def test_a_descriptor_that_was_tampered_with_is_not_mended(copy: Path, tmp_path: Path) -> None:
    """Its digest is compared before: a repair must not hide it."""
    files = {"a.ovf": _wrong(), "disk.vmdk": DISK}
    text = manifest({**files, "a.ovf": b"other"})
    with pytest.raises(OvfError, match="sha256 is") as caught:
        repair(put(tmp_path, {**files, "a.mf": text}), copy)
    assert caught.value.element == "a.ovf"
    assert list(copy.iterdir()) == []


def test_a_manifest_that_lacks_a_file_is_listed(copy: Path, tmp_path: Path) -> None:
    """VirtualBox takes it; so nothing is copied, and who imports it knows."""
    files = {"a.ovf": simple().encode(), "disk.vmdk": DISK}
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
    files = {"a.ovf": _wrong(), "disk.vmdk": DISK}
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
        (with_items(controller=ide(id=7)), "which is no controller"),
        (with_disk('ovf:capacity="lots"'), "no number"),
    ],
)
def test_what_would_be_a_guess_is_an_error(
    copy: Path, tmp_path: Path, text: str, reason: str
) -> None:
    """With the place in the original, and nothing written."""
    path = put(tmp_path, {"a.ovf": text.encode(), "disk.vmdk": DISK})
    with pytest.raises(OvfError, match=reason) as caught:
        repair(path, copy)
    assert caught.value.file == str(path)
    assert caught.value.hint
    assert list(copy.iterdir()) == []


@pytest.mark.parametrize("amount", [1000, 2**64 - 1])
def test_memory_that_is_no_number_of_mib_stays(tmp_path: Path, amount: int) -> None:
    """VirtualBox counts in MiB: rounding would be a guess."""
    text = with_items(units="byte", amount=amount)
    assert repairs(put(tmp_path, {"a.ovf": text.encode(), "disk.vmdk": DISK})) == ()


def test_no_room(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is known before a byte is unpacked."""
    path = ova(tmp_path / "a.ova", {"a.ovf": _wrong(), "disk.vmdk": DISK})
    usage = shutil.disk_usage(copy)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(StorageError, match="unpacked it takes") as caught:
        repair(path, copy)
    assert caught.value.hint is not None
    assert list(copy.iterdir()) == []


def test_progress_of_the_unpacking_can_end_it(copy: Path, tmp_path: Path) -> None:
    """Its exception passes, and each piece is told."""
    big = DISK[:-1024] + bytes(3 * MIB) + DISK[-1024:]
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

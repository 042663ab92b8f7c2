"""What images are made from, and their records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vboxkit.errors import NotFoundError, StorageError
from vboxkit.guest.credentials import Credentials
from vboxkit.lab import images
from vboxkit.lab.images import Image, ImageSource, source_of
from vboxkit.lab.places import Places

VERSION = (7, 2, 22)


@pytest.fixture
def source(tmp_path: Path) -> ImageSource:
    """Return a source with an appliance of a few bytes."""
    (tmp_path / "a.ova").write_bytes(b"appliance")
    return ImageSource(
        name="web", appliance=tmp_path / "a.ova", credentials=Credentials(user="root")
    )


def test_the_digest_is_always_the_same(source: ImageSource) -> None:
    """The same inputs give the same image; its name is one of them."""
    assert source.digest(VERSION) == source.digest(VERSION)
    assert replace(source, name="other").digest(VERSION) != source.digest(VERSION)
    assert len(source.digest(VERSION)) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"credentials": Credentials(user="admin")},
        {"ready_text": "READY"},
        {"rekey": "cat > key"},
        {"restart_sshd": "kill 1"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_input_changes_the_digest(source: ImageSource, change: dict[str, str]) -> None:
    """Another way in, another marker or another recipe is another image."""
    changed = replace(source, **change)  # type: ignore[arg-type]
    assert changed.digest(VERSION) != source.digest(VERSION)


def test_the_appliances_bytes_and_the_version_count(source: ImageSource) -> None:
    """One byte of the file, or one digit of VirtualBox's version, is another image."""
    before = source.digest(VERSION)
    assert source.digest((7, 2, 23)) != before
    source.appliance.write_bytes(b"appliancf")
    assert source.digest(VERSION) != before


def test_inputs_do_not_run_into_each_other(source: ImageSource) -> None:
    """Text that moves from one input to the next changes the digest."""
    one = replace(source, ready_text="ab", rekey="c")
    two = replace(source, ready_text="a", rekey="bc")
    assert one.digest(VERSION) != two.digest(VERSION)


def test_a_missing_appliance(source: ImageSource) -> None:
    """The error names image and file."""
    source.appliance.unlink()
    with pytest.raises(StorageError, match="'web'") as caught:
        source.digest(VERSION)
    assert str(source.appliance) in str(caught.value)


def test_unknown_image() -> None:
    """`NotFoundError` says which there are and what else can be given."""
    with pytest.raises(NotFoundError) as caught:
        source_of("tinny")
    assert (caught.value.kind, caught.value.wanted) == ("image", "tinny")
    assert caught.value.available == ("tiny",)
    assert ".ova" in str(caught.value)


@pytest.mark.parametrize("suffix", [".ova", ".OVF"])
def test_an_appliance_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """A path is an image; it is made absolute, and its name is the file's."""
    monkeypatch.chdir(tmp_path)
    mine = Credentials(user="me", password="secret")
    source = source_of(f"debian{suffix}", credentials=mine)
    assert (source.name, source.appliance) == ("debian", tmp_path / f"debian{suffix}")
    assert source.credentials == mine
    # A key of ours is added to those that are there.
    assert "authorized_keys" in source.rekey
    assert not source.new_host_key


def image(digest: str, created: float = 1.0) -> Image:
    """Return a record."""
    return Image(
        name="web",
        digest=digest,
        machine="uuid-1",
        content="c" * 64,
        machine_name="image-web",
        snapshot="uuid-2",
        user="root",
        key_file="/key",
        host_key="ssh-ed25519 AAAA",
        created=created,
        build_seconds=3.5,
    )


def written(places: Places, record: Image) -> Path:
    """Write a record, and return its file."""
    folder = images.folder_of(places, record.digest)
    folder.mkdir(parents=True, exist_ok=True)
    images.write(places, record)
    return folder / "image.json"


def test_a_record_is_read_as_written(tmp_path: Path) -> None:
    """All that is known of an image is kept; the way in is complete."""
    places = Places(tmp_path)
    record = image("a" * 64)
    assert images.read(places, record.digest) is None
    written(places, record)
    assert images.read(places, record.digest) == record
    assert record.credentials == Credentials(
        user="root", key_file=Path("/key"), host_key="ssh-ed25519 AAAA"
    )


def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    """Half a record, or one of another shape, does not count as built."""
    places = Places(tmp_path)
    file = written(places, image("a" * 64))
    for content in (file.read_bytes()[:40], b"", b'{"name": "web"}'):
        file.write_bytes(content)
        assert images.read(places, "a" * 64) is None
        assert images.all_images(places) == []


def test_all_images_oldest_first(tmp_path: Path) -> None:
    """Every record is listed, by its time."""
    places = Places(tmp_path)
    assert images.all_images(places) == []
    for digest, created in (("b" * 64, 2.0), ("a" * 64, 3.0), ("c" * 64, 1.0)):
        written(places, image(digest, created))
    assert [i.digest[0] for i in images.all_images(places)] == ["c", "b", "a"]

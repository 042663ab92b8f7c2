"""What images are made from, and their records."""

from __future__ import annotations

import hashlib
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from vboxkit import Run
from vboxkit.errors import InvalidStateError, NotFoundError, SettingsError, StorageError
from vboxkit.guest.credentials import Credentials
from vboxkit.lab import catalogue, images
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
        {"memory_mb": 96},
        {"cpus": 2},
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
    assert source.appliance is not None
    source.appliance.write_bytes(b"appliancf")
    assert source.digest(VERSION) != before


def test_inputs_do_not_run_into_each_other(source: ImageSource) -> None:
    """Text that moves from one input to the next changes the digest."""
    one = replace(source, ready_text="ab", rekey="c")
    two = replace(source, ready_text="a", rekey="bc")
    assert one.digest(VERSION) != two.digest(VERSION)


def test_images_of_the_first_vboxkit_stay_good(source: ImageSource) -> None:
    """Settings that are not given are no part of the digest."""
    version, content = ".".join(map(str, VERSION)), source.content_digest()
    parts = ["1", "web", content, version, "root", "", "", "", source.rekey, ""]
    old = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    assert source.digest(VERSION) == old
    assert source.digest(VERSION, content="another") != old


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"name": "web"}, "nothing"),
        ({"name": "web", "machine": "box", "base": "tiny"}, "machine and base"),
        ({"name": "web", "base": "tiny", "snapshot": "ready"}, "a snapshot of what"),
        ({"name": "a/b", "base": "tiny"}, "cannot be named"),
        ({"name": "..", "base": "tiny"}, "cannot be named"),
        ({"name": "x" * 200, "base": "tiny"}, "cannot be named"),
        ({"base": "tiny", "steps": "echo"}, "are a list"),
    ],
    ids=str,
)
def test_what_does_not_go_together(given: dict[str, Any], what: str) -> None:
    """An image has one origin, a name that files can have, and a list of steps."""
    with pytest.raises(SettingsError, match=what):
        ImageSource(**given)


def test_a_source_is_a_value() -> None:
    """Names are derived, steps are made of what stands for them; it is equal, and pickled."""
    source = ImageSource(machine="box", snapshot="ready").with_steps("echo", name="web")
    assert (source.name, source.steps) == ("web", (Run("echo"),))
    assert isinstance(source.base, ImageSource)
    assert source.base.name == "box"
    assert ImageSource(appliance=Path("/x/debian.ova")).name == "debian"
    assert pickle.loads(pickle.dumps(source)) == source  # noqa: S301 - just made
    assert hash(source) == hash(replace(source))


def test_a_missing_appliance(source: ImageSource) -> None:
    """The error names image and file."""
    assert source.appliance is not None
    source.appliance.unlink()
    with pytest.raises(StorageError, match="'web'") as caught:
        source.digest(VERSION)
    assert str(source.appliance) in str(caught.value)


def test_unknown_image() -> None:
    """`NotFoundError` says which there are and what else can be given."""
    with pytest.raises(NotFoundError) as caught:
        source_of("tinny")
    assert (caught.value.kind, caught.value.wanted) == ("image", "tinny")
    assert caught.value.available == ("tiny", "debian")
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


def test_a_record_of_the_first_vboxkit_is_read(tmp_path: Path) -> None:
    """It has no layers and no version, and one name."""
    places, record = Places(tmp_path), image("a" * 64)
    file = written(places, record)
    old = msgspec.json.decode(file.read_bytes())
    for key in ("parent", "step", "version"):
        del old[key]
    file.write_bytes(msgspec.json.encode(old))
    assert images.read(places, record.digest) == record
    assert catalogue.names(places, record) == {"web": 1.0}
    catalogue.ask_for(places, record, "alias")
    assert set(catalogue.names(places, record)) == {"web", "alias"}


def test_names_lead_to_images(tmp_path: Path) -> None:
    """A name belongs to the image that was asked for by it last; an image has any number."""
    places = Places(tmp_path)
    old, new = (msgspec.structs.replace(image(c * 64), version="7.2.22") for c in "ab")
    for record in (old, new):
        written(places, record)
    assert catalogue.names(places, old) == {}
    assert catalogue.by_name(places, "web") == []
    for record, asked in ((new, 20.0), (old, 10.0)):
        catalogue.ask_for(places, record, "web")
        file = images.folder_of(places, record.digest) / "names/web"
        os.utime(file, (asked, asked))
    catalogue.ask_for(places, old, "other")
    assert [it.digest[0] for it in catalogue.by_name(places, "web")] == ["b", "a"]
    assert [it.name for it in catalogue.by_name(places, "other")] == ["other"]
    assert len(catalogue.named_images(places)) == 3
    catalogue.drop_name(places, old, "web")
    assert set(catalogue.names(places, old)) == {"other"}


def test_asking_for_an_image_that_is_just_removed(tmp_path: Path) -> None:
    """Its folder does not come back for the sake of a name."""
    places = Places(tmp_path)
    catalogue.ask_for(places, msgspec.structs.replace(image("a" * 64), version="7"), "web")
    assert not places.images.exists()


def test_an_image_without_a_lab() -> None:
    """A record made by hand cannot be forked; the error says how it can."""
    with pytest.raises(InvalidStateError, match=r"lab\.fork\(image\)"):
        image("a" * 64).fork()
    assert image("a" * 64).with_steps("echo", name="b").base == image("a" * 64)

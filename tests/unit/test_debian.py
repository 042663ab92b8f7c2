"""The recipe of the Debian guest: what of it needs neither tools nor a guest."""

from __future__ import annotations

import importlib.util
import shutil
import struct
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from vboxkit.core.resources import resource
from vboxkit.errors import SetupError
from vboxkit.guest import generate_key
from vboxkit.host import apt, debian, recipes
from vboxkit.lab import images

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give these tests a cache folder in which nothing has been made."""
    monkeypatch.setattr(debian, "cache_dir", lambda: tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def recipe() -> Any:
    """Return the recipe's Python part."""
    spec = importlib.util.spec_from_file_location("debian_image", resource("debian/image.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestKernel:
    """Unpacking the kernel and finding a place for all."""

    def test_lz4(self, recipe: Any) -> None:
        """Literals, a match, one that overlaps itself, and lengths of more than a nibble."""
        # "abcd"; 20 times "a"... each token: literals << 4 | length - 4
        block = b"\x4fabcd\x04\x00\x05"  # 4 literals; 15 + 5 + 4 = 24 bytes from 4 back
        block += b"\x15x\x01\x00" + b"\x00"  # "x"; 5 + 4 = 9 from 1 back; no literals more
        packed = b"\x02\x21\x4c\x18" + struct.pack("<I", len(block)) + block
        # what the kernel's makefile adds: the length of all
        packed += struct.pack("<I", 0x7FFFFFFF)
        assert recipe.lz4(packed) == b"abcd" * 7 + b"x" * 10

    def test_long_literals(self, recipe: Any) -> None:
        """More literals than 15 + 255 have a length of three bytes."""
        text = bytes(range(256)) + b"end."
        block = b"\xf0" + bytes([len(text) - 15]) + text
        assert recipe.lz4(b"\x02\x21\x4c\x18" + struct.pack("<I", len(block)) + block) == text

    def test_another_packer(self, recipe: Any) -> None:
        """A kernel that is packed otherwise is refused, with what was seen."""
        with pytest.raises(SystemExit, match="not packed with LZ4: 1f8b"):
            recipe.lz4(b"\x1f\x8b\x08\x00....")

    def test_fewer_parts(self, recipe: Any) -> None:
        """Parts are joined over the smallest gaps, and each byte stays at its address."""
        parts = [(900, b"z"), (0, b"aa"), (4, b"bb"), (100, b"cc")]
        assert recipe.appliance.fewer(parts, 3) == [(0, b"aa\0\0bb"), (100, b"cc"), (900, b"z")]
        assert recipe.appliance.fewer(parts, 9) == sorted(parts)

    def test_the_command_line_fits(self, recipe: Any) -> None:
        """The loader has 384 bytes for it, with the byte that ends it."""
        assert len(recipe.COMMAND_LINE.encode()) < 384
        assert "  " not in recipe.COMMAND_LINE


class TestInitrd:
    """The initrd with its modules."""

    def test_modules_come_after_what_they_need(self, recipe: Any) -> None:
        """Each once, in an order in which they can be loaded."""
        text = "a/net.ko: b/core.ko b/ring.ko\nb/core.ko: b/ring.ko\nb/ring.ko:\n"
        text += "c/disk.ko: b/ring.ko\n"
        order = recipe.with_dependencies(("net", "disk"), text)
        assert order == ["b/ring.ko", "b/core.ko", "a/net.ko", "c/disk.ko"]

    def test_a_module_that_is_missing(self, recipe: Any) -> None:
        """It is named."""
        with pytest.raises(SystemExit, match="no module ata_piix"):
            recipe.with_dependencies(("ata_piix",), "a/net.ko:\n")

    def test_signatures_are_cut_off(self, recipe: Any) -> None:
        """The code stays as it is; a module without a signature, too."""
        code = b"\x7fELF" + bytes(100)
        end = struct.pack(">8xI", 256) + b"~Module signature appended~\n"
        assert recipe.without_signature(code + bytes(256) + end) == code
        assert recipe.without_signature(code) == code

    def test_the_archive(self, recipe: Any) -> None:
        """Headers and contents are aligned to four bytes, and a trailer ends it."""
        entries = [("init", 0o100755, b"12345", (0, 0)), ("dev/console", 0o020600, b"", (5, 1))]
        data = recipe.cpio(entries)
        found = []
        position = 0
        while position < len(data):
            header = data[position : position + 110]
            assert header[:6] == b"070701"
            fields = [int(header[6 + 8 * i : 14 + 8 * i], 16) for i in range(13)]
            name_end = position + 110 + fields[11]
            name = data[position + 110 : name_end - 1].decode()
            start = -(-name_end // 4) * 4
            found.append((name, fields[1], data[start : start + fields[6]], tuple(fields[9:11])))
            position = -(-(start + fields[6]) // 4) * 4
        assert found == [*entries, ("TRAILER!!!", 0, b"", (0, 0))]


def test_the_digest_is_of_the_recipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A changed file is another recipe; its README is not, nor what Python compiled."""
    before = debian.recipe_digest()
    assert debian.recipe_digest() == before
    for name in ("appliance", "debian"):
        shutil.copytree(resource(name), tmp_path / name)
    monkeypatch.setattr(debian, "resource", lambda name: tmp_path / name)
    assert debian.recipe_digest() == before
    (tmp_path / "debian" / "README.md").write_text("other")
    (tmp_path / "debian" / "__pycache__").mkdir(exist_ok=True)
    (tmp_path / "debian" / "__pycache__" / "image.cpython-399.pyc").write_bytes(b"x")
    assert debian.recipe_digest() == before
    (tmp_path / "debian" / "packages.txt").write_text("dbus\n")
    changed = debian.recipe_digest()
    assert changed != before
    (tmp_path / "debian" / "files" / "etc" / "hostname").rename(tmp_path / "debian" / "hostname")
    assert debian.recipe_digest() not in {before, changed}


def test_to_name_it_does_not_make_it(cache: Path) -> None:
    """The source is there at once, and known by the recipe: neither appliance nor key is read."""
    source = images.source_of("debian")
    assert source.name == "debian"
    assert source.credentials.host_key is None
    assert source.content_digest() == debian.recipe_digest()
    assert len(source.digest((7, 2, 22))) == 64
    assert not list(cache.iterdir())


def test_the_image_is_known_without_the_appliance(cache: Path) -> None:
    """An image stays the same one when its appliance is gone, or was made again."""
    missing = images.source_of("debian").digest((7, 2, 22))
    _made(cache, debian.recipe_digest(), "c0ffee")
    assert images.source_of("debian").digest((7, 2, 22)) == missing


def test_the_key_of_its_forks(tmp_path: Path) -> None:
    """It is of the kind whose signatures the server, which is emulated, checks at least cost."""
    kind = images.source_of("debian").key_kind
    path = generate_key(tmp_path / "key", kind=kind)
    key = load_ssh_private_key(path.read_bytes(), password=None)
    assert isinstance(key, RSAPrivateKey)
    assert key.key_size == 2048
    assert path.with_suffix(".pub").read_text().startswith("ssh-rsa ")
    settings = resource("debian/files/etc/ssh/sshd_config.d/vboxkit.conf").read_text()
    assert "PubkeyAcceptedAlgorithms rsa-sha2-512," in settings


def test_older_ones_are_removed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Making one removes those of older recipes, but not those that an image was made from."""
    old, used = _made(cache, "0" * 16, "a"), _made(cache, "1" * 16, "b")
    other = cache / "debian" / "notes"
    other.mkdir()

    def make(folder: Path) -> None:
        _made(cache, folder.name, "c")

    monkeypatch.setattr(debian, "_make", make)
    new = debian.appliance(keep=[used.name]).folder
    assert not old.exists()
    assert used.exists()
    assert other.exists()
    shutil.rmtree(new)
    assert debian.appliance().content == "c"
    assert used.exists(), "nobody said what is in use"


def _made(cache: Path, recipe: str, content: str) -> Path:
    folder = cache / "debian" / recipe
    folder.mkdir(parents=True)
    (folder / "debian.ova").write_bytes(b"ova")
    (folder / "id_ecdsa").write_text(content)
    (folder / "host_key.pub").write_text("ecdsa-sha2-nistp256 AAAA\n")
    (folder / "debian.ova.sha256").write_text(f"{content}  debian.ova\n")
    return folder


def test_what_was_made_is_found(cache: Path) -> None:
    """A folder counts once it has the digest, which is written last."""
    folder = cache / "debian" / debian.recipe_digest()
    folder.mkdir(parents=True)
    (folder / "debian.ova").write_bytes(b"ova")
    (folder / "host_key.pub").write_text("ecdsa-sha2-nistp256 AAAA\n")
    assert debian.expected().content == ""
    (folder / "debian.ova.sha256").write_text("c0ffee  debian.ova\n")
    assert debian.appliance() == debian.expected()
    source = images.source_of("debian")
    assert source.make is not None
    assert source.make([]).appliance == folder / "debian.ova"
    assert source.credentials.host_key == "ecdsa-sha2-nistp256 AAAA"
    assert source.credentials.key_file == folder / "id_ecdsa"
    (folder / "debian.ova").unlink()
    assert debian.expected().content == ""


def test_missing_tools(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """A user without root gets the command to type, and nothing is left."""
    monkeypatch.setattr(apt, "distribution", lambda: ("debian", "bookworm"))
    monkeypatch.setattr("vboxkit.host.apt.platform.machine", lambda: "x86_64")
    monkeypatch.setattr("vboxkit.host.apt.os.geteuid", lambda: 1000)
    here = {"apt-get": "/usr/bin/apt-get", "newuidmap": "/usr/bin/newuidmap"}
    monkeypatch.setattr("vboxkit.host.apt.shutil.which", lambda name, **_: here.get(name))
    with pytest.raises(SetupError, match="sudo apt-get install mmdebstrap mount e2fsprogs"):
        debian.appliance()
    assert not list((cache / "debian").glob("*.partial*"))


def test_other_distributions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot be made it can be copied to: the hint says where."""
    monkeypatch.setattr(apt, "distribution", lambda: ("fedora", ""))
    with pytest.raises(SetupError, match="Debian and Ubuntu only") as caught:
        debian.appliance()
    assert debian.recipe_digest() in str(caught.value.hint)


def test_a_recipe_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """The error has what was said last, and half an appliance is removed."""
    script = cache / "build.sh"
    script.write_text('mkdir "$1" "$2"; touch "$2/debian.ova"; echo "no space left"; exit 7\n')

    def other(name: str) -> Path:
        return script if name == "debian/build.sh" else resource(name)

    monkeypatch.setattr(debian, "resource", other)
    monkeypatch.setattr(apt, "install_builder", lambda *_, **__: None)
    monkeypatch.setattr(debian, "check_namespaces", lambda: None)
    monkeypatch.setattr(debian, "namespace", lambda: ())
    monkeypatch.setattr("vboxkit.host.sandbox_build.namespace", lambda: ())
    monkeypatch.setattr(recipes, "FAMILY", ())
    with pytest.raises(SetupError, match="no space left"):
        debian.appliance()
    assert sorted(p.name for p in (cache / "debian").iterdir() if "lock" not in p.suffix) == [
        "build.holder",
        "build.log",
    ]
    assert debian.expected().content == ""


def test_units_are_named_once() -> None:
    """The lists of units hold no doubles, and nothing that has to run is masked."""
    lists = {
        name: resource(f"debian/{name}").read_text().split()
        for name in ("masked.txt", "after-ssh.txt", "masked-rules.txt", "packages.txt")
    }
    for name, words in lists.items():
        assert len(words) == len(set(words)), name
    assert not {*lists["masked.txt"]} & {*lists["after-ssh.txt"], "ssh.service", "dbus.service"}
    # the power button is found by this rule
    assert "70-power-switch.rules" not in lists["masked-rules.txt"]

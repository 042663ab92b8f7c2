"""The built-in guest as it is committed: small, whole, and with its papers."""

from __future__ import annotations

import hashlib
import re
import tarfile
from pathlib import Path

import paramiko
import pytest

from vboxkit.core.resources import resource

TINY = resource("tiny/tiny.ova").parent


def test_it_is_small() -> None:
    """It comes with the package: under 8 MB."""
    assert (TINY / "tiny.ova").stat().st_size < 8_000_000


def test_members_are_as_the_standard_wants() -> None:
    """The descriptor comes first; nothing but plain files, all of one time."""
    with tarfile.open(TINY / "tiny.ova") as tar:
        members = tar.getmembers()
    assert members[0].name.endswith(".ovf")
    assert {m.name.rsplit(".", 1)[1] for m in members} == {"ovf", "mf", "vmdk"}
    assert all(m.isfile() for m in members)
    assert len({m.mtime for m in members}) == 1


def test_the_manifest_is_right() -> None:
    """Each digest of the manifest is that of its file."""
    with tarfile.open(TINY / "tiny.ova") as tar:
        files = {m.name: tar.extractfile(m) for m in tar.getmembers()}
        contents = {name: file.read() for name, file in files.items() if file is not None}
    (manifest,) = (text.decode() for name, text in contents.items() if name.endswith(".mf"))
    lines = re.findall(r"SHA256 ?\((.+?)\) ?= ?([0-9a-f]{64})", manifest)
    assert len(lines) == len(contents) - 1
    for name, digest in lines:
        assert hashlib.sha256(contents[name]).hexdigest() == digest


def test_the_well_known_key_is_readable() -> None:
    """The key that lets vboxkit in once is one that paramiko reads."""
    assert paramiko.PKey.from_path(str(TINY / "insecure_key")).get_name() == "ssh-ed25519"


class TestPapers:
    """What lies beside it in a checkout."""

    @pytest.fixture(autouse=True)
    def checkout(self) -> Path:
        """Return the folder, unless this runs from the wheel, which has the OVA alone."""
        if not (TINY / "build.sh").exists():
            pytest.skip("the recipe is in a checkout only")
        return TINY

    def test_the_digest_is_of_this_file(self, checkout: Path) -> None:
        """``tiny.ova.sha256`` is what sha256sum says of the committed file."""
        digest, name = (checkout / "tiny.ova.sha256").read_text().split()
        assert name == "tiny.ova"
        assert hashlib.sha256((checkout / name).read_bytes()).hexdigest() == digest

    def test_sources_name_version_and_digest(self, checkout: Path) -> None:
        """Each package that went in is there with its version and SHA-256."""
        lines = [
            line.split()
            for line in (checkout / "SOURCES").read_text().splitlines()
            if line.startswith(("deb ", "src "))
        ]
        names = {words[1] for words in lines}
        assert {"dropbear", "libsodium", "busybox-static", "virtualbox-guest-utils"} <= names
        assert any(name.startswith("linux-source") for name in names)
        assert all(any(re.fullmatch(r"[0-9a-f]{64}", word) for word in words) for words in lines)

    def test_each_patch_says_why(self, checkout: Path) -> None:
        """A patch has a header that tells what it buys."""
        patches = sorted((checkout / "patches").glob("*.patch"))
        assert patches
        for patch in patches:
            header = patch.read_text().partition("\n--- ")[0]
            assert len(header.split()) > 15, patch.name
            assert re.search(r"buys|gain|saves", header, re.IGNORECASE), patch.name

    def test_licences_name_each_program(self, checkout: Path) -> None:
        """The programs that the guest carries are there with their licences."""
        text = (checkout / "LICENSES.md").read_text().lower()
        for program in ("linux", "busybox", "dropbear", "libsodium", "openssh", "virtualbox"):
            assert program in text

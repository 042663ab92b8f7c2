from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit.errors import SetupError
from vboxkit.host import apt

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = """\
# the distribution's own
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: http://old.example/debian
Suites: bookworm bookworm-updates
Components: main
Enabled: no
"""


def sources(folder: Path, name: str, text: str) -> None:
    """Write an apt sources file."""
    (folder / "sources.list.d").mkdir(exist_ok=True)
    (folder / name).write_text(text)


def test_mirror_from_deb822(tmp_path: Path) -> None:
    """The main archive is found; security and disabled entries are not it."""
    sources(tmp_path, "sources.list.d/debian.sources", SOURCES)
    assert apt.mirrors(tmp_path, codename="bookworm") == ["http://mirror.example/debian"]


def test_mirror_from_one_line_format(tmp_path: Path) -> None:
    """Options in brackets, comments and source entries are understood."""
    text = """\
deb-src http://src.example/debian bookworm main
# deb http://off.example/debian bookworm main
deb [arch=amd64 signed-by=/a/b.gpg] http://own.example/repo/ bookworm main non-free # note
deb http://own.example/repo bookworm-updates main
"""
    sources(tmp_path, "sources.list", text)
    assert apt.mirrors(tmp_path, codename="bookworm") == ["http://own.example/repo"]


def test_distribution_goes_before_third_parties(tmp_path: Path) -> None:
    """A vendor's archive that uses the code name and "main" too comes last."""
    sources(tmp_path, "sources.list.d/a.list", "deb http://vendor.example bookworm main\n")
    sources(tmp_path, "sources.list.d/debian.sources", SOURCES)
    found = apt.mirrors(tmp_path, codename="bookworm")
    assert found == ["http://mirror.example/debian", "http://vendor.example"]


def test_no_sources_no_mirrors(tmp_path: Path) -> None:
    """Without apt's files there is nothing to say."""
    assert apt.mirrors(tmp_path / "none", codename="sid") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ID=debian\nVERSION_CODENAME="bookworm"\n', ("debian", "bookworm")),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'\n", ("ubuntu", "")),
        ("ID=fedora\n", ("fedora", "")),
    ],
)
def test_distribution(tmp_path: Path, text: str, expected: tuple[str, str]) -> None:
    """Derivatives count as what they derive from."""
    (tmp_path / "os-release").write_text(text)
    assert apt.distribution(tmp_path / "os-release") == expected
    assert apt.distribution(tmp_path / "missing") == ("", "")


def test_other_distributions_are_told_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Debian's tools are not at home, VirtualBox itself is the way."""
    monkeypatch.setattr(apt, "distribution", lambda: ("fedora", ""))
    with pytest.raises(SetupError, match="install VirtualBox 7"):
        apt.install_builder()


def test_without_root_the_builder_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without root gets the command to type."""
    monkeypatch.setattr(apt, "distribution", lambda: ("debian", "bookworm"))
    monkeypatch.setattr("vboxkit.host.apt.platform.machine", lambda: "x86_64")
    monkeypatch.setattr("vboxkit.host.apt.os.geteuid", lambda: 1000)
    here = {"apt-get": "/usr/bin/apt-get"}
    monkeypatch.setattr("vboxkit.host.apt.shutil.which", lambda name, **_: here.get(name))
    with pytest.raises(SetupError, match=r"sudo apt-get install mmdebstrap.* uidmap"):
        apt.install_builder()

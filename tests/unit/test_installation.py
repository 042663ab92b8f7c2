from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from vboxkit.com import installation
from vboxkit.errors import SetupError, VirtualBoxNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

posix = pytest.mark.skipif(os.name != "posix", reason="VBoxManage is played by a shell script")

MANAGE = """#!/bin/sh
echo "WARNING: The character device /dev/vboxdrv does not exist."
echo "         Please install the virtualbox-dkms package 1.2.3."
echo 7.2.22r170484
"""


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start each test on a machine without VirtualBox, and leave no module behind."""
    for name in (*installation.VARIABLES, "VBOX_SDK_PATH"):
        # Set first, so that a value that the code sets is taken back as well.
        monkeypatch.setenv(name, "")
    places = {sys.platform: (str(tmp_path / "one"), str(tmp_path / "two"))}
    monkeypatch.setattr(installation, "_PLACES", places)
    monkeypatch.delitem(sys.modules, "vboxapi", raising=False)
    yield
    sys.modules.pop("vboxapi", None)


def make(folder: Path, *, vboxapi: str | None = None) -> Path:
    """Make an installation with Oracle's layout."""
    folder.mkdir()
    (folder / "VBoxXPCOM.so").touch()
    manage = folder / "VBoxManage"
    manage.write_text(MANAGE)
    manage.chmod(0o755)
    if vboxapi is not None:
        package = folder / "sdk/installer/python/vboxapi/src/vboxapi"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(vboxapi)
        (package / "VirtualBox_constants.py").touch()
    return folder


def test_usual_places_are_searched_in_order(tmp_path: Path) -> None:
    """The first folder with VirtualBox in it wins; an empty folder does not count."""
    (tmp_path / "one").mkdir()
    make(tmp_path / "two")
    assert installation.find().folder == tmp_path / "two"


@pytest.mark.parametrize("variable", installation.VARIABLES)
def test_environment_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """A folder named by a variable is preferred to the usual places."""
    make(tmp_path / "one")
    monkeypatch.setenv(variable, str(make(tmp_path / "mine")))
    assert installation.find().folder == tmp_path / "mine"


def test_missing_names_places_and_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without VirtualBox the error says where was looked and what to do; it is an ImportError."""
    monkeypatch.setattr("vboxkit.com.installation.shutil.which", lambda _: "/usr/bin/apt-get")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(installation, "_PLACES", {"linux": (str(tmp_path / "one"),)})
    monkeypatch.setattr(installation, "cache_dir", lambda: tmp_path)
    with pytest.raises(VirtualBoxNotFoundError, match="one") as caught:
        installation.find()
    assert caught.value.hint == "vboxkit sandbox create"
    assert isinstance(caught.value, ImportError)
    (tmp_path / "sandbox").mkdir()
    with pytest.raises(VirtualBoxNotFoundError, match="sandbox run"):
        installation.find()


def test_missing_elsewhere_names_the_installer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no apt, the hint is to install VirtualBox."""
    monkeypatch.setattr("vboxkit.com.installation.shutil.which", lambda _: None)
    with pytest.raises(VirtualBoxNotFoundError, match="install VirtualBox 7"):
        installation.find()


@posix
def test_version_ignores_warnings(tmp_path: Path) -> None:
    """The version is the last line that looks like one; warnings hold numbers too."""
    assert installation.Installation(make(tmp_path / "one")).version == "7.2.22"


def test_version_is_none_without_vboxmanage(tmp_path: Path) -> None:
    """An installation without VBoxManage has no version to show."""
    assert installation.Installation(tmp_path).version is None


@posix
def test_own_vboxapi_is_preferred(tmp_path: Path) -> None:
    """The installation's copy is loaded, without its folder getting on the path."""
    folder = make(tmp_path / "one", vboxapi="import os\nplace = os.environ['VBOX_PROGRAM_PATH']\n")
    before = list(sys.path)
    assert installation.import_vboxapi().place == str(folder)
    assert sys.path == before
    assert installation.import_vboxapi() is sys.modules["vboxapi"]


@posix
def test_vboxapi_that_cannot_be_loaded(tmp_path: Path) -> None:
    """The loader's message reaches the user, and no half-loaded module stays."""
    make(tmp_path / "one", vboxapi="raise ImportError('GLIBC_2.38 not found')")
    with pytest.raises(VirtualBoxNotFoundError, match=r"GLIBC_2\.38 not found"):
        installation.import_vboxapi()
    assert "vboxapi" not in sys.modules


@posix
def test_vboxapi_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyPI's package for another series is refused with the command that mends it."""
    make(tmp_path / "one")
    monkeypatch.setattr("vboxkit.com.installation.importlib.util.find_spec", lambda _: object())
    monkeypatch.setattr("vboxkit.com.installation.metadata.version", lambda _: "7.0.20")
    with pytest.raises(SetupError, match=r'pip install "vbox-sdk==7\.2\.\*"'):
        installation.import_vboxapi()


@posix
def test_no_vboxapi_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any vboxapi the hint installs the one that fits."""
    make(tmp_path / "one")
    monkeypatch.setattr("vboxkit.com.installation.importlib.util.find_spec", lambda _: None)
    with pytest.raises(VirtualBoxNotFoundError, match=r"vbox-sdk==7\.2"):
        installation.import_vboxapi()


@pytest.mark.skipif(os.name != "posix", reason="devices are files on POSIX only")
@pytest.mark.parametrize("user", [0, 1000])
def test_driver_must_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int) -> None:
    """Root opens the one device, others the one that is for all; absent or a plain file: no."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("vboxkit.com.installation.os.geteuid", lambda: user)
    monkeypatch.setattr(installation, "_DRIVER", tmp_path / "vboxdrv")
    monkeypatch.setattr(installation, "_DRIVER_FOR_ALL", tmp_path / "vboxdrvu")
    assert not installation.driver_available()
    (tmp_path / ("vboxdrvu" if user else "vboxdrv")).touch()
    assert installation.driver_available()


def test_driver_comes_with_other_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS and Windows the driver is a part of VirtualBox."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert installation.driver_available()

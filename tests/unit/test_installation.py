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

# What VBoxManage 7.2 of Debian says where there is no driver.
NO_DRIVER = """\
WARNING: The character device /dev/vboxdrv does not exist.
\t Please install the virtualbox-dkms package and the appropriate
\t headers, most likely linux-headers-6.12.48.

\t You will not be able to start VMs until this problem is fixed.
7.2.22_Debianr175245
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
    """Make the files by which an installation is found, in Oracle's layout; nothing can be run."""
    folder.mkdir()
    (folder / "VBoxXPCOM.so").touch()
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


@pytest.mark.parametrize(
    ("said", "version"),
    [
        (NO_DRIVER, "7.2.22"),
        ("7.2.22_Debianr175245\n", "7.2.22"),
        ("7.0.20r163906\n", "7.0.20"),
        (NO_DRIVER.rpartition("7.2")[0], None),
        ("", None),
    ],
    ids=["warning", "Debian", "Oracle", "warning only", "nothing"],
)
def test_version_in_what_vboxmanage_says(said: str, version: str | None) -> None:
    """The version is what a line begins with; warnings hold numbers too."""
    assert installation.version_in(said) == version


def test_version_is_none_without_vboxmanage(tmp_path: Path) -> None:
    """An installation without VBoxManage has no version to show."""
    assert installation.Installation(tmp_path).version is None


def test_own_vboxapi_is_found_in_its_installer(tmp_path: Path) -> None:
    """Oracle's installations have it ready to be installed, some folders down."""
    folder = make(tmp_path / "one", vboxapi="")
    own = folder / "sdk/installer/python/vboxapi/src"
    assert installation.Installation(folder).vboxapi == own
    assert installation.Installation(make(tmp_path / "two")).vboxapi is None


def test_vboxapi_that_cannot_be_loaded(tmp_path: Path) -> None:
    """The loader's message reaches the user, and no half-loaded module stays."""
    make(tmp_path / "one", vboxapi="import there_is_no_such_module")
    with pytest.raises(VirtualBoxNotFoundError, match="there_is_no_such_module"):
        installation.import_vboxapi()
    assert "vboxapi" not in sys.modules


def test_vboxapi_of_another_version(tmp_path: Path) -> None:
    """PyPI's package for another series is refused with the command that mends it."""
    for version in ("7.2.22", None):
        installation._check_series("7.2.0", version, tmp_path)
    with pytest.raises(SetupError, match=r'pip install "vbox-sdk==7\.2\.\*"'):
        installation._check_series("7.0.20", "7.2.22", tmp_path)


def test_no_vboxapi_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any vboxapi the hint installs one; which series, an unknown version does not tell."""
    make(tmp_path / "one")
    monkeypatch.setattr("vboxkit.com.installation.importlib.util.find_spec", lambda _: None)
    with pytest.raises(VirtualBoxNotFoundError, match=r'"vbox-sdk==7\.\*"'):
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

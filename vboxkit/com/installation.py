"""Where VirtualBox is on this machine, which version, and the ``vboxapi`` that goes with it."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.errors import SetupError, VirtualBoxNotFoundError
from vboxkit.settings import cache_dir, environment, set_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

__all__ = [
    "Installation",
    "driver_available",
    "driver_refused",
    "find",
    "import_vboxapi",
    "version_in",
]

#: Variables that VirtualBox's installers and programs use for its folder, strongest first.
VARIABLES = ("VBOX_INSTALL_PATH", "VBOX_MSI_INSTALL_PATH", "VBOX_APP_HOME", "VBOX_PROGRAM_PATH")

_PLACES = {
    "linux": (
        "/usr/lib/virtualbox",
        "/usr/lib64/virtualbox",
        "/opt/VirtualBox",
        "/usr/local/lib/virtualbox",
        "/usr/local/virtualbox",
    ),
    "darwin": ("/Applications/VirtualBox.app/Contents/MacOS",),
}

# Any of these makes a folder an installation: what a client loads or starts.
_SIGNS = ("VBoxXPCOM.so", "VBoxXPCOM.dylib", "VBoxSVC", "VBoxSVC.exe")

_DRIVER = Path("dev/vboxdrv")
# Anyone may open this one; the other is for root and VirtualBox's set-uid programs.
_DRIVER_FOR_ALL = Path("dev/vboxdrvu")


@dataclass(frozen=True)
class Installation:
    """
    One VirtualBox on this machine.

    Attributes:
        folder: Where its programs and libraries are.
    """

    folder: Path

    @cached_property
    def version(self) -> str | None:
        """
        What ``VBoxManage --version`` says, such as ``7.2.22``, or `None`.

        For display only; a connection knows better. Takes some hundredths of a second once.
        """
        programs = [self.folder / "VBoxManage", self.folder / "VBoxManage.exe"]
        program = next((str(path) for path in programs if path.exists()), None)
        if program is None:
            return None
        try:
            said = subprocess.run(
                [program, "--version"],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=20,
                check=False,
                stdin=subprocess.DEVNULL,
            ).stdout
        except (OSError, subprocess.TimeoutExpired):
            return None
        return version_in(said)

    @property
    def vboxapi(self) -> Path | None:
        """The folder with this installation's own ``vboxapi`` package, if it has one."""
        return next(self._vboxapi_folders(), None)

    def _vboxapi_folders(self) -> Iterator[Path]:
        # A distribution's package puts it where the system's Python looks.
        if self.folder.is_relative_to("/usr") and not self.folder.is_relative_to("/usr/local"):
            for place in ("python3/dist-packages", "python3*/site-packages"):
                for init in sorted(Path("/usr/lib").glob(f"{place}/vboxapi/__init__.py")):
                    yield init.parents[1]
        # Oracle's has it ready to be installed; its depth differs between versions.
        for init in sorted((self.folder / "sdk" / "installer").rglob("vboxapi/__init__.py")):
            if (init.parent / "VirtualBox_constants.py").exists():
                yield init.parents[1]


def version_in(said: str) -> str | None:
    """
    Return the version in what ``VBoxManage --version`` says, or `None`.

    Example:
        >>> version_in("7.2.22_Debianr175245")
        '7.2.22'
    """
    # Warnings about the kernel driver come before it.
    found = re.findall(r"^(\d+\.\d+\.\d+)", said, re.MULTILINE)
    return str(found[-1]) if found else None


def find() -> Installation:
    """
    Find VirtualBox: where the environment says, then in each system's usual places.

    Raises:
        VirtualBoxNotFoundError: There is none; the hint says how to get one.

    Example:
        >>> find().folder                                           # doctest: +SKIP
        PosixPath('/usr/lib/virtualbox')
    """
    looked = list(_candidates(environment()))
    for folder in looked:
        if any((folder / sign).exists() for sign in _SIGNS):
            return Installation(folder)
    places = ", ".join(map(str, looked)) or "no folder known for this system"
    raise VirtualBoxNotFoundError(f"there is no VirtualBox: looked in {places}", hint=_remedy())


def _candidates(base: Mapping[str, str]) -> Iterator[Path]:
    seen: set[Path] = set()
    named = [Path(base[name]) for name in VARIABLES if base.get(name)]
    usual = [Path(place) for place in _PLACES.get(sys.platform, ())]
    if sys.platform == "win32":
        usual = [*_registered(), *(_program_files(base))]
    for folder in (*named, *usual):
        if folder not in seen:
            seen.add(folder)
            yield folder


def _program_files(base: Mapping[str, str]) -> Iterator[Path]:
    for name in ("ProgramFiles", "ProgramW6432"):
        if base.get(name):
            yield Path(base[name]) / "Oracle" / "VirtualBox"


def _registered() -> Iterator[Path]:
    if sys.platform == "win32":
        import winreg

        with (
            suppress(OSError),
            winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\Oracle\VirtualBox") as key,
        ):
            yield Path(str(winreg.QueryValueEx(key, "InstallDir")[0]))
    yield from ()  # elsewhere nothing of the above is there for the type checker


def _remedy() -> str:
    if sys.platform.startswith("linux") and shutil.which("apt-get"):
        if (cache_dir() / "sandbox").is_dir():
            return "vboxkit sandbox run -- COMMAND"
        return "vboxkit sandbox create"
    return "install VirtualBox 7 from virtualbox.org"


def driver_available(root: Path = Path("/")) -> bool:
    """
    Tell whether VirtualBox's kernel driver can be used.

    Without it machines are emulated, on Linux. On macOS and Windows it comes with VirtualBox.

    Args:
        root: The folder that has ``dev``.
    """
    if not sys.platform.startswith("linux"):
        return True
    # A container's root may see the device and still be refused: only opening it tells. Others
    # cannot open the first, and need not: VirtualBox's programs are set-uid.
    device = root / _DRIVER
    if os.geteuid() != 0:
        if not (root / _DRIVER_FOR_ALL).exists():
            with suppress(OSError):
                return stat.S_ISCHR(device.stat().st_mode)
            return False
        device = root / _DRIVER_FOR_ALL
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def driver_refused(root: Path = Path("/")) -> bool:
    """
    Tell whether VirtualBox's kernel driver is there, but not for this user; arguments as above.

    Example:
        >>> driver_refused() and driver_available()
        False
    """
    there = any((root / device).exists() for device in (_DRIVER, _DRIVER_FOR_ALL))
    return there and not driver_available(root)


def import_vboxapi() -> ModuleType:
    """
    Import ``vboxapi``: the installation's own, else the one from PyPI (``vbox-sdk``).

    Raises:
        VirtualBoxNotFoundError: There is no VirtualBox, or no ``vboxapi``, or this Python
            cannot load it.
        SetupError: The one from PyPI is for another version of VirtualBox.
    """
    loaded = sys.modules.get("vboxapi")
    if loaded is not None:
        return loaded
    found = find()
    _point_to(found.folder)
    own = found.vboxapi
    try:
        if own is not None:
            return _load(own / "vboxapi" / "__init__.py")
        if importlib.util.find_spec("vboxapi") is None:
            wanted = found.version or "7"
            raise VirtualBoxNotFoundError(
                f"VirtualBox in {found.folder} comes without the Python package vboxapi",
                hint=f'python -m pip install "vbox-sdk=={_series(wanted)}.*"',
            )
        with suppress(metadata.PackageNotFoundError):  # put there by VirtualBox's own installer
            _check_series(metadata.version("vbox-sdk"), found.version, found.folder)
        return importlib.import_module("vboxapi")
    except VirtualBoxNotFoundError:
        raise
    except (ImportError, OSError) as error:
        raise VirtualBoxNotFoundError(
            f"this Python cannot load VirtualBox's vboxapi from {own or 'PyPI'}: {error}",
            hint=_remedy(),
        ) from error


def _point_to(folder: Path) -> None:
    """Tell vboxapi where VirtualBox is: its own guess is the place of the usual installer."""
    if sys.platform == "win32":
        return  # COM knows
    known = environment()
    for name, value in (("VBOX_PROGRAM_PATH", folder), ("VBOX_SDK_PATH", folder / "sdk")):
        if not known.get(name):
            set_environment(name, str(value))


def _load(file: Path) -> ModuleType:
    # Not by sys.path: the folder can hold every Python package of the distribution.
    spec = importlib.util.spec_from_file_location(
        "vboxapi", file, submodule_search_locations=[str(file.parent)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules["vboxapi"] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules["vboxapi"]
        raise
    return module


def _check_series(packaged: str, version: str | None, folder: Path) -> None:
    if version and _series(packaged) != _series(version):
        raise SetupError(
            f"the Python package vbox-sdk {packaged} does not fit VirtualBox {version} in {folder}",
            hint=f'python -m pip install "vbox-sdk=={_series(version)}.*"',
        )


def _series(version: str) -> str:
    return ".".join(version.split(".")[:2])

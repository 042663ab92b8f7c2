"""How many machines a run may have, how long one may take, and where evidence goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from vboxkit.pytest_plugin import table
from vboxkit.pytest_plugin.options import ini_value, switch

if TYPE_CHECKING:
    from vboxkit.lab.quota import Quota

__all__ = ["Limits", "add_options", "check_options", "limits"]

_LIMITS = pytest.StashKey["Limits"]()

_OPTIONS = {
    "max": (
        "N",
        (
            "so many machines at once at most, over all workers and runs that use the same home; a"
            " test that wants more waits (default: any number)"
        ),
    ),
    "memory-budget": (
        "MB",
        "so much memory, in MiB, for the guests of all machines together, likewise",
    ),
    "timeout": (
        "S",
        (
            "seconds in which a machine must be ready, and in which room for it must come free"
            " (default: the settings boot_timeout and image_timeout)"
        ),
    ),
    "artifacts": (
        "DIR",
        (
            "where the machines of a failed test leave screenshot, serial log, VBox.log, settings"
            " and the commands that were run: DIR/<test>/<machine>/ (default: nowhere)"
        ),
    ),
}


class Limits(NamedTuple):
    """What the options say."""

    most: int | None = None
    memory_mb: int | None = None
    timeout: float | None = None
    artifacts: Path | None = None
    no_fork: bool = False

    @property
    def bounded(self) -> bool:
        """Whether machines need a place."""
        return self.most is not None or self.memory_mb is not None

    def quota(self, home: Path) -> Quota:
        """Return the places of a home."""
        from vboxkit.lab.quota import Quota

        return Quota(home / "places", most=self.most, memory_mb=self.memory_mb)


def add_options(parser: pytest.Parser) -> None:
    """Declare the options; each has an ini value of the same name (with ``_`` for ``-``)."""
    group = parser.getgroup("vboxkit", "vboxkit: disposable virtual machines")
    for name, (metavar, text) in _OPTIONS.items():
        dest = f"vm_{name}".replace("-", "_")
        group.addoption(f"--vm-{name}", dest=dest, metavar=metavar, default=None, help=text)
        parser.addini(dest, f"{metavar}: the same as --vm-{name}", default=None)
    group.addoption(
        "--vm-no-fork",
        dest="vm_no_fork",
        action="store_true",
        default=None,
        help="boot each machine instead of letting it go on from the image's running state: slow,"
        " to find out whether a failure comes of that",
    )
    parser.addini("vm_no_fork", "the same as --vm-no-fork", type="bool", default=None)


def check_options(config: pytest.Config) -> None:
    """
    Read the options and ini values, and refuse wrong ones.

    Raises:
        pytest.UsageError: One is wrong; the message names it and the right ones.
    """
    given = {name: _given(config, name) for name in _OPTIONS}
    config.stash[_LIMITS] = Limits(
        most=_number(*given["max"], whole=True),
        memory_mb=_number(*given["memory-budget"], whole=True),
        timeout=_number(*given["timeout"], whole=False),
        artifacts=_folder(*given["artifacts"]),
        no_fork=switch(config, "no_fork"),
    )


def limits(config: pytest.Config) -> Limits:
    """Return what the options say."""
    return config.stash[_LIMITS]


def _given(config: pytest.Config, name: str) -> tuple[str | None, Path, str]:
    """Return a value, the folder that paths are meant from, and who gave it."""
    dest = f"vm_{name}".replace("-", "_")
    option, ini = config.getoption(dest), ini_value(config, dest)
    if option is not None:
        return str(option), config.invocation_params.dir, f"--vm-{name}={option}"
    told = table.told(config, dest.removeprefix("vm_"))
    if ini is None and told is not None:
        return str(told.value), told.folder, told.where
    folder = config.inipath.parent if config.inipath else config.rootpath
    return ini, folder, f"{config.inipath}: {dest} = {ini}"


def _number(value: str | None, _: Path, where: str, *, whole: bool) -> Any:
    if value is None:
        return None
    try:
        number = int(value) if whole else float(value)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        right = "a whole number above 0" if whole else "a number of seconds above 0"
        raise pytest.UsageError(f"{where}: right: {right}")
    return number


def _folder(value: str | None, folder: Path, where: str) -> Path | None:
    if value is None:
        return None
    path = folder / Path(value).expanduser()
    if not value or (path.exists() and not path.is_dir()):
        raise pytest.UsageError(f"{where}: right: the path of a folder, which is made if missing")
    return path

"""
Settings: the only place that reads the environment and configuration files.

Taken from, the later the stronger: the defaults below, the user's ``config.toml`` (`config_file`),
``[tool.vboxkit]`` in the nearest ``pyproject.toml``, environment variables ``VBOXKIT_<NAME>``,
arguments. ``vboxkit config show`` says where each value comes from.
"""

from __future__ import annotations

import difflib
import os
import sys
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from vboxkit.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Keep", "Origin", "Settings", "StartMode", "cache_dir", "config_file", "environment"]

#: How a machine is started; see `Machine.start`.
StartMode = Literal["auto", "headless", "gui", "driverless"]

#: Which disposable machines stay when their test is over.
Keep = Literal["never", "failed", "always"]

PREFIX = "VBOXKIT_"

#: How the table of a ``pyproject.toml`` is called, behind the file.
_TABLE = " [tool.vboxkit]"

#: The homes that have names, see `Settings.home`.
HOMES = ("isolated", "user")

#: What ``[tool.vboxkit]`` may have for the pytest plugin alone, which reads it there.
PLUGIN = ("artifacts", "max", "memory_budget", "no_fork", "report", "required", "timeout")

#: Variables that begin so and are no settings.
_OTHERS = {"CACHE_DIR", "DEBUG", "PARALLEL_STARTS", "SANDBOX"}


def environment() -> dict[str, str]:
    """Return a copy of this process's environment."""
    return dict(os.environ)


def set_environment(name: str, value: str) -> None:
    """Set a variable of this process, for libraries that read nothing else."""
    os.environ[name] = value


@lru_cache(maxsize=1)
def cache_dir() -> Path:
    """Return the folder for what can be made again: ``VBOXKIT_CACHE_DIR``, or the user's cache."""
    chosen = os.environ.get(PREFIX + "CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("vboxkit", appauthor=False))


def user_home() -> Path:
    """Return the user's own VirtualBox home, where VirtualBox itself looks for it."""
    chosen = os.environ.get("VBOX_USER_HOME")
    if chosen:
        return Path(chosen).absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "VirtualBox"
    old = Path.home() / ".VirtualBox"
    if sys.platform == "win32" or old.is_dir():
        return old
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "VirtualBox"


def home_of(name: str) -> Path | None:
    """Return the home that ``isolated`` or ``user`` stands for; `None` for any other text."""
    if name == "isolated":
        return cache_dir() / "home"
    return user_home() / "vboxkit" if name == "user" else None


def in_user_home(home: Path) -> bool:
    """Tell whether a lab's home is the one for the user's own VirtualBox, see `Settings.home`."""
    return home == user_home() / "vboxkit"


def parallel_starts() -> int | None:
    """
    Return how many machines may start at once: ``VBOXKIT_PARALLEL_STARTS``, or `None`.

    It is this host's, for all homes and processes: so it is no field of `Settings`.

    Raises:
        SettingsError: It is no number from 1.
    """
    chosen = os.environ.get(PREFIX + "PARALLEL_STARTS")
    if not chosen:
        return None
    if not chosen.isdecimal() or int(chosen) < 1:
        raise SettingsError(
            f"the environment: {PREFIX}PARALLEL_STARTS = {chosen!r} makes no sense",
            hint="a number of machines, 1 or more; unset it for one more than CPUs",
        )
    return int(chosen)


def config_file() -> Path:
    """Return the user's file of settings: ``~/.config/vboxkit/config.toml``; it may be missing."""
    import platformdirs

    return Path(platformdirs.user_config_dir("vboxkit", appauthor=False)) / "config.toml"


@dataclass(frozen=True)
class Origin:
    """
    Where a setting's value comes from.

    Attributes:
        name: The setting.
        value: Its value.
        source: ``the default``, a file, ``VBOXKIT_...`` or ``the arguments``.
    """

    name: str
    value: Any
    source: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    What can be set. All timeouts are in seconds.

    Example:
        >>> Settings.load(boot_timeout=60).boot_timeout
        60.0
    """

    #: The VirtualBox home for disposable machines, apart from the user's own: ``isolated`` (of
    #: vboxkit's own) or a folder. ``user`` is the user's own VirtualBox: what vboxkit keeps is
    #: then in the folder ``vboxkit`` of its home, and it touches no other machine there.
    home: Path = field(default_factory=lambda: cache_dir() / "home")
    #: The image of `lab.image()` and of the `vm` fixture.
    image: str = "tiny"
    #: How machines are started.
    start_mode: StartMode = "auto"
    #: Which disposable machines stay when their test is over.
    keep: Keep = "never"
    #: Whether changes are written into the audit log of the VirtualBox home; see `vboxkit audit`.
    audit: bool = True
    #: A machine's first answer after a cold start.
    boot_timeout: float = 180.0
    #: The process of a machine until the machine runs.
    start_timeout: float = 60.0
    #: A first SSH connection to a guest that is up.
    ssh_timeout: float = 60.0
    #: One command in the guest.
    command_timeout: float = 300.0
    #: The guest's clean shutdown.
    shutdown_timeout: float = 60.0
    #: A lock of a machine that somebody else holds.
    lock_timeout: float = 10.0
    #: A long operation of VirtualBox: import, clone, snapshot.
    progress_timeout: float = 3600.0
    #: The building of an image by another process.
    image_timeout: float = 900.0

    @classmethod
    def load(cls, *, folder: Path | None = None, **arguments: Any) -> Settings:
        """
        Collect the settings from all sources.

        Args:
            folder: Where to look for ``pyproject.toml``, upwards; the current folder if left out.
            **arguments: The strongest source; `None` means "not given".

        Raises:
            SettingsError: A name or value is wrong; the message names source and right ones.
        """
        return cls(**{name: one.value for name, one in cls._given(folder, arguments).items()})

    @classmethod
    def origins(cls, *, folder: Path | None = None, **arguments: Any) -> list[Origin]:
        """
        Return each setting with where its value comes from; arguments and errors as of `load`.

        Example:
            >>> [one.source for one in Settings.origins(keep="never") if one.name == "keep"]
            ['the arguments']
        """
        given = cls._given(folder, arguments)
        loaded = cls()
        return [
            given.get(f.name, Origin(f.name, getattr(loaded, f.name), "the default"))
            for f in fields(cls)
        ]

    @classmethod
    def _given(cls, folder: Path | None, arguments: Mapping[str, Any]) -> dict[str, Origin]:
        names = [f.name for f in fields(cls)]
        values: dict[str, Origin] = {}
        for source, given in (
            _user_file(),
            _pyproject(folder or Path.cwd()),
            ("the environment", _from_environment(names)),
            ("the arguments", {k: v for k, v in arguments.items() if v is not None}),
        ):
            known = [*names, *PLUGIN] if source.endswith(_TABLE) else names
            for name, value in given.items():
                if name not in known:
                    near = difflib.get_close_matches(name, known, n=1)
                    raise SettingsError(
                        f"{source}: there is no setting {name!r}",
                        hint=f"{near[0]!r}" if near else f"one of {', '.join(sorted(known))}",
                    )
                if name not in names:
                    continue  # the plugin's
                of = PREFIX + name.upper() if source == "the environment" else source
                values[name] = Origin(name, _converted(source, name, value), of)
        return values


def _converted(source: str, name: str, value: Any) -> Any:
    import msgspec

    kind = {
        "home": Path,
        "image": str,
        "start_mode": StartMode,
        "keep": Keep,
        "audit": bool,
    }.get(name, float)
    if kind is Path:
        return home_of(str(value)) or _folder(source, name, value)
    wanted: Any = Annotated[float, msgspec.Meta(ge=0)] if kind is float else kind
    allowed = ("true", "false") if kind is bool else getattr(kind, "__args__", ())
    try:
        # Not strict: environment variables are text.
        return msgspec.convert(value, wanted, strict=False)
    except msgspec.ValidationError as error:
        near = difflib.get_close_matches(str(value).lower(), allowed, n=1)
        other = "a text in quotes" if kind is str else "a number of seconds, 0 or more"
        right = f"one of {', '.join(allowed)}" if allowed else other
        raise SettingsError(
            f"{source}: {name} = {value!r}: {error}",
            hint=f"{near[0]!r}: {right}" if near else right,
        ) from error


def _folder(source: str, name: str, value: Any) -> Path:
    path = Path(value).expanduser().absolute()
    # A folder of such a name would be made without a word.
    near = difflib.get_close_matches(Path(value).name.lower(), HOMES, n=1, cutoff=0.75)
    if near and not path.exists():
        raise SettingsError(
            f"{source}: {name} = {str(value)!r}: there is no such folder",
            hint=f"{near[0]!r}? Right are 'isolated', 'user', and a folder (of such a name one"
            " that is there)",
        )
    return path


def _from_environment(names: Sequence[str]) -> Mapping[str, Any]:
    found = {}
    for variable, value in os.environ.items():
        name = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or name.upper() in _OTHERS:
            continue
        # Programs have variables of their own that begin so; a slip of the pen is told.
        if name in names or difflib.get_close_matches(name, names, n=1, cutoff=0.8):
            found[name] = value
    return found


def _user_file() -> tuple[str, Mapping[str, Any]]:
    path = config_file()
    return str(path), _paths(path.parent, _table(path)) if path.is_file() else {}


def plugin_table(folder: Path) -> tuple[str, Mapping[str, Any]]:
    """
    Return what the nearest ``pyproject.toml`` says to the pytest plugin alone, and where.

    Raises:
        SettingsError: The file cannot be read.
    """
    source, values = _pyproject(folder)
    return source, {name: value for name, value in values.items() if name in PLUGIN}


def _pyproject(folder: Path) -> tuple[str, Mapping[str, Any]]:
    for place in (folder, *folder.parents):
        path = place / "pyproject.toml"
        if path.is_file():
            tool = _table(path).get("tool")
            mine = tool.get("vboxkit", {}) if isinstance(tool, dict) else {}
            if not isinstance(mine, dict):
                raise SettingsError(
                    f"{path}: vboxkit = {mine!r} is no table",
                    hint='[tool.vboxkit], and below it lines as image = "tiny"',
                )
            return f"{path}{_TABLE}", _paths(place, mine)
    return "pyproject.toml", {}


def _table(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # the same library, for 3.10
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error


def _paths(place: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a file's values; paths are meant from where they are written."""
    values = {name.replace("-", "_"): value for name, value in table.items()}
    for name in ("home", "image"):
        text = values.get(name)
        is_path = name == "home" or str(text).lower().endswith((".ova", ".ovf"))
        if isinstance(text, str) and is_path and text not in HOMES:
            values[name] = str(place / Path(text).expanduser())
    return values

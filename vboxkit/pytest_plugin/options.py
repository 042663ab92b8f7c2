"""The plugin's options and ini values: what there is, what is right, which one wins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from vboxkit.pytest_plugin import table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "add_options",
    "check_image",
    "check_options",
    "check_settings",
    "ini_value",
    "required",
    "settings_arguments",
    "switch",
]

_APPLIANCES = (".ova", ".ovf")
_NAMES = ("tiny", "debian")
_HOMES = ("isolated", "user")  # as in the settings, which are not loaded yet
_SWITCHES = ("vm_required", "vm_no_fork")


class _Choice(NamedTuple):
    """A value that was given and is right."""

    value: Any
    by_option: bool


_CHOSEN = pytest.StashKey[dict[str, _Choice]]()
_REQUIRED = pytest.StashKey[bool]()


def add_options(parser: pytest.Parser) -> None:
    """Declare the options; each has an ini value of the same name (with ``_`` for ``-``)."""
    group = parser.getgroup("vboxkit", "vboxkit: disposable virtual machines")
    for name, metavar, text in (
        (
            "keep",
            "never|failed|always",
            (
                "which tests' machines stay and go on running when the test is over (default:"
                " never); the summary says how to get in, `vboxkit gc --kept` removes them"
            ),
        ),
        (
            "image",
            "NAME_OR_OVA",
            (
                "what machines are forks of: 'tiny', the built-in guest (default), 'debian', a"
                " stock Debian that is made when it is first wanted, the path of an .ova or .ovf"
                " file, or the name of an image that was built (`vboxkit images ls`): the last one"
                " of that name"
            ),
        ),
        (
            "home",
            "isolated|user|DIR",
            (
                "the VirtualBox home of the tests' machines and images: 'isolated' (default), one"
                " of vboxkit's own in the user's cache folder, whose tests neither see nor touch"
                " the user's machines; 'user', the user's own VirtualBox, in which only what"
                " vboxkit made is ever removed; or a folder (./NAME for one that is to be made)"
            ),
        ),
    ):
        group.addoption(f"--vm-{name}", dest=f"vm_{name}", metavar=metavar, default=None, help=text)
        parser.addini(f"vm_{name}", f"{metavar}: the same as --vm-{name}", default=None)
    group.addoption(
        "--vm-required",
        dest="vm_required",
        action="store_true",
        default=None,
        help="where there is no VirtualBox, tests that need machines fail instead of being skipped",
    )
    parser.addini("vm_required", "the same as --vm-required", type="bool", default=None)


def check_options(config: pytest.Config) -> None:
    """
    Read the options and ini values, and refuse wrong ones.

    Raises:
        pytest.UsageError: One is wrong; the message names it and the right ones.
    """
    chosen = config.stash[_CHOSEN] = {}
    ini_folder = config.inipath.parent if config.inipath else config.rootpath
    for name, check in _CHECKS.items():
        option, ini = config.getoption(f"vm_{name}"), ini_value(config, f"vm_{name}")
        if option is not None:
            value = check(config, option, config.invocation_params.dir, f"--vm-{name}={option}")
            chosen[name] = _Choice(value, by_option=True)
        elif ini is not None:
            value = check(config, ini, ini_folder, f"{config.inipath}: vm_{name} = {ini}")
            chosen[name] = _Choice(value, by_option=False)
    config.stash[_REQUIRED] = switch(config, "required")


def check_settings(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """
    Check the settings of all sources, if a test that was collected is to have machines.

    Raises:
        pytest.UsageError: ``[tool.vboxkit]``, the user's file or a variable has a wrong name or
            value; the message names it and the right ones.
    """
    of_machines = [it for it in items if "vm_settings" in getattr(it, "fixturenames", ())]
    if not of_machines:
        return
    from vboxkit.errors import SettingsError
    from vboxkit.settings import Settings

    try:
        given = Settings.origins(folder=config.rootpath, **settings_arguments(config))
    except SettingsError as error:
        raise table.usage_error(error) from error
    (image,) = (one for one in given if one.name == "image")
    if image.source not in {"the default", "the arguments"} and not _overridden(of_machines):
        where = f"{image.source}: image = {image.value}"
        check_image(config, image.value, config.invocation_params.dir, where)


def _overridden(items: Sequence[pytest.Item]) -> bool:
    """Tell whether a conftest gives settings of its own: of another home, say, with its images."""
    for item in items:
        known = getattr(item, "_fixtureinfo", None)
        if known is not None and len(known.name2fixturedefs.get("vm_settings", ())) > 1:
            return True
    return False


def settings_arguments(config: pytest.Config) -> dict[str, Any]:
    """
    Return what to give `Settings.load`.

    An option is stronger than the environment (``VBOXKIT_KEEP`` and so on), an ini value is not:
    like the table ``[tool.vboxkit]`` it is written for everybody who runs the tests.
    """
    from vboxkit.settings import PREFIX, environment

    there = environment()
    return {
        name: choice.value
        for name, choice in config.stash[_CHOSEN].items()
        if choice.by_option or PREFIX + name.upper() not in there
    }


def required(config: pytest.Config) -> bool:
    """Tell whether a missing VirtualBox is a failure."""
    return config.stash[_REQUIRED]


def ini_value(config: pytest.Config, name: str) -> Any:
    """
    Return an ini value, `None` if there is none.

    Raises:
        pytest.UsageError: It is of another type.
    """
    try:
        return config.getini(name)
    except (ValueError, TypeError, pytest.UsageError) as error:
        raise pytest.UsageError(
            f"{config.inipath}: {name}: {error}; right: true or false"
            if name in _SWITCHES
            else f"{config.inipath}: {name}: {error}"
        ) from error


def switch(config: pytest.Config, name: str) -> bool:
    """
    Return what an option without a value says, by its name without ``--vm-``.

    Raises:
        pytest.UsageError: An ini value or ``[tool.vboxkit]`` has something else than true or false.
    """
    told = table.told(config, name)
    if told is not None and not isinstance(told.value, bool):
        raise pytest.UsageError(f"{told.where}; right: true or false")
    for given in (config.getoption(f"vm_{name}"), ini_value(config, f"vm_{name}")):
        if given is not None:
            return bool(given)
    return bool(told is not None and told.value)


def check_image(config: pytest.Config, value: str, folder: Path, where: str) -> str:
    """
    Return the name of an image, or the absolute path of an appliance.

    Args:
        config: The run's; it knows the home, whose images may be named.
        value: What was given.
        folder: Where relative paths start.
        where: Who gave it, for the message.

    Raises:
        pytest.UsageError: It is neither.
    """
    if value in _NAMES:
        return value
    names = ", ".join(map(repr, _NAMES))
    right = f"{names}, or the path of an {' or '.join(_APPLIANCES)} file"
    path = folder / Path(value).expanduser()
    if path.suffix.lower() not in _APPLIANCES:
        built = _built(config)
        if value in built:
            return value
        also = f"; built were {', '.join(map(repr, built))}" if built else ""
        raise pytest.UsageError(f"{where}: there is no image {value!r}; right: {right}{also}")
    if not path.is_file():
        raise pytest.UsageError(f"{where}: there is no file {path}; right: {right}")
    return str(path)


def _built(config: pytest.Config) -> list[str]:
    """Return the names of the images that were built; nothing of VirtualBox is loaded for it."""
    from vboxkit.errors import SettingsError
    from vboxkit.lab.catalogue import named_images
    from vboxkit.lab.places import Places
    from vboxkit.settings import Settings

    try:
        home = Settings.load(folder=config.rootpath, **settings_arguments(config)).home
    except SettingsError:
        return []  # whoever uses the settings is told
    known = {image.name for image, _ in named_images(Places(home))}
    return sorted(known.difference(_NAMES))


def _check_keep(_config: pytest.Config, value: str, _: Path, where: str) -> str:
    from typing import get_args

    from vboxkit.settings import Keep

    if value not in get_args(Keep):
        raise pytest.UsageError(f"{where}: right: {', '.join(get_args(Keep))}")
    return value


def _check_home(_config: pytest.Config, value: str, folder: Path, where: str) -> str:
    if value in _HOMES:
        return value
    right = f"{', '.join(map(repr, _HOMES))}, or the path of a folder, which is made if missing"
    if not value:
        raise pytest.UsageError(f"{where}: right: {right}")
    path = folder / Path(value).expanduser()
    if path.exists() and not path.is_dir():
        raise pytest.UsageError(f"{where}: {path} is a file; right: {right}")
    if Path(value).name == value and not path.exists() and value not in {".", ".."}:
        # A slip of the pen would make a folder, without a word.
        raise pytest.UsageError(
            f"{where}: there is no home {value!r}; right: {right} (then as ./{value})"
        )
    return str(path)


#: The home before the image, whose name is looked for there.
_CHECKS: dict[str, Callable[[pytest.Config, str, Path, str], str]] = {
    "keep": _check_keep,
    "home": _check_home,
    "image": check_image,
}

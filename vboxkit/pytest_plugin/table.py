"""What ``[tool.vboxkit]`` says to the plugin alone, as ``max`` for ``--vm-max``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit.errors import SettingsError

__all__ = ["Told", "load", "told", "usage_error"]

#: A line that may be of the table: without one, nothing needs to be loaded to read it.
_LINE = re.compile(r"^\W*(?:tool\W+)?vboxkit\b", re.MULTILINE)


class Told(NamedTuple):
    """A value of the table, the folder that its paths are meant from, and who says so."""

    value: Any
    folder: Path
    where: str


_TOLD = pytest.StashKey[dict[str, Told]]()


def load(config: pytest.Config) -> None:
    """
    Read the table of the ``pyproject.toml`` that is nearest to the root folder, if there is one.

    Raises:
        pytest.UsageError: The file cannot be read.
    """
    found = config.stash[_TOLD] = {}
    root = config.rootpath
    paths = (place / "pyproject.toml" for place in (root, *root.parents))
    path = next((it for it in paths if it.is_file()), None)
    if path is None or not _LINE.search(path.read_bytes().decode("utf-8", errors="replace")):
        return
    from vboxkit.errors import SettingsError
    from vboxkit.settings import plugin_table

    try:
        source, values = plugin_table(root)
    except SettingsError as error:
        raise usage_error(error) from error
    for name, value in values.items():
        found[name] = Told(value, path.parent, f"{source}: {name} = {value}")


def told(config: pytest.Config, name: str) -> Told | None:
    """Return what the table says of an option, by its name without ``vm_``."""
    return config.stash[_TOLD].get(name)


def usage_error(error: SettingsError) -> pytest.UsageError:
    """Return what is wrong with a setting as pytest's own kind of error."""
    right = f"; right: {error.hint}" if error.hint else ""
    return pytest.UsageError(f"{error.message}{right}")

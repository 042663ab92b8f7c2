"""Files that vboxkit ships: in a wheel below the package, in a checkout below ``fixtures``."""

from __future__ import annotations

from pathlib import Path

from vboxkit.errors import SetupError

__all__ = ["resource"]


def resource(name: str) -> Path:
    """
    Return a file or folder that vboxkit ships.

    Args:
        name: The path below ``fixtures``, with slashes.

    Raises:
        SetupError: It is not there; the message names both places looked at.

    Example:
        >>> resource("sandbox/packages.txt").name
        'packages.txt'
    """
    # In a sandbox the package of a checkout is reached by a symbolic link: the fixtures are
    # beside the real folder.
    package = Path(__file__).resolve().parents[1]
    places = (package / "data" / name, package.parent / "fixtures" / name)
    for place in places:
        if place.exists():
            return place
    raise SetupError(
        f"vboxkit's own file {name!r} is missing: looked for {places[0]} and {places[1]}",
        hint="python -m pip install --force-reinstall vboxkit",
    )

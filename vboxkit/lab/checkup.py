"""What the home for disposable machines looks like, without VirtualBox. Changes nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vboxkit.errors import SettingsError
from vboxkit.host import remedies
from vboxkit.host.doctor import room
from vboxkit.host.findings import Finding, Host
from vboxkit.host.running import running_machines
from vboxkit.lab import leases
from vboxkit.lab.places import Places
from vboxkit.settings import Settings, cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["examine_home"]

#: Names that a finding shows; the others are counted.
_SHOWN = 3


def examine_home(home: Path | str | None = None) -> Iterator[Finding]:
    """
    Look at the settings, the home that they name, and what dead processes left in it.

    Args:
        home: A VirtualBox home; that of the settings if left out.

    Example:
        >>> [f.name for f in examine_home()]                                # doctest: +SKIP
        ['settings', 'leftovers']
    """
    try:
        settings = Settings.load(home=None if home is None else str(home))
    except SettingsError as error:
        right = f"there: {error.hint}; then " if error.hint else ""
        yield Finding("settings", "problem", error.message, f"{right}vboxkit config show")
        return
    yield Finding("settings", "ok", f"home {settings.home}")
    yield from _rights(settings.home)
    places = Places(settings.home)
    left = [lease.name for lease in leases.all_leases(places.leases) if lease.abandoned]
    if left:
        yield Finding(
            "leftovers", "warning", f"of processes that died: {_names(left)}", "vboxkit gc"
        )
    # Machines that run out of a folder that was removed below them.
    lost = [one for one in running_machines() if one.home is not None and not one.home.exists()]
    if lost:
        yield Finding(
            "leftovers",
            "warning",
            f"machines that run though their home is gone: {_names([one.name for one in lost])}",
            remedies.end(Host(), [one.pid for one in lost]),
        )
    if not left and not lost:
        kept = sum(lease.keep for lease in leases.all_leases(places.leases))
        yield Finding("leftovers", "ok", f"none; {kept} kept on purpose" if kept else "none")


def _rights(home: Path) -> Iterator[Finding]:
    """Look whether a home can be written to, or made, and at its disk if it has one of its own."""
    place = next((path for path in (home, *home.parents) if path.exists()), home)
    is_folder = place.is_dir()
    if is_folder and os.access(place, os.W_OK | os.X_OK):
        cache = cache_dir()
        near = next(path for path in (cache, *cache.parents) if path.exists())
        if place.stat().st_dev != near.stat().st_dev:  # examine() has looked at that of the cache
            yield room(Host(), home, variable="VBOXKIT_HOME")
        return
    host = Host()
    why = f"cannot be written to by {host.user}" if is_folder else "is no folder"
    mended = f"{remedies.set_variable(host, 'VBOXKIT_HOME', 'FOLDER')}, with one of your own"
    yield Finding("home", "problem", f"{home}: {place} {why}", mended)


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    more = len(names) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown

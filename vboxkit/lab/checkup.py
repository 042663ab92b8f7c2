"""What the home for disposable machines looks like, without VirtualBox. Changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.errors import SettingsError
from vboxkit.host.findings import Finding
from vboxkit.host.running import running_machines
from vboxkit.lab import leases
from vboxkit.lab.places import Places
from vboxkit.settings import Settings

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
        yield Finding("settings", "problem", error.message, error.hint)
        return
    yield Finding("settings", "ok", f"home {settings.home}")
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
            f"kill {' '.join(str(one.pid) for one in lost)}",
        )
    if not left and not lost:
        kept = sum(lease.keep for lease in leases.all_leases(places.leases))
        yield Finding("leftovers", "ok", f"none; {kept} kept on purpose" if kept else "none")


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    more = len(names) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown

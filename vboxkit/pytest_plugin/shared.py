"""Machines that several tests share, put back between them where that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit.pytest_plugin import markers, report

if TYPE_CHECKING:
    from vboxkit.lab.vm import VM

__all__ = ["SHARED", "machines_of", "rewind"]

#: The fixtures that give a machine to several tests.
SHARED = tuple(markers.OWNERS)

#: The machines that a test has had already.
_USED = pytest.StashKey[set[str]]()


def machines_of(item: pytest.Item) -> list[VM]:
    """Return the machines that a test has: its own, and those it shares with others."""
    found: list[VM] = []
    for node in item.listchain():
        if report.VMS in node.stash:
            made: list[VM] = node.stash[report.VMS]
            found += made
    given = getattr(item, "funcargs", {})
    mine = {vm.id for name in SHARED if (vm := given.get(name)) is not None}
    mine |= {vm.id for vm in item.stash.get(report.VMS, [])}
    for name, kind in markers.OWNERS.items():
        # A fixture that failed itself gave none, and may have made one.
        if name in getattr(item, "fixturenames", ()) and name not in given:
            owner = item.getparent(kind)
            mine |= {vm.id for vm in owner.stash.get(report.VMS, [])} if owner else set()
    return [vm for vm in found if vm.id in mine]


def rewind(item: pytest.Item) -> None:
    """Put the shared machines of a test back to their image's state, if its marker says so."""
    given = getattr(item, "funcargs", {})
    if not markers.wanted(item).rewind:
        _note(item, given)
        return
    for name in SHARED:
        vm: VM | None = given.get(name)
        if vm is not None and vm.id in item.session.stash.setdefault(_USED, set()):
            vm.rewind()
    _note(item, given)


def _note(item: pytest.Item, given: dict[str, VM]) -> None:
    used = item.session.stash.setdefault(_USED, set())
    used |= {given[name].id for name in SHARED if given.get(name) is not None}

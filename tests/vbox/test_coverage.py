"""The page that says what of VirtualBox's API vboxkit has speaks of the running API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docs import coverage
from tests.vbox.test_interfaces import told_by_xpcom

if TYPE_CHECKING:
    from vboxkit import VirtualBox

pytestmark = pytest.mark.vbox


def test_what_the_page_names_is_what_there_is(vbox: VirtualBox) -> None:
    """The running VirtualBox has each interface that the page names, with these members."""
    version, interfaces = coverage.read_types()
    if ".".join(map(str, vbox.version)) != version:
        pytest.skip(f"the page is of VirtualBox {version}")
    different = {}
    for name, interface in interfaces.items():
        there = set(told_by_xpcom(name)[1]) - {coverage.EMPTY}
        if there != set(interface.members):
            different[name] = there ^ set(interface.members)
    assert different == {}

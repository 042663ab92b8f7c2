"""What VirtualBox must not see is refused before it is handed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.ovf.builder import MIB, item, put, sata, simple
from tests.ovf.repairable import DISK, with_disk, with_items, with_os
from vboxkit.errors import OvfError
from vboxkit.ovf import inspect
from vboxkit.ovf.screening import screen

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "text",
    [
        with_items(units="%s%s%s%n"),
        with_items(controller=sata(subtype="%s%s")),
        simple(href="%s%s.vmdk"),
        with_os('ovf:id="96"', "<vbox:OSType>%n</vbox:OSType>"),
        with_disk(f'ovf:capacity="{8 * MIB}" ovf:format="%s"'),
    ],
)
def test_a_format_is_refused(tmp_path: Path, text: str) -> None:
    """VirtualBox's server dies of ``%s`` in texts that it quotes."""
    path = put(tmp_path, {"a.ovf": text.encode(), "disk.vmdk": DISK})
    with pytest.raises(OvfError, match="for a format") as caught:
        screen(inspect(path))
    assert "line" in caught.value.element


def test_what_is_right_passes_the_screen(tmp_path: Path) -> None:
    """A percent sign in a name for people does no harm."""
    text = with_items(more=item(24, 20, ElementName="100 %", more='ovf:required="false"'))
    screen(inspect(put(tmp_path, {"a.ovf": text.encode(), "disk.vmdk": DISK})))

"""The examples of ``docs/machines.md`` whose machine runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.doc_blocks import Block, blocks, prepare, run

if TYPE_CHECKING:
    from vboxkit import VM, VirtualBox

pytestmark = pytest.mark.vm

PAGE = Path(__file__).parents[2] / "docs" / "machines.md"
#: None where only the tests are, as for the wheel.
BLOCKS = [block for block in blocks(PAGE) if block.runs] if PAGE.exists() else []


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_an_example_prints_what_the_page_says(
    vbox: VirtualBox, vm: VM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: Block
) -> None:
    """No error, and the same output."""
    monkeypatch.chdir(tmp_path)
    prepare()
    assert block.difference(run(block, vbox, vm)) == ""

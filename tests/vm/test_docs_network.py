"""The examples of ``docs/network.md`` run, and print what the page says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.doc_blocks import Block, blocks, difference_in_lab

if TYPE_CHECKING:
    from vboxkit import Lab

pytestmark = pytest.mark.vm

PAGE = Path(__file__).parents[2] / "docs" / "network.md"
#: None where only the tests are, as for the wheel.
BLOCKS = blocks(PAGE) if PAGE.exists() else []


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_an_example_prints_what_the_page_says(
    vm_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: Block
) -> None:
    """No error, the same output, and no machine that stays."""
    monkeypatch.chdir(tmp_path)
    assert difference_in_lab(block, vm_lab) == ""


def test_every_example_was_found() -> None:
    """Each block of Python of the page is one of them, and has its output."""
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("```python\n") == text.count("```text\n") == len(BLOCKS) >= 6

"""The examples of ``docs/network.md`` run, and print what the page says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.doc_blocks import Block, blocks, prepare, run

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
    before = set(vm_lab._forks)  # not `vms()`, which has those of other processes
    monkeypatch.chdir(tmp_path)
    prepare()
    assert block.difference(run(block, vm_lab.vbox, lab=vm_lab)) == ""
    assert [vm for key, vm in vm_lab._forks.items() if key not in before and not vm.gone] == []


def test_every_example_was_found() -> None:
    """Each block of Python of the page is one of them, and has its output."""
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("```python\n") == text.count("```text\n") == len(BLOCKS) >= 6

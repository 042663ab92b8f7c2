"""The examples of ``docs/faults.md`` run, and print what the page says; its tests pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.doc_blocks import Block, blocks, run
from vboxkit import settings

if TYPE_CHECKING:
    from vboxkit import VM, Lab

pytestmark = pytest.mark.vm

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
#: None where only the tests are, as for the wheel.
BLOCKS = blocks(PAGE) if PAGE.exists() else []


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.text], ids=lambda block: block.name
)
def test_an_example_prints_what_the_page_says(vm_lab: Lab, vm: VM, block: Block) -> None:
    """No error, the same output, and no machine that stays."""
    before = set(vm_lab._forks)
    assert block.difference(run(block, vm_lab.vbox, lab=vm_lab, vm=vm)) == ""
    assert [it for key, it in vm_lab._forks.items() if key not in before and not it.gone] == []


def test_the_tests_of_the_page_pass(vm_lab: Lab, tmp_path: Path) -> None:
    """By the real plugin, in a process of its own."""
    (block,) = (block for block in BLOCKS if not block.text)
    (tmp_path / "test_page.py").write_text(block.code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--vm-required"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        cwd=tmp_path,
        env={**settings.environment(), "VBOXKIT_HOME": str(vm_lab.settings.home)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_every_example_was_found() -> None:
    """Each block of Python of the page is one of them, and all but one have their output."""
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("```python\n") == len(BLOCKS) == text.count("```text\n") + 1 >= 8

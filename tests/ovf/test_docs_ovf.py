"""The examples of docs/ovf.md print what stands below them."""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.doc_blocks import Block, blocks
from vboxkit.core.resources import resource

_BLOCKS = blocks(Path(__file__).parents[2] / "docs" / "ovf.md")


@pytest.mark.parametrize("block", _BLOCKS, ids=lambda block: block.name)
def test_an_example_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs as it stands."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(resource("tiny/tiny.ova"), tmp_path)
    names: dict[str, Any] = {"Path": Path}
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(block.code, block.name, "exec"), names)  # noqa: S102 - what a page shows
    assert block.difference(out.getvalue()) == ""


def test_all_examples_are_found() -> None:
    """Each block of Python is one of these, and prints something."""
    text = (Path(__file__).parents[2] / "docs" / "ovf.md").read_text(encoding="utf-8")
    assert len(_BLOCKS) == text.count("```python") == text.count("```text")

"""The examples of ``docs/machines.md`` run, and print what the page says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doc_blocks import blocks
from vboxkit import settings
from vboxkit.com.xpcom import isolation
from vboxkit.core import processes

pytestmark = pytest.mark.vbox

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "machines.md"
BLOCKS = [block for block in blocks(PAGE) if not block.runs]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, list[str]]]:
    """Run them all in one process with a home of its own, as a user would: its names are free."""
    home = tmp_path_factory.mktemp("docs")
    mine = isolation(home)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.doc_blocks", str(PAGE), str(home)],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            timeout=250,
            env={**settings.environment(), **mine},
        )
    finally:
        for server, _ in processes.find(argument="--auto-shutdown", environment=mine):
            processes.kill(server)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {}
    for line in done.stdout.splitlines():
        name, failed, left = json.loads(line)
        found[name] = (failed, left)
    return found


@pytest.mark.parametrize("name", [block.name for block in BLOCKS])
def test_an_example_prints_what_the_page_says(
    results: dict[str, tuple[str, list[str]]], name: str
) -> None:
    """No error, the same output, and nothing that stays when its machines are destroyed."""
    failed, left = results[name]
    assert failed == ""
    assert left == []


def test_every_example_was_found() -> None:
    """Each block of Python of the page is one of them."""
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("```python\n") == len(blocks(PAGE)) > 20
    assert text.count("```text\n") == sum(bool(block.text) for block in blocks(PAGE))

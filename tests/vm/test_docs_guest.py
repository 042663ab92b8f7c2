"""The examples of ``docs/guest.md`` and ``docs/lab.md`` run, and print what the pages say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.doc_blocks import Block, blocks, difference_in_lab, prepare, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit import VM, Image, Lab, VirtualBox

pytestmark = pytest.mark.vm

DOCS = Path(__file__).parents[2] / "docs"
#: None where only the tests are, as for the wheel.
GUEST, LAB = (blocks(DOCS / name) if DOCS.exists() else [] for name in ("guest.md", "lab.md"))


@pytest.fixture(scope="module")
def shared(vm_lab: Lab, vm_image: Image) -> Iterator[VM]:
    """Make one fork for all of a page: no example spoils it for the next."""
    with vm_lab.fork(vm_image) as vm:
        yield vm


@pytest.mark.parametrize("block", GUEST, ids=lambda block: block.name)
def test_an_example_of_a_guest_prints_what_the_page_says(
    vbox: VirtualBox, shared: VM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: Block
) -> None:
    """No error, and the same output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    prepare()
    assert block.difference(run(block, vbox, vm=shared)) == ""


@pytest.mark.parametrize("block", LAB, ids=lambda block: block.name)
def test_an_example_of_the_lab_prints_what_the_page_says(
    vm_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: Block
) -> None:
    """No error, the same output, and no machine or image that stays."""
    monkeypatch.chdir(tmp_path)
    assert difference_in_lab(block, vm_lab) == ""
    assert "docs-web" not in [image.name for image in vm_lab.images()]


@pytest.mark.parametrize(("name", "count"), [("guest.md", 15), ("lab.md", 7)])
def test_every_example_was_found(name: str, count: int) -> None:
    """Each block of Python of a page is one of them."""
    text = (DOCS / name).read_text(encoding="utf-8")
    found = blocks(DOCS / name)
    assert text.count("```python\n") == len(found) > count
    assert text.count("```text\n") == sum(bool(block.text) for block in found)

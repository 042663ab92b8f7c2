"""
The examples of a page, each with what it prints.

    python -m tests.doc_blocks PAGE HOME

runs those for machines at rest, in a VirtualBox home of their own, and prints a line of JSON for
each.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import os
import re
import shutil
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vboxkit
from tests.vbox.disks import forget, iso
from vboxkit.core import resources

if TYPE_CHECKING:
    from vboxkit import Lab, Machine, VirtualBox

__all__ = ["Block", "blocks", "difference_in_lab", "prepare", "run"]

RUNS = "<!-- web runs -->"
_BLOCK = re.compile(
    rf"^## (?P<title>[^\n]+)$"
    rf"|(?P<runs>^{RUNS}\n)?^```python\n(?P<code>.*?)^```$"
    rf"(?:\n\n^```text\n(?P<text>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
#: A PNG of one pixel.
_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
)


@dataclass(frozen=True)
class Block:
    """An example: where it stands, its code, what it prints, and whether its machine runs."""

    name: str
    code: str
    text: str
    runs: bool

    def difference(self, printed: str) -> str:
        """Say what is printed that should not be; empty if nothing."""
        # A line of dots stands for any number of lines, also for none.
        text = self.text.replace("\n...\n", "\n...")
        flags = doctest.ELLIPSIS
        checker = doctest.OutputChecker()
        if checker.check_output(text, printed, flags):
            return ""
        return checker.output_difference(doctest.Example(self.code, text), printed, flags)


def blocks(page: Path) -> list[Block]:
    """Return the examples of a page, in order."""
    found, title, number = [], "", 0
    for match in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        if match["title"]:
            title, number = match["title"], 0
            continue
        number += 1
        found.append(
            Block(f"{title} {number}", match["code"], match["text"] or "", bool(match["runs"]))
        )
    return found


def prepare() -> None:
    """Put into the working folder what examples use."""
    iso(Path("debian.iso"))
    for name in ("tiny.ova", "box.ova"):
        shutil.copy(resources.resource("tiny/tiny.ova"), name)
    shutil.copy(resources.resource("tiny/insecure_key"), "key")
    Path("icon.png").write_bytes(_PNG)
    for name in ("src", "out", "elsewhere", "site"):
        Path(name).mkdir()
    Path("site/index.html").write_text("hello from the image\n")
    Path("setup.sh").write_text("#!/bin/sh\necho set up\n")


def run(block: Block, vbox: VirtualBox, web: Machine | None = None, **more: object) -> str:
    """Run an example in the working folder; return what it prints."""
    names: dict[str, Any] = {"vboxkit": vboxkit, "vbox": vbox, "web": web, "Path": Path, **more}
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(block.code, block.name, "exec"), names)  # noqa: S102 - what a page shows
    return out.getvalue()


def difference_in_lab(block: Block, lab: Lab) -> str:
    """Run an example of a lab in the working folder; see `Block.difference`. No machine stays."""
    before = set(lab._forks)  # not `vms()`, which has those of other processes
    prepare()
    different = block.difference(run(block, lab.vbox, lab=lab))
    assert [vm for key, vm in lab._forks.items() if key not in before and not vm.gone] == []
    return different


def _clean(vbox: VirtualBox) -> None:
    for _ in range(5):
        for machine in vbox.machines:
            if not machine.linked_clones():
                machine.destroy()
    forget(vbox, Path.cwd())
    for network in vbox.networks.nat:
        network.delete()
    vbox.extra_data.clear()


def main(page: Path, home: Path) -> None:
    """Run the examples for machines at rest."""
    vbox = vboxkit.connect()
    folder = home / "machines"
    vbox.com.systemProperties.defaultMachineFolder = str(folder)
    for number, block in enumerate(blocks(page)):
        if block.runs:
            continue
        work = home / f"work{number}"
        work.mkdir()
        os.chdir(work)
        prepare()
        web = vbox.create("web", os_type="Debian_64", memory_mb=512, cpus=1, disk_mb=1000)
        failed = ""
        try:
            failed = block.difference(run(block, vbox, web))
        except Exception:
            failed = traceback.format_exc()
        _clean(vbox)
        left = [str(path) for path in folder.rglob("*")]
        print(json.dumps([block.name, failed, left]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute())

"""Long verbs know how many bytes they move, by which a terminal shows their speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit.cli import output
from vboxkit.cli.__main__ import main
from vboxkit.core.steps import subscribe
from vboxkit.ovf import inspect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vboxkit import Machine, VirtualBox
    from vboxkit.core.steps import Step

pytestmark = pytest.mark.vbox


@pytest.fixture
def moved(
    vbox: VirtualBox, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., dict[str, int | None]]]:
    """Return what runs the command, and tells what each of its steps moves."""
    output._console.cache_clear()

    def run(*words: object) -> dict[str, int | None]:
        seen: list[Step] = []
        with subscribe(seen.append):
            assert main(["--home", str(vbox.home), *map(str, words)]) == 0, capsys.readouterr().err
        return {step.title: step.moves for step in seen if step.percent == 100}

    yield run
    output._console.cache_clear()


def test_bytes_of_an_import(
    moved: Callable[..., dict[str, int | None]], ova: Path, label: Callable[[str], str]
) -> None:
    """Those of the package; reading its descriptor moves none."""
    found = moved("import", ova, "--name", label("moved"))
    sizes = {title.rpartition(": ")[2]: size for title, size in found.items()}
    assert sizes["import"] == inspect(ova).bytes
    assert sizes["read"] is None


def test_bytes_of_clones_and_exports(
    moved: Callable[..., dict[str, int | None]], machine: Machine, tmp_path: Path
) -> None:
    """Those of the disks, as much as they take of this host's; a linked clone moves none."""
    taken = sum(disk.size_on_disk_bytes for disk in machine.storage.disks)
    assert taken > 1 << 20
    assert taken in moved("clone", machine.name, f"{machine.name}-full").values()
    assert taken in moved("export", machine.name, "-o", tmp_path / "x.ova").values()
    machine.snapshots.take("fresh")
    words = ("clone", machine.name, f"{machine.name}-linked", "--linked", "--snapshot", "fresh")
    assert set(moved(*words).values()) == {None}

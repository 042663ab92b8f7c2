"""``vboxkit cp`` with a real guest."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from vboxkit.settings import environment

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit import VM, Lab

pytestmark = pytest.mark.vm


def test_files_and_folders_both_ways(vm_lab: Lab, vm: VM, tmp_path: Path) -> None:
    """Files go to names and into folders, folders with -r; what is refused is said in one line."""

    def cp(*words: object) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "vboxkit", "cp", *map(str, words)],
            env=environment() | {"VBOXKIT_HOME": str(vm_lab.places.home)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.stdout == ""
        return done.returncode, done.stderr

    there = vm.name
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/e/f").write_text("f")
    (tmp_path / "out").mkdir()
    assert cp(tmp_path / "d/e/f", f"{there}:/data/g") == (0, "")
    assert cp(tmp_path / "d/e/f", f"{there}:/data") == (0, "")
    assert cp("-r", tmp_path / "d", f"{there}:/data") == (0, "")
    found = [path.removeprefix("/data/") for path in vm.ssh.glob("/data/**")]
    assert found == ["d", "d/e", "d/e/f", "f", "g"]
    assert cp(f"{there}:/data/g", tmp_path / "out") == (0, "")
    assert cp("-r", f"{there}:/data/d", tmp_path / "new") == (0, "")
    assert (tmp_path / "out/g").read_text() == "f"
    assert (tmp_path / "new/e/f").read_text() == "f"
    code, said = cp(f"{there}:/data/d", tmp_path / "x")
    assert code == 1
    assert "folder" in said
    assert "Traceback" not in said

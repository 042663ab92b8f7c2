"""The examples run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vboxkit import settings

pytestmark = pytest.mark.vm

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path: Path, tmp_path: Path) -> None:
    """Each example ends well and prints something, with no warning but that of emulation."""
    command = [sys.executable, "-W", "ignore", str(path)]
    if path.name.startswith("test_"):
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--vm-required",
            str(path),
        ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        cwd=tmp_path,
        env=settings.environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout

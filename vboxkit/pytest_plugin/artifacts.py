"""What the machines of a failed test leave behind: files in a folder of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from vboxkit.pytest_plugin.limits import limits

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit.lab.vm import VM

__all__ = ["TEMPORARY", "folder_of", "save", "screenshot"]

#: Makes folders for what is looked at after the run; pytest removes those of older runs.
TEMPORARY = pytest.StashKey[pytest.TempPathFactory]()

#: Bytes that a name may have on the usual file systems.
_LONGEST = 200


def folder_of(config: pytest.Config, nodeid: str) -> Path | None:
    """Return the folder for a test's files, or `None` if they are not wanted."""
    base = limits(config).artifacts
    return None if base is None else base / _name(nodeid)


def save(item: pytest.Item, vms: list[VM]) -> list[str]:
    """
    Write the evidence of a test's machines.

    Returns:
        The files, a line each; what could not be written is said instead.
    """
    base = folder_of(item.config, item.nodeid)
    if base is None:
        return []
    lines = []
    for vm in vms:
        try:
            files = vm.save_evidence(base / vm.name)
        except Exception as error:  # whatever is wrong, the test's own failure is what counts
            lines.append(f"{vm.name}: not saved: {type(error).__name__}: {error}")
        else:
            lines += [str(path) for path in files]
    return lines


def screenshot(item: pytest.Item, vm: VM, files: list[str]) -> str:
    """
    Return the path of a picture of a machine's screen, or why there is none.

    Args:
        item: The test.
        vm: The machine.
        files: What was saved; without a picture there, one is made in pytest's temporary folder.
    """
    try:
        for file in files:
            if file.endswith("screenshot.png") and f"/{vm.name}/" in file.replace("\\", "/"):
                return file
        shot = vm.screen.shot()
        return str(shot.save(item.config.stash[TEMPORARY].mktemp("screen") / f"{vm.name}.png"))
    except Exception as error:  # the test's own failure is what counts
        return f"none: {type(error).__name__}: {error}".partition("\n")[0]


def _name(nodeid: str) -> str:
    """Return a test's id as the name of a folder, as readable as can be."""
    name = re.sub(r"[^\w.,=\[\]-]+", "_", nodeid.replace("::", "-").replace("/", "-"))
    return name.encode()[:_LONGEST].decode(errors="ignore").strip(". ") or "test"

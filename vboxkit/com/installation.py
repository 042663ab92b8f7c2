"""Temporary stub; the real one is being written."""
from __future__ import annotations
import importlib, os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

@dataclass(frozen=True)
class Installation:
    folder: Path

def find() -> Installation:
    return Installation(Path("/usr/lib/virtualbox"))

def driver_available() -> bool:
    return os.access("/dev/vboxdrv", os.R_OK)

def import_vboxapi() -> Any:
    return importlib.import_module("vboxapi")

"""Loading paramiko while a machine starts: it takes 0.1 s that nobody has to wait for."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from threading import Thread

__all__ = ["meanwhile"]

_SLOW = "paramiko"


def meanwhile() -> None:
    """Load it in a thread of its own, unless it is there; returns at once."""
    if _SLOW not in sys.modules:
        Thread(target=_load, name="vboxkit-preload").start()


def _load() -> None:
    # Who needs it imports it as well, and is told what is wrong.
    with suppress(Exception):
        import_module(_SLOW)

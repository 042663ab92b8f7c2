"""Choosing the way into VirtualBox; there is one so far, see `vboxkit.com.api`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit.com.api import Api

__all__ = ["open_api"]


def open_api(home: Path | None = None) -> Api:
    """
    Connect this process to VirtualBox; see `vboxkit.com.xpcom.open_api`.

    Args:
        home: A VirtualBox home of its own; the user's if left out.
    """
    from vboxkit.com import xpcom

    return xpcom.open_api(home)

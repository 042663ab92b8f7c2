"""Disposable virtual machines: images that are built once, and forks of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from vboxkit.lab.images import Image, ImageSource
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.vm import VM

__all__ = ["VM", "Image", "ImageSource", "Lab"]

_HOMES = {"VM": "vm", "Image": "images", "ImageSource": "images", "Lab": "lab"}

__getattr__, __dir__ = lazy_names(globals(), _HOMES)

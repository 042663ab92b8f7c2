"""Disposable virtual machines: images that are built once, and forks of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vboxkit.lab.images import Image, ImageSource
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.vm import VM

__all__ = ["VM", "Image", "ImageSource", "Lab"]

_HOMES = {"VM": "vm", "Image": "images", "ImageSource": "images", "Lab": "lab"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

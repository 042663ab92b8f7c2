"""Disposable virtual machines: images that are built once, and forks of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from vboxkit.lab.images import ImageSource
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.network import PrivateNetwork
    from vboxkit.lab.provisioning import Call, Put, Run, Step
    from vboxkit.lab.records import Image
    from vboxkit.lab.vm import VM

__all__ = ["VM", "Call", "Image", "ImageSource", "Lab", "PrivateNetwork", "Put", "Run", "Step"]

_HOMES = {
    "VM": "vm",
    "Call": "provisioning",
    "Image": "records",
    "ImageSource": "images",
    "Lab": "lab",
    "PrivateNetwork": "network",
    "Put": "provisioning",
    "Run": "provisioning",
    "Step": "provisioning",
}

__getattr__, __dir__ = lazy_names(globals(), _HOMES)

"""
Reading, verifying and building appliances without VirtualBox.

Importing this loads next to nothing: each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from vboxkit.ovf.building import build
    from vboxkit.ovf.certificates import Certificate
    from vboxkit.ovf.inspecting import inspect
    from vboxkit.ovf.mending import Repair
    from vboxkit.ovf.model import Collection, Extension, Package, Place, Problem, VirtualSystem
    from vboxkit.ovf.parts import (
        DeploymentOption,
        Disk,
        Eula,
        File,
        Item,
        Network,
        OperatingSystem,
        Product,
        Property,
        Section,
    )
    from vboxkit.ovf.repair import Repaired, repairs
    from vboxkit.ovf.verifying import Checked, Verification, verify
    from vboxkit.ovf.vmware import Converted, VMware, to_vmware

__all__ = [
    "Certificate",
    "Checked",
    "Collection",
    "Converted",
    "DeploymentOption",
    "Disk",
    "Eula",
    "Extension",
    "File",
    "Item",
    "Network",
    "OperatingSystem",
    "Package",
    "Place",
    "Problem",
    "Product",
    "Property",
    "Repair",
    "Repaired",
    "Section",
    "VMware",
    "Verification",
    "VirtualSystem",
    "build",
    "inspect",
    "repairs",
    "to_vmware",
    "verify",
]

_HOMES = {
    "Certificate": "certificates",
    "Checked": "verifying",
    "Collection": "model",
    "Converted": "vmware",
    "DeploymentOption": "parts",
    "Disk": "parts",
    "Eula": "parts",
    "Extension": "model",
    "File": "parts",
    "Item": "parts",
    "Network": "parts",
    "OperatingSystem": "parts",
    "Package": "model",
    "Place": "model",
    "Problem": "model",
    "Product": "parts",
    "Property": "parts",
    "Repair": "mending",
    "Repaired": "repair",
    "Section": "parts",
    "VMware": "vmware",
    "Verification": "verifying",
    "VirtualSystem": "model",
    "build": "building",
    "inspect": "inspecting",
    "repairs": "repair",
    "to_vmware": "vmware",
    "verify": "verifying",
}

__getattr__, __dir__ = lazy_names(globals(), _HOMES)

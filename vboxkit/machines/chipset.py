"""The board: chipset, IOMMU, clocks; what the guest is told of the hypervisor; the TPM."""

from __future__ import annotations

from typing import Any, Literal

from vboxkit.com.versions import holder
from vboxkit.machines.accessors import MachineSetting, offered
from vboxkit.machines.base import api_call
from vboxkit.machines.parts import Choice, MachinePart, Setting

__all__ = ["Chipset", "ChipsetType", "IommuType", "Paravirt", "ParavirtProvider", "Tpm", "TpmType"]

ChipsetType = Literal["PIIX3", "ICH9"]
IommuType = Literal["None", "Automatic", "AMD", "Intel"]
ParavirtProvider = Literal["None", "Default", "Legacy", "Minimal", "HyperV", "KVM"]
TpmType = Literal["None", "v1_2", "v2_0", "Host", "Swtpm"]


class Chipset(MachinePart):
    """
    The chipset and its clocks; can be set while the machine is powered off.

    Example:
        ``machine.chipset.kind = "ICH9"``
    """

    noun = "chipset"

    kind = Choice[ChipsetType](
        "chipsetType",
        "ChipsetType",
        "``PIIX3``, or ``ICH9`` with PCI Express.",
        check=offered("supportedChipsetTypes", "ChipsetType"),
    )
    iommu = Choice[IommuType](
        "iommuType",
        "IommuType",
        "The IOMMU that the guest sees; needs ``ICH9``.",
        check=offered("supportedIommuTypes", "IommuType"),
    )
    rtc_utc = Setting("RTCUseUTC", bool, "Whether the clock shows UTC, not local time.")
    hpet = MachineSetting("HPETEnabled", bool, "Whether the guest sees a HPET.")

    def _locate(self, machine: Any) -> Any:
        return holder(self._machine._api, machine, "chipsetType")


class Paravirt(MachinePart):
    """
    The hypervisor interface that the guest sees; can be set while the machine is powered off.

    Example:
        ``machine.paravirt.provider = "KVM"``
    """

    noun = "paravirtualisation"

    provider = Choice[ParavirtProvider](
        "paravirtProvider",
        "ParavirtProvider",
        "The interface asked for; ``Default`` follows the guest's type.",
        check=offered("supportedParavirtProviders", "ParavirtProvider"),
    )
    debug = Setting("paravirtDebug", str, "Debugging options of the interface, as ``enabled=1``.")

    def _locate(self, machine: Any) -> Any:
        return machine

    @property
    @api_call("read the effective paravirtualisation")
    def effective_provider(self) -> ParavirtProvider:
        """The interface that the guest gets: never ``Default``."""
        raw = self._current().getEffectiveParavirtProvider()
        return self._api.name("ParavirtProvider", raw)  # type: ignore[return-value]


class Tpm(MachinePart):
    """
    The trusted platform module; can be set while the machine is powered off.

    Example:
        ``machine.tpm.kind = "v2_0"``
    """

    noun = "TPM"

    kind = Choice[TpmType]("type", "TpmType", "``None``, ``v1_2``, ``v2_0``, or one from outside.")
    location = Setting("location", str, "Where an ``Swtpm`` or ``Host`` module is found.")

    def _locate(self, machine: Any) -> Any:
        return machine.trustedPlatformModule

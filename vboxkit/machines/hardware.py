"""The parts of a machine, each an attribute with settings of its own."""

from __future__ import annotations

from vboxkit.machines.properties import MachineProperties

__all__ = ["MachineHardware"]


class MachineHardware(MachineProperties):
    """The part of `Machine` that lists what it is made of; a line each."""

"""The configuration of a machine as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vboxkit.machines.base import api_call
from vboxkit.machines.hardware import MachineHardware

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.medium import Medium
    from vboxkit.machines.record import Record

__all__ = ["ConfigurableMachine"]


class ConfigurableMachine(MachineHardware):
    """The part of `Machine` that describes it, brings it to a description, and resizes it."""

    @api_call("describe the machine")
    def describe(self) -> Record:
        """
        Return a record of the whole configuration, to keep, compare (`vboxkit.diff`) or `apply`.

        In it are all settings of the hardware, storage with the places of the media, network
        adapters with their forwards, serial ports, shared folders that stay, groups, description
        and extra data. Not in it are what changes by itself (state, guest properties), the
        contents of media, EFI's variables, the icon, snapshots, and the UUID. Media in the
        machine's own folder, which moves with its name and groups, are named relative to it.

        Example:
            ``Path("web.json").write_text(machine.describe().to_json())``
        """
        from vboxkit.machines import describing  # with all devices, few need it

        return describing.describe(self)

    @api_call("apply a record")
    def apply(
        self,
        record: Mapping[str, Any],
        *,
        only: Collection[str] | None = None,
        ignore: Collection[str] = (),
    ) -> None:
        """
        Bring the machine to what a record describes: all of it, or nothing.

        Afterwards the machine differs from the record in nothing but its name, which stays, and
        what is ignored.

        Args:
            record: What `describe` gave, of this machine or another one; or some of it: sections
                that are left out stay as they are, and so do settings left out of a part.
            only: The sections to apply, as ``cpu`` or ``network``; all if left out.
            ignore: Paths that stay as they are, as ``network[0].mac``.

        Raises:
            InvalidStateError: Something of it cannot be changed while the machine runs or is saved.
            NotFoundError: A disk, network or bandwidth group of the record does not exist.
            PortInUseError: Somebody else has a forwarded port.
            ApiError: It has a wrong value, or what a record cannot bring about: a disk's size or
                format. The error lists the differences.

        Example:
            ``machine.apply({"memory_mb": 2048, "cpu": {"pae": True}})``
        """
        from vboxkit.machines import applying

        applying.apply(self, record, only=only, ignore=ignore)

    @api_call("resize")
    def resize(
        self,
        *,
        memory_mb: int | None = None,
        cpus: int | None = None,
        disk_mb: int | None = None,
        disk: Medium | Path | str | None = None,
        rollback_on_failure: bool = False,
        timeout: Timeout | None = None,
    ) -> None:
        """
        Give the machine more or less memory, CPUs and disk.

        All is checked before anything is changed. A machine that runs gains and loses CPUs if
        `Cpu.hot_plug` was on when it started; all else needs it powered off. A disk only grows;
        what is on it stays as it is, and so do its partitions.

        Args:
            memory_mb: RAM in MiB.
            cpus: How many CPUs the guest has.
            disk_mb: The disk's size in MiB.
            disk: Which one, if there are several: a path, or one of `storage.disks`.
            rollback_on_failure: If a part of it fails, take back what was done before; otherwise
                that stays, and the error says what it was.
            timeout: Seconds for the disk; `Settings.progress_timeout` if left out.

        Raises:
            InvalidStateError: It must be powered off, and the error says what for; or the disk
                has snapshots or linked clones.
            NotFoundError: It has no such disk.
            ApiError: A number is out of range, a disk would become smaller, its format cannot
                grow, or the guest does not let go of a CPU.
            CleanupError: What was done could not be taken back.

        Example:
            ``machine.resize(memory_mb=4096, cpus=4, rollback_on_failure=True)``
        """
        from vboxkit.machines import resizing

        resizing.resize(
            self,
            memory_mb=memory_mb,
            cpus=cpus,
            disk_mb=disk_mb,
            disk=disk,
            rollback_on_failure=rollback_on_failure,
            timeout=timeout,
        )

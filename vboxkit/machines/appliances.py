"""Appliances (OVF packages and OVA files): what comes in, and what goes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from vboxkit.core.waiting import Deadline
from vboxkit.machines.exportable import Exporting
from vboxkit.machines.progress import progress_hook

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.appliance import Appliance, WarningCall
    from vboxkit.machines.appliance_networks import Networks
    from vboxkit.machines.importing import Disks
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.progress import ProgressHook
    from vboxkit.machines.virtualbox import VirtualBox

__all__ = ["Appliances"]


class Appliances(Exporting):
    """Import and export of appliances: ``vbox.appliances.import_("x.ova")``."""

    def __init__(self, vbox: VirtualBox) -> None:
        self._vbox = vbox

    def open(
        self, source: Path | str, *, repair: bool = False, timeout: Timeout | None = None
    ) -> Appliance:
        """
        Read an appliance, to see and change what would be made of it.

        It is read without VirtualBox first (`vboxkit.ovf.inspect`): what is broken, or would harm
        VirtualBox, never gets there.

        Args:
            source: An ``.ova`` or ``.ovf`` file.
            repair: Mend what VirtualBox refuses, where that needs no guess, on a private copy of
                the descriptor below the home; `Appliance.repairs` lists it. The files of an
                ``.ovf`` are linked; an ``.ova`` is unpacked, if something has to be mended, which
                takes as much space as itself until `Appliance.close`.
            timeout: Seconds for the mending; `Settings.progress_timeout` if left out.

        Raises:
            StorageError: The file is missing or cannot be read; there is no room to mend it.
            OvfError: It is no appliance, or is damaged; the hint says if ``repair=True`` helps.

        Example:
            ``with vbox.appliances.open("web.ova") as appliance: print(appliance.plan())``
        """
        from vboxkit.machines.appliance import Appliance

        return Appliance(self._vbox, source, repair=repair, timeout=timeout)

    def import_(
        self,
        source: Path | str,
        *,
        name: str | None = None,
        memory_mb: int | None = None,
        cpus: int | None = None,
        networks: Networks | None = None,
        disks: Disks = "as-is",
        keep_macs: bool = False,
        folder: Path | str | None = None,
        eula: Literal["accept"] | None = None,
        repair: bool = False,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
        on_warning: WarningCall | None = None,
    ) -> Machine:
        """
        Import the one machine of an appliance and register it.

        Any number of processes can import at once, the same file or others. If it fails, is
        canceled or times out, nothing is left behind.

        Args:
            source: An ``.ova`` or ``.ovf`` file.
            name: The machine's name; the appliance's suggestion if left out, with a number behind
                it if that name is taken.
            memory_mb: RAM in MiB, instead of the appliance's.
            cpus: Virtual CPUs, instead of the appliance's.
            networks: What adapters are attached to, by slot or by the package's name of the
                network: ``{0: "nat", "backend": ("internal", "lab"), 2: None}``, or what `Nic` is.
                VirtualBox bridges to the host each network whose name it does not know.
            disks: ``vdi`` converts them; ``as-is`` makes VMDKs.
            keep_macs: Keep the MAC addresses of the appliance.
            folder: Where the machine's own folder is made; the host's machine folder if left out.
            eula: ``accept``: the licence of the appliance is agreed to.
            repair: Mend what VirtualBox refuses; see `open`.
            timeout: Seconds; `Settings.progress_timeout` if left out.
            on_update: Called with each progress; see `progress_hook`. What it raises cancels.
            on_warning: Called with each warning; they are logged if left out.

        Raises:
            StorageError: The file is missing or cannot be read.
            OvfError: It is no appliance, is damaged, or holds not exactly one machine
                (`Appliance.import_all`).
            EulaError: It has a licence, and ``eula="accept"`` is missing.
            AlreadyExistsError: There is a machine of the name asked for.
            NotFoundError: `networks` names an adapter or a network that is not there.
            ApiError: A value that cannot be; the hint has the range.
            ProgressFailedError: VirtualBox failed on the way (no space, for one).

        Example:
            ``vbox.appliances.import_("debian.ova", name="web", memory_mb=2048)``
        """
        limit = timeout if timeout is not None else self._vbox.settings.progress_timeout
        deadline = Deadline(limit)
        with (
            progress_hook(on_update),
            self.open(source, repair=repair, timeout=deadline) as appliance,
        ):
            return appliance.import_(
                name=name,
                memory_mb=memory_mb,
                cpus=cpus,
                networks=networks,
                disks=disks,
                keep_macs=keep_macs,
                folder=folder,
                eula=eula,
                timeout=deadline,
                on_warning=on_warning,
            )

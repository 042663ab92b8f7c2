"""The verb `export`, of machines and of `Appliances`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict, cast

from vboxkit.machines.properties import MachineProperties

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from typing_extensions import Unpack

    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.export_checks import ExportFormat, MacPolicy
    from vboxkit.machines.exporting import Export
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.progress import ProgressHook
    from vboxkit.machines.virtualbox import VirtualBox
    from vboxkit.ovf.vmware import VMware

__all__ = ["ExportOptions", "ExportableMachine", "Exporting"]


class ExportOptions(TypedDict, total=False):
    """The keywords of `Exporting.export`, which has their meaning."""

    format: ExportFormat
    flavour: Literal["virtualbox", "vmware"] | VMware
    manifest: bool
    macs: MacPolicy
    dvd_images: bool
    product: str
    product_url: str
    vendor: str
    vendor_url: str
    version: str
    description: str | None
    license: str
    passwords: Mapping[str, str] | None
    overwrite: bool
    timeout: Timeout | None
    on_update: ProgressHook | None


class Exporting:
    """Export of appliances: ``vbox.appliances.export([web, db], "shop.ova")``."""

    _vbox: VirtualBox

    def export(
        self,
        machines: Iterable[Machine],
        target: Path | str,
        **options: Unpack[ExportOptions],
    ) -> Export:
        """
        Write one or several machines as an appliance, as they are now.

        Disks become stream-optimised VMDKs: VirtualBox writes no others. Of a machine with
        snapshots, and of a linked clone, the present state is written, and nothing of the rest.
        The appliance appears when it is whole; if this fails, is canceled, or runs out of time or
        space, nothing of it is left.

        Args:
            machines: The machines, none of them running.
            target: ``NAME.ova``, which is one file; or ``NAME.ovf``, with the manifest and the
                disks beside it.
            format: ``ovf-0.9``, ``ovf-1.0`` (the default) or ``ovf-2.0``.
            flavour: ``virtualbox`` (the default); or ``vmware``, or a `vboxkit.ovf.VMware`, to have
                it described as VMware's products want it, see `vboxkit.ovf.to_vmware`.
            manifest: Write digests of all files: SHA-1, and SHA-256 for ``ovf-2.0``.
            macs: ``keep`` the MAC addresses (the default), ``strip`` them, or ``strip-non-nat``.
            dvd_images: Put in the images that are in DVD drives.
            product: The product's name, for who imports it; said of each machine.
            product_url: The product's address.
            vendor: Who has made it.
            vendor_url: The vendor's address.
            version: The product's version.
            description: A longer text, instead of the machine's own description.
            license: A licence that has to be agreed to.
            passwords: Those of encrypted disks, by their names. In the appliance they are not
                encrypted.
            overwrite: Replace files that are there.
            timeout: Seconds for the whole; `Settings.progress_timeout` if left out.
            on_update: Called with VirtualBox's progress; see `progress_hook`.

        Returns:
            What was written, and in its `warnings` what is not in it.

        Raises:
            InvalidStateError: A machine runs, or somebody works with its disk.
            AlreadyExistsError: A file of the appliance is there; or two machines have one name.
            StorageError: The folder is missing, cannot be written, or is full; a disk is missing.
            NotFoundError: A machine does not exist any more.
            PasswordError: A password is wrong, or missing.
            ApiError: A word is none of those above; or OVF cannot carry something of a machine.
            WaitTimeoutError: It took longer.

        Example:
            ``vbox.appliances.export([web, db], "shop.ova", product="Shop", version="1.2")``
        """
        from vboxkit.machines.exporting import export

        return export(self._vbox._api, self._vbox.settings, machines, target, **options)


class ExportableMachine(MachineProperties):
    """A machine that can be written as an appliance."""

    def export(self, target: Path | str, **options: Unpack[ExportOptions]) -> Export:
        """
        Write this machine as an appliance; see `Exporting.export` for all options.

        Example:
            ``machine.export("web.ova", product="Web", macs="strip")``
        """
        from vboxkit.machines.exporting import export

        return export(self._api, self.settings, [cast("Machine", self)], target, **options)

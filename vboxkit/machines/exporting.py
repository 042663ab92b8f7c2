"""Exporting machines as appliances (OVF packages and OVA files)."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vboxkit.com.translation import translated
from vboxkit.core.signals import held
from vboxkit.core.waiting import Deadline
from vboxkit.errors import (
    ApiError,
    InvalidStateError,
    PasswordError,
    ProgressCanceledError,
    ProgressFailedError,
    StorageError,
    WaitTimeoutError,
)
from vboxkit.machines.export_checks import (
    MAC_OPTIONS,
    ExportFormat,
    MacPolicy,
    require_choice,
    require_machines,
)
from vboxkit.machines.progress import Progress, progress_hook
from vboxkit.ovf.finishing import finish
from vboxkit.ovf.inspecting import inspect
from vboxkit.ovf.placing import Stage, staged
from vboxkit.ovf.vmware import VMware, to_vmware

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vboxkit.com.api import Api
    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.progress import ProgressHook
    from vboxkit.settings import Settings

__all__ = ["Export", "export"]

_OPERATION = "export"
#: What a message of VirtualBox's means for the host; names of IPRT's status codes, not English.
_HOST = ("VERR_DISK_FULL", "VERR_ACCESS_DENIED", "VERR_WRITE_PROTECT", "VERR_FILE_NOT_FOUND")


@dataclass(frozen=True, kw_only=True)
class Export(os.PathLike[str]):
    """
    An appliance that was written; it can be given where a path is wanted.

    Attributes:
        path: The ``.ova``, or the ``.ovf``.
        files: All files of it.
        bytes: Of all these.
        machines: The machines' names.
        format: ``ovf-1.0``.
        flavour: ``virtualbox`` or ``vmware``.
        warnings: What is not in it, or is not as it was, a sentence each.
    """

    path: Path
    files: tuple[Path, ...]
    bytes: int
    machines: tuple[str, ...]
    format: ExportFormat
    flavour: str
    warnings: tuple[str, ...]

    def __fspath__(self) -> str:
        return str(self.path)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, for JSON."""
        return {
            **asdict(self),
            "path": str(self.path),
            "files": [str(path) for path in self.files],
        }


def export(
    api: Api,
    settings: Settings,
    machines: Iterable[Machine],
    target: Path | str,
    *,
    format: ExportFormat = "ovf-1.0",  # noqa: A002 - VirtualBox's word
    flavour: Literal["virtualbox", "vmware"] | VMware = "virtualbox",
    manifest: bool = True,
    macs: MacPolicy = "keep",
    dvd_images: bool = False,
    product: str = "",
    product_url: str = "",
    vendor: str = "",
    vendor_url: str = "",
    version: str = "",
    description: str | None = None,
    license: str = "",  # noqa: A002 - VirtualBox's word
    passwords: Mapping[str, str] | None = None,
    overwrite: bool = False,
    timeout: Timeout | None = None,
    on_update: ProgressHook | None = None,
) -> Export:
    """See `Appliances.export`."""
    chosen = list(machines)
    words = {
        "product": product, "product_url": product_url, "vendor": vendor,
        "vendor_url": vendor_url, "version": version, "description": description,
        "license": license,
    }  # fmt: skip
    require_choice("format", format, ExportFormat)
    require_choice("MAC policy", macs, MacPolicy)
    if not isinstance(flavour, VMware):
        require_choice("flavour", flavour, Literal["virtualbox", "vmware"])
    what = VMware() if flavour == "vmware" else flavour if isinstance(flavour, VMware) else None
    if what is not None and format != "ovf-1.0":
        raise ApiError(
            f"VMware's products do not read {format}",
            symbol="E_INVALIDARG",
            operation=_OPERATION,
            hint="format='ovf-1.0'",
        )
    deadline = Deadline(timeout if timeout is not None else settings.progress_timeout)
    options = [
        "CreateManifest" if manifest else "",
        "ExportDVDImages" if dvd_images else "",
        MAC_OPTIONS[macs],
    ]
    with progress_hook(on_update), staged(target, overwrite=overwrite) as stage:
        with translated(api, f"export to {stage.target}", subject="VirtualBox"):
            require_machines(api, chosen, words)
            names = tuple(machine.name for machine in chosen)
            _require_free_disks(stage, names)
            warnings = _lost(chosen, what, dvd_images=dvd_images)
            writer = _Writer(api, stage, deadline)
            warnings += writer.write(
                chosen, format, [name for name in options if name], words, passwords or {}
            )
        finish(stage.file, on_progress=writer.tell)
        if what is not None:
            warnings += writer.convert(what, manifest=manifest)
        inspect(stage.file).check()
        files = stage.publish()
    return Export(
        path=files[-1],
        files=tuple(files),
        bytes=sum(path.stat().st_size for path in files),
        machines=names,
        format=format,
        flavour="virtualbox" if what is None else "vmware",
        warnings=tuple(warnings),
    )


@dataclass(frozen=True)
class _Writer:
    """Writes one appliance into a stage."""

    api: Api
    stage: Stage
    deadline: Deadline

    @property
    def _subject(self) -> str:
        return f"appliance {self.stage.target.name}"

    def write(
        self,
        machines: Sequence[Machine],
        format: ExportFormat,  # noqa: A002 - VirtualBox's word
        options: Sequence[str],
        words: Mapping[str, str | None],
        passwords: Mapping[str, str],
    ) -> list[str]:
        """Let VirtualBox write, and return its warnings."""
        api = self.api
        com = api.virtualbox.createAppliance()
        for machine in machines:
            self._describe(machine.com.exportTo(com, str(self.stage.file)), words)
        wanted = [str(each) for each in com.getPasswordIds()]
        missing = [each for each in wanted if each not in passwords]
        if missing:
            raise PasswordError(
                f"{self._subject}: a disk is encrypted with the password {missing[0]!r}, which is"
                " not given",
                operation=_OPERATION,
                hint=f"passwords={{{missing[0]!r}: ...}}; the exported disk is not encrypted",
            )
        if wanted:
            com.addPasswords(wanted, [passwords[each] for each in wanted])
        flags = [api.value("ExportOptions", name) for name in options]
        progress: Progress | None = None
        done = False
        try:
            with held():  # Ctrl-C in here comes when there is something to cancel
                raw = com.write(format, flags, str(self.stage.file))
                progress = Progress(api, raw, what=_OPERATION, subject=self._subject)
            progress.wait(timeout=self.deadline)
            done = True
        except ProgressCanceledError:
            raise
        except ProgressFailedError as error:
            raise self._typed(error) from error
        finally:
            if not done and progress is not None:
                # wait() has done so, unless the interruption came before it.
                progress._try_cancel()
        return [str(each) for each in com.getWarnings()]

    def _describe(self, com: Any, words: Mapping[str, str | None]) -> None:
        api = self.api
        kinds = {
            "Product": words["product"], "ProductUrl": words["product_url"],
            "Vendor": words["vendor"], "VendorUrl": words["vendor_url"],
            "Version": words["version"], "License": words["license"],
        }  # fmt: skip
        for kind, value in kinds.items():
            if value:
                com.addDescription(api.value("VirtualSystemDescriptionType", kind), value, "")
        if words["description"] is None:
            return
        rows, _, _, values, extra = (list(column) for column in com.getDescription())
        names = [api.name("VirtualSystemDescriptionType", row) for row in rows]
        if "Description" in names:
            values[names.index("Description")] = words["description"]
            com.setFinalValues([True] * len(values), values, extra)
        elif words["description"]:
            kind = api.value("VirtualSystemDescriptionType", "Description")
            com.addDescription(kind, words["description"], "")

    def _typed(self, error: ProgressFailedError) -> ApiError:
        """Return the error for what VirtualBox found on its way."""
        options: dict[str, Any] = {
            "code": error.code, "symbol": error.symbol, "text": error.text,
            "operation": _OPERATION,
        }  # fmt: skip
        sentence = f"{self._subject}: cannot export to {self.stage.target}: {error.text}"
        if "NAME_TOO_LONG" in error.text:
            hint = "tar has room for 95 bytes of the target's name"
            return StorageError(sentence, hint=hint, **options)
        if any(code in error.text for code in _HOST):
            hint = "check the space that is left, and whether the machine's disks are there"
            return StorageError(sentence, hint=hint, **options)
        if error.symbol == "VBOX_E_PASSWORD_INCORRECT":
            return PasswordError(sentence, hint="check `passwords`", **options)
        if error.symbol == "VBOX_E_INVALID_OBJECT_STATE":
            hint = "somebody works with one of its disks: wait, or end the session that does"
            return InvalidStateError(sentence, hint=hint, **options)
        return error

    def tell(self, done: int, total: int, name: str) -> None:
        """Give up in time."""
        if self.deadline.expired:
            raise WaitTimeoutError(
                f"{self._subject} to be written",
                waited=self.deadline.elapsed,
                last_seen=f"{done} of {total} bytes of {name}",
            )

    def convert(self, what: VMware, *, manifest: bool) -> list[str]:
        """Describe it as VMware's products want it."""
        stage = self.stage
        raw = stage.folder.with_name("virtualbox")
        stage.folder.rename(raw)
        stage.folder.mkdir()
        done = to_vmware(
            raw / stage.file.name, stage.file, what=what, manifest=manifest, on_progress=self.tell
        )
        return list(done.changes)


def _require_free_disks(stage: Stage, names: Sequence[str]) -> None:
    """Find out before the work, and not after it, that the disks' names are taken."""
    if not stage.packed:
        for name in names:
            beside = (path.name for path in stage.target.parent.iterdir())
            stage.require_free(*(each for each in beside if each.startswith(f"{name}-disk0")))


def _lost(machines: Sequence[Machine], what: VMware | None, *, dvd_images: bool) -> list[str]:
    """Return what VirtualBox leaves out without a word, or other VirtualBoxes do not read."""
    found = []
    for machine in machines:
        if machine.state in {"Saved", "AbortedSaved"}:
            found.append(f"{machine.name}: the saved state is left out: the guest will boot")
        if machine.efi.initialized and what is None:
            # "Unknown resource type 32768 in hardware item": gusztavvargadr/packer#497
            found.append(f"{machine.name}: VirtualBox before 7.2 refuses its EFI variables")
        for each in machine.storage.attachments:
            medium = each.medium
            wanted = each.kind == "HardDisk" or (each.kind == "DVD" and dvd_images)
            if medium is not None and not wanted:
                gone = f"the image in the {each.kind} drive is left out: {medium.name}"
                found.append(f"{machine.name}: {gone}")
    return found

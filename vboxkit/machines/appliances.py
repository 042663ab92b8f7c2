"""Importing appliances (OVF packages and OVA files)."""

from __future__ import annotations

import shutil
import tarfile
import xml.etree.ElementTree as ET
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.core.waiting import Deadline
from vboxkit.errors import (
    ApiError,
    OvfError,
    ProgressCanceledError,
    ProgressFailedError,
    StorageError,
    VBoxKitError,
)
from vboxkit.machines.clones import folder_in_use, require_free_name
from vboxkit.machines.opening import remove_new
from vboxkit.machines.progress import Progress, progress_hook, unhooked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.progress import ProgressHook
    from vboxkit.machines.virtualbox import VirtualBox

__all__ = ["Appliances"]

_AGAIN = "get the file again"


class Appliances:
    """Import of appliances: ``vbox.appliances.import_("x.ova")``."""

    def __init__(self, vbox: VirtualBox) -> None:
        self._vbox = vbox

    def import_(
        self,
        source: Path | str,
        *,
        name: str | None = None,
        memory_mb: int | None = None,
        cpus: int | None = None,
        keep_macs: bool = False,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
    ) -> Machine:
        """
        Import the one machine of an appliance and register it.

        Args:
            source: An ``.ova`` or ``.ovf`` file.
            name: The machine's name; the appliance's suggestion if left out, with a number behind
                it if that name is taken.
            memory_mb: RAM in MiB, instead of the appliance's.
            cpus: Virtual CPUs, instead of the appliance's.
            keep_macs: Keep the MAC addresses of the appliance.
            timeout: Seconds; `Settings.progress_timeout` if left out.
            on_update: Called with each progress; see `progress_hook`.

        Raises:
            StorageError: The file is missing or cannot be read.
            OvfError: It is no appliance, is damaged, or holds not exactly one machine.
            AlreadyExistsError: There is a machine of the name asked for.
            ProgressFailedError: VirtualBox failed on the way (no space, for one).

        Example:
            ``vbox.appliances.import_("debian.ova", name="web", memory_mb=2048)``
        """
        vbox = self._vbox
        api = vbox._api
        path = Path(source).expanduser().absolute()
        _check_readable(path)
        deadline = Deadline(timeout if timeout is not None else vbox.settings.progress_timeout)
        subject = f"appliance {path.name}"
        with progress_hook(on_update), vbox._translated(f"import {path}"):
            if name is not None:
                require_free_name(api, name)
            com = api.virtualbox.createAppliance()
            self._read(com, path, subject, deadline)
            systems = api.array(com, "virtualSystemDescriptions")
            if len(systems) != 1:
                raise OvfError(path, f"it holds {len(systems)} machines, not one")
            folder = self._adjust(systems[0], subject, name=name, memory_mb=memory_mb, cpus=cpus)
            fresh = not folder.exists()
            known = {str(medium.id) for medium in api.array(api.virtualbox, "hardDisks")}
            options = [api.value("ImportOptions", "KeepAllMACs")] if keep_macs else []
            done = False
            try:
                Progress(api, com.importMachines(options), what="import", subject=subject).wait(
                    timeout=deadline
                )
                (uuid,) = api.array(com, "machines")
                machine = vbox.machines[str(uuid)]
                done = True
            except ProgressCanceledError:
                raise
            except ProgressFailedError as error:
                if _is_content(error.text):
                    raise OvfError(path, error.text, hint=_AGAIN) from error
                raise
            finally:
                if not done:
                    with unhooked():
                        self._take_back(com, folder, known, fresh=fresh)
        return machine

    def _take_back(self, com: Any, folder: Path, known: set[str], *, fresh: bool) -> None:
        """
        Remove what an import that failed, or that nobody waited for, has made.

        Args:
            com: The raw appliance.
            folder: The new machine's folder.
            known: The UUIDs of the hard disks that there were before.
            fresh: There was no such folder before.
        """
        api = self._vbox._api
        with self._ignoring():
            # None, if it failed: VirtualBox takes the machine back itself.
            for uuid in api.array(com, "machines"):
                machine = self._vbox.machines.find(str(uuid))
                if machine is not None:
                    machine.destroy()
        # Canceled at its second disk, VirtualBox 7.2 leaves the first one registered.
        remove_new(api, folder, known=lambda medium: str(medium.id) in known)
        if fresh and not folder_in_use(api, folder):
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _ignoring(self) -> Iterator[None]:
        """Go on with the taking back when one thing cannot be removed."""
        try:
            yield
        except Exception as error:
            if not isinstance(error, VBoxKitError) and self._vbox._api.foreign(error) is None:
                raise

    def _read(self, com: Any, path: Path, subject: str, deadline: Deadline) -> None:
        api = self._vbox._api
        try:
            Progress(api, com.read(str(path)), what="read", subject=subject).wait(timeout=deadline)
            com.interpret()
        except ProgressCanceledError:
            raise
        except ProgressFailedError as error:
            raise OvfError(
                path, error.text, hint="check that it is an .ova or .ovf file"
            ) from error

    def _adjust(
        self,
        system: Any,
        subject: str,
        *,
        name: str | None,
        memory_mb: int | None,
        cpus: int | None,
    ) -> Path:
        """Set the final values of the import, and return the folder that it will make."""
        api = self._vbox._api
        kinds, _, _, values, extra = (list(column) for column in system.getDescription())
        names = [api.name("VirtualSystemDescriptionType", kind) for kind in kinds]
        base = Path(values[names.index("BaseFolder")])
        suggested = values[names.index("Name")]
        wanted = {
            "Name": name,
            "SettingsFile": name and str(base / name / f"{name}.vbox"),
            "Memory": None if memory_mb is None else str(memory_mb * 1024 * 1024),
            "CPU": None if cpus is None else str(cpus),
        }
        # The import takes any number; a machine with a wrong one never starts.
        limits = api.virtualbox.systemProperties
        _check_range(subject, "memory_mb", memory_mb, limits.minGuestRAM, limits.maxGuestRAM)
        _check_range(subject, "cpus", cpus, limits.minGuestCPUCount, limits.maxGuestCPUCount)
        for kind, value in wanted.items():
            if value:
                values[names.index(kind)] = value
        if name:
            # The disks' target paths were made from the suggested name.
            for index, kind in enumerate(names):
                if kind == "HardDiskImage":
                    values[index] = values[index].replace(
                        str(base / suggested), str(base / name), 1
                    )
        system.setFinalValues([True] * len(values), values, extra)
        return base / (name or suggested)


def _check_range(subject: str, what: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise ApiError(
            f"{subject}: cannot import with {what} = {value}",
            symbol="E_INVALIDARG",
            operation="import",
            hint=f"{least} to {most}",
        )


def _check_readable(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(1)
    except OSError as error:
        raise StorageError(
            f"cannot read the appliance {path}: {error.strerror}",
            operation="import",
            hint="check the path",
        ) from error
    if path.suffix.lower() not in {".ova", ".ovf"}:
        raise StorageError(
            f"appliance {path} is no .ovf or .ova file",
            operation="import",
            hint="give it the suffix of what it is; a folder with an .ovf is imported by that",
        )
    if not start:
        raise OvfError(path, "the file is empty", hint=_AGAIN)
    if path.suffix.lower() == ".ova" and not tarfile.is_tarfile(path):
        raise OvfError(path, "it is not an OVA: no tar archive", hint=_AGAIN)
    _check_descriptor(path)


def _check_descriptor(path: Path) -> None:
    """
    Find out early what VirtualBox finds late, or not at all.

    VBoxSVC 7.2 dies of an XML document without content; a file that is missing is an error of
    this host to it, whichever file that is.
    """
    try:
        if path.suffix.lower() == ".ova":
            with tarfile.open(path) as tar:
                names = tar.getnames()
                member = next((name for name in names if name.lower().endswith(".ovf")), None)
                file = None if member is None else tar.extractfile(member)
                if file is None:
                    raise OvfError(path, "it holds no .ovf descriptor", hint=_AGAIN)
                with file:
                    root = ET.parse(file).getroot()  # noqa: S314 - expat limits expansion itself
        else:
            root = ET.parse(path).getroot()  # noqa: S314
            names = []
    except OvfError:
        raise
    except (ET.ParseError, tarfile.TarError, EOFError, LookupError, ValueError) as error:
        raise OvfError(path, f"it is damaged: {error}", hint=_AGAIN) from error
    if not len(root):
        raise OvfError(path, f"its descriptor is empty: <{root.tag}>", hint=_AGAIN)
    for element in root.iterfind("{*}References/{*}File"):
        href = next((v for k, v in element.attrib.items() if k.endswith("href")), "")
        present = href in names if names else (path.parent / href).exists()
        if not present and "://" not in href:
            raise OvfError(path, "this file of it is missing", element=href, hint=_AGAIN)


def _is_content(text: str) -> bool:
    """Whether VirtualBox complains of the file's content rather than of this host."""
    # The result code is VBOX_E_IPRT_ERROR or VBOX_E_FILE_ERROR for both. These are names of
    # IPRT's status codes, not English.
    return any(
        code in text
        for code in (
            "VERR_EOF",
            "VERR_TAR",
            "VERR_ZIP",
            "VERR_VD_VMDK",
            "VERR_MANIFEST",
            "VERR_NOT_EQUAL",  # a digest of the manifest
            "VERR_XML",
        )
    )

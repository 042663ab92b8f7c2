"""Making an appliance from disk images, without VirtualBox."""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.core.resources import resource
from vboxkit.errors import AlreadyExistsError, OvfError, StorageError
from vboxkit.ovf import images
from vboxkit.ovf.inspecting import inspect
from vboxkit.ovf.manifest import ALGORITHMS
from vboxkit.ovf.packing import Content, pack
from vboxkit.ovf.writing import Plan, PlannedDisk, descriptor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.ovf.verifying import ProgressCall
    from vboxkit.ovf.writing import Controller, Firmware

__all__ = ["build"]

_NAME = re.compile(r"[^/\\:*?\"<>|\x00-\x1f\x7f]{1,100}")
_MOST = {"sata": 4, "ide": 4, "scsi": 15}
_CONVERT = "convert it: VBoxManage clonemedium disk {} disk.vmdk --format VMDK --variant Stream"


def build(
    disk: Path | str | Sequence[Path | str],
    *,
    name: str,
    target: Path | str | None = None,
    memory_mb: int = 1024,
    cpus: int = 1,
    os_type: str = "Linux26_64",
    firmware: Firmware = "bios",
    controller: Controller = "sata",
    networks: Sequence[str] = ("NAT",),
    product: str = "",
    vendor: str = "",
    version: str = "",
    annotation: str = "",
    eula: str = "",
    digest: str = "sha256",
    overwrite: bool = False,
    on_progress: ProgressCall | None = None,
) -> Path:
    """
    Write an OVA: a descriptor, a manifest, and the disks.

    The same disks and words give the same bytes. The OVA appears under its name when it is whole.

    Args:
        disk: A stream-optimised VMDK, taken as it is; or a raw disk, ``.raw`` or ``.img``, which is
            compressed beside the target first. Or several of these.
        name: The machine's name.
        target: The OVA; ``NAME.ova`` in the working folder if left out.
        memory_mb: RAM in MiB.
        cpus: Virtual CPUs.
        os_type: VirtualBox's name of the operating system's type: ``Debian_64``.
        firmware: ``bios`` or ``efi``.
        controller: What the disks are on: ``sata``, ``ide`` or ``scsi``.
        networks: A network adapter is made for each: ``NAT``, ``Bridged``, ``HostOnly``, or the
            name of an internal network.
        product: For who imports it.
        vendor: Who has made it.
        version: The product's version.
        annotation: A longer text.
        eula: A licence that has to be agreed to.
        digest: ``sha1``, ``sha256`` or ``sha512``.
        overwrite: Replace a target that is there.
        on_progress: Called after each MiB, with the bytes done, the bytes of all disks, and the
            name of the disk.

    Returns:
        The target.

    Raises:
        AlreadyExistsError: The target is there.
        StorageError: A disk cannot be read, or the target cannot be written.
        OvfError: A disk is of another format; or a value is none that an appliance can have.

    Example:
        ``build("debian.vmdk", name="debian", memory_mb=2048, os_type="Debian_64")``
    """
    out = Path(target if target is not None else f"{name}.ova").expanduser().absolute()
    disks = [disk] if isinstance(disk, (str, os.PathLike)) else list(disk)
    _require(
        out,
        name=name,
        memory_mb=memory_mb,
        cpus=cpus,
        disks=disks,
        firmware=firmware,
        controller=controller,
        networks=networks,
        digest=digest,
    )
    if out.exists() and not overwrite:
        raise AlreadyExistsError(
            f"cannot build {out}: there is such a file already",
            kind="file",
            wanted=str(out),
            operation="build an appliance",
            hint="choose another name, or overwrite it",
        )
    with _working(out) as work, ExitStack() as stack:
        paths = [
            _streamed(Path(one).expanduser(), work, number) for number, one in enumerate(disks)
        ]
        opened = [stack.enter_context(path.open("rb", buffering=0)) for path in paths]
        planned = [
            _planned(path, file, f"{name}-disk{number:03d}.vmdk")
            for number, (path, file) in enumerate(zip(paths, opened, strict=True), 1)
        ]
        plan = Plan(
            name, planned, memory_mb, cpus, os_type, firmware, controller, tuple(networks),
            product, vendor, version, annotation, eula,
        )  # fmt: skip
        ova = work / f"{work.name}.ova"
        with ova.open("w+b") as file:
            text = descriptor(plan).encode()
            contents = [
                Content(disk.name, disk.size, one)
                for disk, one in zip(planned, opened, strict=True)
            ]
            pack(file, name, text, contents, digest=digest, on_progress=on_progress)
        # What was written is what everybody else's are held against.
        inspect(ova).check()
        ova.replace(out)
    return out


@contextmanager
def _working(out: Path) -> Iterator[Path]:
    """Give a folder beside the target; it goes away with all in it."""
    try:
        with tempfile.TemporaryDirectory(prefix=".vboxkit-build-", dir=out.parent) as folder:
            yield Path(folder)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(
            f"cannot build {out}: {error.strerror or error}",
            operation="build an appliance",
            hint="check the paths, and the space on the disk",
        ) from error


def _require(
    out: Path,
    *,
    name: str,
    memory_mb: int,
    cpus: int,
    disks: Sequence[Path | str],
    firmware: str,
    controller: str,
    networks: Sequence[str],
    digest: str,
) -> None:
    def refuse(element: str, reason: str, hint: str) -> OvfError:
        return OvfError(out, reason, element=element, hint=hint)

    if not _NAME.fullmatch(name) or name.strip(". ") != name:
        raise refuse("name", f"{name!r:.110} is no name of a file", "letters, digits, - and _")
    if out.suffix.lower() != ".ova":
        raise refuse("target", "it has to end in .ova", "write an OVA")
    if not 4 <= memory_mb <= 2 << 20:
        raise refuse("memory_mb", f"{memory_mb} MiB of memory", "4 to 2097152")
    if not 1 <= cpus <= 64:
        raise refuse("cpus", f"{cpus} CPUs", "1 to 64")
    if firmware not in {"bios", "efi"}:
        raise refuse("firmware", f"the firmware {firmware!r}", "bios or efi")
    if controller not in _MOST:
        raise refuse("controller", f"the controller {controller!r}", "sata, ide or scsi")
    if not 1 <= len(disks) <= _MOST[controller]:
        raise refuse("disk", f"{len(disks)} disks on {controller}", f"1 to {_MOST[controller]}")
    if len(networks) > 8 or not all(networks):
        raise refuse("networks", f"the networks {list(networks)}", "up to 8, each with a name")
    if digest not in ALGORITHMS:
        raise refuse("digest", f"the digest {digest!r}", ", ".join(ALGORITHMS))


def _streamed(path: Path, work: Path, number: int) -> Path:
    """Return the disk itself, or a raw one as a stream-optimised VMDK."""
    if path.exists() and not path.is_file():
        raise OvfError(path, "a disk has to be a file")
    with path.open("rb", buffering=0) as file:
        kind, _ = images.recognise(images.head_of(file))
    size = path.stat().st_size
    if kind == "vmdk streamOptimized":
        return path
    if kind or path.suffix.lower() not in {".raw", ".img"}:
        raise OvfError(
            path,
            f"an appliance has stream-optimised VMDKs, and this is {kind or 'no image known'}",
            hint=_CONVERT.format(path.name) if kind else "give a raw disk the suffix .raw",
        )
    if not size or size % 512:
        raise OvfError(path, f"a raw disk has whole sectors of 512 bytes, and this {size} bytes")
    out = work / f"disk{number}.vmdk"
    writer = _writer()
    writer.vmdk(path, out, writer.uuid.uuid5(writer.uuid.NAMESPACE_URL, str(number)), level=6)
    return out


def _writer() -> Any:
    """Return the module that makes the guests that vboxkit ships: it writes VMDKs."""
    name = "vboxkit_appliance"
    if name not in sys.modules:
        spec = util.spec_from_file_location(name, resource("appliance/appliance.py"))
        if spec is None or spec.loader is None:
            raise ImportError(name)
        module = util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def _planned(path: Path, file: io.FileIO, name: str) -> PlannedDisk:
    size = os.fstat(file.fileno()).st_size
    head = file.read(images.HEAD)
    _, capacity = images.recognise(head)
    if not capacity or not images.ends_well(file, size, head):
        raise OvfError(path, "it is cut, or damaged", hint="get the file again")
    file.seek(0)
    return PlannedDisk(name, size, capacity)

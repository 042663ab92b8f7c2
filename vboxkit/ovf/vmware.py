"""
Appliances of VirtualBox, described as VMware's products want them.

What their readers refuse of VirtualBox's own descriptors, and what is written instead:

- ``Unsupported hardware family 'virtualbox-2.2'``: ``vmx-13``
  (https://github.com/owncloud-archive/vm/issues/53).
- A disk on ``AHCI``: ``vmware.sata.ahci``, from hardware version 10 on. NVMe is there from 13 on,
  virtio-scsi never: SATA, too (docs.vmware.com, "Hardware Features Available with Virtual Machine
  Compatibility Settings").
- A sound card (ResourceType 35), which no ESXi host has: left out
  (https://github.com/nix-community/nixos-generators/issues/128).
- An OS that they know by ``vmw:osType`` alone (`vmware_os`).
- ``The following manifest file entry is invalid: SHA256``, before ESXi 6.5: SHA-1 for hardware
  versions below 13 (https://kb.vmware.com/s/article/2151537).
- ``vbox:Machine`` and ``vbox:uuid``, which mean nothing to them: left out.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from vboxkit.errors import OvfError
from vboxkit.ovf.files import locate
from vboxkit.ovf.inspecting import inspect
from vboxkit.ovf.manifest import ALGORITHMS
from vboxkit.ovf.packing import Content, pack
from vboxkit.ovf.placing import staged
from vboxkit.ovf.source import opened
from vboxkit.ovf.vmware_text import descriptor

if TYPE_CHECKING:
    from vboxkit.ovf.model import Package
    from vboxkit.ovf.source import Source
    from vboxkit.ovf.verifying import ProgressCall

__all__ = ["Converted", "VMware", "to_vmware"]

Adapter = Literal["E1000", "E1000e", "VmxNet3"]
_OLDEST, _NEWEST = 10, 22
_SHA256 = 13


@dataclass(frozen=True, kw_only=True)
class VMware:
    """
    What VMware's products an appliance is for.

    Attributes:
        hardware: The hardware version: 10 for ESXi 5.5, 11 for 6.0, 13 for 6.5, 14 for 6.7, 17 for
            7.0, 20 for 8.0, and what is newer.
        adapter: What its network adapters are. Every system has a driver for ``E1000``.
        digest: Of the manifest; ``sha1`` for hardware versions below 13, and ``sha256``, if left
            out.
    """

    hardware: int = 13
    adapter: Adapter = "E1000"
    digest: str = ""

    def __post_init__(self) -> None:
        if self.hardware not in range(_OLDEST, _NEWEST + 1):
            raise _wrong(f"the hardware version {self.hardware!r}", f"{_OLDEST} to {_NEWEST}")
        if self.adapter not in get_args(Adapter):
            raise _wrong(f"the adapter {self.adapter!r}", ", ".join(get_args(Adapter)))
        if not self.digest:
            digest = "sha256" if self.hardware >= _SHA256 else "sha1"
            object.__setattr__(self, "digest", digest)
        elif self.digest not in ALGORITHMS:
            raise _wrong(f"the digest {self.digest!r}", ", ".join(ALGORITHMS))


@dataclass(frozen=True, kw_only=True)
class Converted:
    """
    What `to_vmware` has written.

    Attributes:
        path: The OVA or descriptor.
        files: All files of it.
        changes: What is not as it was, a sentence each: a controller of another kind, a sound card
            less.
    """

    path: Path
    files: tuple[Path, ...]
    changes: tuple[str, ...]


def to_vmware(
    path: Path | str,
    target: Path | str,
    *,
    what: VMware | None = None,
    manifest: bool = True,
    overwrite: bool = False,
    on_progress: ProgressCall | None = None,
) -> Converted:
    """
    Describe an appliance of VirtualBox anew, as VMware's products want it; needs no VirtualBox.

    The disks stay as they are: stream-optimised VMDKs are what both read. What only VirtualBox's
    own part of the descriptor says (MAC addresses, port forwards, boot order, ...) is left out.

    Args:
        path: VirtualBox's ``.ova`` or ``.ovf``, OVF 1.0 or 2.0.
        target: The new ``.ova`` or ``.ovf``; the files of the latter are written beside it. It
            appears when it is whole.
        what: What it is for; ESXi 6.5 and newer if left out.
        manifest: Write one.
        overwrite: Replace files that are there.
        on_progress: Called after each MiB, with the bytes done, the bytes of all, and the name of
            the file. What it raises ends the work, and leaves nothing.

    Raises:
        AlreadyExistsError: A file is there.
        StorageError: Something cannot be read or written.
        OvfError: It is broken; or has what this cannot carry over: disks of another format,
            properties, deployment options.

    Example:
        ``to_vmware("web.ova", "web-vmware.ova", what=VMware(hardware=20, adapter="VmxNet3"))``
    """
    what = what or VMware()
    package = _usable(inspect(path).check())
    with staged(target, overwrite=overwrite) as stage, opened(path) as source, ExitStack() as stack:
        shown = {disk.file for disk in package.disks}
        names = [_name(source, one.href) for one in package.files if one.href in shown]
        contents = [
            Content(name, source.size(name) or 0, stack.enter_context(source.open(name)))
            for name in names
        ]
        text, changes = descriptor(
            package, {one.name: one.size for one in contents}, what.hardware, what.adapter
        )
        digest = what.digest if manifest else None
        if stage.packed:
            with stage.file.open("w+b") as out:
                pack(out, stage.name, text.encode(), contents, digest=digest,
                     on_progress=on_progress)  # fmt: skip
        else:
            stage.unpack(text.encode(), contents, digest=digest, on_progress=on_progress)
        inspect(stage.file).check()
        written = stage.publish()
    return Converted(path=written[-1], files=tuple(written), changes=tuple(changes))


def _name(source: Source, href: str) -> str:
    name = locate(source, href)
    if name is None:
        raise OvfError(source.path, "this file of it is missing", element=href)
    return name


def _usable(package: Package) -> Package:
    """Refuse what would silently be lost."""
    reason = hint = ""
    foreign = [disk for disk in package.disks if disk.file and disk.image not in _IMAGES]
    if foreign:
        reason = f"the disk {foreign[0].file!r} is {foreign[0].image or 'of an unknown format'}"
        hint = "VMware's products import stream-optimised VMDKs: convert it"
    elif package.options or package.properties:
        reason = "it has deployment options or properties"
        hint = "it is not VirtualBox's: write VMware's descriptor by hand"
    elif any(one.compression or one.chunk_bytes for one in package.files):
        reason, hint = "its files are compressed or cut into chunks", "unpack them first"
    if reason:
        raise OvfError(package.path, reason, hint=hint)
    return package


_IMAGES = {"vmdk streamOptimized", "iso"}


def _wrong(what: str, right: str) -> OvfError:
    return OvfError("VMware's descriptor", f"{what} is none", hint=right)

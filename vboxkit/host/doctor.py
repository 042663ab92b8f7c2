"""What this machine has and lacks for running virtual machines. Changes nothing."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vboxkit.com import installation
from vboxkit.errors import SetupError
from vboxkit.host.sandbox import Sandbox, inside_sandbox
from vboxkit.settings import cache_dir, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Finding", "Status", "examine"]

Status = Literal["ok", "warning", "problem"]

_OLDEST = (7, 0)
_FREE_DISK_MB = 2000
_FREE_MEMORY_MB = 512


@dataclass(frozen=True)
class Finding:
    """
    One thing looked at.

    Attributes:
        name: What was looked at.
        status: ``ok``; ``warning``: works, but not as well as it could; ``problem``: does not.
        detail: What was found.
        remedy: The command (or advice) that mends it, or `None`.
    """

    name: str
    status: Status
    detail: str
    remedy: str | None = None


def examine() -> list[Finding]:
    """
    Look at everything that virtual machines need here; about a tenth of a second.

    Example:
        >>> [f.remedy for f in examine() if f.status == "problem"]  # doctest: +SKIP
        ['vboxkit sandbox create']
    """
    found: list[Finding] = []
    for check in _CHECKS:
        # A check that fails is a finding too: the doctor never falls ill himself.
        try:
            found += check()
        except (OSError, SetupError, ValueError) as error:
            name = check.__name__.strip("_").replace("_", " ")
            found.append(Finding(name, "warning", f"cannot be examined: {error}"))
    return found


def _python() -> Iterable[Finding]:
    version = platform.python_version()
    good = sys.version_info >= (3, 10)
    detail = f"{version} ({sys.executable})"
    yield Finding("Python", "ok" if good else "problem", detail, None if good else "Python 3.10+")


def _virtualbox() -> Iterable[Finding]:
    sandbox = Sandbox().status()
    try:
        found = installation.find()
    except SetupError as error:
        if sandbox.exists:
            detail = f"only in the sandbox: {sandbox.virtualbox}"
            yield Finding("VirtualBox", "ok", detail, "vboxkit sandbox run -- COMMAND")
        else:
            yield Finding("VirtualBox", "problem", error.message, error.hint)
        return
    version = found.version
    if version is None:
        yield Finding("VirtualBox", "warning", f"{found.folder}: VBoxManage tells no version")
    elif tuple(map(int, version.split(".")[:2])) < _OLDEST:
        detail = f"{version} in {found.folder} is older than 7.0"
        yield Finding("VirtualBox", "problem", detail, "install VirtualBox 7")
    else:
        yield Finding("VirtualBox", "ok", f"{version} in {found.folder}")
    try:
        module = installation.import_vboxapi()
        yield Finding("vboxapi", "ok", str(Path(module.__file__ or "").parent))
    except SetupError as error:
        yield Finding("vboxapi", "problem", error.message, error.hint)


def _kernel_driver() -> Iterable[Finding]:
    if installation.driver_available():
        yield Finding("kernel driver", "ok", "loaded: machines run at full speed")
        yield from _kvm_conflict()
        yield from _group()
        return
    detail = "absent: machines are emulated, which is slow but works"
    remedy = None
    if not inside_sandbox() and shutil.which("vboxconfig"):
        remedy = "sudo /sbin/vboxconfig"
    elif shutil.which("modprobe") and _module_built():
        remedy = "sudo modprobe vboxdrv"
    yield Finding("kernel driver", "warning", detail, remedy)


def _module_built() -> bool:
    folder = Path("/lib/modules") / platform.release()
    return any(folder.glob("*/vboxdrv.ko*")) or any(folder.glob("*/*/vboxdrv.ko*"))


def _kvm_conflict() -> Iterable[Finding]:
    # Since Linux 6.12 KVM takes the processor's virtualisation as soon as it is loaded, and
    # VirtualBox's machines fail with VERR_VMX_IN_VMX_ROOT_MODE.
    switch = Path("/sys/module/kvm/parameters/enable_virt_at_load")
    if switch.exists() and switch.read_text(encoding="ascii").strip() in {"Y", "1"}:
        yield Finding(
            "KVM",
            "warning",
            "holds the processor's virtualisation, so that VirtualBox cannot use it",
            "boot with kvm.enable_virt_at_load=0, or: sudo modprobe -r kvm_intel kvm_amd",
        )


def _group() -> Iterable[Finding]:
    if os.name != "posix" or sys.platform == "darwin" or os.geteuid() == 0:
        return
    import getpass
    import grp

    try:
        group = grp.getgrnam("vboxusers")
    except KeyError:
        return
    if group.gr_gid not in os.getgroups():
        yield Finding(
            "vboxusers group",
            "warning",
            "you are not in it: USB devices of the host cannot be used",
            f"sudo usermod -aG vboxusers {getpass.getuser()}",
        )


def _memory() -> Iterable[Finding]:
    free = _available_mb(Path("/proc/meminfo"))
    if free is not None:
        low = free < _FREE_MEMORY_MB
        detail = f"{free} MB available; each machine takes all of its memory"
        yield Finding("memory", "warning" if low else "ok", detail)


def _available_mb(file: Path) -> int | None:
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    values = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(values[0]) // 1024 if values else None


def _disk() -> Iterable[Finding]:
    folder = cache_dir()
    place = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(place).free // 2**20
    low = free < _FREE_DISK_MB
    yield Finding(
        "disk",
        "warning" if low else "ok",
        f"{free} MB free for {folder}",
        "free some space, or set VBOXKIT_CACHE_DIR to another disk" if low else None,
    )
    if not os.access(place, os.W_OK):
        yield Finding(
            "cache", "problem", f"{place} cannot be written to", "set VBOXKIT_CACHE_DIR to another"
        )


def _temporary_folder() -> Iterable[Finding]:
    folder = tempfile.gettempdir()
    # VirtualBox's sockets are in /tmp whatever TMPDIR says.
    sockets = "/tmp"  # noqa: S108 - it is looked at only
    for place in sorted({folder, sockets} if os.name == "posix" else {folder}):
        good = os.access(place, os.W_OK | os.X_OK)
        detail = "writable" if good else "not writable: VirtualBox cannot make its sockets"
        remedy = None if good else f"sudo chmod 1777 {place}"
        yield Finding(place, "ok" if good else "problem", detail, remedy)


def _sandbox() -> Iterable[Finding]:
    if inside_sandbox():
        yield Finding("sandbox", "ok", f"inside {environment().get('VBOXKIT_SANDBOX')}")
        return
    status = Sandbox().status()
    if status.exists:
        detail = f"VirtualBox {status.virtualbox}, Python {status.python}, {status.size_mb} MB"
        if status.stale:
            detail += "; its recipe has changed"
        remedy = "vboxkit sandbox create" if status.stale else None
        yield Finding("sandbox", "warning" if status.stale else "ok", detail, remedy)
    else:
        yield Finding("sandbox", "ok", "none")


_CHECKS: tuple[Callable[[], Iterable[Finding]], ...] = (
    _python,
    _virtualbox,
    _kernel_driver,
    _memory,
    _disk,
    _temporary_folder,
    _sandbox,
)

"""What this machine has and lacks for running virtual machines. Changes nothing."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from typing import TYPE_CHECKING

from vboxkit.com import installation
from vboxkit.core import ports
from vboxkit.core.processes import available_memory_mb
from vboxkit.errors import SetupError
from vboxkit.host import doctor_kernel, doctor_software, remedies
from vboxkit.host.findings import Finding, Host, Status
from vboxkit.host.sandbox import Sandbox, inside_sandbox
from vboxkit.host.sandbox_entry import check_namespaces
from vboxkit.settings import cache_dir, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

__all__ = ["Finding", "Host", "Status", "examine", "room"]

_AGAIN = "vboxkit doctor, as the user who runs the machines"
_FREE_DISK_MB = 2000
_FREE_MEMORY_MB = 512
_FREE_PORTS = 100
#: A listening socket in /proc/net/tcp.
_LISTENS = "0A"


def examine(host: Host | None = None) -> list[Finding]:
    """
    Look at everything that virtual machines need here; some tenths of a second.

    Args:
        host: What is looked at; this machine if left out.

    Example:
        >>> [f.remedy for f in examine() if f.status == "problem"]  # doctest: +SKIP
        ['vboxkit sandbox create']
    """
    here = host or Host()
    found: list[Finding] = []
    for check in _CHECKS:
        # A check that fails is a finding too: the doctor never falls ill himself.
        try:
            found += check(here)
        except (OSError, SetupError, ValueError) as error:
            name = check.__name__.strip("_").replace("_", " ")
            hint = error.hint if isinstance(error, SetupError) else None
            found.append(Finding(name, "warning", f"cannot be examined: {error}", hint or _AGAIN))
    return found


def _memory(host: Host) -> Iterator[Finding]:
    free = _available_mb(host)
    if free is not None:
        low = free < _FREE_MEMORY_MB
        detail = f"{free} MB available; each machine takes all of its memory"
        remedy = "end programs, or vboxkit gc; vboxkit top shows what machines take"
        yield Finding("memory", "warning" if low else "ok", detail, remedy if low else None)


def _available_mb(host: Host) -> int | None:
    if not host.is_linux:
        return available_memory_mb()
    lines = (host.read("proc/meminfo") or "").splitlines()
    values = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(values[0]) // 1024 if values else None


def room(host: Host, folder: Path, *, variable: str) -> Finding:
    """Look how much room there is for a folder, which a variable puts elsewhere."""
    place = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(place).free // 2**20
    low = free < _FREE_DISK_MB
    other = remedies.set_variable(host, variable, "FOLDER")
    return Finding(
        "disk",
        "warning" if low else "ok",
        f"{free} MB free for {folder}",
        f"vboxkit images prune; or a folder of another disk: {other}" if low else None,
    )


def _disk(host: Host) -> Iterator[Finding]:
    folder = cache_dir()
    yield room(host, folder, variable="VBOXKIT_CACHE_DIR")
    place = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        yield Finding(
            "cache",
            "problem",
            f"{place} cannot be written to",
            f"{remedies.set_variable(host, 'VBOXKIT_CACHE_DIR', 'FOLDER')}, with one that can be",
        )


def _temporary_folder(host: Host) -> Iterator[Finding]:
    folder = tempfile.gettempdir()
    # VirtualBox's sockets are in /tmp whatever TMPDIR says.
    sockets = str(host.path("tmp"))
    for place in sorted({folder, sockets} if host.platform != "win32" else {folder}):
        good = os.access(place, os.W_OK | os.X_OK)
        detail = "writable" if good else "not writable: VirtualBox cannot make its sockets"
        remedy = None if good else remedies.may_write(host, place)
        yield Finding(place, "ok" if good else "problem", detail, remedy)


def _ports(host: Host) -> Iterator[Finding]:
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
    except OSError as error:
        yield Finding(
            "ports",
            "problem",
            f"cannot listen on 127.0.0.1: {error.strerror}",
            remedies.loopback(host),
        )
        return
    # Forwards of machines get theirs from below the kernel's own range.
    mine = ports.port_range(host.path("proc/sys/net/ipv4/ip_local_port_range"))
    taken = _listening(host) & set(mine)
    free = len(mine) - len(taken)
    few = free < _FREE_PORTS
    detail = f"{free} of {mine[0]} to {mine[-1]} are free on this machine, {len(taken)} are taken"
    remedy = "ss -ltnp shows whose they are: end those programs"
    yield Finding("ports", "warning" if few else "ok", detail, remedy if few else None)


def _listening(host: Host) -> set[int]:
    found = set()
    for name in ("tcp", "tcp6"):
        for line in (host.read(f"proc/net/{name}") or "").splitlines()[1:]:
            words = line.split()
            if len(words) > 3 and words[3] == _LISTENS:
                found.add(int(words[1].rpartition(":")[2], 16))
    return found


def _sandbox(host: Host) -> Iterator[Finding]:
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
        return
    try:
        if host.system in {"debian", "ubuntu"} and not _has_virtualbox():
            check_namespaces()
    except SetupError as error:
        detail = f"none, and none can be made: {error.message}"
        yield Finding("sandbox", "warning", detail, error.hint)
    else:
        yield Finding("sandbox", "ok", "none")


def _has_virtualbox() -> bool:
    try:
        installation.find()
    except SetupError:
        return False
    return True


_CHECKS: tuple[Callable[[Host], Iterable[Finding]], ...] = (
    doctor_software.python,
    doctor_software.virtualbox,
    doctor_kernel.kernel_driver,
    doctor_kernel.kvm,
    doctor_kernel.processor,
    doctor_kernel.group,
    _memory,
    _disk,
    _temporary_folder,
    _ports,
    _sandbox,
)

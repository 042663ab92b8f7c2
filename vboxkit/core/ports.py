"""
Free host ports that stay ours until they are given back.

A forward of VirtualBox binds its port itself, so nobody can hold the socket meanwhile. Instead a
port is leased by a lock file which every vboxkit process of this user looks at, and it is chosen
below the range from which the kernel gives ports to others.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.core.locks import try_lock
from vboxkit.errors import PortInUseError
from vboxkit.settings import cache_dir

if TYPE_CHECKING:
    import filelock
    from typing_extensions import Self

__all__ = ["PortLease", "is_free", "lease_port"]

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST = 20_000


class PortLease:
    """
    A TCP port on one address that no other vboxkit process will choose; a context manager.

    Attributes:
        host_ip: The address.
        port: The port.
    """

    def __init__(self, host_ip: str, port: int, lock: filelock.BaseFileLock) -> None:
        self.host_ip = host_ip
        self.port = port
        self._lock = lock

    def release(self) -> None:
        """Give the port back; doing it twice does no harm."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<PortLease {self.host_ip}:{self.port}>"


def is_free(port: int, *, host_ip: str = "127.0.0.1") -> bool:
    """Tell whether nothing listens on this TCP port now."""
    family = socket.AF_INET6 if ":" in host_ip else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host_ip, port))
        except OSError:
            return False
    return True


def lease_port(port: int | None = None, *, host_ip: str = "127.0.0.1") -> PortLease:
    """
    Lease a free TCP port, or the one asked for.

    Raises:
        PortInUseError: The port asked for is taken, or none is free.
    """
    if port is not None:
        lease = _try(host_ip, port)
        if lease is None:
            raise PortInUseError(
                f"port {port} on {host_ip} is taken",
                host_ip=host_ip,
                port=port,
                holder="another vboxkit process" if is_free(port, host_ip=host_ip) else "a program",
                hint="leave the port out to get a free one",
            )
        return lease
    family = socket.AF_INET6 if ":" in host_ip else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.bind((host_ip, 0))
        except OSError as error:
            raise PortInUseError(
                f"cannot listen on {host_ip}: {error}",
                host_ip=host_ip,
                port=0,
                hint="give an address of this machine, such as 127.0.0.1",
            ) from error
    candidates = list(_range())
    random.shuffle(candidates)
    for candidate in candidates:
        lease = _try(host_ip, candidate)
        if lease is not None:
            return lease
    raise PortInUseError(f"no free port on {host_ip}", host_ip=host_ip, port=0)


def _range() -> range:
    try:
        last = int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        last = 32_768
    return range(_FIRST, last) if last > _FIRST + 1000 else range(_FIRST, 32_768)


def _try(host_ip: str, port: int) -> PortLease | None:
    lock = try_lock(cache_dir() / "ports" / f"{port}.lock")
    if lock is None:
        return None
    if is_free(port, host_ip=host_ip):
        return PortLease(host_ip, port, lock)
    lock.release()
    return None

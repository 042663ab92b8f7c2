"""
Free host ports that stay ours until they are given back.

A forward of VirtualBox binds its port itself, so nobody can hold the socket meanwhile. Instead a
port is leased by a lock file which every vboxkit process of this user looks at, and it is chosen
below the range from which the kernel gives ports to others. TCP and UDP have ports of their own.
"""

from __future__ import annotations

import random
import socket
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vboxkit.core.locks import try_lock
from vboxkit.errors import PortInUseError
from vboxkit.settings import cache_dir

if TYPE_CHECKING:
    import filelock
    from typing_extensions import Self

__all__ = ["PortLease", "Protocol", "is_free", "lease_port", "port_range", "release_port"]

Protocol = Literal["tcp", "udp"]

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST = 20_000
#: The leases of this process, for those who know a port, but have not got its lease.
_leases: weakref.WeakValueDictionary[tuple[Protocol, int], PortLease] = (
    weakref.WeakValueDictionary()
)


class PortLease:
    """
    A port on one address that no other vboxkit process will choose; a context manager.

    Attributes:
        host_ip: The address.
        port: The port.
        protocol: ``tcp`` or ``udp``.
    """

    def __init__(
        self,
        host_ip: str,
        port: int,
        lock: filelock.BaseFileLock,
        *,
        protocol: Protocol = "tcp",
    ) -> None:
        self.host_ip = host_ip
        self.port = port
        self.protocol = protocol
        self._lock = lock
        _leases[protocol, port] = self

    def release(self) -> None:
        """Give the port back; doing it twice does no harm."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<PortLease {self.protocol} {self.host_ip}:{self.port}>"


def is_free(port: int, *, host_ip: str = "127.0.0.1", protocol: Protocol = "tcp") -> bool:
    """Tell whether nothing listens on this port now."""
    with _socket(host_ip, protocol) as probe:
        if protocol == "tcp":
            # For UDP it would let two programs have one port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host_ip, port))
        except OSError:
            return False
    return True


def _socket(host_ip: str, protocol: Protocol) -> socket.socket:
    family = socket.AF_INET6 if ":" in host_ip else socket.AF_INET
    return socket.socket(family, socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM)


def release_port(port: int, *, protocol: Protocol = "tcp") -> None:
    """Give a port back that this process has leased, whoever holds the lease; or do nothing."""
    lease = _leases.get((protocol, port))
    if lease is not None:
        lease.release()


def lease_port(
    port: int | None = None, *, host_ip: str = "127.0.0.1", protocol: Protocol = "tcp"
) -> PortLease:
    """
    Lease a free port, or the one asked for.

    Raises:
        PortInUseError: The port asked for is taken, or none is free.
    """
    if port is not None:
        lease = _try(host_ip, port, protocol)
        if lease is None:
            free = is_free(port, host_ip=host_ip, protocol=protocol)
            raise PortInUseError(
                f"{protocol} port {port} on {host_ip} is taken",
                host_ip=host_ip,
                port=port,
                holder="another vboxkit process" if free else "a program",
                hint="leave the port out to get a free one",
            )
        return lease
    with _socket(host_ip, protocol) as probe:
        try:
            probe.bind((host_ip, 0))
        except OSError as error:
            raise PortInUseError(
                f"cannot listen on {host_ip}: {error}",
                host_ip=host_ip,
                port=0,
                hint="give an address of this machine, such as 127.0.0.1",
            ) from error
    candidates = list(port_range())
    random.shuffle(candidates)
    for candidate in candidates:
        lease = _try(host_ip, candidate, protocol)
        if lease is not None:
            return lease
    raise PortInUseError(f"no free port ({protocol}) on {host_ip}", host_ip=host_ip, port=0)


def port_range(file: Path | None = None) -> range:
    """
    Return the ports from which free ones are chosen.

    Args:
        file: Where the kernel tells the range from which it gives ports to others; the usual
            place if left out.
    """
    try:
        last = int((file or _EPHEMERAL).read_text().split()[0])
    except (OSError, ValueError, IndexError):
        last = 32_768
    return range(_FIRST, last) if last > _FIRST + 1000 else range(_FIRST, 32_768)


def _try(host_ip: str, port: int, protocol: Protocol) -> PortLease | None:
    name = f"{port}.lock" if protocol == "tcp" else f"{port}-{protocol}.lock"
    lock = try_lock(cache_dir() / "ports" / name)
    if lock is None:
        return None
    if is_free(port, host_ip=host_ip, protocol=protocol):
        return PortLease(host_ip, port, lock, protocol=protocol)
    lock.release()
    return None

"""Measured values, of machines and of the host."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = [
    "FileSystemMetrics",
    "GuestMetrics",
    "HostMetrics",
    "HostNetworkMetrics",
    "MachineMetrics",
]


@dataclass(frozen=True, kw_only=True)
class GuestMetrics:
    """What the guest says of itself, by its Guest Additions."""

    cpu_user_percent: float
    cpu_kernel_percent: float
    cpu_idle_percent: float
    ram_total_mb: float
    ram_free_mb: float
    ram_cached_mb: float
    ram_ballooned_mb: float
    ram_shared_mb: float
    pagefile_mb: float


@dataclass(frozen=True, kw_only=True)
class MachineMetrics:
    """
    What a machine took over a period.

    Attributes:
        time: When it was read.
        period_s: Over how many seconds rates and percentages are averaged.
        cpu_guest_percent: Of the virtual CPUs' time, that in which guest code ran. An emulated
            guest's counts for `cpu_vmm_percent`.
        cpu_vmm_percent: ... in which VirtualBox worked for it.
        cpu_halted_percent: ... in which the guest had nothing to do.
        cpu_host_percent: Of the time of all CPUs of the host, what the VM's process took; of it
            `cpu_host_user_percent` and `cpu_host_kernel_percent`.
        ram_used_mb: Memory of the host that the VM's process has.
        disk_used_mb: What the disks' files take that are its own and not shared with others.
        disk_read_bytes_per_s: What the guest read from its disks.
        disk_written_bytes_per_s: ... wrote to them.
        net_received_bytes_per_s: What came to the guest's network adapters.
        net_sent_bytes_per_s: ... left them.
        guest: What the guest says; `None` without Guest Additions that run.
    """

    time: datetime
    period_s: int
    cpu_guest_percent: float
    cpu_vmm_percent: float
    cpu_halted_percent: float
    cpu_host_user_percent: float
    cpu_host_kernel_percent: float
    ram_used_mb: float
    disk_used_mb: float
    disk_read_bytes_per_s: float
    disk_written_bytes_per_s: float
    net_received_bytes_per_s: float
    net_sent_bytes_per_s: float
    guest: GuestMetrics | None

    @property
    def cpu_host_percent(self) -> float:
        """Of the time of all CPUs of the host, what the VM's process took."""
        return self.cpu_host_user_percent + self.cpu_host_kernel_percent


@dataclass(frozen=True, kw_only=True)
class FileSystemMetrics:
    """A file system of the host."""

    path: str
    total_mb: float
    used_mb: float
    free_mb: float


@dataclass(frozen=True, kw_only=True)
class HostNetworkMetrics:
    """A network interface of the host; no speed, and no load, where it does not tell its speed."""

    name: str
    link_speed_mbit_per_s: float | None
    received_percent: float | None
    sent_percent: float | None


@dataclass(frozen=True, kw_only=True)
class HostMetrics:
    """
    What the host does, all together; `vmm_...` is what all machines take, as far as it is known.

    Attributes:
        time: When it was read.
        period_s: Over how many seconds percentages are averaged.
    """

    time: datetime
    period_s: int
    cpu_user_percent: float
    cpu_kernel_percent: float
    cpu_idle_percent: float
    cpu_mhz: float
    ram_total_mb: float
    ram_used_mb: float
    ram_free_mb: float
    vmm_ram_used_mb: float
    vmm_ram_free_mb: float
    vmm_ram_ballooned_mb: float
    vmm_ram_shared_mb: float
    file_systems: tuple[FileSystemMetrics, ...]
    networks: tuple[HostNetworkMetrics, ...]

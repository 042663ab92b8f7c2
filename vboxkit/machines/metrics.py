"""What machines and the host take of CPU, memory, disk and network."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Generic, TypeVar

from vboxkit.core.waiting import Deadline, Timeout, wait_until
from vboxkit.errors import ConnectionLostError, WaitTimeoutError
from vboxkit.machines.collector import LONGEST, Collector, Values
from vboxkit.machines.locks import locked
from vboxkit.machines.metric_values import (
    FileSystemMetrics,
    GuestMetrics,
    HostMetrics,
    HostNetworkMetrics,
    MachineMetrics,
)
from vboxkit.machines.parts import invalid
from vboxkit.machines.states import ONLINE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Self

    from vboxkit.com.interfaces import IMachineDebugger
    from vboxkit.machines.base import ComObject
    from vboxkit.machines.resources import MachineResources
    from vboxkit.machines.watching import WatchedVirtualBox

__all__ = ["MetricsStream", "host_stream", "machine_stream", "measure", "measure_host"]

M = TypeVar("M")

#: Seconds between two looks at the collector.
_LOOK = 0.1
#: Seconds to wait for the first statistics of Guest Additions that are there.
_GUEST_PATIENCE = 4.0
#: ``getCPULoad`` of all CPUs together.
_ALL_CPUS = 0x7FFFFFFF


class MetricsStream(Generic[M]):
    """
    Measured values, one each period; iterate over it, or ask for the `next` one.

    VirtualBox measures until the stream is closed, dropped, or left as a context manager.
    """

    def __init__(
        self,
        subject: ComObject,
        collector: Collector,
        make: Callable[[Values, int], M],
        *,
        what: str,
        period: int,
        timeout: Timeout | None,
        alive: Callable[[], bool] = lambda: True,
    ) -> None:
        self._subject = subject
        self._collector = collector
        self._make = make
        self._what = what
        self._period = period
        self._deadline = None if timeout is None else Deadline(timeout)
        self._alive = alive
        self._closed = False
        self._due: Deadline | None = None

    def __repr__(self) -> str:
        return f"<MetricsStream of {self._what}{' (closed)' if self._closed else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Measure no more; doing it twice does no harm."""
        self._closed = True
        self._collector.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> M:
        value = self.next()
        if value is None:
            raise StopIteration
        return value

    def next(self, *, timeout: Timeout | None = None) -> M | None:
        """
        Wait until the next values are due, and return them; `None` if there are no more.

        Args:
            timeout: Seconds, `timedelta` or `Deadline`; a period and ten seconds if left out.

        Raises:
            WaitTimeoutError: VirtualBox gave no values in time.
        """
        try:
            with self._subject._translated("measure"):
                found = wait_until(
                    self._look,
                    what=f"measured values of {self._what}",
                    timeout=Deadline(self._period + 10 if timeout is None else timeout),
                    poll=_LOOK,
                    last_seen=lambda: "none",
                )
        except ConnectionLostError:
            self._alive()  # raises as well if it is VirtualBox that is gone, and not only the VM
            found = []
        if not found:
            self.close()
            return None
        self._due = Deadline(self._period)
        return found[0]

    def _look(self) -> list[M] | None:
        """Return the values that are due, as a list of one; an empty one if there are no more."""
        late = self._deadline is not None and self._deadline.expired
        if late or self._closed or not self._alive():
            return []
        if self._due is not None and not self._due.expired:
            return None
        values = self._collector.read()
        # The first sample tells nothing: of a CPU it is near 0, whatever that did.
        return [self._make(values, self._period)] if values.count >= 2 else None


def _whole(obj: ComObject, period: float) -> int:
    if period != int(period) or not 1 <= period <= LONGEST:
        raise invalid(
            obj,
            f"it cannot be measured every {period} s",
            hint=f"whole seconds, 1 to {LONGEST}",
            operation="measure",
        )
    return int(period)


def machine_stream(
    machine: MachineResources, period: float, timeout: Timeout | None
) -> MetricsStream[MachineMetrics]:
    """See `Machine.metrics_stream`."""
    seconds = _whole(machine, period)
    # The lock is only needed to get at the debugger, which knows what the virtual CPUs do.
    with locked(machine, timeout=machine.settings.lock_timeout, needs_vm=True) as session:
        debugger = session.console.debugger
    with machine._translated("measure"):
        counters = _Counters(debugger)

    def make(values: Values, period: int) -> MachineMetrics:
        _, executing, halted, other = debugger.getCPULoad(_ALL_CPUS)
        rates = counters.rates()
        return MachineMetrics(
            time=datetime.now(timezone.utc),
            period_s=period,
            cpu_guest_percent=float(executing),
            cpu_vmm_percent=float(other),
            cpu_halted_percent=float(halted),
            cpu_host_user_percent=values.mean("CPU/Load/User", period),
            cpu_host_kernel_percent=values.mean("CPU/Load/Kernel", period),
            ram_used_mb=values.last("RAM/Usage/Used", 1024),
            disk_used_mb=values.last("Disk/Usage/Used"),
            disk_read_bytes_per_s=rates["BytesRead"],
            disk_written_bytes_per_s=rates["BytesWritten"],
            net_received_bytes_per_s=rates["BytesReceived"],
            net_sent_bytes_per_s=rates["BytesTransmitted"],
            guest=_guest(values, period),
        )

    return MetricsStream(
        machine,
        Collector(machine._api, machine.com, machine.id),
        make,
        what=machine._subject(),
        period=seconds,
        timeout=timeout,
        alive=lambda: machine.state in ONLINE,
    )


class _Counters:
    """
    What went over a VM's network adapters and disks, as its devices count it.

    The collector has rates of the network too, but on VirtualBox 7.2 they are 0 whatever happens.
    """

    _NAMES = ("BytesReceived", "BytesTransmitted", "BytesRead", "BytesWritten")
    _COUNTER = re.compile(
        rf'<Counter c="(\d+)"[^>]* name="/Public/(?:NetAdapter|Storage)/[^"]*/({"|".join(_NAMES)})"'
    )

    def __init__(self, debugger: IMachineDebugger) -> None:
        self._debugger = debugger
        self._before = self._read()
        self._since = Deadline(0)

    def _read(self) -> dict[str, int]:
        found: dict[str, int] = dict.fromkeys(self._NAMES, 0)
        said = self._debugger.getStats("/Public/NetAdapter/*|/Public/Storage/*", False)
        for count, name in self._COUNTER.findall(str(said)):
            found[name] += int(count)
        return found

    def rates(self) -> dict[str, float]:
        """Return bytes a second, since this was last asked for."""
        now, before = self._read(), self._before
        passed = max(self._since.elapsed, 0.001)
        self._before, self._since = now, Deadline(0)
        return {name: round(max(0, now[name] - before[name]) / passed, 1) for name in now}


def _guest(values: Values, period: int) -> GuestMetrics | None:
    if not values.has("Guest/CPU/Load/User"):
        return None
    return GuestMetrics(
        cpu_user_percent=values.mean("Guest/CPU/Load/User", period),
        cpu_kernel_percent=values.mean("Guest/CPU/Load/Kernel", period),
        cpu_idle_percent=values.mean("Guest/CPU/Load/Idle", period),
        ram_total_mb=values.last("Guest/RAM/Usage/Total", 1024),
        ram_free_mb=values.last("Guest/RAM/Usage/Free", 1024),
        ram_cached_mb=values.last("Guest/RAM/Usage/Cache", 1024),
        ram_ballooned_mb=values.last("Guest/RAM/Usage/Balloon", 1024),
        ram_shared_mb=values.last("Guest/RAM/Usage/Shared", 1024),
        pagefile_mb=values.last("Guest/Pagefile/Usage/Total", 1024),
    )


def measure(machine: MachineResources, timeout: Timeout) -> MachineMetrics:
    """See `Machine.metrics`."""
    deadline = Deadline(timeout)
    with machine_stream(machine, 1, None) as stream:
        values = _first(machine, stream, deadline)
        patience = Deadline(min(_GUEST_PATIENCE, deadline.remaining))
        while values.guest is None and not patience.expired and _additions(machine):
            values = _first(machine, stream, deadline)
        return values


def _first(
    machine: MachineResources, stream: MetricsStream[MachineMetrics], deadline: Deadline
) -> MachineMetrics:
    values = stream.next(timeout=deadline)
    if values is None:
        raise machine._not_running("measure")
    return values


def _additions(machine: MachineResources) -> bool:
    """Whether the guest has services that could tell of it."""
    with locked(machine, timeout=machine.settings.lock_timeout, needs_vm=True) as session:
        level = machine._api.name("AdditionsRunLevelType", session.console.guest.additionsRunLevel)
    return level in {"Userland", "Desktop"}


def host_stream(
    vbox: WatchedVirtualBox, period: float, timeout: Timeout | None
) -> MetricsStream[HostMetrics]:
    """See `VirtualBox.metrics_stream`."""
    seconds = _whole(vbox, period)
    return MetricsStream(
        vbox,
        Collector(vbox._api, vbox._api.virtualbox.host, "host"),
        _host,
        what="the host",
        period=seconds,
        timeout=timeout,
    )


def _host(values: Values, period: int) -> HostMetrics:
    def parts(start: str) -> Sequence[str]:
        # FS/{/}/Usage/Total, Net/eth0/Load/Rx
        end = "/Usage/Total" if start == "FS/" else "/LinkSpeed"
        return [name.removesuffix(end) for name in values.names(start, end)]

    return HostMetrics(
        time=datetime.now(timezone.utc),
        period_s=period,
        cpu_user_percent=values.mean("CPU/Load/User", period),
        cpu_kernel_percent=values.mean("CPU/Load/Kernel", period),
        cpu_idle_percent=values.mean("CPU/Load/Idle", period),
        cpu_mhz=values.last("CPU/MHz"),
        ram_total_mb=values.last("RAM/Usage/Total", 1024),
        ram_used_mb=values.last("RAM/Usage/Used", 1024),
        ram_free_mb=values.last("RAM/Usage/Free", 1024),
        vmm_ram_used_mb=values.last("RAM/VMM/Used", 1024),
        vmm_ram_free_mb=values.last("RAM/VMM/Free", 1024),
        vmm_ram_ballooned_mb=values.last("RAM/VMM/Ballooned", 1024),
        vmm_ram_shared_mb=values.last("RAM/VMM/Shared", 1024),
        file_systems=tuple(
            FileSystemMetrics(
                path=fs.removeprefix("FS/{").removesuffix("}"),
                total_mb=values.last(f"{fs}/Usage/Total"),
                used_mb=values.last(f"{fs}/Usage/Used"),
                free_mb=values.last(f"{fs}/Usage/Free"),
            )
            for fs in parts("FS/")
        ),
        networks=tuple(_network(values, net, period) for net in parts("Net/")),
    )


def _network(values: Values, net: str, period: int) -> HostNetworkMetrics:
    speed = values.last(f"{net}/LinkSpeed")
    known = speed > 0  # -1 where the interface does not tell

    def load(way: str) -> float | None:
        name = f"{net}/Load/{way}"
        return values.mean(name, period) if known and values.has(name) else None

    return HostNetworkMetrics(
        name=net.removeprefix("Net/"),
        link_speed_mbit_per_s=speed if known else None,
        received_percent=load("Rx"),
        sent_percent=load("Tx"),
    )


def measure_host(vbox: WatchedVirtualBox, timeout: Timeout) -> HostMetrics:
    """See `VirtualBox.metrics`."""
    with host_stream(vbox, 1, None) as stream:
        values = stream.next(timeout=timeout)
    if values is None:
        raise WaitTimeoutError("measured values of the host", waited=0.0)
    return values

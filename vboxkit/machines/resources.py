"""The process of a running machine: on which CPUs, how urgent, and what it takes."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from vboxkit.core import processes
from vboxkit.errors import ApiError, InvalidStateError, SetupError
from vboxkit.machines.base import api_call
from vboxkit.machines.parts import Choice, invalid
from vboxkit.machines.states import ONLINE
from vboxkit.machines.watching import WatchedMachine

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.metric_values import MachineMetrics
    from vboxkit.machines.metrics import MetricsStream

__all__ = ["MachineResources", "Priority"]

Priority = Literal["Default", "Flat", "Low", "Normal", "High"]


class MachineResources(WatchedMachine):
    """The part of `Machine` that is about its process and what that takes of the host."""

    priority: Choice[Priority] = Choice(
        "VMProcessPriority",
        "VMProcPriority",
        "How urgent its process is to the host: ``Low``, ``Normal``, ``High``, ``Flat`` (all its"
        " threads alike) or ``Default``. Kept with its settings; a running machine takes it over at"
        " once. More than ``Normal`` may need an administrator's rights.",
    )

    @property
    @api_call("read the CPU affinity")
    def affinity(self) -> frozenset[int]:
        """
        The host's CPUs on which its process may run; `pin` sets them.

        Raises:
            InvalidStateError: There is no running VM.
            SetupError: This system has no affinity (macOS).
        """
        with self._process("read the CPU affinity") as pid:
            return processes.affinity(pid)

    @api_call("pin to CPUs")
    def pin(self, cpus: Collection[int]) -> None:
        """
        Let the machine's process run on these CPUs of the host only.

        It holds for every thread of the process, also those that it makes later, until it ends: a
        machine that is started again runs anywhere, as VirtualBox has no such setting.

        Args:
            cpus: Numbers of CPUs, from 0.

        Raises:
            InvalidStateError: There is no running VM.
            ApiError: No CPUs, or some that this host does not have or let us use; the hint has
                those it has. Or the process is another user's.
            SetupError: This system has no affinity (macOS).

        Example:
            ``machine.pin({0, 1})``
        """
        if isinstance(cpus, (str, bytes)) or not isinstance(cpus, Iterable):
            msg = f"{self._subject()}: cpus is a set of numbers, as {{0, 1}}, not {cpus!r}"
            raise TypeError(msg)
        wanted = set(cpus)
        for cpu in wanted:
            if type(cpu) is not int:
                msg = f"{self._subject()}: a CPU is a number, not {cpu!r}"
                raise TypeError(msg)
        usable = processes.usable_cpus()
        there = f"this host has {', '.join(map(str, sorted(usable)))}"
        if not wanted:
            raise invalid(self, "it needs at least one CPU to run on", hint=there, operation="pin")
        if unknown := sorted(wanted - usable):
            which = "CPU" if len(unknown) == 1 else "CPUs"
            raise invalid(
                self,
                f"there is no {which} {', '.join(map(str, unknown))} to pin it to",
                hint=there,
                operation="pin to CPUs",
            )
        with self._process("pin to CPUs") as pid:
            processes.set_affinity(pid, wanted)

    @api_call("unpin")
    def unpin(self) -> None:
        """
        Let the machine's process run on every CPU of the host again.

        Raises:
            InvalidStateError: There is no running VM.
        """
        with self._process("unpin") as pid:
            processes.set_affinity(pid, processes.usable_cpus())

    @contextmanager
    def _process(self, operation: str) -> Iterator[int]:
        """Give the VM's process, and make errors of the system our own."""
        state = self.state
        pid = self.session_pid
        # A lock of somebody else's, on a machine at rest, has a process too.
        if state not in ONLINE or pid is None:
            raise self._not_running(operation)
        try:
            yield pid
        except NotImplementedError as error:
            raise SetupError(
                f"{self._subject()}: cannot {operation}: {error}",
                hint="machine.cpu.execution_cap_percent limits what it takes, on every system",
            ) from error
        except ProcessLookupError as error:
            raise self._not_running(operation) from error
        except PermissionError as error:
            raise ApiError(
                f"{self._subject()} ({state}): cannot {operation}: {error}",
                symbol="E_ACCESSDENIED",
                text=str(error),
                operation=operation,
                hint="do it as the user who has started the machine",
            ) from error

    def _not_running(self, operation: str) -> InvalidStateError:
        state = str(self.state)
        return InvalidStateError(
            f"{self._subject()} is {state}: cannot {operation}, there is no running VM",
            state=state,
            needed=["Running", "Paused"],
            operation=operation,
            hint="start() the machine first",
        )

    @api_call("measure")
    def metrics(self, *, timeout: Timeout = 10) -> MachineMetrics:
        """
        Measure what the running machine takes, once.

        VirtualBox measures over a second, and the first one tells nothing: this takes about two
        seconds, up to four where the guest has Guest Additions.

        Args:
            timeout: Seconds, `timedelta` or `Deadline`.

        Raises:
            InvalidStateError: There is no running VM.
            WaitTimeoutError: VirtualBox gave no values in time.

        Example:
            ``machine.metrics().cpu_host_percent``
        """
        from vboxkit.machines import metrics

        return metrics.measure(self, timeout)

    @api_call("measure")
    def metrics_stream(
        self, *, period: float = 1, timeout: Timeout | None = None
    ) -> MetricsStream[MachineMetrics]:
        """
        Measure again and again; ends when the machine stops.

        Args:
            period: Whole seconds, 1 to 60: how often, and over how long each is averaged.
            timeout: Seconds, `timedelta` or `Deadline` after which the stream ends.

        Raises:
            InvalidStateError: There is no running VM.
            ApiError: A period that VirtualBox cannot do.

        Example:
            ``for m in machine.metrics_stream(timeout=60): print(m.ram_used_mb)``
        """
        from vboxkit.machines import metrics

        return metrics.machine_stream(self, period, timeout)

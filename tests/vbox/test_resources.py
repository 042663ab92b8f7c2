"""Priority, affinity and measured values, as far as no machine has to run."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from vboxkit.errors import ApiError, InvalidStateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


def test_priority_is_kept_with_the_settings(machine: Machine, vbox: VirtualBox) -> None:
    """It is `Default` at first, takes all of VirtualBox's names, and works in an edit."""
    assert machine.priority == "Default"
    machine.priority = "Low"
    assert vbox.machines[machine.id].priority == "Low"
    with machine.edit() as m:
        m.priority = "High"
        m.memory_mb = 80
    assert (machine.priority, machine.memory_mb) == ("High", 80)


def test_an_unknown_priority_names_the_near_ones(machine: Machine) -> None:
    """The error names machine, value and what could be meant; nothing is changed."""
    with pytest.raises(ApiError) as caught:
        machine.priority = "high"  # type: ignore[assignment]  # that is the point
    assert machine.name in str(caught.value)
    assert "High" in str(caught.value.hint)
    assert machine.priority == "Default"


@pytest.mark.parametrize("verb", ["pin", "unpin", "affinity", "metrics", "metrics_stream"])
def test_a_machine_at_rest_has_no_process(verb: str, machine: Machine) -> None:
    """The error names machine, state and remedy."""
    calls: dict[str, Callable[[], object]] = {
        "pin": lambda: machine.pin({0}),
        "unpin": machine.unpin,
        "affinity": lambda: machine.affinity,
        "metrics": machine.metrics,
        "metrics_stream": machine.metrics_stream,
    }
    with pytest.raises(InvalidStateError) as caught:
        calls[verb]()
    assert machine.name in str(caught.value)
    assert caught.value.state == "PoweredOff"
    assert "start" in str(caught.value.hint)


def test_somebody_elses_lock_is_no_running_vm(machine: Machine) -> None:
    """A process that works on a machine at rest is not pinned in the VM's place."""
    with machine.edit(), pytest.raises(InvalidStateError):
        machine.pin({0})


def test_the_host_is_measured(vbox: VirtualBox) -> None:
    """CPU adds up to all, memory adds up, the root file system is there; and it is switched off."""
    before = datetime.now(timezone.utc)
    host = vbox.metrics()
    total = host.cpu_user_percent + host.cpu_kernel_percent + host.cpu_idle_percent
    assert total == pytest.approx(100, abs=2)
    assert host.ram_used_mb + host.ram_free_mb == pytest.approx(host.ram_total_mb, abs=2)
    assert host.cpu_mhz > 0
    assert "/" in {system.path for system in host.file_systems}
    assert all(system.used_mb <= system.total_mb for system in host.file_systems)
    assert before <= host.time <= datetime.now(timezone.utc)
    assert vbox._api.virtualbox.performanceCollector is not None
    from vboxkit.machines.collector import Collector

    assert Collector._users == {}


def test_a_stream_of_the_host(vbox: VirtualBox) -> None:
    """A value each second, later each time; it ends with its time."""
    values = list(vbox.metrics_stream(timeout=4.5))
    assert len(values) >= 2
    times = [value.time for value in values]
    assert times == sorted(set(times))


@pytest.mark.parametrize("period", [0, 0.5, 61, -1, 1.5])
def test_a_period_that_virtualbox_cannot_do(period: float, vbox: VirtualBox) -> None:
    """Whole seconds, 1 to 60: the error says so, and nothing is measured."""
    from vboxkit.machines.collector import Collector

    with pytest.raises(ApiError) as caught:
        vbox.metrics_stream(period=period)
    assert "1 to 60" in str(caught.value)
    assert Collector._users == {}

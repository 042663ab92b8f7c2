"""What a running machine takes."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.core.waiting import wait_until
from vboxkit.errors import InvalidStateError
from vboxkit.machines.collector import Collector

if TYPE_CHECKING:
    from vboxkit import VM

pytestmark = pytest.mark.vm


def measured(vm: VM) -> int:
    """Return how many values VirtualBox has measured of a machine."""
    collector: Any = vm._api.virtualbox.performanceCollector
    *_, sequences, _, lengths = collector.queryMetricsData(["RAM/Usage/Used"], [vm.com])
    return int(sequences[0] + lengths[0])


def stands_still(vm: VM) -> bool:
    """Whether VirtualBox measures a machine no more: nothing new in more than two seconds."""
    import time

    before = measured(vm)
    until = time.monotonic() + 2.3
    wait_until(lambda: True if time.monotonic() > until else None, what="2 s", timeout=10, poll=0.2)
    return measured(vm) == before


def test_a_busy_guest_shows_in_all_values(vm: VM) -> None:
    """CPU of guest and host, memory, disk and network of a guest that works and sends."""
    vm.ssh.succeed("(while :; do echo x > /root/busy; sync; done) >/dev/null 2>&1 &")
    with vm.metrics_stream() as stream:
        first = stream.next()
        vm.ssh.succeed("dd if=/dev/zero bs=4096 count=100 2>/dev/null")
        value = stream.next()
        more = [stream.next() for _ in range(2)]
    assert first is not None
    assert value is not None
    assert value.cpu_guest_percent + value.cpu_vmm_percent > 50
    assert value.cpu_halted_percent < 50
    total = value.cpu_guest_percent + value.cpu_vmm_percent + value.cpu_halted_percent
    assert total == pytest.approx(100, abs=3)
    assert value.cpu_host_percent > 5
    assert value.ram_used_mb > 10
    assert value.disk_used_mb >= 0
    sent = [v.net_sent_bytes_per_s for v in (first, value, *more) if v is not None]
    assert max(sent) > 10_000
    assert value.disk_written_bytes_per_s > 1_000
    assert value.period_s == 1
    assert Collector._users == {}


def test_the_guest_tells_of_itself(vm: VM) -> None:
    """With Guest Additions that run: its own CPU and memory; otherwise `None`."""
    values = vm.metrics()
    guest = values.guest
    if guest is None:
        assert "VBoxService" not in vm.ssh.run("ps").stdout
        return
    total = guest.cpu_user_percent + guest.cpu_kernel_percent + guest.cpu_idle_percent
    assert total == pytest.approx(100, abs=5)
    assert 20 < guest.ram_total_mb <= vm.memory_mb
    assert 0 < guest.ram_free_mb < guest.ram_total_mb


def test_a_guest_without_additions_tells_nothing(vm: VM) -> None:
    """What VirtualBox itself sees is there all the same."""
    vm.ssh.run("killall VBoxService; killall -9 VBoxService")
    vm.save_state()
    vm.discard_state()
    vm.start()  # boots: the first seconds are without additions
    values = vm.metrics()
    assert values.ram_used_mb > 10


def test_a_stream_ends_with_the_machine(vm: VM) -> None:
    """Values until the machine is off, and then the end; measuring it is then refused."""
    count = 0
    for values in vm.metrics_stream():
        count += 1
        assert values.ram_used_mb > 0
        if count == 2:
            vm.power_off()
    assert count == 2
    with pytest.raises(InvalidStateError):
        vm.metrics()


def test_measuring_stops_when_nobody_wants_it(vm: VM) -> None:
    """Two streams: the first one's end leaves the second its values; the last one switches off."""
    one, two = vm.metrics_stream(), vm.metrics_stream(period=2)
    assert one.next() is not None
    one.close()
    assert one.next() is None
    values = two.next()
    assert values is not None
    assert values.period_s == 2
    del two
    gc.collect()
    assert Collector._users == {}
    assert stands_still(vm)


def test_somebody_elses_switch_does_not_end_a_stream(vm: VM) -> None:
    """The collector has one switch for all programs: a stream switches it on again."""
    with vm.metrics_stream() as stream:
        assert stream.next() is not None
        vm._api.virtualbox.performanceCollector.disableMetrics(["*"], [vm.com])
        before = measured(vm)
        wait_until(
            lambda: True if stream.next() and measured(vm) > before + 1 else None,
            what="new values",
            timeout=15,
        )

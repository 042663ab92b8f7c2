"""The CPUs and the urgency of a running machine's process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from vboxkit.core import processes
from vboxkit.core.waiting import wait_until
from vboxkit.errors import ApiError, SetupError

if TYPE_CHECKING:
    from vboxkit import VM

pytestmark = pytest.mark.vm


def threads(vm: VM) -> dict[int, str]:
    """Return the CPUs of each thread of the VM's process, as the kernel tells them."""
    found = {}
    for path in Path(f"/proc/{vm.session_pid}/task").iterdir():
        try:
            status = (path / "status").read_text()
        except OSError:
            continue  # it has ended
        allowed = next(line for line in status.splitlines() if line.startswith("Cpus_allowed_list"))
        found[int(path.name)] = allowed.split()[1]
    return found


def nice(vm: VM, thread: str) -> int:
    """Return how nice a thread of the VM's process is."""
    for path in Path(f"/proc/{vm.session_pid}/task").iterdir():
        if (path / "comm").read_text().strip().startswith(thread):
            return int((path / "stat").read_text().rsplit(")", 1)[1].split()[16])
    raise AssertionError(thread)


def test_a_pin_holds_for_every_thread_also_later_ones(vm: VM) -> None:
    """All threads at once, and those that the VM's process makes afterwards; unpin undoes it."""
    usable = processes.usable_cpus()
    assert vm.affinity == usable
    cpu = max(usable)
    vm.pin({cpu})
    before = threads(vm)
    assert set(before.values()) == {str(cpu)}
    assert vm.affinity == {cpu}
    # Each call that waits in the VM's process takes a thread there.
    streams = [vm.events("OnKeyboardLedsChanged") for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        waiting = [pool.submit(stream.next, timeout=20) for stream in streams]
        new = wait_until(
            lambda: (set(threads(vm)) - set(before)) or None,
            what="new threads in the VM's process",
            timeout=15,
        )
        assert new
        assert set(threads(vm).values()) == {str(cpu)}
        for stream in streams:
            stream.close()
        assert [future.result() for future in waiting] == [None] * 12
    vm.unpin()
    assert vm.affinity == usable
    assert vm.ssh.run("true").ok


@pytest.mark.parametrize(("cpus", "said"), [({4711}, "CPU 4711"), (set(), "at least one")])
def test_cpus_that_are_not_there(cpus: set[int], said: str, vm: VM) -> None:
    """The error names the machine and the CPUs there are; nothing is changed."""
    before = threads(vm)
    with pytest.raises(ApiError) as caught:
        vm.pin(cpus)
    assert vm.name in str(caught.value)
    assert said in str(caught.value)
    assert ", ".join(map(str, sorted(processes.usable_cpus()))) in str(caught.value.hint)
    assert threads(vm).items() <= before.items() or set(threads(vm).values()) == set(
        before.values()
    )
    with pytest.raises(TypeError, match="a CPU is a number"):
        vm.pin({"0"})  # type: ignore[arg-type]  # that is the point


def test_a_pin_ends_with_the_process(vm: VM) -> None:
    """A machine that is started again runs anywhere."""
    vm.pin({max(processes.usable_cpus())})
    vm.save_state()
    vm.start()
    assert vm.affinity == processes.usable_cpus()


def test_a_system_without_affinity_says_so(vm: VM, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, where psutil has no such method: a typed error with another way."""
    monkeypatch.delattr(psutil.Process, "cpu_affinity")
    for call in (lambda: vm.pin({0}), vm.unpin, lambda: vm.affinity):
        with pytest.raises(SetupError, match="has no CPU affinity") as caught:
            call()
        assert "execution_cap" in str(caught.value.hint)


def test_priority_reaches_the_running_process(vm: VM) -> None:
    """The thread of the virtual CPU is as nice as VirtualBox makes it, at once."""
    usual = nice(vm, "EMT")
    vm.priority = "Low"
    assert vm.priority == "Low"
    assert nice(vm, "EMT") > usual
    # Back up again only an administrator may.
    with pytest.MonkeyPatch.context():
        try:
            vm.priority = "Normal"
        except ApiError as error:
            assert vm.name in str(error)  # noqa: PT017 - either way is right
        else:
            assert vm.priority == "Normal"

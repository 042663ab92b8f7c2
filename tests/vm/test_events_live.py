"""What a running machine tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit import MachineState
from vboxkit.errors import ApiError
from vboxkit.machines.event_kinds import MachineStateChangedEvent, NATRedirectEvent
from vboxkit.machines.locks import locked
from vboxkit.machines.vm_event_kinds import (
    CanShowWindowEvent,
    ConsoleEvent,
    CPUExecutionCapChangedEvent,
    GuestKeyboardEvent,
    GuestMouseEvent,
    NetworkAdapterChangedEvent,
    SharedFolderChangedEvent,
    StateChangedEvent,
    VRDEServerChangedEvent,
)

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit import VM

pytestmark = pytest.mark.vm


def test_states_are_told_by_virtualbox_and_by_the_vm(vm: VM) -> None:
    """Pause, resume and power off: by both, in order; the stream goes on after the VM's end."""
    with vm.events() as stream:
        vm.pause()
        vm.resume()
        events = []
        # What the VM tells is in a queue of its process, and gone with it: fetched before.
        while (event := stream.next(timeout=1)) is not None:
            events.append(event)
        vm.power_off()
        while (event := stream.next(timeout=1)) is not None:
            events.append(event)
    assert {event.machine_id for event in events} == {vm.id}
    host = [str(e.state) for e in events if isinstance(e, MachineStateChangedEvent)]
    assert host == ["Paused", "Running", "Stopping", "PoweredOff"]
    own = [str(e.state) for e in events if isinstance(e, StateChangedEvent)]
    assert own[:2] == ["Paused", "Running"]


def test_devices_of_a_running_machine(vm: VM, tmp_path: Path) -> None:
    """Cable, shared folder, execution cap, remote desktop, forward: each with its values."""
    kinds = (
        NetworkAdapterChangedEvent,
        SharedFolderChangedEvent,
        CPUExecutionCapChangedEvent,
        VRDEServerChangedEvent,
        NATRedirectEvent,
    )
    with vm.events(*kinds) as stream:
        with vm._changing() as com:
            com.getNetworkAdapter(0).cableConnected = False
        with vm._changing() as com:
            com.getNetworkAdapter(0).cableConnected = True
            com.createSharedFolder("shared", str(tmp_path), True, False, "")
            com.CPUExecutionCap = 80
        forward = vm.network[0].forward(guest=8088)
        events = [stream.next(timeout=5) for _ in range(5)]
        vm.network[0].remove(forward)
        removed = stream.wait_for(lambda e: isinstance(e, NATRedirectEvent), timeout=5)
    by_class = {type(event): event for event in events}
    adapter = by_class[NetworkAdapterChangedEvent]
    assert isinstance(adapter, NetworkAdapterChangedEvent)
    assert (adapter.slot, adapter.machine_id) == (0, vm.id)
    folder = by_class[SharedFolderChangedEvent]
    assert isinstance(folder, SharedFolderChangedEvent)
    assert folder.scope == "Machine"
    cap = by_class[CPUExecutionCapChangedEvent]
    assert isinstance(cap, CPUExecutionCapChangedEvent)
    assert cap.execution_cap_percent == 80
    rule = by_class[NATRedirectEvent]
    assert isinstance(rule, NATRedirectEvent)
    assert (rule.host_port, rule.guest_port, rule.removed) == (forward.host_port, 8088, False)
    assert isinstance(removed, NATRedirectEvent)
    assert removed.removed


def test_keys_and_mouse_are_told_if_asked_for(vm: VM) -> None:
    """What is sent to the guest comes from sources of its own."""
    with vm.events(GuestKeyboardEvent, GuestMouseEvent) as stream:
        with locked(vm, timeout=5, needs_vm=True) as session:
            session.console.keyboard.putScancodes([0x1E, 0x9E])
            session.console.mouse.putMouseEvent(3, -4, 0, 0, 1)
        events = {type(e): e for e in (stream.next(timeout=5), stream.next(timeout=5))}
    keys = events[GuestKeyboardEvent]
    assert isinstance(keys, GuestKeyboardEvent)
    assert keys.scancodes == (0x1E, 0x9E)
    mouse = events[GuestMouseEvent]
    assert isinstance(mouse, GuestMouseEvent)
    assert (mouse.mode, mouse.x, mouse.y, mouse.buttons) == ("Relative", 3, -4, 1)


def test_a_question_to_listeners_is_answered(vm: VM) -> None:
    """Who asks whether the window can be shown waits for every listener: ours lets it go on."""
    with vm.events(CanShowWindowEvent) as stream, vm.on_event(lambda _: None, CanShowWindowEvent):
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(vm.com.canShowConsoleWindow)
            event = stream.next(timeout=10)
            assert asked.result(timeout=10) in {True, False}
    assert isinstance(event, CanShowWindowEvent)


def test_a_stream_of_the_vm_alone_ends_with_it(vm: VM) -> None:
    """When the VM's process goes, the loop ends, without an error."""
    stream = vm.events(ConsoleEvent)
    vm.power_off()
    states = [event.state for event in stream if isinstance(event, StateChangedEvent)]
    assert MachineState.RUNNING not in states
    assert stream.closed


def test_a_killed_vm_ends_its_streams_and_is_told_by_virtualbox(vm: VM) -> None:
    """After kill -9 of the VM's process VirtualBox tells of the state Aborted."""
    from vboxkit.core import processes
    from vboxkit.core.processes import ProcessId

    own, host = vm.events(ConsoleEvent), vm.events(MachineStateChangedEvent)
    assert vm.session_pid is not None
    processes.kill(ProcessId.of(vm.session_pid))
    host.wait_for(lambda e: e.state == MachineState.ABORTED, timeout=20)
    assert list(own) == []


def test_a_lock_is_not_held_while_listening(vm: VM) -> None:
    """Changes made in the loop are saved at once, and not at its end."""
    with vm.events("OnMachineDataChanged", StateChangedEvent):
        vm.description = "in the loop"
        assert vm.session_state == "Locked"  # by the VM
        assert vm.com.description == "in the loop"


def test_an_unknown_name_is_refused(vm: VM) -> None:
    """Also on a running machine."""
    with pytest.raises(ApiError, match="OnKeyboardLedsChanged"):
        vm.events("OnKeyboardLedChanged")

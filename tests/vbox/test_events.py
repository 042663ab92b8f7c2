"""What VirtualBox tells of machines that need not run, and what becomes of listeners."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from tests.vbox.listening import take
from vboxkit import MachineState
from vboxkit.errors import (
    ApiError,
    InvalidStateError,
    UnsupportedVersionError,
)
from vboxkit.machines import event_kinds, vm_event_kinds
from vboxkit.machines.event_base import KINDS, Event
from vboxkit.machines.event_kinds import (
    ExtraDataChangedEvent,
    GuestPropertyChangedEvent,
    MachineDataChangedEvent,
    MachineRegisteredEvent,
    MachineStateChangedEvent,
    MediumConfigChangedEvent,
    MediumRegisteredEvent,
    NATNetworkChangedEvent,
    NATNetworkCreationDeletionEvent,
    NATNetworkPortForwardEvent,
    SessionStateChangedEvent,
    SnapshotChangedEvent,
    SnapshotDeletedEvent,
    SnapshotEvent,
    SnapshotRestoredEvent,
    SnapshotTakenEvent,
    StorageControllerChangedEvent,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


# What is told


def test_events_of_a_machine_are_typed(vbox: VirtualBox, machine: Machine) -> None:
    """Settings, extra data, locks, snapshots: each with its values, its time and its machine."""
    before = datetime.now(timezone.utc)
    with vbox.events() as stream:
        machine.description = "new"
        machine.extra_data["events/key"] = "value"
        snapshot = machine.snapshots.take("one")
        snapshot.name = "two"
        snapshot.restore()
        snapshot.delete()
        events = [event for event in take(stream) if event.machine_id == machine.id]
    by_class = {type(event): event for event in events}
    for cls in (
        MachineDataChangedEvent,
        SessionStateChangedEvent,
        SnapshotTakenEvent,
        SnapshotChangedEvent,
        SnapshotRestoredEvent,
        SnapshotDeletedEvent,
    ):
        assert cls in by_class, cls
        assert by_class[cls].kind == cls.KIND == f"On{cls.__name__.removesuffix('Event')}"
    extra = by_class[ExtraDataChangedEvent]
    assert isinstance(extra, ExtraDataChangedEvent)
    assert (extra.key, extra.value) == ("events/key", "value")
    taken = by_class[SnapshotTakenEvent]
    assert isinstance(taken, SnapshotTakenEvent)
    assert taken.snapshot_id
    assert taken.com.snapshotId == taken.snapshot_id
    assert all(before <= event.time <= datetime.now(timezone.utc) for event in events)
    states = [event.state for event in events if isinstance(event, MachineStateChangedEvent)]
    assert MachineState.SNAPSHOTTING in states
    assert states[-1] == MachineState.POWERED_OFF


def test_events_are_frozen_and_comparable(vbox: VirtualBox, machine: Machine) -> None:
    """An event cannot be changed, and its repr shows its values but not the raw object."""
    with vbox.events(ExtraDataChangedEvent) as stream:
        machine.extra_data["k"] = "v"
        event = stream.wait_for(timeout=5)
    with pytest.raises(FrozenInstanceError):
        event.key = "other"  # type: ignore[misc]  # that is the point
    assert "key='k'" in repr(event)
    assert "XPCOM" not in repr(event)
    assert event == event.__class__(
        **{f.name: getattr(event, f.name) for f in fields(event) if f.name != "com"}, com=None
    )


def test_machines_and_media_come_and_go(vbox: VirtualBox, make: Callable[..., Machine]) -> None:
    """Import and destruction tell of the machine and of its disk."""
    with vbox.events(MachineRegisteredEvent, MediumRegisteredEvent) as stream:
        machine = make()
        uuid = machine.id
        machine.destroy()
        events = take(stream)
    machines = [e.registered for e in events if e.machine_id == uuid]  # type: ignore[attr-defined]
    assert machines == [True, False]
    # Of a disk that is imported VirtualBox tells nothing.
    (medium,) = [e for e in events if isinstance(e, MediumRegisteredEvent)]
    assert (medium.medium_type, medium.registered) == ("HardDisk", False)


def test_a_mediums_change_tells_which(vbox: VirtualBox, machine: Machine) -> None:
    """A snapshot changes the base disk: its UUID and file are in the event."""
    with vbox.events(MediumConfigChangedEvent) as stream:
        machine.snapshots.take("s")
        event = stream.wait_for(timeout=5)
    assert event.medium_id
    assert str(event.location).endswith(".vmdk")
    assert event.machine_id is None


def test_guest_properties_and_storage(vbox: VirtualBox, machine: Machine) -> None:
    """Name, value and flags of a property that the host sets; a new controller's name."""
    kinds = (GuestPropertyChangedEvent, StorageControllerChangedEvent)
    with machine.events(*kinds) as stream:
        with machine._changing() as com:
            com.setGuestProperty("/VBoxKit/x", "y", "RDONLYGUEST")
            com.addStorageController("Extra", vbox._api.value("StorageBus", "SATA"))
        events = take(stream)
    (said,) = [e for e in events if isinstance(e, GuestPropertyChangedEvent)]
    assert (said.name, said.value, said.deleted) == ("/VBoxKit/x", "y", False)
    assert said.flags == "RDONLYGUEST"
    changed = [e for e in events if isinstance(e, StorageControllerChangedEvent)]
    assert {e.controller for e in changed} == {"Extra"}
    assert {e.machine_id for e in events} == {machine.id}


def test_nat_networks(vbox: VirtualBox, label: Callable[[str], str]) -> None:
    """A base class stands for the kinds below it: creation, settings, forwards, deletion."""
    name = label("net")
    protocol = vbox._api.value("NATProtocol", "TCP")
    with vbox.events(NATNetworkChangedEvent) as stream:
        vbox.com.createNATNetwork(name)
        network = vbox.com.findNATNetworkByName(name)
        network.addPortForwardRule(False, "ssh", protocol, "127.0.0.1", 5555, "10.0.2.5", 22)
        vbox.com.removeNATNetwork(network)
        events = take(stream)
    assert {e.network_name for e in events} == {name}  # type: ignore[attr-defined]
    made = [e.created for e in events if isinstance(e, NATNetworkCreationDeletionEvent)]
    assert made == [True, False]
    (rule,) = [e for e in events if isinstance(e, NATNetworkPortForwardEvent)]
    assert (rule.name, rule.protocol, rule.host_port, rule.guest_port) == ("ssh", "TCP", 5555, 22)
    assert rule.created


def test_a_machines_stream_tells_of_it_alone(
    make: Callable[..., Machine], vbox: VirtualBox
) -> None:
    """`machine.events` passes over what happens to others, and what is about no machine."""
    mine, other = make(), make()
    with mine.events() as stream:
        other.description = "x"
        vbox.extra_data["vt/global"] = "1"
        mine.description = "y"
        events = take(stream)
    del vbox.extra_data["vt/global"]
    assert {event.machine_id for event in events} == {mine.id}


def test_virtualboxs_own_extra_data_is_of_no_machine(vbox: VirtualBox) -> None:
    """`machine_id` is `None` where VirtualBox gives no machine."""
    with vbox.events(ExtraDataChangedEvent) as stream:
        vbox.extra_data["vt/global"] = "1"
        event = stream.wait_for(lambda e: e.key == "vt/global", timeout=5)
        del vbox.extra_data["vt/global"]
    assert event.machine_id is None


def test_an_unknown_kind_is_a_plain_event(
    vbox: VirtualBox, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kind without a class, as a later VirtualBox may have, comes as `Event` with its name."""
    monkeypatch.delitem(KINDS, "OnExtraDataChanged")
    with vbox.events("OnExtraDataChanged") as stream:
        machine.extra_data["k"] = "v"
        event = stream.wait_for(timeout=5)
    assert type(event) is Event
    assert event.kind == "OnExtraDataChanged"
    assert vbox._api.cast(event.com, "IExtraDataChangedEvent").key == "k"


def test_every_class_is_a_kind_of_this_virtualbox(vbox: VirtualBox) -> None:
    """No class has a name that VirtualBox does not know, or fields that it does not have."""
    known = set(vbox._api.names("VBoxEventType"))
    modules = (event_kinds, vm_event_kinds)
    assert {kind for kind in KINDS if kind not in known} == set()
    for kind, cls in KINDS.items():
        assert cls.__name__ == kind.removeprefix("On") + "Event"
        assert any(cls.__name__ in module.__all__ for module in modules)
    from xpcom import components  # beside vboxapi

    for cls in KINDS.values():
        interface = getattr(components.interfaces, f"I{cls.__name__}")
        has = _attributes(interface)
        wanted = {f.metadata["raw"].split(".")[0] for f in fields(cls) if f.metadata}
        assert wanted <= has, (cls, wanted - has)


def _attributes(interface: Any) -> set[str]:
    from xpcom import xpt

    names = {m.name for m in xpt.Interface(interface).methods}
    # An array is read by a method: getShape.
    return names | {name[3].lower() + name[4:] for name in names if name.startswith("get")}


# Wrong input


def test_a_kind_that_is_not_there_names_the_near_ones(vbox: VirtualBox) -> None:
    """A misspelt kind is refused before anything is listened to."""
    with pytest.raises(ApiError) as caught:
        vbox.events("OnMachineStateChange")
    assert "OnMachineStateChanged" in str(caught.value)


def test_kinds_of_a_running_machine_are_not_virtualboxs(vbox: VirtualBox, machine: Machine) -> None:
    """The error says where they come from; and a machine at rest says that it must run."""
    with pytest.raises(ApiError, match=r"machine\.events\('OnKeyboardLedsChanged'\)"):
        vbox.events("OnKeyboardLedsChanged")
    with pytest.raises(InvalidStateError) as caught:
        machine.events(vm_event_kinds.KeyboardLedsChangedEvent)
    assert machine.name in str(caught.value)
    assert "start" in str(caught.value)


def test_kinds_that_are_not_about_machines_are_not_a_machines(machine: Machine) -> None:
    """They would be waited for in vain: the error says whom to ask."""
    with pytest.raises(ApiError, match=r"vbox\.events\('OnMediumRegistered'\)"):
        machine.events("OnMediumRegistered")


def test_a_class_without_kinds_is_refused(vbox: VirtualBox) -> None:
    """A class that stands for no kind of this VirtualBox is an error, not silence."""

    class Mine(Event):
        pass

    with pytest.raises((ApiError, UnsupportedVersionError)):
        vbox.events(Mine)


def test_snapshot_events_by_their_base_class(machine: Machine) -> None:
    """`SnapshotEvent` stands for all that is told of snapshots."""
    with machine.events(SnapshotEvent) as stream:
        snapshot = machine.snapshots.take("s")
        snapshot.delete()
        kinds = {event.kind for event in take(stream)}
    assert kinds == {"OnSnapshotTaken", "OnSnapshotDeleted"}

"""What VirtualBox tells of machines that need not run, and what becomes of listeners."""

from __future__ import annotations

import gc
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, fields
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit import MachineState
from vboxkit.com.xpcom import isolation
from vboxkit.core import processes
from vboxkit.core.waiting import wait_until
from vboxkit.errors import (
    ApiError,
    EventsLostError,
    InvalidStateError,
    UnsupportedVersionError,
    WaitTimeoutError,
)
from vboxkit.machines import event_kinds, power, vm_event_kinds
from vboxkit.machines.event_base import KINDS, Event
from vboxkit.machines.event_kinds import (
    ExtraDataCanChangeEvent,
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
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vboxkit import Machine, VirtualBox
    from vboxkit.machines.events import EventStream, Subscription

pytestmark = pytest.mark.vbox


def take(stream: EventStream[Any]) -> list[Event]:
    """Return the events that have come so far."""
    found = []
    while (event := stream.next(timeout=0.1)) is not None:
        found.append(event)
    return found


def flood(vbox: VirtualBox, count: int) -> None:
    """Cause so many events of changed extra data."""
    for number in range(count - 1):
        vbox.com.setExtraData("vt/flood", str(number))
    vbox.com.setExtraData("vt/flood", "")


@pytest.fixture
def listeners(vbox: VirtualBox) -> Iterator[Callable[[], list[str]]]:
    """Tell which listeners VirtualBox was given and has been told to forget since the last look."""
    api = vbox._api
    source = vbox.com.eventSource
    watch = source.createListener()
    kind = api.value("VBoxEventType", "OnEventSourceChanged")
    source.registerListener(watch, [kind], False)

    def look() -> list[str]:
        said = []
        while (event := source.getEvent(watch, 100)) is not None:
            changed = api.cast(event, "IEventSourceChangedEvent")
            said.append("new" if changed.add else "gone")
            source.eventProcessed(watch, event)
        return said

    # Who registers a listener waits until we have seen it.
    pump: list[str] = []
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            pump.extend(look())

    thread = threading.Thread(target=run)
    thread.start()

    def since() -> list[str]:
        time_out = threading.Event()
        time_out.wait(0.3)
        said, pump[:] = pump[:], []
        return said

    since()
    yield since
    ended.set()
    thread.join()
    source.unregisterListener(watch)


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


# Waiting


def test_nothing_is_missed_between_listening_and_waiting(
    vbox: VirtualBox, machine: Machine
) -> None:
    """A stream listens from when it is made, not from when it is first asked."""
    stream = vbox.events(ExtraDataChangedEvent)
    machine.extra_data["early"] = "1"
    assert stream.wait_for(timeout=5).key == "early"


def test_a_stream_ends_when_its_time_is_up(vbox: VirtualBox) -> None:
    """The loop ends, without an error."""
    assert list(vbox.events("OnLanguageChanged", timeout=0.3)) == []


def test_wait_for_passes_over_what_does_not_fit(vbox: VirtualBox, machine: Machine) -> None:
    """The first event that fits is given; none in time is a `WaitTimeoutError` with the last."""
    with vbox.events(ExtraDataChangedEvent) as stream:
        machine.extra_data["a"] = "1"
        machine.extra_data["b"] = "2"
        assert stream.wait_for(lambda event: event.key == "b", timeout=5).value == "2"
        machine.extra_data["c"] = "3"
        with pytest.raises(WaitTimeoutError) as caught:
            stream.wait_for(lambda event: event.key == "z", timeout=0.3)
    assert "ExtraDataChangedEvent" in str(caught.value)
    assert "'c'" in caught.value.last_seen


def test_a_closed_stream_gives_what_it_has_and_ends(vbox: VirtualBox, machine: Machine) -> None:
    """What was fetched before is given; then the end, at once, however often one asks."""
    stream = vbox.events(ExtraDataChangedEvent)
    machine.extra_data["a"] = "1"
    machine.extra_data["b"] = "2"
    assert next(stream).key == "a"
    stream.close()
    stream.close()
    assert [event.key for event in stream] == ["b"]
    assert stream.next(timeout=30) is None
    assert stream.closed
    assert "closed" in repr(stream)


def test_closing_wakes_a_waiting_thread(vbox: VirtualBox) -> None:
    """A thread that waits for an event gets the end when another one closes the stream."""
    stream = vbox.events("OnLanguageChanged")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(list, stream)
        assert not waiting.done()
        stream.close()
        assert waiting.result(timeout=10) == []


def test_several_streams_and_threads_see_all(vbox: VirtualBox, machine: Machine) -> None:
    """Ten streams in ten threads get each event; threads that share a stream get it once."""

    def keys_of(stream: EventStream[ExtraDataChangedEvent]) -> list[str]:
        events = [stream.next(timeout=10) for _ in range(20)]
        return [event.key for event in events if event is not None]

    streams = [vbox.events(ExtraDataChangedEvent) for _ in range(10)]
    shared = vbox.events(ExtraDataChangedEvent, timeout=2)
    with ThreadPoolExecutor(13) as pool:
        each = [pool.submit(keys_of, stream) for stream in streams]
        parts = [pool.submit(lambda: [event.key for event in shared]) for _ in range(3)]
        for number in range(20):
            machine.extra_data[f"k{number}"] = "v"
        wanted = [f"k{number}" for number in range(20)]
        assert [future.result() for future in each] == [wanted] * 10
        assert sorted(key for part in parts for key in part.result()) == sorted(wanted)


def test_reading_goes_on_beside_waiting(vbox: VirtualBox, machine: Machine) -> None:
    """Streams that wait in many threads do not keep others from their calls."""
    streams = [vbox.events("OnLanguageChanged") for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(stream.next, timeout=20) for stream in streams]
        assert {machine.state for _ in range(200)} == {MachineState.POWERED_OFF}
        assert not any(future.done() for future in waiting)
        for stream in streams:
            stream.close()
    assert {future.result() for future in waiting} == {None}


def test_waiting_for_a_state_is_woken_by_its_event(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait does not depend on looking again: with a minute between looks it still ends."""
    monkeypatch.setattr(power, "_LOOK", 60.0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(machine.wait_for_state, MachineState.SNAPSHOTTING, timeout=30)
        for number in range(20):
            machine.snapshots.take(f"s{number}").delete()
            if waiting.done():
                break
        # Such a state lasts for milliseconds: the thread may come to look after it has passed.
        waiting_again = pool.submit(machine.wait_for_state, MachineState.POWERED_OFF, timeout=30)
        if not waiting.done():
            pytest.skip("the state was over each time before the thread could look")
    assert waiting.result() == MachineState.SNAPSHOTTING
    assert waiting_again.result() == MachineState.POWERED_OFF


# Listeners that nobody wants any more


@pytest.mark.parametrize("way", ["close", "drop", "break", "with", "exception", "thread"])
def test_a_dropped_stream_is_gone_from_virtualbox(
    way: str, vbox: VirtualBox, machine: Machine, listeners: Callable[[], list[str]]
) -> None:
    """VirtualBox is told to forget a listener, in whichever way its owner went."""

    def fail(stream: EventStream[Any]) -> None:
        raise ValueError(stream)

    if way == "close":
        vbox.events("OnLanguageChanged").close()
    elif way == "drop":
        vbox.events("OnLanguageChanged")
    elif way == "break":
        stream = vbox.events(ExtraDataChangedEvent)
        machine.extra_data["k"] = "v"
        for _ in stream:
            break
        del stream
    elif way == "with":
        with vbox.events("OnLanguageChanged"):
            pass
    elif way == "exception":
        with pytest.raises(ValueError):
            fail(vbox.events("OnLanguageChanged"))
    elif way == "thread":
        thread = threading.Thread(target=lambda: vbox.events("OnLanguageChanged").next(timeout=0.1))
        thread.start()
        thread.join()
    gc.collect()
    assert sorted(listeners()) == ["gone", "new"]


def test_an_abandoned_listener_is_dropped_at_1000_events(
    vbox: VirtualBox, listeners: Callable[[], list[str]]
) -> None:
    """
    VirtualBox bounds the queue of who does not fetch, tells nobody, and then knows it no more.

    This is what becomes of the listeners of a process that was killed; see below.
    """
    stream = vbox.events(ExtraDataChangedEvent)
    flood(vbox, 1010)
    with pytest.raises(EventsLostError) as caught:
        take(stream)
    assert "1,000" in str(caught.value)
    assert "thread" in str(caught.value.hint)
    assert stream.closed
    assert stream.next(timeout=5) is None
    assert listeners() == ["new"]


def test_a_killed_process_does_not_keep_virtualbox(
    private_home: Path, child: Callable[..., Any]
) -> None:
    """VBoxSVC ends after its last client, also if that was killed while it listened."""
    process = child(
        """
        import sys, vboxkit
        vbox = vboxkit.connect(sys.argv[1])
        streams = [vbox.events() for _ in range(5)]
        print("ready", flush=True)
        streams[0].next(timeout=60)
        """,
        private_home,
    )
    assert process.stdout.readline() == "ready\n"
    servers = list(processes.find(argument="--auto-shutdown", environment=isolation(private_home)))
    process.kill()
    process.wait()
    assert len(servers) == 1
    assert processes.wait_gone(servers[0][0].pid, timeout=30)


def test_a_process_that_ends_gives_its_listeners_back(
    vbox: VirtualBox, listeners: Callable[[], list[str]], answer: Callable[..., str]
) -> None:
    """Streams and subscriptions that are left open at the end of Python are given back."""
    out = answer(
        """
        import sys, vboxkit
        vbox = vboxkit.connect(sys.argv[1])
        one, two = vbox.events(), vbox.on_event(print, "OnLanguageChanged")
        """,
        vbox.settings.home,
    )
    assert out == ""
    # The third one is the connection's own, with which it watches VBoxSVC.
    assert sorted(listeners()) == ["gone", "gone", "new", "new", "new"]


def test_a_kind_that_can_be_forbidden_is_let_pass(vbox: VirtualBox, machine: Machine) -> None:
    """
    Who changes extra data waits for listeners to OnExtraDataCanChange: a stream lets it go on.

    VirtualBox would wait three seconds for one that does not, and goes on then. A stream of all
    kinds does not listen to this one.
    """
    with vbox.on_event(lambda _: None, ExtraDataCanChangeEvent) as handle:
        started = time.monotonic()
        machine.extra_data["k"] = "v"
        assert time.monotonic() - started < 2.5  # it would be 3 s
        assert machine.extra_data["k"] == "v"
        assert handle.errors == ()
    with vbox.events() as stream:
        started = time.monotonic()
        machine.extra_data["k"] = "w"
        assert time.monotonic() - started < 2.5
        assert "OnExtraDataCanChange" not in {event.kind for event in take(stream)}


# Callbacks


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    wait_until(lambda: True if condition() else None, what="the callback", timeout=90, poll=0.02)


def test_a_callback_gets_each_event_in_order(vbox: VirtualBox, machine: Machine) -> None:
    """From one thread that is not the caller's; after closing no more."""
    seen: list[tuple[str, str]] = []

    def note(event: ExtraDataChangedEvent) -> None:
        seen.append((event.key, threading.current_thread().name))

    with vbox.on_event(note, ExtraDataChangedEvent) as handle:
        assert handle.active
        for number in range(10):
            machine.extra_data[f"k{number}"] = "v"
        wait_for(lambda: len(seen) == 10)
    machine.extra_data["after"] = "v"
    assert [key for key, _ in seen] == [f"k{number}" for number in range(10)]
    assert len({thread for _, thread in seen}) == 1
    assert threading.current_thread().name not in {thread for _, thread in seen}
    assert not handle.active
    handle.close()


def test_a_callback_that_fails_is_logged_and_called_again(
    vbox: VirtualBox, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """The exception is in the log and in `errors`, and the next event is delivered."""
    seen = []

    def fail(event: ExtraDataChangedEvent) -> None:
        seen.append(event.key)
        if event.key == "bad":
            raise ValueError("oh dear")

    with caplog.at_level(logging.ERROR, "vboxkit.events"):
        with vbox.on_event(fail, ExtraDataChangedEvent) as handle:
            machine.extra_data["bad"] = "1"
            machine.extra_data["good"] = "1"
            wait_for(lambda: "good" in seen)
    assert seen == ["bad", "good"]
    (error,) = handle.errors
    assert isinstance(error, ValueError)
    assert "oh dear" in caplog.text
    assert "bad" in caplog.text


def test_a_callback_may_change_things_and_close_itself(
    machine: Machine,
) -> None:
    """A callback may use VirtualBox, and its own handle, without a deadlock."""
    done = threading.Event()
    handles: list[Subscription] = []

    def once(event: MachineDataChangedEvent) -> None:
        if event.kind and not done.is_set():
            machine.extra_data["from/callback"] = "yes"
            handles[0].close()
            done.set()

    handles.append(machine.on_event(once, MachineDataChangedEvent))
    machine.description = "x"
    assert done.wait(10)
    wait_for(lambda: not handles[0].active)
    assert machine.extra_data["from/callback"] == "yes"


def test_a_subscription_lives_without_a_reference(vbox: VirtualBox, machine: Machine) -> None:
    """Nobody has to keep the handle; it can be found and closed as long as the callback has it."""
    seen = threading.Event()
    handle = vbox.on_event(lambda _: seen.set(), ExtraDataChangedEvent)
    thread = handle._thread
    del handle
    gc.collect()
    machine.extra_data["k"] = "v"
    assert seen.wait(10)
    thread._target.__self__.close()  # type: ignore[attr-defined]  # the tidy end of this test


def test_a_subscription_to_nothing_known_is_refused(vbox: VirtualBox) -> None:
    """The error comes to the caller, and no thread is left."""
    before = threading.active_count()
    with pytest.raises(ApiError):
        vbox.on_event(print, "OnNothing")
    assert threading.active_count() == before


def test_a_subscription_goes_on_after_lost_events(vbox: VirtualBox) -> None:
    """A callback that is too slow is told so in `errors`, and gets what comes afterwards."""
    go_on = threading.Event()
    seen: list[str] = []

    def slow(event: ExtraDataChangedEvent) -> None:
        go_on.wait(120)
        seen.append(event.value)

    with vbox.on_event(slow, ExtraDataChangedEvent) as handle:
        flood(vbox, 2500)
        go_on.set()
        wait_for(lambda: handle.errors)
        vbox.extra_data["vt/flood"] = "afterwards"
        wait_for(lambda: "afterwards" in seen)
        del vbox.extra_data["vt/flood"]
    assert isinstance(handle.errors[0], EventsLostError)


def test_snapshot_events_by_their_base_class(machine: Machine) -> None:
    """`SnapshotEvent` stands for all that is told of snapshots."""
    with machine.events(SnapshotEvent) as stream:
        snapshot = machine.snapshots.take("s")
        snapshot.delete()
        kinds = {event.kind for event in take(stream)}
    assert kinds == {"OnSnapshotTaken", "OnSnapshotDeleted"}

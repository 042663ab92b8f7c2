"""Streams of events: waiting for one, closing, and what becomes of those that are forgotten."""

from __future__ import annotations

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.vbox.listening import flood, take
from vboxkit import MachineState
from vboxkit.com.xpcom import isolation
from vboxkit.core import processes
from vboxkit.errors import (
    EventsLostError,
    WaitTimeoutError,
)
from vboxkit.machines import power
from vboxkit.machines.event_kinds import (
    ExtraDataCanChangeEvent,
    ExtraDataChangedEvent,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vboxkit import Machine, VirtualBox
    from vboxkit.machines.events import EventStream

pytestmark = pytest.mark.vbox


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
        waiting = pool.submit(machine.wait_for_state, MachineState.SNAPSHOTTING, timeout=200)
        for number in range(200):
            machine.snapshots.take(f"s{number}").delete()
            if waiting.done():
                break
        # Such a state lasts for milliseconds: the thread may come to look after it has passed.
        waiting_again = pool.submit(machine.wait_for_state, MachineState.POWERED_OFF, timeout=30)
        if not waiting.done():
            pytest.fail("of 200 snapshots none woke it")
    assert waiting.result() == MachineState.SNAPSHOTTING
    assert waiting_again.result() == MachineState.POWERED_OFF


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

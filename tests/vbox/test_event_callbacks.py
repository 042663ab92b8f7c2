"""Functions that are called with events."""

from __future__ import annotations

import gc
import logging
import threading
from typing import TYPE_CHECKING

import pytest

from tests.vbox.listening import flood
from vboxkit.core.waiting import wait_until
from vboxkit.errors import (
    ApiError,
    EventsLostError,
)
from vboxkit.machines.event_kinds import (
    ExtraDataChangedEvent,
    MachineDataChangedEvent,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox
    from vboxkit.machines.events import Subscription

pytestmark = pytest.mark.vbox


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

"""What is of a wrong type, or for another kind of machine, is told with what it was meant for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.errors import InvalidStateError
from vboxkit.machines import event_kinds

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox

WRONG: dict[str, tuple[Callable[[Any, Any], object], str]] = {
    "snapshot None": (lambda _, m: m.snapshots[None], r"a snapshot is found by .* not None"),
    "snapshot 0": (lambda _, m: m.snapshots.find(0), r"a snapshot is found by .* not 0"),
    "snapshot id": (lambda _, m: m.snapshots.by_id(5), r"a snapshot is found by .* not 5"),
    "own snapshot": (lambda _, m: m.snapshots.delete_range(1, "x"), r"a snapshot is .* not 1"),
    "adapter text": (lambda _, m: m.network["a"], r"a network adapter is a number .* not 'a'"),
    "adapter None": (lambda _, m: m.network[None], r"a network adapter is a number .* not None"),
    "adapter bool": (lambda _, m: m.network[True], r"a network adapter is a number .* not True"),
    "pin a number": (lambda _, m: m.pin(0), r"cpus is a set of numbers.* not 0"),
    "pin a text": (lambda _, m: m.pin("0"), r"cpus is a set of numbers.* not '0'"),
    "pin None": (lambda _, m: m.pin(None), r"cpus is a set of numbers.* not None"),
    "event 5": (lambda v, _: v.events(5), r"a kind of event is .* not 5"),
    "event of a machine": (lambda _, m: m.events(None), r"a kind of event is .* not None"),
    "event class": (lambda v, _: v.events(dict), r"a kind of event is .* not <class 'dict'>"),
    "callback": (lambda v, _: v.on_event(print, 5), r"a kind of event is .* not 5"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_type_is_named(vbox: VirtualBox, machine: Machine, name: str) -> None:
    """The error says of what object, what is wanted, and what was given; nothing is changed."""
    act, says = WRONG[name]
    before = machine.describe()
    with pytest.raises(TypeError, match=says) as caught:
        act(vbox, machine)
    assert machine.name in str(caught.value) or "VirtualBox" in str(caught.value)
    assert machine.describe() == before


def test_right_types_are_taken(vbox: VirtualBox, machine: Machine) -> None:
    """Names and classes of events, and numbers of adapters, work as before."""
    taken = machine.snapshots.take("one")
    assert machine.snapshots["one"] == machine.snapshots.own(taken) == taken
    assert machine.snapshots.own(None) is None
    assert machine.network[0].slot == 0
    with vbox.events("OnMachineRegistered", event_kinds.SnapshotEvent) as events:
        assert not events.closed


def test_what_is_not_encrypted_cannot_be_unlocked(vbox: VirtualBox, machine: Machine) -> None:
    """It is not taken without a word, by whichever name: somebody meant another machine."""
    for name in (machine.name, machine.id, machine.settings_file):
        with pytest.raises(InvalidStateError, match="unlock: it is not encrypted") as caught:
            vbox.machines.unlock(name, password="secret")
        assert machine.name in caught.value.message
        assert "PoweredOff" in caught.value.message

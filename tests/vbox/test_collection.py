"""``vbox.machines`` and the identity of machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


def test_iteration_and_len_follow_the_registry(
    vbox: VirtualBox, make: Callable[..., Machine]
) -> None:
    """A new machine is one more, and is met in the iteration; destroyed, it is gone again."""
    before = set(vbox.machines)
    first, second = make(), make()
    assert set(vbox.machines) - before == {first, second}
    assert len(vbox.machines) == len(list(vbox.machines))
    first.destroy()
    assert first not in set(vbox.machines)
    assert second in set(vbox.machines)


def test_in_knows_names_and_uuids_and_nothing_else(vbox: VirtualBox, machine: Machine) -> None:
    """`in` takes a name or UUID; other things are simply not in."""
    assert machine.name in vbox.machines
    assert machine.id in vbox.machines
    assert "" not in vbox.machines
    assert 3 not in vbox.machines
    assert machine.name + "x" not in vbox.machines


def test_find_by_uuid_in_any_spelling(vbox: VirtualBox, machine: Machine) -> None:
    """A UUID is found in lower case, upper case and braces."""
    for spelling in (machine.id, machine.id.upper(), f"{{{machine.id}}}"):
        assert vbox.machines.find(spelling) == machine
    assert vbox.machines.find("00000000-0000-4000-8000-000000000000") is None


def test_unknown_machine_names_those_there_are(vbox: VirtualBox, machine: Machine) -> None:
    """`machines[...]` raises `NotFoundError`, which is a `LookupError`, with the known names."""
    with pytest.raises(NotFoundError) as caught:
        vbox.machines["no-such-machine"]
    error = caught.value
    assert isinstance(error, LookupError)
    assert (error.kind, error.wanted) == ("machine", "no-such-machine")
    assert machine.name in error.available
    assert machine.name in str(error)
    assert error.hint


def test_names_are_sorted(vbox: VirtualBox, make: Callable[..., Machine]) -> None:
    """`names()` is in order, whatever the order of the registry."""
    made = {make().name for _ in range(3)}
    names = vbox.machines.names()
    assert names == sorted(names)
    assert made <= set(names)


def test_two_objects_of_one_machine_are_equal(
    vbox: VirtualBox, make: Callable[..., Machine]
) -> None:
    """Identity is the UUID: equal and of one hash, also after a rename; others are not equal."""
    first, second = make(), make()
    again = vbox.machines[first.id]
    assert again is not first
    assert again == first
    assert hash(again) == hash(first)
    again.name = f"{first.name}-renamed"
    assert vbox.machines[again.name] == first
    assert first != second
    assert first != first.id


def test_repr_never_calls_virtualbox(machine: Machine) -> None:
    """The repr of a machine that is gone still says which one it was."""
    before = repr(machine)
    assert machine.name in before
    machine.destroy()
    assert repr(machine) == before


def test_a_change_to_a_destroyed_machine_is_refused_by_name(machine: Machine) -> None:
    """A stale object gives a typed error that names the machine."""
    name = machine.name
    machine.destroy()
    with pytest.raises(NotFoundError, match="does not exist any more") as caught:
        machine.memory_mb = 96
    assert name in str(caught.value)

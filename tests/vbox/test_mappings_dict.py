"""Extra data, guest properties, shared folders: all behave like `dict`."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vboxkit import Machine, VirtualBox
    from vboxkit.machines.mappings import LiveMapping

pytestmark = pytest.mark.vbox

_TEXTS = {"/vt/one": "1", "/vt/two": 'ü <&> "2"', "/vt/three": "3\n4"}


@pytest.fixture(params=["extra_data", "guest_properties", "shared_folders", "global"])
def mapping(
    request: pytest.FixtureRequest, vbox: VirtualBox, machine: Machine
) -> Iterator[LiveMapping[Any]]:
    """Each mapping in turn, empty; as it was afterwards."""
    live: LiveMapping[Any] = (
        vbox.extra_data if request.param == "global" else getattr(machine, request.param)
    )
    before = live.copy()
    live.clear()
    yield live
    live.clear()
    live.update(before)


@pytest.fixture
def values(mapping: LiveMapping[Any], tmp_path: Path) -> dict[str, Any]:
    """Three entries that it can hold."""
    if mapping.noun != "shared folder":
        return dict(_TEXTS)
    from vboxkit.machines.shared_folders import SharedFolder

    made = {}
    for name in ("one", "a b", "drei ü"):
        (tmp_path / name).mkdir()
        made[name] = SharedFolder(name, tmp_path / name, writable=name == "one")
    return made


def test_like_a_dict(mapping: LiveMapping[Any], values: dict[str, Any]) -> None:
    """Every method does what that of a dict does, and gives what that gives."""
    model: dict[str, Any] = {}
    first, second, third = values
    assert mapping == model
    assert not mapping
    mapping[first] = model[first] = values[first]
    assert mapping == model
    assert mapping != {}
    assert model == mapping
    assert mapping[first] == values[first]
    assert first in mapping
    assert second not in mapping
    assert 5 not in mapping  # type: ignore[comparison-overlap]
    assert mapping.get(second) is None
    assert mapping.get(second, "x") == "x"
    assert mapping.get(first, "x") == values[first]
    assert mapping.setdefault(first, values[second]) == values[first]
    assert mapping.setdefault(second, values[second]) == values[second]
    mapping.update({third: values[third]})
    assert mapping == values
    assert len(mapping) == 3
    assert sorted(mapping) == sorted(values)
    assert sorted(mapping.keys()) == sorted(values)
    assert list(reversed(mapping)) == list(mapping)[::-1]
    assert dict(mapping.items()) == values
    assert (first, values[first]) in mapping.items()
    assert all(value in list(mapping.values()) for value in values.values())
    assert dict(mapping) == {**mapping} == mapping.copy() == values
    assert mapping | {first: "other"} == {**values, first: "other"}
    assert {"other": 1} | mapping == {"other": 1, **values}
    assert mapping.pop(first) == values[first]
    assert mapping.pop(first, None) is None
    name, value = mapping.popitem()
    assert values[name] == value
    assert len(mapping) == 1
    mapping |= {first: values[first]}
    mapping.update([(second, values[second])])
    assert mapping[first] == values[first]
    del mapping[first]
    assert first not in mapping
    mapping.clear()
    assert mapping == {}
    assert type(mapping.copy()) is dict


def test_what_is_missing(mapping: LiveMapping[Any], values: dict[str, Any]) -> None:
    """It is a KeyError and a NotFoundError, whose text is readable, with what there is."""
    first = next(iter(values))
    mapping[first] = values[first]

    def delete() -> None:
        del mapping["/none"]

    for look in (lambda: mapping["/none"], lambda: mapping.pop("/none"), delete):
        with pytest.raises(KeyError, match="has no") as caught:
            look()
        error = caught.value
        assert isinstance(error, NotFoundError)
        assert error.available == (first,)
        assert error.wanted == "/none"
        assert not str(error).startswith(("'", '"'))
        assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own
    mapping.clear()
    with pytest.raises(KeyError):
        mapping.popitem()


def test_names_and_values_of_another_type(
    mapping: LiveMapping[Any], values: dict[str, Any]
) -> None:
    """A wrong type is a `TypeError`, and nothing is changed, also by an update that begins well."""
    first = next(iter(values))
    with pytest.raises(TypeError):
        mapping[5] = values[first]  # type: ignore[index]
    with pytest.raises(TypeError):
        mapping[first] = 5
    with pytest.raises(TypeError):
        mapping.update({**values, "last": None})
    assert mapping == {}


def test_it_has_no_hash_and_calls_nothing_in_repr(
    mapping: LiveMapping[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a dict it cannot be a key; its repr says whose it is."""
    with pytest.raises(TypeError):
        hash(mapping)
    monkeypatch.setattr(mapping, "com", None)
    assert " of <" in repr(mapping)


def test_it_cannot_be_replaced_by_accident(machine: Machine) -> None:
    """Assigning a dict would be lost without a word: it is an error that says what to do."""
    for name in ("extra_data", "guest_properties", "shared_folders"):
        with pytest.raises(AttributeError, match=r"\.update\(\.\.\.\)"):
            setattr(machine, name, {})
    machine.extra_data |= {"vt/x": "1"}
    assert machine.extra_data["vt/x"] == "1"


def test_several_changes_are_one(
    vbox: VirtualBox, machine: Machine, label: Callable[[str], str]
) -> None:
    """Inside edit() a mapping shows what is set there; if the block fails, all is undone."""
    machine.extra_data["vt/old"] = "before"
    with pytest.raises(RuntimeError, match="mine"), machine.edit():
        machine.extra_data["vt/new"] = "1"
        del machine.extra_data["vt/old"]
        machine.guest_properties["/vt/p"] = "1"
        machine.shared_folders["vt"] = "/"
        assert machine.extra_data == {"vt/new": "1"}
        assert "vt/old" not in machine.extra_data
        assert machine.guest_properties["/vt/p"] == "1"
        assert list(machine.shared_folders) == ["vt"]
        assert vbox.machines[machine.id].extra_data == {"vt/new": "1"}  # this thread's
        raise RuntimeError("mine")
    assert machine.extra_data == {"vt/old": "before"}
    assert "/vt/p" not in machine.guest_properties
    assert machine.shared_folders == {}


def test_they_are_kept(vbox: VirtualBox, machine: Machine, tmp_path: Path) -> None:
    """All of it is in the settings file, exactly, also after that was loaded anew."""
    odd = "tab\tline\nreturn\r end <&>\" 'ü€😀 "
    machine.extra_data["vt/odd"] = odd
    machine.guest_properties["/vt/odd"] = odd
    machine.guest_properties["/vt/empty"] = ""
    folder = tmp_path / "with space" / "ü"
    folder.mkdir(parents=True)
    machine.shared_folders.add("ü 1", folder, writable=True, auto_mount=True, mount_point="/m t")
    machine.description = odd
    again = vbox.machines.register(machine.unregister())
    assert again.extra_data["vt/odd"] == odd
    assert again.guest_properties["/vt/odd"] == odd
    assert again.guest_properties["/vt/empty"] == ""
    assert again.shared_folders == machine.shared_folders
    found = again.shared_folders["ü 1"]
    assert (found.path, found.mount_point) == (folder, "/m t")
    assert found.writable
    assert found.auto_mount
    assert found.accessible

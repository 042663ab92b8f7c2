"""Snapshots as a tree: finding, walking, drawing, renaming, cutting; and wrong input."""

from __future__ import annotations

import html
import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

import vboxkit
from tests.vbox.conftest import shape
from vboxkit.errors import (
    AmbiguousNameError,
    ApiError,
    InvalidStateError,
    NotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, Snapshot, VirtualBox

pytestmark = pytest.mark.vbox


def test_walk_is_depth_first_with_depth(machine: Machine, tree: dict[str, Snapshot]) -> None:
    """Parents come before children, and one branch before the next."""
    assert shape(machine) == ["a", ".b", "..c", "..d", ".e"]
    assert list(machine.snapshots) == [tree[name] for name in "abcde"]
    assert machine.snapshots.root == tree["a"]
    assert machine.snapshots.current == tree["b"]
    assert [name for name in "abcde" if tree[name].current] == ["b"]


def test_found_by_name_path_and_uuid(machine: Machine, tree: dict[str, Snapshot]) -> None:
    """A path may begin anywhere; with a slash in front, it begins with the first snapshot."""
    snapshots = machine.snapshots
    c = tree["c"]
    for key in ("c", "b/c", "a/b/c", "/a/b/c", c.id, c.id.upper()):
        assert snapshots[key] == c, key
        assert key in snapshots, key
    assert c.path == "/a/b/c"
    assert snapshots.paths() == ["/a", "/a/b", "/a/b/c", "/a/b/d", "/a/e"]
    for key in ("/c", "/b/c", "a/c", "c/", "a//b", "/", "", "A", "{c}"):
        assert snapshots.find(key) is None, key
        assert key not in snapshots, key


def test_names_with_slashes_spaces_and_unicode(machine: Machine) -> None:
    """Any such name reads back, and is found by itself and as part of a path."""
    snapshots = machine.snapshots
    names = ["base", "after install", "a/b", "日本 ünï 😀", "x" * 5000, "tab\tand\nline", "..", "*"]
    taken = [snapshots.take(name) for name in names]
    assert [s.name for s in snapshots] == names
    for name, snapshot in zip(names, taken, strict=True):
        assert snapshots[name] == snapshot
    assert snapshots["base/after install"] == taken[1]
    assert snapshots["after install/a/b/日本 ünï 😀"] == taken[3]
    assert snapshots[taken[-1].path] == taken[-1]


def test_a_name_that_fits_several_is_an_error_with_their_paths(machine: Machine) -> None:
    """No silent choice: the error lists the paths, each of which is found."""
    snapshots = machine.snapshots
    root = snapshots.take("root")
    one = snapshots.take("same")
    root.restore()
    snapshots.take("other")
    two = snapshots.take("same")
    with pytest.raises(AmbiguousNameError) as caught:
        snapshots["same"]
    assert caught.value.matches == ("/root/same", "/root/other/same")
    assert (caught.value.kind, caught.value.wanted) == ("snapshot", "same")
    assert machine.name in str(caught.value)
    assert "path" in str(caught.value.hint)
    assert isinstance(caught.value, LookupError)
    assert [snapshots[path] for path in caught.value.matches] == [one, two]
    assert "same" in snapshots
    with pytest.raises(AmbiguousNameError):
        snapshots.find("same")


def test_twins_are_told_apart_by_uuid(machine: Machine) -> None:
    """Two of one path: the error lists UUIDs, and these find each."""
    snapshots = machine.snapshots
    root = snapshots.take("r")
    taken = []
    for _ in range(2):
        taken.append(snapshots.take("same"))
        root.restore()
    with pytest.raises(AmbiguousNameError) as caught:
        snapshots["/r/same"]
    assert all(s.id in match for s, match in zip(taken, caught.value.matches, strict=True))
    assert [snapshots[s.id] for s in taken] == taken


def test_a_slash_in_a_name_can_look_like_a_path(machine: Machine) -> None:
    """A snapshot named as the path of another one: both fit, so neither is chosen."""
    snapshots = machine.snapshots
    snapshots.take("x")
    snapshots.take("y")
    assert snapshots["x/y"].name == "y"
    snapshots.take("x/y")
    with pytest.raises(AmbiguousNameError) as caught:
        snapshots["x/y"]
    assert caught.value.matches == ("/x/y", "/x/y/x/y")


@pytest.mark.parametrize(
    ("wanted", "near"), [("instal", "'/base/install'"), ("base/instal", "'/base/install'")]
)
def test_an_unknown_name_is_told_the_near_ones(machine: Machine, wanted: str, near: str) -> None:
    """The error names machine, what was asked for, all paths, and what is like it."""
    machine.snapshots.take("base")
    machine.snapshots.take("install")
    with pytest.raises(NotFoundError) as caught:
        machine.snapshots[wanted]
    assert near in str(caught.value.hint)
    assert caught.value.available == ("/base", "/base/install")
    assert caught.value.wanted == wanted
    assert machine.name in str(caught.value)


def test_an_unknown_name_of_a_machine_without_any(machine: Machine) -> None:
    """The error says that there is none, and how one is made."""
    with pytest.raises(NotFoundError, match="no snapshot at all") as caught:
        machine.snapshots["x"]
    assert "take" in str(caught.value.hint)
    assert machine.snapshots.find("00000000-0000-0000-0000-000000000001") is None
    assert machine.snapshots.root is None
    assert list(machine.snapshots.walk()) == []


@pytest.mark.parametrize("name", ["", " ", "nul\0", "bell\x07", "\ud800", "\ufffe"])
def test_a_name_that_cannot_be_kept(
    machine: Machine, inventory: Callable[[], set[str]], name: str
) -> None:
    """VirtualBox would cut it, change it when it reads it again, or run out of memory."""
    machine.snapshots.take("there")
    before = inventory()
    with pytest.raises(ApiError, match="PoweredOff") as caught:
        machine.snapshots.take(name)
    assert machine.name in str(caught.value)
    assert caught.value.hint
    with pytest.raises(ApiError):
        machine.snapshots["there"].name = name
    assert [s.name for s in machine.snapshots] == ["there"]
    assert inventory() == before


def test_rename_and_describe(vbox: VirtualBox, machine: Machine) -> None:
    """Both can be set at any time, also in an edit, and are in the settings file."""
    snapshot = machine.snapshots.take("old", description="first")
    snapshot.name = "new/ünï"
    snapshot.description = "two\nlines"
    with machine.edit():
        machine.memory_mb = 80
        assert machine.snapshots["new/ünï"] == snapshot
    again = vbox.machines[machine.name].snapshots[snapshot.id]
    assert (again.name, again.description) == ("new/ünï", "two\nlines")
    assert "new/ünï" in repr(snapshot)
    assert "old" not in machine.snapshots
    assert 'name="new/ünï"' in html.unescape(machine.settings_file.read_text())
    snapshot.description = ""
    assert again.description == ""
    with pytest.raises(ApiError, match=r"U\+0000"):
        snapshot.description = "a\0b"


def test_not_in_the_middle_of_an_edit(machine: Machine) -> None:
    """VirtualBox would save or lose what the edit may still undo: refused with what to do."""
    snapshot = machine.snapshots.take("x")
    for verb in (lambda: machine.snapshots.take("y"), snapshot.restore, snapshot.delete):

        def change(verb: Callable[[], object] = verb) -> None:
            with machine.edit():
                machine.memory_mb = 80
                verb()

        with pytest.raises(InvalidStateError, match=r"inside edit\(\)") as caught:
            change()
        assert machine.name in str(caught.value)
        assert caught.value.hint
    assert shape(machine) == ["x"]
    assert machine.memory_mb == 64
    assert machine.session_state == "Unlocked"


def test_time_is_an_aware_datetime(machine: Machine) -> None:
    """It is in UTC, and of now."""
    timestamp = machine.snapshots.take("now").timestamp
    assert timestamp.tzinfo == timezone.utc
    assert abs(datetime.now(timezone.utc) - timestamp) < timedelta(minutes=5)


def test_hardware_of_then_can_be_read_but_not_changed(
    machine: Machine, tree: dict[str, Snapshot]
) -> None:
    """The record has the values of then, and refuses every change; the machine has those of now."""
    then = tree["b"].hardware
    mac = machine.network[0].mac
    assert (then.memory_mb, machine.memory_mb) == (64, 128)
    assert then.network[0].mac == mac
    assert then != machine
    with pytest.raises(InvalidStateError, match="snapshot b") as caught:
        then.memory_mb = 96
    assert "restore()" in str(caught.value.hint)
    for change in (
        lambda: then.set_extra_data("a", "b"),
        lambda: then.network[0].forward(guest=99),
    ):
        with pytest.raises(InvalidStateError, match="kept in a snapshot"):
            change()
    with machine.edit():
        machine.memory_mb = 96
        assert then.memory_mb == 64
        with pytest.raises(InvalidStateError):
            then.cpus = 2
    assert (machine.memory_mb, machine.cpus) == (96, 1)
    assert machine.get_extra_data("a") is None
    assert machine.session_state == "Unlocked"


def test_tree_is_drawn(machine: Machine, tree: dict[str, Snapshot]) -> None:
    """Branches, kind and time of each snapshot, and where the machine stands."""
    assert tree
    drawn = machine.snapshots.tree()
    lines = drawn.splitlines()
    assert lines[0] == machine.name
    heads = ["└─ a", "   ├─ b", "   │  ├─ c", "   │  ├─ d", "   │  └─ * now: PoweredOff, changed"]
    assert [line.split("  (")[0] for line in lines[1:]] == [*heads, "   └─ e"]
    assert re.fullmatch(r"└─ a  \(offline, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\)", lines[1])
    local = tree["c"].timestamp.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert lines[3].endswith(f"c  (offline, {local})")
    plain = machine.snapshots.tree(plain=True)
    assert plain.isascii()
    assert plain.count("|- ") == drawn.count("├─ ")


def test_tree_without_snapshots_and_unchanged(machine: Machine) -> None:
    """An empty tree shows the present state alone; an unchanged one does not say changed."""
    assert machine.snapshots.tree() == f"{machine.name}\n└─ * now: PoweredOff, no snapshots"
    machine.snapshots.take("line\nbreak\x85")
    lines = machine.snapshots.tree().splitlines()
    assert lines[1].startswith(r"└─ line\nbreak\x85  (offline")
    assert lines[2] == "   └─ * now: PoweredOff"
    assert len(lines) == 3


def test_delete_with_children(
    machine: Machine, tree: dict[str, Snapshot], inventory: Callable[[], set[str]]
) -> None:
    """The whole branch goes with its disks; the present state stays as it is, on what is left."""
    tree["b"].delete(children=True)
    assert shape(machine) == ["a", ".e"]
    assert machine.snapshots.current == tree["a"]
    assert machine.memory_mb == 128
    tree["a"].delete(children=True)
    assert len(machine.snapshots) == 0
    assert machine.memory_mb == 128
    assert sum(line.startswith("medium") for line in inventory()) == 1


@pytest.mark.parametrize("name", ["a", "b"])
def test_delete_of_a_fork_in_the_tree_is_refused(
    machine: Machine, tree: dict[str, Snapshot], inventory: Callable[[], set[str]], name: str
) -> None:
    """More than one state stands on it: the error names them, and nothing is deleted."""
    before = inventory()
    with pytest.raises(InvalidStateError, match="more than one state") as caught:
        tree[name].delete()
    assert ("the present state" in str(caught.value)) == (name == "b")
    assert f"snapshot '{name}'" in str(caught.value)
    assert "children=True" in str(caught.value.hint)
    assert shape(machine) == ["a", ".b", "..c", "..d", ".e"]
    assert inventory() == before


def test_a_long_chain(machine: Machine) -> None:
    """Forty levels are walked, drawn, found and deleted like two."""
    for number in range(40):
        machine.snapshots.take(f"s{number}")
    assert len(machine.snapshots.tree().splitlines()) == 42
    assert machine.snapshots["s39"].path.count("/") == 40
    root = machine.snapshots.root
    assert root is not None
    root.delete(children=True)
    assert len(machine.snapshots) == 0


def test_what_changed_since_a_snapshot(machine: Machine) -> None:
    """The record of then compares with that of now, and no part of then can be changed."""
    then = machine.snapshots.take("then").hardware
    machine.memory_mb = 96
    assert "memory_mb: 64 -> 96" in str(vboxkit.diff(then.describe(), machine.describe()))
    with pytest.raises(InvalidStateError, match="kept in a snapshot"):
        then.firmware.acpi = False
    with pytest.raises(InvalidStateError, match="kept in a snapshot"):
        then.groups.add("/x")
    assert machine.firmware.acpi

"""What extra data, guest properties, shared folders, groups and icons cannot hold."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.errors import (
    AlreadyExistsError,
    ApiError,
    InvalidStateError,
    NotFoundError,
    StorageError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("", "x", "extra data key cannot be ''"),
        ("a\nb", "x", r"extra data key cannot be 'a\\nb'"),
        ("vt/x", "", "'vt/x' cannot be empty"),
        ("vt/x", "a\0b", "text cannot hold"),
        ("vt/x", "\ud800", "text cannot hold"),
    ],
)
def test_extra_data(vbox: VirtualBox, machine: Machine, key: str, text: str, message: str) -> None:
    """What VirtualBox refuses, forgets or spoils is refused, with object and state."""
    for live in (machine.extra_data, vbox.extra_data):
        before = live.copy()
        with pytest.raises(ApiError, match=message) as caught:
            live.update({"vt/good": "1", key: text})
        assert caught.value.hint
        assert live == before
    with pytest.raises(ApiError, match=machine.name):
        machine.extra_data[key] = text


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("", "x", "name cannot be ''"),
        ("a*", "x", r"cannot be named 'a\*'"),
        ("a|b", "x", "patterns only"),
        ("x" * 64, "x", "1 to 63 bytes"),
        ("ü" * 32, "x", "1 to 63 bytes"),
        ("/x", "y" * 1024, "0 to 1023 bytes"),
        ("/x", "ü" * 512, "0 to 1023 bytes"),
        ("/x", "a\x01", "value cannot hold"),
    ],
)
def test_guest_properties(machine: Machine, name: str, value: str, message: str) -> None:
    """Lengths are in bytes; the error says which there are."""
    with pytest.raises(ApiError, match=message):
        machine.guest_properties[name] = value
    assert machine.guest_properties == {}


def test_the_longest_guest_property(machine: Machine) -> None:
    """What the limits allow is kept."""
    machine.guest_properties["x" * 63] = "y" * 1023
    assert machine.guest_properties["x" * 63] == "y" * 1023


def test_the_entry_of_a_guest_property(machine: Machine) -> None:
    """It has a time with its zone, and flags, which a new value keeps."""
    properties = machine.guest_properties
    before = datetime.now(timezone.utc)
    properties.set("/vt/a", "1", flags=["RDONLYGUEST"])
    entry = properties.entry("/vt/a")
    assert (entry.name, entry.value) == ("/vt/a", "1")
    assert entry.flags == {"RDONLYGUEST"}
    assert before <= entry.timestamp <= datetime.now(timezone.utc)
    properties["/vt/a"] = "2"
    assert properties.entry("/vt/a").flags == {"RDONLYGUEST"}
    assert properties.entry("/vt/a").timestamp > entry.timestamp
    properties.set("/vt/a", "3")
    assert properties.entry("/vt/a").flags == frozenset()
    with pytest.raises(NotFoundError, match=r"no guest property '/vt/b', only \['/vt/a'\]"):
        properties.entry("/vt/b")


def test_patterns_of_guest_properties(machine: Machine) -> None:
    """A star matches slashes, too; without a pattern all are meant."""
    properties = machine.guest_properties
    properties.update({"/vt/a/x": "1", "/vt/b": "2", "/other": "3"})
    assert list(properties.matching("/vt/*")) == ["/vt/a/x", "/vt/b"]
    assert list(properties.matching("/vt/b", "/o*")) == ["/other", "/vt/b"]
    assert list(properties.matching("/none*")) == []
    assert len(properties.matching()) == 3


def test_a_guest_property_that_only_the_guest_may_change(machine: Machine) -> None:
    """The error names the flag; the property stays."""
    properties = machine.guest_properties
    properties.set("/vt/ro", "1", flags=["RDONLYHOST"])

    def delete() -> None:
        del properties["/vt/ro"]

    def replace() -> None:
        properties.set("/vt/ro", "2")

    for change in (partial(properties.update, {"/vt/ro": "2"}), replace, delete):
        with pytest.raises(InvalidStateError, match=r"'/vt/ro' is RDONLYHOST") as caught:
            change()
        assert machine.name in str(caught.value)
    assert properties == {"/vt/ro": "1"}


def test_flags_that_a_machine_at_rest_cannot_have(machine: Machine) -> None:
    """A transient property needs a running VM; a flag that is none is named."""
    with pytest.raises(InvalidStateError, match=r"is PoweredOff: it has no TRANSIENT") as caught:
        machine.guest_properties.set("/vt/t", "1", flags=["TRANSIENT"])
    assert "Running" in caught.value.needed
    with pytest.raises(ApiError, match=r"no guest property flag 'RDONLY'\n.*READONLY"):
        machine.guest_properties.set("/vt/t", "1", flags=["RDONLY"])  # type: ignore[list-item]
    assert machine.guest_properties == {}


def test_waiting_for_a_guest_property(machine: Machine) -> None:
    """What is there is given at once; what does not come is a timeout that says what there was."""
    properties = machine.guest_properties
    properties["/vt/a"] = "1"
    assert properties.wait_for("/vt/a", timeout=0.1).value == "1"
    with pytest.raises(WaitTimeoutError, match=r"'/vt/a' of machine .* to be '2'.*last seen: 1"):
        properties.wait_for("/vt/a", value="2", timeout=0.1)
    with pytest.raises(WaitTimeoutError):
        properties.wait_for("/vt/a", change=True, timeout=0.1)


@pytest.mark.parametrize("name", ["", "a/b", "a\\b", "a\tb", "x" * 256])
def test_names_of_shared_folders(machine: Machine, tmp_path: Path, name: str) -> None:
    """Names by which no guest could mount them are refused."""
    with pytest.raises(ApiError, match="shared folder"):
        machine.shared_folders[name] = tmp_path
    assert machine.shared_folders == {}


def test_paths_of_shared_folders(machine: Machine, tmp_path: Path) -> None:
    """A path that is missing, or no folder, is an error with machine, state and path."""
    file = tmp_path / "a file"
    file.touch()
    for path, text in ((tmp_path / "none", "does not exist"), (file, "is no folder")):
        with pytest.raises(StorageError, match=text) as caught:
            machine.shared_folders.add("vt", path)
        assert f"machine '{machine.name}' (PoweredOff)" in str(caught.value)
        assert str(path) in str(caught.value)
    assert machine.shared_folders == {}


def test_a_shared_folder_that_is_there(machine: Machine, tmp_path: Path) -> None:
    """add() does not replace one; setting it does, with all that it is."""
    machine.shared_folders.add("vt", tmp_path, writable=True)
    with pytest.raises(AlreadyExistsError, match="has a shared folder 'vt' already"):
        machine.shared_folders.add("vt", "/")
    assert machine.shared_folders["vt"].path == tmp_path
    machine.shared_folders["vt"] = "/"
    assert str(machine.shared_folders["vt"].path) == "/"
    assert not machine.shared_folders["vt"].writable


def test_a_transient_folder_needs_a_running_machine(machine: Machine, tmp_path: Path) -> None:
    """The error says so, with the state."""
    with pytest.raises(InvalidStateError, match="transient shared folder needs") as caught:
        machine.shared_folders.add("vt", tmp_path, transient=True)
    assert caught.value.state == "PoweredOff"


def test_a_shared_folder_whose_path_went_away(machine: Machine, tmp_path: Path) -> None:
    """It is still there, and says that it is not accessible; it can be removed."""
    path = tmp_path / "gone"
    path.mkdir()
    machine.shared_folders["vt"] = path
    path.rmdir()
    found = machine.shared_folders["vt"]
    assert not found.accessible
    assert found.error
    del machine.shared_folders["vt"]
    assert machine.shared_folders == {}


def test_groups_are_a_set(
    vbox: VirtualBox, machine: Machine, inventory: Callable[[], set[str]]
) -> None:
    """Each change moves the folder with the disks to the first group; none is the top."""
    top = vbox.home / "machines"
    groups = machine.groups
    assert groups == set()
    groups.add("/vt-g/a b")
    assert machine.folder == top / "vt-g" / "a b" / machine.name
    assert list(machine.folder.glob("*.vmdk"))
    groups.add("/vt-ü")
    groups.add("/vt-ü")
    assert list(groups) == ["/vt-g/a b", "/vt-ü"]
    assert groups == {"/vt-ü", "/vt-g/a b"}
    assert groups | {"/x"} == {"/vt-ü", "/vt-g/a b", "/x"}
    assert "/vt-ü" in groups
    assert len(groups) == 2
    groups.remove("/vt-g/a b")
    assert machine.folder == top / "vt-ü" / machine.name
    with pytest.raises(KeyError, match="not in group '/none'"):
        groups.remove("/none")
    groups.discard("/none")
    machine.groups = ["/vt-a", "/vt-b"]
    assert list(vbox.machines[machine.id].groups) == ["/vt-a", "/vt-b"]
    machine.groups |= {"/vt-c"}
    assert machine.groups == {"/vt-a", "/vt-b", "/vt-c"}
    machine.groups.clear()
    assert machine.folder == top / machine.name
    assert not [path for path in top.iterdir() if path.name.startswith("vt-")]
    with pytest.raises(RuntimeError), machine.edit():
        machine.groups.add("/vt-undone")
        assert machine.groups == {"/vt-undone"}
        raise RuntimeError
    assert machine.groups == set()
    assert machine.folder == top / machine.name


@pytest.mark.parametrize(
    "bad", ["x", "/", "", "/x/", "/a//b", "/..", "/a/../b", "/a:b", "/" + "x" * 300, "/a\n", "/ a"]
)
def test_groups_that_cannot_be(vbox: VirtualBox, machine: Machine, bad: str) -> None:
    """The error comes before anything is moved; the folder stays."""
    folder = machine.folder
    if bad == "/":
        machine.groups.add(bad)  # no group
    else:
        with pytest.raises(ApiError, match="a group cannot be") as caught:
            machine.groups.add(bad)
        assert caught.value.hint
        with pytest.raises(ApiError):
            machine.groups = ["/vt-good", bad]
    assert machine.groups == set()
    assert machine.folder == folder
    with pytest.raises(TypeError):
        machine.groups = "/vt-one"


def test_the_tree_of_groups(vbox: VirtualBox, make: Callable[..., Machine]) -> None:
    """Groups lead to their machines; those in between are there, too."""
    one, two = make(), make()
    one.groups = ["/vt-t/a", "/vt-t/b"]
    two.groups = ["/vt-t/a"]
    tree = vbox.groups
    assert {"/", "/vt-t", "/vt-t/a", "/vt-t/b"} <= set(tree)
    assert set(tree["/vt-t/a"]) == {one, two}
    assert tree["/vt-t/b"] == [one]
    assert tree["/vt-t"] == []
    assert one not in tree["/"]
    assert set(tree.below("/vt-t")) == {one, two}
    assert tree.below("/vt-t/b") == [one]
    assert {one, two} <= set(tree.below("/"))
    assert "/vt" not in tree
    for look in (tree.__getitem__, tree.below):
        with pytest.raises(NotFoundError, match="no group '/vt'") as caught:
            look("/vt")
        assert "/vt-t/a" in caught.value.available


def test_an_icon(vbox: VirtualBox, machine: Machine) -> None:
    """A PNG's bytes are kept as they are, also when the settings were loaded anew."""
    assert machine.icon is None
    data = PNG + bytes(range(256)) * 10
    machine.icon = data
    again = vbox.machines.register(machine.unregister())
    assert again.icon == data
    again.icon = None
    assert again.icon is None


@pytest.mark.parametrize("bad", [b"GIF89a", "text", PNG + bytes(1024 * 1024)])
def test_what_is_no_icon(machine: Machine, bad: Any) -> None:
    """No PNG, no bytes, too large: an error, and the icon stays."""
    machine.icon = PNG
    kind = TypeError if isinstance(bad, str) else ApiError
    with pytest.raises(kind, match="icon"):
        machine.icon = bad
    assert machine.icon == PNG

"""What somebody in a hurry does with machines, and what they are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import vboxkit
from vboxkit.errors import ApiError, CleanupError, InvalidStateError, PasswordError
from vboxkit.machines import forwards

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, Medium, VirtualBox

pytestmark = pytest.mark.vbox

#: VirtualBox cuts at the first, keeps the second until the file is read, and dies of the third.
UNKEEPABLE = ["a\0b", "a\x01b", "a\ufffe"]


def test_a_mistyped_setting_is_an_error(machine: Machine) -> None:
    """A name that is no setting is not taken without a word; the near ones are named."""
    wrong: Any = machine
    with pytest.raises(AttributeError, match=r"no attribute 'memory'; did you mean memory_mb"):
        wrong.memory = 96
    with pytest.raises(AttributeError, match=r"Cpu has no attribute 'hotplug'; did .*hot_plug"):
        wrong.cpu.hotplug = True
    with pytest.raises(AttributeError, match=r"Network\w+ has no attribute 'zzzzzz'$"):
        wrong.network[0].zzzzzz = 1


def test_a_users_own_subclass_may_add_attributes(machine: Machine) -> None:
    """A constructor adds what it likes, and that can be set later on."""

    class Mine(vboxkit.Machine):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.role = "db"

    mine = Mine(machine._api, machine.com, machine.settings)
    mine.role = "web"
    assert mine.role == "web"


@pytest.mark.parametrize("text", UNKEEPABLE)
@pytest.mark.parametrize(
    "attribute",
    ["description", "paravirt.debug", "tpm.location", "vrde.address", "network.0.nat.tftp_prefix"],
)
def test_a_text_that_settings_cannot_hold(machine: Machine, attribute: str, text: str) -> None:
    """No setting takes a text that would not come back as it was."""
    obj: Any = machine
    *path, name = attribute.split(".")
    for part in path:
        obj = obj[int(part)] if part.isdigit() else getattr(obj, part)
    before = getattr(obj, name)
    with pytest.raises(ApiError, match=rf"{name} cannot hold the character U\+") as caught:
        setattr(obj, name, text)
    assert "leave out" in str(caught.value)
    assert getattr(obj, name) == before


@pytest.mark.parametrize("text", UNKEEPABLE)
def test_a_name_that_settings_cannot_hold(machine: Machine, tmp_path: Path, text: str) -> None:
    """Nor do names of controllers and networks, and paths of ports and traces."""
    before = machine.describe()
    for attempt in (
        lambda: machine.storage.add(text, bus="SAS"),
        lambda: machine.network[1].attach("Internal", network=text),
        lambda: machine.network[0].trace(tmp_path / text),
        lambda: machine.serial_ports[1].to_file(tmp_path / text),
        lambda: setattr(machine.disks[0], "description", text),
    ):
        with pytest.raises(ApiError, match=r"cannot hold the character U\+"):
            attempt()
    assert machine.describe() == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["destroy", "start"])
def test_what_needs_the_lock_inside_edit(machine: Machine, verb: str) -> None:
    """The message names edit(), not a lock of some process that is this one."""
    with (
        pytest.raises(InvalidStateError, match=rf"cannot {verb} it inside edit\(\)"),
        machine.edit(),
    ):
        getattr(machine, verb)()
    assert machine.registered


@pytest.mark.parametrize("groups", ["/a", ["no slash"], [3]])
def test_groups_are_checked_before_the_clone(
    machine: Machine, label: Callable[[str], str], groups: Any
) -> None:
    """Bad groups cost no copy of the disks."""
    seen: list[object] = []
    with pytest.raises((ApiError, TypeError), match=r"group"):
        machine.clone(label("copy"), groups=groups, on_update=seen.append)
    assert not seen


def test_orphans_on_its_disks_go_with_the_machine(
    machine: Machine, inventory: Callable[[], set[str]]
) -> None:
    """Differencing images in its folder that nobody uses do not outlive it."""
    before = inventory()
    base: Medium = machine.disks[0]
    machine.snapshots.take("s")
    orphan = base.create_difference(machine.folder / "Snapshots" / "orphan.vmdk")
    orphan.create_difference(machine.folder / "Snapshots" / "second.vmdk")
    folder = machine.folder
    machine.destroy()
    assert not folder.exists()
    assert inventory() <= before


def test_orphans_elsewhere_forbid_it(vbox: VirtualBox, machine: Machine, tmp_path: Path) -> None:
    """Those in other folders are somebody's: nothing is done, and they are named."""
    machine.snapshots.take("s")
    orphan = machine.disks[0].base.create_difference(tmp_path / "orphan.vmdk")
    with pytest.raises(
        InvalidStateError, match=r"no machine uses stand on.*orphan\.vmdk"
    ) as caught:
        machine.destroy()
    assert "delete() them first" in str(caught.value)
    assert machine.registered
    orphan.delete()
    machine.destroy()
    assert machine.id not in {each.id for each in vbox.machines}


def test_a_detached_disk_in_its_folder_is_named(vbox: VirtualBox, machine: Machine) -> None:
    """A disk that it does not use any more stays, and the error says what that is."""
    disk = machine.disks[0]
    machine.storage.detach(disk)
    with pytest.raises(CleanupError, match=r"a medium that was not attached to it") as caught:
        machine.destroy()
    assert "not VirtualBox's" not in str(caught.value)
    vbox.media[disk.location].delete()
    machine.folder.rmdir()


def test_near_names_whatever_the_capitals(machine: Machine) -> None:
    """A name that differs in capitals only is the one that was meant."""
    with pytest.raises(ApiError, match=r"did you mean NAT"):
        machine.network[0].attach("nat")  # type: ignore[call-overload]
    with pytest.raises(ApiError, match=r"did you mean .*KVM"):
        machine.paravirt.provider = "kvm"  # type: ignore[assignment]
    with pytest.raises(ApiError, match=r"one of Default") as caught:
        machine.priority = "zz"  # type: ignore[assignment]
    assert "Invalid" not in str(caught.value)


def test_values_of_another_type(vbox: VirtualBox, machine: Machine) -> None:
    """A `TypeError` says what is expected, not what Python stumbled over."""
    wrong: Any = machine
    for attempt, says in (
        (lambda: vbox.create(wrong, os_type="Linux26_64"), "name is str, not Machine"),
        (lambda: wrong.clone(None), "name is str, not NoneType"),
        (lambda: wrong.clone("x", timeout="5"), "a duration is seconds .* not '5'"),
        (lambda: wrong.network[0].forward(guest="22"), "a port is int, not str"),
        (lambda: wrong.wait_for_state(timeout=1), "needs a state"),
        (lambda: vbox.on_event(wrong), "a callback is a function"),
    ):
        with pytest.raises(TypeError, match=says):
            attempt()
    with pytest.raises(ApiError, match=r"hardware_id cannot be 'x'\n.*a UUID"):
        machine.hardware_id = "x"


def test_a_snapshot_can_be_compared(machine: Machine) -> None:
    """`diff` takes a snapshot: what was changed since is in it."""
    snapshot = machine.snapshots.take("before")
    machine.memory_mb += 4
    found = vboxkit.diff(snapshot, machine)
    assert "memory_mb" in found.paths
    snapshot.delete()


def test_the_number_of_adapters_is_asked_for_once(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chipset's number of adapters does not change: a list of machines asks once."""
    count = len(machine.network)
    monkeypatch.setattr(forwards, "platform_properties", None)
    assert len(machine.network) == count


@pytest.mark.parametrize("end", ["\ud800", "\0", "\ufffe"])
def test_a_password_that_cannot_be_passed_on(machine: Machine, end: str) -> None:
    """The error does not have it; Python's own would."""
    password = f"s3cr3t{end}"
    disk = machine.disks[0]
    disk.encrypt("another")
    for attempt in (disk.check_password, disk.decrypt, machine.add_password):
        with pytest.raises((PasswordError, InvalidStateError)) as caught:
            attempt(password)
        assert "s3cr3t" not in repr(caught.value)
    disk.decrypt("another")

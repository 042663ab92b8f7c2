"""Setters, edit(), extra data, the serial port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit.errors import AlreadyExistsError, ApiError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


def fresh(vbox: VirtualBox, machine: Machine) -> Machine:
    """Return the machine as VirtualBox knows it now."""
    return vbox.machines[machine.id]


def test_setters_are_saved(vbox: VirtualBox, machine: Machine) -> None:
    """Each setter is one change, saved in the settings file at once."""
    machine.memory_mb = 96
    machine.cpus = 2
    machine.description = "line 1\nümläut <&>"
    again = fresh(vbox, machine)
    assert (again.memory_mb, again.cpus) == (96, 2)
    assert again.description == "line 1\nümläut <&>"
    assert 'RAMSize="96"' in machine.settings_file.read_text()
    assert machine.session_state == "Unlocked"


def test_edit_saves_several_changes_once(vbox: VirtualBox, machine: Machine) -> None:
    """Nothing is in the settings file before the block ends; then all of it is."""
    with machine.edit() as same:
        assert same is machine
        same.memory_mb = 96
        same.cpus = 2
        assert 'RAMSize="96"' not in machine.settings_file.read_text()
        assert fresh(vbox, machine).session_state == "Locked"
    assert (fresh(vbox, machine).memory_mb, fresh(vbox, machine).cpus) == (96, 2)
    assert machine.session_state == "Unlocked"


def test_a_failing_second_change_undoes_the_first(vbox: VirtualBox, machine: Machine) -> None:
    """An `edit` that fails has changed nothing, and gives the lock back."""
    with pytest.raises(ApiError, match="memory"), machine.edit():
        machine.cpus = 2
        machine.memory_mb = 0
    assert fresh(vbox, machine).cpus == 1
    assert machine.session_state == "Unlocked"


def test_an_error_of_the_caller_undoes_too(vbox: VirtualBox, machine: Machine) -> None:
    """Whatever leaves the block, its changes are undone, and it passes as it is."""
    with pytest.raises(KeyError), machine.edit():
        machine.memory_mb = 96
        raise KeyError
    assert fresh(vbox, machine).memory_mb == 64


def test_edit_inside_edit_belongs_to_the_outer_one(vbox: VirtualBox, machine: Machine) -> None:
    """The outermost block saves or undoes all."""
    with machine.edit():
        machine.memory_mb = 96
        with machine.edit():
            machine.cpus = 2
    assert (machine.memory_mb, machine.cpus) == (96, 2)
    with pytest.raises(KeyError), machine.edit():
        with machine.edit():
            machine.cpus = 1
        raise KeyError
    assert fresh(vbox, machine).cpus == 2


@pytest.mark.parametrize("value", [0, 1, -1, 10**8])
def test_impossible_memory(machine: Machine, value: int) -> None:
    """VirtualBox refuses it: the error names machine and limits, and nothing is changed."""
    with pytest.raises(ApiError, match=r"memory_mb cannot be .* MiB\n.*4 to \d+ MiB") as caught:
        machine.memory_mb = value
    assert machine.name in str(caught.value)
    assert caught.value.symbol == "E_INVALIDARG"
    assert machine.memory_mb == 64
    assert machine.session_state == "Unlocked"


@pytest.mark.parametrize("value", [0, -1, 1000])
def test_impossible_number_of_cpus(machine: Machine, value: int) -> None:
    """Zero and a thousand CPUs are refused; the machine keeps its one."""
    with pytest.raises(ApiError, match=machine.name):
        machine.cpus = value
    assert machine.cpus == 1
    assert machine.session_state == "Unlocked"


def test_rename_moves_folder_and_disks(
    vbox: VirtualBox, machine: Machine, label: Callable[[str], str]
) -> None:
    """A machine of another name has a folder of that name, and its disks are in it."""
    old, new = machine.folder, label("renamed")
    machine.name = new
    assert vbox.machines[new].id == machine.id
    assert machine.folder == vbox.home / "machines" / new
    assert not old.exists()
    assert list(machine.folder.glob("*.vmdk"))
    assert new in repr(machine)


@pytest.mark.parametrize("bad", ["", "..", "a/b", "../../up", "x" * 300, "a\tb"])
def test_rename_to_what_is_no_file_name(
    vbox: VirtualBox, machine: Machine, bad: str, inventory: Callable[[], set[str]]
) -> None:
    """The error comes before anything is moved; the old name stays."""
    name, before = machine.name, inventory()
    folders = sorted((vbox.home / "machines").iterdir())
    with pytest.raises(ApiError, match="cannot be named"):
        machine.name = bad
    assert machine.name == name
    assert inventory() == before
    assert sorted((vbox.home / "machines").iterdir()) == folders


def test_rename_to_a_name_that_is_taken(machine: Machine, make: Callable[..., Machine]) -> None:
    """`AlreadyExistsError`, and both machines are as before; one's own name is no error."""
    other = make()
    name = machine.name
    with pytest.raises(AlreadyExistsError) as caught:
        machine.name = other.name
    assert caught.value.wanted == other.name
    assert machine.name == name
    assert name in repr(machine)
    machine.name = name
    assert machine.name == name


def test_extra_data(vbox: VirtualBox, machine: Machine) -> None:
    """A text is kept under its key, over a change of it, until it is removed."""
    assert machine.get_extra_data("vboxkit/test") is None
    for text in ("one", 'ü <&> "two"', '{"json": [1]}'):
        machine.set_extra_data("vboxkit/test", text)
        assert fresh(vbox, machine).get_extra_data("vboxkit/test") == text
    machine.set_extra_data("vboxkit/test", None)
    assert fresh(vbox, machine).get_extra_data("vboxkit/test") is None


def test_serial_port_to_a_file(vbox: VirtualBox, machine: Machine, tmp_path: Path) -> None:
    """The port is on and leads to the file; disconnected, it leads nowhere."""
    path = tmp_path / "a folder" / "console.log"
    path.parent.mkdir()
    assert machine.serial.to_file(path) == path
    again = fresh(vbox, machine).serial
    assert again.enabled
    assert again.file == path
    machine.serial.disconnect()
    assert fresh(vbox, machine).serial.file is None
    assert fresh(vbox, machine).serial.enabled


def test_serial_port_that_was_off_is_switched_on(vbox: VirtualBox, machine: Machine) -> None:
    """to_file() on a port that the guest did not see makes it COM1."""
    with machine._changing() as com:
        com.getSerialPort(0).enabled = False
    assert not machine.serial.enabled
    machine.serial.to_file(machine.folder / "serial.log")
    port = fresh(vbox, machine).serial
    assert port.enabled
    assert (int(port.com.IOAddress), int(port.com.IRQ)) == (0x3F8, 4)


def test_read_only_attributes_say_so(machine: Machine) -> None:
    """What only VirtualBox decides cannot be assigned, and the error says which it was."""
    with pytest.raises(AttributeError, match=r"Machine\.os_type is read-only"):
        machine.os_type = "DOS"
    assert machine.os_type != "DOS"


def test_extra_data_in_an_edit_that_fails(vbox: VirtualBox, machine: Machine) -> None:
    """Extra data is undone like everything else, also what was there before."""
    machine.set_extra_data("vboxkit/old", "before")
    with pytest.raises(RuntimeError, match="mine"), machine.edit():
        machine.memory_mb = 96
        machine.set_extra_data("vboxkit/new", "1")
        machine.set_extra_data("vboxkit/old", "after")
        raise RuntimeError("mine")
    again = fresh(vbox, machine)
    assert again.memory_mb == 64
    assert again.get_extra_data("vboxkit/new") is None
    assert again.get_extra_data("vboxkit/old") == "before"


_FULL = """
machine = vbox.create("m", os_type="Other", folder=small, disk_mb=0)
fill()
try:
    machine.description = "x" * 100_000
except VBoxKitError as error:
    print(type(error).__name__, *str(error).split())
print(machine.settings_file.stat().st_size)
os.remove(small + "/rest")
machine.description = "short"
print(machine.settings_file.stat().st_size > 1000, machine.description)
machine.destroy()
"""


def test_settings_that_were_not_written(on_small_disk: Callable[[str], list[str]]) -> None:
    """A full disk: VirtualBox reports success and leaves an empty file; vboxkit says so."""
    said, size, *after = on_small_disk(_FULL)
    assert said.startswith("StorageError machine 'm': VirtualBox has not written its settings")
    assert "make room and change anything again" in said
    assert size == "0"
    assert after == ["True short"]

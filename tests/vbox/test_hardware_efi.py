"""EFI's variables, keys and secure boot."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from vboxkit.errors import ApiError, InvalidStateError, NotFoundError
from vboxkit.machines.efi_variables import EfiVariable

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


@pytest.fixture
def machine(make: Callable[..., Machine]) -> Machine:
    """Import a machine with EFI and an empty store of variables."""
    machine = make()
    machine.firmware.kind = "EFI"
    machine.efi.initialize()
    return machine


def test_a_new_machine_has_no_variables(make: Callable[..., Machine]) -> None:
    """Without a store there is nothing to read, and to write is an error with the remedy."""
    machine = make()
    assert not machine.efi.initialized
    assert machine.efi.file is None
    assert machine.efi.secure_boot is False
    assert dict(machine.efi.variables) == {}
    with pytest.raises(InvalidStateError, match=r"efi\.initialize\(\)") as caught:
        machine.efi.variables["Foo"] = b"x"
    assert machine.name in str(caught.value)
    machine.efi.secure_boot = False


def test_a_bios_has_no_variables(make: Callable[..., Machine]) -> None:
    """initialize() of a machine with a BIOS says what to set first."""
    machine = make()
    with pytest.raises(InvalidStateError, match=r"firmware\.kind = 'EFI'") as caught:
        machine.efi.initialize()
    assert caught.value.state == "BIOS"
    assert not machine.efi.initialized


def test_an_empty_store_can_be_listed(machine: Machine) -> None:
    """VirtualBox's own query of an empty store kills VBoxSVC; ours gives nothing."""
    assert machine.efi.initialized
    assert machine.efi.file == machine.folder / f"{machine.name}.nvram"
    assert machine.efi.file.exists()
    assert list(machine.efi.variables) == []
    assert len(machine.efi.variables) == 0
    assert "Foo" not in machine.efi.variables


def test_variables_are_written_read_changed_and_removed(vbox: VirtualBox, machine: Machine) -> None:
    """What is written is there for a machine that is looked up anew, and then is gone."""
    owner = str(uuid.uuid4())
    machine.efi.variables["Plain"] = b"\x00\xff"
    machine.efi.variables["Mine"] = EfiVariable("Mine", b"1", owner, ("BootServiceAccess",))
    again = vbox.machines[machine.id].efi.variables
    assert set(again) == {"Plain", "Mine"}
    assert again["Plain"].data == b"\x00\xff"
    assert "NonVolatile" in again["Plain"].attributes
    assert again["Mine"] == EfiVariable("Mine", b"1", owner, ("BootServiceAccess",))
    again["Mine"] = b"a longer one"
    assert machine.efi.variables["Mine"].data == b"a longer one"
    assert machine.efi.variables["Mine"].owner == owner
    del again["Mine"]
    del again["Plain"]
    assert dict(machine.efi.variables) == {}


def test_wrong_variables(machine: Machine) -> None:
    """Missing, unnamed, of a wrong type or owner, too big: typed errors, and nothing is written."""
    variables = machine.efi.variables
    variables["There"] = b"x"
    with pytest.raises(NotFoundError, match="There") as missing:
        variables["Nope"]
    assert missing.value.available == ("There",)
    with pytest.raises(NotFoundError):
        del variables["Nope"]
    with pytest.raises(ApiError, match="name"):
        variables[""] = b"x"
    with pytest.raises(TypeError, match="bytes"):
        variables["Foo"] = "text"
    with pytest.raises(ApiError, match="is no UUID"):
        variables["Foo"] = EfiVariable("Foo", b"x", "xx")
    with pytest.raises(ApiError, match="UefiVariableAttributes"):
        variables["Foo"] = EfiVariable("Foo", b"x", attributes=("Forever",))
    with pytest.raises(ApiError, match=machine.name):
        variables["Foo"] = b"x" * 1_000_000
    assert set(variables) == {"There"}


def test_default_keys_and_secure_boot(vbox: VirtualBox, machine: Machine) -> None:
    """Secure boot needs a platform key; with the default ones it can be turned on and off."""
    with pytest.raises(InvalidStateError, match=r"enroll_default_keys\(\)") as caught:
        machine.efi.secure_boot = True
    assert caught.value.state == "setup mode"
    assert not machine.efi.secure_boot
    machine.efi.enroll_default_keys()
    assert {"PK", "KEK", "db", "dbx"} <= set(machine.efi.variables)
    for value in (False, True):
        machine.efi.secure_boot = value
        assert vbox.machines[machine.id].efi.secure_boot is value
    with pytest.raises(TypeError, match="secure_boot"):
        machine.efi.secure_boot = 1  # type: ignore[assignment]  # the mistake


def test_keys_of_ones_own(machine: Machine) -> None:
    """Platform key, signatures and hashes each land in their database."""
    machine.efi.enroll_platform_key(b"der", owner=str(uuid.uuid4()))
    machine.efi.add_signature("KEK", b"der")
    machine.efi.add_signature("db", b"\x01" * 32, kind="Sha256")
    machine.efi.add_signature("dbx", b"\x02" * 32, kind="Sha256")
    machine.efi.add_signature("MokList", b"der")
    assert {"PK", "KEK", "db", "dbx", "MokList"} <= set(machine.efi.variables)
    with pytest.raises(ApiError, match="32 bytes"):
        machine.efi.add_signature("db", b"short", kind="Sha256")
    with pytest.raises(ApiError, match="one of KEK, db, dbx, MokList"):
        machine.efi.add_signature("DB", b"x")  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ApiError, match="is no UUID"):
        machine.efi.enroll_platform_key(b"der", owner="me")


def test_an_edit_that_fails_restores_the_variables(vbox: VirtualBox, machine: Machine) -> None:
    """VirtualBox does not take them back by itself; we do, keys and secure boot too."""
    machine.efi.enroll_default_keys()
    machine.efi.variables["Keep"] = b"old"
    before = dict(machine.efi.variables)
    with pytest.raises(RuntimeError, match="mine"), machine.edit():
        machine.efi.variables["Keep"] = b"new"
        machine.efi.variables["New"] = b"new"
        machine.efi.secure_boot = False
        machine.efi.initialize()
        assert dict(machine.efi.variables) == {}
        raise RuntimeError("mine")
    machine.memory_mb = 96  # saves whatever VBoxSVC still has in mind
    assert dict(vbox.machines[machine.id].efi.variables) == before
    assert machine.efi.secure_boot


def test_initialize_throws_everything_away(machine: Machine) -> None:
    """Keys and variables are gone, and secure boot with them."""
    machine.efi.enroll_default_keys()
    machine.efi.initialize()
    assert dict(machine.efi.variables) == {}
    assert not machine.efi.secure_boot

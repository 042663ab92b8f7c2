"""The operating systems that VirtualBox knows."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from vboxkit.errors import NotFoundError

if TYPE_CHECKING:
    from vboxkit import VirtualBox

pytestmark = pytest.mark.vbox


def test_they_are_a_mapping(vbox: VirtualBox) -> None:
    """Ids lead to records; length, iteration and membership agree with VirtualBox's list."""
    types = vbox.os_types
    assert len(types) == len(vbox._api.array(vbox.com, "guestOSTypes")) > 100
    assert "Debian_64" in types
    assert "Debian_65" not in types
    assert set(types) >= {"Debian_64", "Windows11_64", "Other"}
    assert types.get("none") is None
    assert repr(types) == "<OsTypes>"


def test_a_record(vbox: VirtualBox) -> None:
    """It has VirtualBox's names and recommendations, in MiB, and cannot be changed."""
    debian = vbox.os_types["Debian_64"]
    assert (debian.description, debian.family) == ("Debian (64-bit)", "Linux")
    assert debian.is_64bit
    assert debian.architecture == "x86"
    best = debian.recommended
    raw = vbox.com.getGuestOSType("Debian_64")
    assert best.memory_mb == raw.recommendedRAM
    assert best.disk_mb * 1024 * 1024 == raw.recommendedHDD
    assert (best.disk_bus, best.dvd_bus) == ("SATA", "IDE")
    assert best.firmware == "BIOS"
    assert best.clock_in_utc
    assert not vbox.os_types["Windows11_64"].recommended.clock_in_utc
    assert vbox.os_types["Windows11_64"].recommended.tpm == "v2_0"
    with pytest.raises(dataclasses.FrozenInstanceError):
        debian.id = "x"  # type: ignore[misc]


def test_every_record_can_be_read(vbox: VirtualBox) -> None:
    """None of them has a value that the running version has no name for."""
    for type_id, record in vbox.os_types.items():
        assert record.id == type_id
        assert record.recommended.memory_mb >= 4
        assert record.recommended.cpus >= 1
        assert hash(record) == hash(vbox.os_types[type_id])


@pytest.mark.parametrize(
    ("wanted", "near"),
    [
        ("debian64", "Debian_64"),
        ("debian_64", "Debian_64"),
        ("Ubuntu (64-bit)", "Ubuntu_64"),
        ("Windows 11", "Windows11_64"),
        ("suse", "OpenSUSE_64"),
    ],
)
def test_near_matches(vbox: VirtualBox, wanted: str, near: str) -> None:
    """An id in another case, a description, a part of one: the error has the right id."""
    with pytest.raises(NotFoundError, match=f"no operating system '{wanted[:6]}") as caught:
        vbox.os_types[wanted]
    assert near in str(caught.value.hint)
    assert caught.value.wanted == wanted
    assert "Debian_64" in caught.value.available
    assert isinstance(caught.value, KeyError)


def test_nothing_is_near(vbox: VirtualBox) -> None:
    """The hint then says where the list is."""
    with pytest.raises(NotFoundError, match=r"vbox\.os_types lists them"):
        vbox.os_types["qqqqqqqq"]


def test_find(vbox: VirtualBox) -> None:
    """All words have to be there, in id, description or family, in any case."""
    found = {record.id for record in vbox.os_types.find("debian 64-BIT")}
    assert "Debian_64" in found
    assert "Debian" not in found
    assert {"Ubuntu_64", "Debian", "Fedora_64"} <= {r.id for r in vbox.os_types.find("linux")}
    assert vbox.os_types.find("no such system") == []

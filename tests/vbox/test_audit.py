"""The audit log of a real VirtualBox: what is done to machines stands in it, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.core.audit_check import entries, verify
from vboxkit.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox


@pytest.fixture
def since(vbox: VirtualBox) -> Callable[[], list[dict[str, Any]]]:
    """Return what has been written since the test began."""
    before = verify(vbox.home).lines

    def get() -> list[dict[str, Any]]:
        return list(entries(vbox.home))[before:]

    return get


def test_the_life_of_a_machine(
    vbox: VirtualBox, since: Callable[[], list[dict[str, Any]]], label: Callable[[str], str]
) -> None:
    """Creation, settings with from and to, a snapshot, a clone and the end: one line each."""
    new_name = label("audit")
    machine = vbox.create(new_name, os_type="Linux26_64", memory_mb=64, disk_mb=10)
    try:
        machine.memory_mb = 128
        with machine.edit() as m:
            m.cpus, m.description = 2, "password: hunter2"
        machine.snapshots.take("fresh")
        copy = machine.clone(f"{new_name}-copy")
        copy.destroy()
    finally:
        machine.destroy()
    found = since()
    told = [each["operation"] for each in found]
    assert told == [
        f"create machine {new_name!r}",
        "set memory_mb to 128",
        "change the machine",
        "take a snapshot",
        "clone",
        "destroy",
        "destroy",
    ]
    assert {each["result"] for each in found} == {"done"}
    who = f"machine {new_name!r}"
    assert found[1]["values"] == [{"name": f"{who}: memory_mb", "from": 64, "to": 128}]
    assert found[2]["values"] == [
        {"name": f"{who}: cpus", "from": 1, "to": 2},
        {"name": f"{who}: description", "from": "", "to": "password: ***"},
    ]
    assert found[4]["values"][-1]["to"] == f"machine '{new_name}-copy'"
    assert found[5]["object"] == f"machine '{new_name}-copy'"
    assert verify(vbox.home).damages == []


def test_what_failed_is_there_and_reading_is_not(
    vbox: VirtualBox, machine: Machine, since: Callable[[], list[dict[str, Any]]]
) -> None:
    """A refused change has its error in the line; looking at things leaves no line."""
    vbox.machines.names()
    assert machine.state
    assert machine.describe()
    assert since() == []
    with pytest.raises(ApiError):
        machine.memory_mb = 1
    (line,) = since()
    assert line["operation"] == "set memory_mb to 1"
    assert line["result"].startswith("ApiError: ")

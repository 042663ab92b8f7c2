"""Bandwidth groups of machines at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.errors import AlreadyExistsError, ApiError, InvalidStateError, NotFoundError

if TYPE_CHECKING:
    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


def test_groups_are_saved(vbox: VirtualBox, machine: Machine) -> None:
    """They are found by name, with kind and limit; the limit can be changed."""
    groups = machine.bandwidth_groups
    assert (len(groups), list(groups), groups.find("net")) == (0, [], None)
    made = groups.add("net", kind="Network", limit_bytes_per_s=100_000)
    groups.add("a disk", kind="Disk")
    again = vbox.machines[machine.id].bandwidth_groups
    assert again.names() == ["a disk", "net"]
    assert [(g.name, g.kind, g.limit_bytes_per_s) for g in again] == [
        ("a disk", "Disk", 0),
        ("net", "Network", 100_000),
    ]
    made.limit_bytes_per_s = 2**40
    assert again["net"].limit_bytes_per_s == 2**40
    groups.remove(made)
    groups.remove("a disk")
    assert again.names() == []


def test_an_adapter_joins_a_group(vbox: VirtualBox, machine: Machine) -> None:
    """Group, member and limit in one edit; a group with members is not removed."""
    with machine.edit():
        group = machine.bandwidth_groups.add("net", kind="Network", limit_bytes_per_s=1000)
        machine.network[0].bandwidth_group = "net"
        group.limit_bytes_per_s = 2000
        assert group.limit_bytes_per_s == 2000
        assert group.adapters == [0]
    assert vbox.machines[machine.id].network[0].bandwidth_group == "net"
    assert group.limit_bytes_per_s == 2000
    with pytest.raises(InvalidStateError, match=r"'net' is used by network adapters \[0\]"):
        machine.bandwidth_groups.remove(group)
    machine.network[0].bandwidth_group = None
    assert vbox.machines[machine.id].network[0].bandwidth_group is None
    machine.bandwidth_groups.remove(group)
    assert "net" not in machine.bandwidth_groups


def test_an_edit_that_fails_has_made_no_group(vbox: VirtualBox, machine: Machine) -> None:
    """Group and membership are undone."""
    with pytest.raises(KeyError), machine.edit():
        machine.bandwidth_groups.add("net", kind="Network")
        machine.network[0].bandwidth_group = "net"
        raise KeyError
    assert vbox.machines[machine.id].bandwidth_groups.names() == []
    assert machine.network[0].bandwidth_group is None


def test_a_disks_group_is_not_for_networks(machine: Machine) -> None:
    """VirtualBox would take it; the error has those that are."""
    machine.bandwidth_groups.add("d", kind="Disk")
    machine.bandwidth_groups.add("n", kind="Network")
    with pytest.raises(NotFoundError, match="no bandwidth group 'd' for networks") as caught:
        machine.network[0].bandwidth_group = "d"
    assert caught.value.available == ("n",)
    assert machine.network[0].bandwidth_group is None


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"name": ""}, "cannot be named ''"),
        ({"name": "a\nb"}, "printable"),
        ({"kind": "Netwrk"}, "did you mean 'Network'"),
        ({"kind": "Null"}, "one of 'Disk', 'Network'"),
        ({"limit_bytes_per_s": -1}, "0 to 9223372036854775807 bytes a second"),
        ({"limit_bytes_per_s": 2**63}, "0 to 9223372036854775807 bytes a second"),
    ],
)
def test_groups_that_cannot_be(machine: Machine, wrong: dict[str, Any], text: str) -> None:
    """A typed error names the machine and what can be; nothing is made."""
    with pytest.raises(ApiError, match=text) as caught:
        machine.bandwidth_groups.add(**{"name": "net", "kind": "Network", **wrong})
    assert machine.name in str(caught.value)
    assert machine.bandwidth_groups.names() == []


def test_names_that_are_taken_or_not_there(machine: Machine) -> None:
    """`AlreadyExistsError`, and `NotFoundError` with the near names."""
    group = machine.bandwidth_groups.add("uplink", kind="Network", limit_bytes_per_s=5)
    with pytest.raises(AlreadyExistsError, match="uplink") as caught:
        machine.bandwidth_groups.add("uplink", kind="Disk")
    assert (caught.value.kind, caught.value.wanted) == ("bandwidth group", "uplink")
    assert (group.kind, group.limit_bytes_per_s) == ("Network", 5)
    with pytest.raises(NotFoundError, match="did you mean 'uplink'"):
        machine.bandwidth_groups["uplnk"]
    with pytest.raises(NotFoundError, match="uplnk"):
        machine.bandwidth_groups.remove("uplnk")
    with pytest.raises(ApiError, match="bytes a second"):
        group.limit_bytes_per_s = -1
    assert group.limit_bytes_per_s == 5

"""Describing a machine, comparing records, and applying them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit import Record, diff
from vboxkit.errors import (
    ApiError,
    InvalidStateError,
    NotFoundError,
    PortInUseError,
    StorageError,
)
from vboxkit.machines.usb import UsbFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


def change_everything(machine: Machine, folder: Path) -> None:
    """Change something in every section of a machine's record."""
    with machine.edit():
        machine.memory_mb, machine.cpus = 96, 3
        machine.description = "changed"
        machine.boot_order = ("DVD", "HardDisk")
        machine.clipboard = "Bidirectional"
        machine.hardware_id = "12345678-1234-4234-8234-123456789abc"
        machine.groups = {"/tests/changed"}
        machine.chipset.kind = "ICH9"
        machine.firmware.kind = "EFI"
        machine.cpu.hot_plug = True
        machine.cpu.apic = False
        machine.hw_virt.large_pages = True
        machine.paravirt.provider = "KVM"
        machine.tpm.kind = "v2_0"
        machine.graphics.vram_mb = 32
        machine.vrde.ports = "5900"
        machine.audio.controller, machine.audio.codec = "HDA", "STAC9221"
        machine.usb.add_controller("XHCI")
        machine.usb.add_filter(UsbFilter("mouse", vendor_id="046d"))
        machine.bandwidth_groups.add("slow", kind="Network", limit_bytes_per_s=1000)
        machine.bandwidth_groups.add("slow disks", kind="Disk", limit_bytes_per_s=2000)
        machine.storage.add("SATA", ports=3, host_io_cache=True)
        machine.storage.attach(kind="DVD", controller="SATA", port=1)
        machine.network[0].bandwidth_group = "slow"
        machine.network[0].nat.network = "10.9.0.0/24"
        machine.network[0].nat.dns_proxy = True
        machine.network[0].nat.alias_modes = {"AliasLog"}
        machine.network[0].forward(guest=80)
        machine.network[2].enabled = True
        machine.network[2].attach("Internal", network="lab")
        machine.serial_ports[0].to_file(folder / "serial")
        machine.serial_ports[1].to_tcp(2023, host="127.0.0.1")
        machine.shared_folders.add("src", folder, writable=True)
        machine.extra_data["example.com/a"] = "ä"
    machine.cpu.unplug(1)


def test_a_record_has_all_sections_and_is_json(machine: Machine) -> None:
    """It is made of plain values, comes back from JSON as it was, and nothing in it changes."""
    record = machine.describe()
    assert record["name"] == machine.name
    assert record["memory_mb"] == 64
    assert record.at("cpu.pae") is False
    assert record.at("network[0].attachment") == "NAT"
    (controller,) = machine.storage
    place = f"storage[{controller.name!r}]".replace("'", '"')
    (disk,) = record.at(f"{place}.attachments").values()
    assert (machine.folder / disk["medium"]["location"]).exists()
    again = Record.from_json(record.to_json())
    assert again == record
    assert hash(again) == hash(record)
    assert not diff(record, again)
    assert pickle.loads(pickle.dumps(record)) == record  # noqa: S301 - our own
    assert record.without("cpu", "network[0].mac").at("network[0].enabled") is True
    with pytest.raises(KeyError):
        record.without("nothing")
    with pytest.raises(TypeError):
        record["memory_mb"] = 1  # type: ignore[index]  # the mistake
    assert machine.name in repr(record)


def test_a_machine_described_twice_does_not_differ(machine: Machine) -> None:
    """Nothing in a record changes by itself; two machines differ in their names at least."""
    assert machine.describe() == machine.describe()
    assert str(diff(machine, machine)) == "no difference"
    assert not diff(machine, machine)


def test_two_machines_differ_in_what_is_their_own(make: Callable[..., Machine]) -> None:
    """Of one appliance: name and MAC address, and no more."""
    assert diff(make(), make()).paths == ("name", "network[0].mac")


def test_vboxkits_own_extra_data_is_left_out(machine: Machine) -> None:
    """A lease is about the machine, not of it; apply() does not touch it either."""
    before = machine.describe()
    machine.set_extra_data("vboxkit/test", "mine")
    assert machine.describe() == before
    machine.extra_data["example.com/x"] = "1"
    machine.apply(before)
    assert machine.get_extra_data("vboxkit/test") == "mine"
    assert "example.com/x" not in machine.extra_data


def test_every_change_is_seen_and_taken_back(
    vbox: VirtualBox, machine: Machine, tmp_path: Path
) -> None:
    """diff() shows a change in every section; apply() brings the machine back and forth."""
    before = machine.describe()
    change_everything(machine, tmp_path)
    changed = machine.describe()
    found = diff(before, changed)
    assert set(before) - {path.split(".")[0].split("[")[0] for path in found.paths} == {
        "name", "os_type", "pointing", "keyboard_type", "clipboard_files", "drag_and_drop",
        "memory_balloon_mb", "page_fusion", "usb_card_reader", "secure_boot", "priority",
    }  # fmt: skip
    assert "memory_mb: 64 -> 96" in str(found)
    assert 'network[1]: (not there) -> {"enabled": false}' in str(found)
    assert changed["cpus_plugged"] == (0, 2)
    machine.apply(before)
    assert str(diff(vbox.machines[machine.id], before)) == "no difference"
    machine.apply(changed)
    assert str(diff(vbox.machines[machine.id], changed)) == "no difference"
    assert machine.session_state == "Unlocked"
    machine.apply(Record.from_json(before.to_json()))
    assert vbox.machines[machine.id].describe() == before


def test_a_record_of_another_machine(make: Callable[..., Machine], tmp_path: Path) -> None:
    """All but the name, and what can only be in one machine, can be taken over."""
    model, machine = make(), make()
    change_everything(model, tmp_path)
    model.serial.disconnect()
    ignore = ["network[0].mac", "network[0].forwards"]
    machine.apply(model.describe(), ignore=ignore)
    assert set(diff(machine, model, ignore=ignore).paths) == {"name"}
    assert machine.name != model.name
    with pytest.raises(PortInUseError, match=model.name):
        machine.apply(model.describe(), only=["network"])


def test_part_of_a_record(machine: Machine) -> None:
    """What is left out stays, sections as well as settings of a part."""
    machine.cpu.nested_hw_virt = True
    before = machine.describe()
    machine.apply({"memory_mb": 80, "cpu": {"pae": True}, "boot_order": ["DVD"]})
    assert diff(before, machine).paths == ("memory_mb", "boot_order", "cpu.pae")
    machine.apply(before, only=["cpu"])
    assert diff(before, machine).paths == ("memory_mb", "boot_order")
    machine.apply({"audio": {"controller": "HDA"}})
    assert machine.audio.codec == "STAC9221"
    machine.apply(before, ignore=["memory_mb"])
    assert diff(before, machine).paths == ("memory_mb",)


def test_a_record_that_fails_changes_nothing(machine: Machine, tmp_path: Path) -> None:
    """The last thing is wrong: nothing of the rest is left."""
    before = machine.describe()
    change_everything(machine, tmp_path)
    changed = machine.describe()
    machine.apply(before)
    wrong = changed.replace({"extra_data": {"": "no key is empty"}})
    with pytest.raises(ApiError) as caught:
        machine.apply(wrong)
    assert machine.name in str(caught.value)
    assert str(diff(before, machine)) == "no difference"
    assert machine.session_state == "Unlocked"


#: What a record cannot say: paths and values, the error, and what its message has.
WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"memory_mb": 1}, ApiError, "4 to "),
    ({"memory_mb": "64"}, TypeError, "memory_mb is int"),
    ({"cpu.profile": "none"}, ApiError, "no CPU profile"),
    ({"cpu.paee": True}, ApiError, "did you mean 'pae'"),
    ({"memory": 64}, ApiError, "did you mean .*'memory_mb'"),
    ({"chipset.kind": "VIA"}, ApiError, "one of|did you mean"),
    ({"os_type": "Plan9"}, ApiError, "Plan9"),
    ({"network[0].attachment": "Internal", "network[0].network": ""}, ApiError, "network"),
    ({"network[0].bandwidth_group": "none"}, NotFoundError, "none"),
    ({'storage["IDE"].attachments["0:0"].medium.size_mb': 9}, ApiError, r"size_mb: \d+ -> 9"),
    ({'storage["IDE"].attachments["0:0"].medium.location': "/no.vmdk"}, StorageError, "no.vmdk"),
    ({"shared_folders": {"x": {"path": "/nowhere", "writable": True, "auto_mount": False,
      "mount_point": ""}}}, StorageError, "/nowhere"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "error", "text"), WRONG)
def test_a_record_with_something_impossible(
    vbox: VirtualBox,
    machine: Machine,
    changes: dict[str, Any],
    error: type[Exception],
    text: str,
) -> None:
    """Each is a typed error that says what; the machine is as before, with all of its disks."""
    before = machine.describe()
    media = sorted(medium.location for medium in vbox.media)
    with pytest.raises(error, match=text):
        machine.apply(before.replace({"description": "new", **changes}))
    assert str(diff(before, vbox.machines[machine.id])) == "no difference"
    assert sorted(medium.location for medium in vbox.media) == media
    assert machine.session_state == "Unlocked"


def test_a_machine_in_a_snapshot_can_be_described(machine: Machine) -> None:
    """What changed since a snapshot is one diff(); what it had can be applied."""
    before = machine.describe()
    snapshot = machine.snapshots.take("before")
    with machine.edit():
        machine.memory_mb = 96
        machine.cpu.pae = True
    found = diff(snapshot.hardware, machine, ignore=["name", "storage"])
    assert found.paths == ("memory_mb", "cpu.pae")
    machine.apply(snapshot.hardware.describe(), ignore=["storage"])
    assert not diff(before, machine, ignore=["storage"])
    with pytest.raises(InvalidStateError, match="snapshot"):
        snapshot.hardware.apply(before)

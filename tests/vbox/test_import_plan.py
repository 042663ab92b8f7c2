"""What would be made of an appliance can be seen, and changed, item by item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.ovf.builder import item, nic
from tests.vbox.packages import descriptor, disk, folder_package
from vboxkit.errors import ApiError, InvalidStateError, NotFoundError, OvfError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, VirtualBox
    from vboxkit.machines.appliance import Appliance

pytestmark = pytest.mark.vbox

_TEXTS = (
    "<ProductSection><Info>i</Info><Product>Shop</Product><Vendor>Acme</Vendor><Version>3</Version>"
    "<ProductUrl>https://shop.invalid</ProductUrl><VendorUrl>https://acme.invalid</VendorUrl>"
    "</ProductSection><AnnotationSection><Info>i</Info><Annotation>two\nlines</Annotation>"
    "</AnnotationSection>"
)
_MORE = (
    nic("backend", id=9)
    + item(14, 20, ElementName="floppy")
    + item(15, 21, ElementName="cd", Parent=3, AddressOnParent=1)
    + item(23, 22, ElementName="usb")
    + item(35, 23, ElementName="sound", ResourceSubType="ensoniq1371")
)


@pytest.fixture
def appliance(vbox: VirtualBox, tmp_path: Path, label: Callable[[str], str]) -> Appliance:
    """Open an appliance with all kinds of items."""
    text = descriptor(label("full"), more=_MORE, before=_TEXTS, networks=("NAT", "backend"))
    return vbox.appliances.open(folder_package(tmp_path / "package", text))


def test_a_plan_shows_all_items_as_a_table(appliance: Appliance, vbox: VirtualBox) -> None:
    """Type, the package's value, VirtualBox's, and what else; the same as a dictionary."""
    plan = appliance.plan()
    machine = plan.machine
    types = [one.type for one in machine.items]
    assert {"OS", "Name", "Product", "Memory", "SoundCard", "USBController", "Floppy", "CDROM",
            "HardDiskControllerIDE", "HardDiskImage"} <= set(types)  # fmt: skip
    assert types.count("NetworkAdapter") == 2
    text = str(plan)
    assert text.startswith(f"machine '{machine.original_name}'\n")
    row = next(line for line in text.splitlines() if " NetworkAdapter " in line)
    assert row.split() == ["15", "NetworkAdapter", "NAT", "I82540EM", "type=NAT"]
    assert "two lines" in text
    data = plan.to_dict()
    assert [one["type"] for one in data["machines"][0]["items"]] == types
    assert machine["Memory"].to_dict() == {
        "index": types.index("Memory"),
        "type": "Memory",
        "ref": "",
        "ovf": str(64 << 20),
        "value": str(64 << 20),
        "extra": "",
        "included": True,
    }
    assert plan.machine.name not in vbox.machines


def test_it_warns_of_what_is_taken_for_something_else(appliance: Appliance) -> None:
    """A network that VirtualBox does not know is bridged; a CD drive is not made."""
    warnings = appliance.plan().warnings
    assert len(warnings) == 2
    assert "no network 'backend'" in warnings[0]
    assert "adapter 1" in warnings[0]
    assert "no CD drive" in warnings[1]
    assert all(f"warning: {text}" in str(appliance.plan()) for text in warnings)


def _model(machine: Machine) -> Any:
    return next(one.kind for one in machine.storage.controllers if one.name == "IDE")


@pytest.mark.parametrize(
    ("type_", "value", "sees"),
    [
        ("OS", "Debian_64", lambda m: m.os_type),
        ("Memory", str(96 << 20), lambda m: str(m.memory_mb << 20)),
        ("CPU", "2", lambda m: str(m.cpus)),
        ("PrimaryGroup", "/shops", lambda m: next(iter(m.groups))),
        ("Description", "mine", lambda m: m.description),
        ("HardDiskControllerIDE", "ICH6", _model),
        ("HardDiskImage", "root.vdi", lambda m: next(m.folder.glob("*.vdi")).name),
        ("SoundCard", "HDA", lambda m: m.audio.controller),
    ],
)
def test_an_item_that_is_set_is_made_so(
    appliance: Appliance, type_: str, value: str, sees: Callable[[Machine], str]
) -> None:
    """The machine is as the plan says."""
    plan = appliance.plan()
    plan.machine[type_].value = value
    assert plan.machine[type_].value == value
    assert sees(appliance.import_(plan)) == value


def test_an_adapter_can_be_another_model(appliance: Appliance) -> None:
    """One of two; by the names that `NetworkAdapter.kind` has."""
    plan = appliance.plan()
    plan.machine.all("NetworkAdapter")[1].value = "Virtio"
    plan.machine.all("NetworkAdapter")[1].extra = "type=Internal"
    machine = appliance.import_(plan)
    assert [machine.network[slot].kind for slot in (0, 1)] == ["I82540EM", "Virtio"]
    assert machine.network[1].attachment == "Internal"


def test_a_disk_can_go_to_another_port(appliance: Appliance) -> None:
    """Its controller is meant by the index in the plan."""
    plan = appliance.plan()
    controller = plan.machine["HardDiskControllerIDE"].index
    plan.machine["HardDiskImage"].extra = f"controller={controller};channel=1"
    (disk,) = [one for one in appliance.import_(plan).storage.attachments if one.kind == "HardDisk"]
    assert (disk.port, disk.device) == (0, 1)


@pytest.mark.parametrize(
    ("type_", "sees"),
    [
        ("SoundCard", lambda m: m.audio.enabled),
        ("USBController", lambda m: bool(m.usb.controllers)),
        ("Floppy", lambda m: any(one.kind == "Floppy" for one in m.storage.attachments)),
        ("HardDiskImage", lambda m: any(m.folder.glob("*.vmdk"))),
        ("Description", lambda m: bool(m.description)),
    ],
)
def test_an_item_can_be_left_out(
    appliance: Appliance, type_: str, sees: Callable[[Machine], bool]
) -> None:
    """With it there is such a thing; without it there is none."""
    assert sees(appliance.import_())
    plan = appliance.plan()
    plan.machine[type_].included = False
    (row,) = [line.split() for line in str(plan).splitlines() if type_ in line.split()]
    assert row[0] == "-"
    assert not sees(appliance.import_(plan))


def test_adapters_can_be_left_out(appliance: Appliance) -> None:
    """What follows moves up."""
    plan = appliance.plan()
    plan.machine.all("NetworkAdapter")[0].included = False
    machine = appliance.import_(plan, networks={"backend": ("internal", "lab")})
    assert machine.network[0].network == "lab"
    assert not machine.network[1].enabled


@pytest.mark.parametrize(
    ("type_", "value", "hint"),
    [
        ("Memory", "0", "MiB"),
        ("Memory", "lots", "whole number"),
        ("Memory", str((64 << 20) + 1), "memory_mb"),
        ("CPU", "0", "1 to 64"),
        ("CPU", "9" * 30, "whole number"),
        ("Name", "../up", "leave out"),
        ("PrimaryGroup", "nowhere", ""),
        ("BaseFolder", "relative", "absolute"),
        ("BaseFolder", "/tmp/../etc", "without .."),
        ("SettingsFile", "/tmp/x.xml", ".vbox"),
        ("HardDiskControllerIDE", "PIIX", "PIIX3"),
        ("HardDiskImage", "../x.vmdk", "machine's folder"),
        ("HardDiskImage", "x.txt", ".vdi"),
        ("SoundCard", "AC98", "AC97"),
        ("USBController", "x", "included"),
        ("Description", "\0", "control characters"),
    ],
)
def test_a_value_that_cannot_be_is_refused_at_once(
    appliance: Appliance, type_: str, value: str, hint: str
) -> None:
    """Before anything is made; the item stays as it was."""
    one = appliance.plan().machine[type_]
    before = one.value
    with pytest.raises(ApiError) as caught:
        one.value = value
    assert hint in f"{caught.value.hint}"
    assert one.value == before


def test_an_unknown_system_has_near_ones(appliance: Appliance) -> None:
    """The hint names them."""
    with pytest.raises(NotFoundError) as caught:
        appliance.plan().machine["OS"].value = "Debian64"
    assert "Debian_64" in f"{caught.value.hint}"


@pytest.mark.parametrize("extra", ["", "controller=0;channel=0", "controller=99;channel=0", "x"])
def test_a_controller_that_is_none_never_reaches_virtualbox(
    appliance: Appliance, vbox: VirtualBox, extra: str
) -> None:
    """VBoxSVC 7.2 dies of it."""
    plan = appliance.plan()
    with pytest.raises(ApiError, match="extra of a disk") as caught:
        plan.machine["HardDiskImage"].extra = extra
    assert f"one of {plan.machine['HardDiskControllerIDE'].index}" in f"{caught.value.hint}"
    assert plan.machine.name not in vbox.machines


def test_a_disk_needs_its_controller(
    appliance: Appliance, inventory: Callable[[], set[str]]
) -> None:
    """Leaving out the controller alone is refused before anything is made."""
    plan = appliance.plan()
    plan.machine["HardDiskControllerIDE"].included = False
    with pytest.raises(ApiError, match="controller that is left out") as caught:
        appliance.import_(plan)
    assert "leave out the disk" in f"{caught.value.hint}"
    assert inventory() == set()


@pytest.mark.parametrize("type_", ["OS", "Name", "CPU", "Memory", "SettingsFile"])
def test_what_a_machine_needs_cannot_be_left_out(appliance: Appliance, type_: str) -> None:
    """VirtualBox would fail half way."""
    one = appliance.plan().machine[type_]
    with pytest.raises(ApiError, match="cannot be left out"):
        one.included = False
    assert one.included


def test_names_of_items_and_machines_are_checked(appliance: Appliance) -> None:
    """The error has those there are."""
    plan = appliance.plan()
    with pytest.raises(NotFoundError, match="Memory") as caught:
        plan.machine["memory"]
    assert caught.value.hint == "did you mean Memory?"
    with pytest.raises(ApiError, match="2 items NetworkAdapter"):
        plan.machine["NetworkAdapter"]
    with pytest.raises(NotFoundError, match="no machine 'web'"):
        plan["web"]
    with pytest.raises(TypeError, match="bool"):
        plan.machine["Floppy"].included = 0  # type: ignore[assignment]
    with pytest.raises(TypeError, match="str"):
        plan.machine["CPU"].value = 2  # type: ignore[assignment]


def test_a_plan_is_for_one_import_of_its_appliance(
    appliance: Appliance, vbox: VirtualBox, tmp_path: Path, label: Callable[[str], str]
) -> None:
    """The second time it would be made of what is used up; another appliance has other items."""
    plan = appliance.plan()
    appliance.import_(plan)
    with pytest.raises(InvalidStateError, match="imported already"):
        appliance.import_(plan)
    other = vbox.appliances.open(folder_package(tmp_path / "other", descriptor(label("other"))))
    with pytest.raises(ApiError, match="another appliance"):
        other.import_(appliance.plan())


def test_a_file_in_a_folder_of_the_package_leaves_no_folder(
    vbox: VirtualBox,
    tmp_path: Path,
    label: Callable[[str], str],
    inventory: Callable[[], set[str]],
) -> None:
    """VirtualBox would make that folder in the machine's, and not remove it."""
    text = descriptor(label("deep"), href="deep/disk.vmdk")
    path = folder_package(tmp_path / "package", text, {"deep/disk.vmdk": disk()})
    machine = vbox.appliances.import_(path)
    assert [one.name for one in machine.folder.glob("*.vmdk")] == ["disk.vmdk"]
    machine.destroy()
    assert inventory() == set()


def test_a_damaged_package_has_no_plan(vbox: VirtualBox, tmp_path: Path) -> None:
    """It is refused when it is opened."""
    path = folder_package(tmp_path / "package", descriptor("x"), {})
    with pytest.raises(OvfError, match="is missing"):
        vbox.appliances.open(path)

"""Every setting of a machine's hardware: what is set is there, what is wrong is refused."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.errors import ApiError, NotFoundError, SetupError
from vboxkit.machines.parts import Setting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox

#: By part, the settings and other values than a new machine's; the machine itself is "".
OTHER: dict[str, dict[str, Any]] = {
    "": {
        "memory_mb": 96,
        "cpus": 2,
        "description": "two\nlines",
        "boot_order": ("Network", "DVD"),
        "pointing": "USBTablet",
        "keyboard_type": "USBKeyboard",
        "clipboard": "Bidirectional",
        "clipboard_files": True,
        "drag_and_drop": "HostToGuest",
        "memory_balloon_mb": 16,
        "hardware_id": "12345678-1234-4234-8234-123456789abc",
        "usb_card_reader": True,
        "priority": "Low",
    },
    "cpu": {
        "execution_cap_percent": 50,
        "hot_plug": True,
        "profile": "Intel Core i7-6700K",
        "portability_level": 3,
        "execution_engine": "Interpreter",
        "pae": True,
        "long_mode": False,
        "x2apic": False,
        "apic": False,
        "nested_hw_virt": True,
        "triple_fault_reset": True,
        "spec_ctrl": True,
        "spec_ctrl_by_host": True,
        "ibpb_on_vm_exit": True,
        "ibpb_on_vm_entry": True,
        "l1d_flush_on_scheduling": False,
        "l1d_flush_on_vm_entry": True,
        "mds_clear_on_scheduling": False,
        "mds_clear_on_vm_entry": True,
    },
    "hw_virt": {
        "enabled": False,
        "nested_paging": False,
        "large_pages": True,
        "vpid": False,
        "unrestricted_execution": False,
        "force": True,
        "use_native_api": True,
        "virt_vmsave_vmload": False,
    },
    "chipset": {"kind": "ICH9", "iommu": "Automatic", "rtc_utc": False, "hpet": True},
    "firmware": {
        "kind": "EFI64",
        "boot_menu": "Disabled",
        "acpi": False,
        "io_apic": False,
        "apic_mode": "X2APIC",
        "logo_fade_in": False,
        "logo_fade_out": False,
        "logo_display_time_ms": 1500,
        "time_offset_ms": -3_600_000,
        "pxe_debug": True,
        "smbios_uuid_little_endian": False,
        "auto_serial_numbers": False,
    },
    "tpm": {"kind": "v2_0", "location": "127.0.0.1:2321"},
    "paravirt": {"provider": "HyperV", "debug": "enabled=1"},
    "graphics": {"controller": "VMSVGA", "vram_mb": 33, "monitors": 2, "accelerate_3d": True},
    "vrde": {
        "ports": "5900-5910,6000",
        "address": "127.0.0.1",
        "auth_type": "Guest",
        "auth_timeout_ms": 1000,
        "auth_library": "VBoxAuthSimple",
        "allow_multi_connection": True,
        "reuse_single_connection": True,
    },
    "audio": {
        "enabled": True,
        "controller": "HDA",
        "codec": "STAC9221",
        "driver": "Null",
        "input": True,
        "output": True,
    },
}


def part(machine: Machine, path: str) -> Any:
    """Return a part by its name, "" for the machine itself."""
    return reduce(getattr, filter(None, path.split(".")), machine)


def values(machine: Machine, path: str) -> dict[str, Any]:
    """Read the settings of a part that the table names."""
    owner = part(machine, path)
    return {name: getattr(owner, name) for name in OTHER[path]}


@pytest.mark.parametrize("path", OTHER)
def test_what_is_set_is_there_afterwards(
    vbox: VirtualBox, make: Callable[..., Machine], path: str
) -> None:
    """Each setting by itself: read back here, and from a machine that is looked up anew."""
    machine = make()
    before = values(machine, path)
    for name, value in OTHER[path].items():
        setattr(part(machine, path), name, value)
        assert getattr(part(machine, path), name) == value, name
    again = vbox.machines[machine.id]
    assert values(again, path) == OTHER[path]
    for name, value in before.items():
        setattr(part(again, path), name, value)
    assert values(vbox.machines[machine.id], path) == before
    assert machine.session_state == "Unlocked"


@pytest.mark.parametrize("path", OTHER)
def test_an_edit_that_fails_leaves_all_as_it_was(
    vbox: VirtualBox, make: Callable[..., Machine], path: str
) -> None:
    """Inside the block the new values are read; after an error the old ones are there."""
    machine = make()
    before = values(machine, path)
    with pytest.raises(RuntimeError, match="mine"), machine.edit():
        for name, value in OTHER[path].items():
            setattr(part(machine, path), name, value)
        assert values(machine, path) == OTHER[path]
        raise RuntimeError("mine")
    assert values(machine, path) == before
    assert values(vbox.machines[machine.id], path) == before


def test_the_table_has_every_setting(machine: Machine) -> None:
    """A setting that is added to a part has to be added to the table above."""
    # These have tests of their own below.
    elsewhere = {"extension_pack", "enabled", "logo_image", "page_fusion"}
    for path, table in OTHER.items():
        there = {
            name
            for cls in type(part(machine, path)).__mro__
            for name, value in vars(cls).items()
            if isinstance(value, Setting)
        }
        assert there - elsewhere <= set(table), path


#: Part, setting, a value that cannot be, and what the message has to say.
WRONG = [
    ("cpu", "execution_cap_percent", 0, "1 to 100 %"),
    ("cpu", "execution_cap_percent", 101, "1 to 100 %"),
    ("cpu", "portability_level", 4, "0 to 3"),
    ("cpu", "profile", "Intel Core i7-6700", "did you mean .*'Intel Core i7-6700K'"),
    ("cpu", "profile", "?", "one of .*'host'"),
    ("cpu", "execution_engine", "Interpretter", "did you mean Interpreter"),
    ("chipset", "kind", "PIIX4", "did you mean PIIX3"),
    ("chipset", "kind", "ARMv8Virtual", "one of ICH9, PIIX3"),
    ("chipset", "iommu", "Apple", "one of AMD, Automatic, Intel, None"),
    ("firmware", "kind", "UEFI", "did you mean .*EFI"),
    ("firmware", "boot_menu", "On", "one of Disabled, MenuOnly, MessageAndMenu"),
    ("firmware", "logo_display_time_ms", -1, "0 to 4294967295 ms"),
    ("firmware", "time_offset_ms", 2**63, "to 9223372036854775807 ms"),
    ("firmware", "logo_image", "/nowhere/logo.bmp", "path of a BMP file"),
    ("graphics", "vram_mb", 0, "1 to 256 MiB"),
    ("graphics", "vram_mb", 257, "1 to 256 MiB"),
    ("graphics", "monitors", 65, "1 to 64"),
    ("graphics", "controller", "QemuRamFB", "one of .*VMSVGA"),
    ("audio", "driver", "CoreAudio", "one of .*Null"),
    ("audio", "controller", "AC98", "did you mean AC97"),
    ("vrde", "auth_timeout_ms", -1, "0 to 4294967295 ms"),
    ("paravirt", "provider", "Xen", "one of .*KVM"),
    ("tpm", "kind", "v2_1", "did you mean .*v2_0"),
    ("", "memory_balloon_mb", 65, "0 to 57 MiB"),
    ("", "boot_order", ("DVD", "DVD"), "once each"),
    ("", "boot_order", ("DVD", "Floppy", "HardDisk", "Network", "Null"), "at most 4"),
    ("", "boot_order", ("USB",), "one of .*'HardDisk'"),
    ("", "pointing", "Mouse", "USBMouse"),
    ("", "clipboard", "bidirectional", "did you mean Bidirectional"),
]


@pytest.mark.parametrize(("path", "name", "value", "hint"), WRONG)
def test_a_wrong_value_is_refused(
    machine: Machine, path: str, name: str, value: object, hint: str
) -> None:
    """The error names machine, setting's part, state and what is possible; nothing is changed."""
    before = getattr(part(machine, path), name)
    text = machine.settings_file.read_text()
    with pytest.raises(ApiError, match=hint) as caught:
        setattr(part(machine, path), name, value)
    assert caught.value.symbol == "E_INVALIDARG"
    assert machine.name in str(caught.value)
    assert "PoweredOff" in str(caught.value)
    assert getattr(part(machine, path), name) == before
    assert machine.settings_file.read_text() == text
    assert machine.session_state == "Unlocked"


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("cpu", "pae", 1),
        ("cpu", "execution_cap_percent", 50.0),
        ("cpu", "execution_cap_percent", True),
        ("firmware", "acpi", "yes"),
        ("tpm", "location", 1),
        ("", "boot_order", "DVD"),
    ],
)
def test_a_value_of_another_type_is_a_type_error(
    machine: Machine, path: str, name: str, value: object
) -> None:
    """Nothing is guessed: neither 1 for True nor a float for a number."""
    with pytest.raises(TypeError, match=name):
        setattr(part(machine, path), name, value)


def test_an_audio_codec_that_does_not_fit_the_controller(machine: Machine) -> None:
    """VirtualBox refuses it; the codec stays."""
    machine.audio.controller = "AC97"
    with pytest.raises(ApiError, match="codec") as caught:
        machine.audio.codec = "STAC9221"
    assert machine.name in str(caught.value)
    assert machine.audio.codec == "STAC9700"


def test_the_boot_order_may_have_gaps_and_be_any_sequence(machine: Machine) -> None:
    """A list is fine; what is not named is not booted from."""
    machine.boot_order = ["HardDisk", "Null", "DVD"]  # type: ignore[assignment]  # also a list
    assert machine.boot_order == ("HardDisk", "Null", "DVD")
    machine.boot_order = ()
    assert machine.boot_order == ()


def test_the_logo_is_a_file_that_is_there(machine: Machine, tmp_path: Path) -> None:
    """A path that can be read is taken, and an empty one gives VirtualBox's logo back."""
    logo = tmp_path / "logo.bmp"
    logo.write_bytes(b"BM")
    machine.firmware.logo_image = str(logo)
    assert machine.firmware.logo_image == str(logo)
    machine.firmware.logo_image = ""
    assert machine.firmware.logo_image == ""


def test_the_effective_paravirtualisation_is_never_default(machine: Machine) -> None:
    """What the guest gets follows what was asked for."""
    assert machine.paravirt.effective_provider != "Default"
    machine.paravirt.provider = "Minimal"
    assert machine.paravirt.effective_provider == "Minimal"


def test_cpu_profiles_are_listed(machine: Machine) -> None:
    """There are many, and ``host`` is one."""
    assert "host" in machine.cpu.profiles
    assert len(machine.cpu.profiles) > 10


def test_apic_and_x2apic_belong_together(vbox: VirtualBox, machine: Machine) -> None:
    """An x2APIC is an APIC; without it the APIC is as it was."""
    again = vbox.machines[machine.id]
    machine.cpu.apic = False
    assert (again.cpu.apic, again.cpu.x2apic) == (False, False)
    machine.cpu.x2apic = True
    assert (again.cpu.apic, again.cpu.x2apic) == (True, True)
    machine.cpu.x2apic = False
    assert (again.cpu.apic, again.cpu.x2apic) == (True, False)


def test_page_fusion_of_a_build_without_it(machine: Machine) -> None:
    """VirtualBox then refuses any value; where it takes it, it holds."""
    assert machine.page_fusion is False
    try:
        machine.page_fusion = True
    except ApiError as caught:
        error: ApiError | None = caught
    else:
        error = None
    if error is None:
        assert machine.page_fusion
        return
    assert error.symbol == "E_NOTIMPL"
    assert machine.name in str(error)
    assert not machine.page_fusion


# CPUs that are plugged


def test_cpus_can_be_plugged_at_rest(vbox: VirtualBox, machine: Machine) -> None:
    """With hot plug on, the machine has as many as are plugged in, and at most `cpus`."""
    with machine.edit():
        machine.cpus = 3
        machine.cpu.hot_plug = True
    assert machine.cpu.plugged == (0, 1, 2)
    machine.cpu.unplug(1)
    assert vbox.machines[machine.id].cpu.plugged == (0, 2)
    machine.cpu.plug(1)
    assert vbox.machines[machine.id].cpu.plugged == (0, 1, 2)


def test_hot_plug_turned_off_keeps_the_number_of_cpus(vbox: VirtualBox, machine: Machine) -> None:
    """VirtualBox refuses it while a CPU is plugged out: the machine has those that were in."""
    with machine.edit():
        machine.cpus = 4
        machine.cpu.hot_plug = True
    machine.cpu.unplug(1)
    machine.cpu.hot_plug = False
    again = vbox.machines[machine.id]
    assert (again.cpus, again.cpu.hot_plug, again.cpu.plugged) == (3, False, (0, 1, 2))


def test_cpus_that_cannot_be_plugged(machine: Machine) -> None:
    """Hot plug off, CPU 0, one too many, one twice: each says what is possible."""
    with pytest.raises(ApiError, match=r"hot plug is off\n.*cpu\.hot_plug = True"):
        machine.cpu.plug(1)
    with machine.edit():
        machine.cpus = 2
        machine.cpu.hot_plug = True
    for number in (0, 2, -1):
        with pytest.raises(ApiError, match=r"there is no CPU .*\n.*1 to 1") as caught:
            machine.cpu.unplug(number)
        assert machine.name in str(caught.value)
    with pytest.raises(ApiError, match="already attached"):
        machine.cpu.plug(1)
    assert machine.cpu.plugged == (0, 1)


# The VRDE server


def test_vrde_needs_an_extension_pack(vbox: VirtualBox, machine: Machine) -> None:
    """With a pack that is not installed, turning it on says how to get one; off is no matter."""
    api, file = vbox._api, machine.settings_file
    machine.vrde.ports = "5900"
    machine.com.unregister(api.value("CleanupMode", "UnregisterOnly"))
    text = file.read_text()
    file.write_text(text.replace("<RemoteDisplay>", '<RemoteDisplay VRDEExtPack="Missing">'))
    api.virtualbox.registerMachine(api.virtualbox.openMachine(str(file), ""))
    again = vbox.machines[machine.id]
    assert not again.vrde.extension_pack
    with pytest.raises(SetupError, match="VBoxManage extpack install") as caught:
        again.vrde.enabled = True
    assert machine.name in str(caught.value)
    again.vrde.enabled = False
    assert not again.vrde.enabled


def test_vrde_is_turned_on_and_off(vbox: VirtualBox, machine: Machine) -> None:
    """Where an extension pack has a server."""
    if not machine.vrde.extension_packs:
        pytest.skip("no extension pack is installed")
    machine.vrde.enabled = True
    assert vbox.machines[machine.id].vrde.enabled
    machine.vrde.enabled = False
    assert not vbox.machines[machine.id].vrde.enabled


def test_vrde_with_an_extension_pack_that_is_not_there(machine: Machine) -> None:
    """The error lists those there are."""
    before = machine.vrde.extension_pack
    with pytest.raises(NotFoundError, match="extpack install") as caught:
        machine.vrde.extension_pack = "Oracle"
    assert caught.value.available == tuple(machine.vrde.extension_packs)
    assert machine.vrde.extension_pack == before
    for name in machine.vrde.extension_packs:
        machine.vrde.extension_pack = name
        assert machine.vrde.extension_pack == name


def test_vrde_properties(vbox: VirtualBox, machine: Machine) -> None:
    """What has no attribute is a property; wrong ports are refused."""
    machine.vrde.set_property("Security/Method", "TLS")
    assert vbox.machines[machine.id].vrde.get_property("Security/Method") == "TLS"
    machine.vrde.set_property("Security/Method", "")
    assert vbox.machines[machine.id].vrde.get_property("Security/Method") == ""
    before = machine.vrde.ports
    with pytest.raises(ApiError, match="ports") as caught:
        machine.vrde.ports = "many"
    assert machine.name in str(caught.value)
    assert machine.vrde.ports == before

"""What users do wrong with machines at rest, area by area; see ``tests/wrong_input.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.vbox.mistakes_io import FULL, NETWORK, READ_ONLY, STORAGE
from tests.wrong_input import LONG, OFF, Case, World, in_edit, put, snapshots, while_locked
from vboxkit.errors import (
    AlreadyExistsError,
    AmbiguousNameError,
    ApiError,
    InvalidStateError,
    LockedError,
    NotFoundError,
    OvfError,
    SettingsError,
    StorageError,
    WaitTimeoutError,
)
from vboxkit.machines.usb import UsbFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox

__all__ = ["CASES", "FULL", "READ_ONLY"]


def destroyed(act: Callable[[Machine], object]) -> Callable[[World], None]:
    """Do something to a machine that was destroyed by somebody else."""

    def run(world: World) -> None:
        act(world.kept["gone"])

    return run


def wait_for_event(vbox: VirtualBox) -> None:
    """Wait for what does not come."""
    with vbox.events("OnMachineStateChanged") as events:
        events.wait_for(timeout=0.05, what="a start")


def gone(world: World) -> None:
    """Keep the object of a machine that is no more."""
    machine = world.vbox.create(world.label("gone"), os_type="Other", disk_mb=0)
    world.kept["gone"] = world.vbox.machines[machine.id]
    machine.destroy()


MACHINES = [
    Case("rename to a name that is taken", lambda w: put(w.web, name=w.other.name),
         AlreadyExistsError, "machine '{other}'", "", "choose another name", lambda w: w.other),
    Case("rename to nothing", lambda w: put(w.web, name=""),
         ApiError, "cannot be named ''", "", "1 to 240 bytes"),
    Case("rename to a path", lambda w: put(w.web, name="a/b"),
         ApiError, "cannot be named 'a/b'", "", "leave out ['/']"),
    Case("rename to a very long name", lambda w: put(w.web, name=LONG),
         ApiError, LONG, "", "1 to 240 bytes"),
    Case("a machine that is missing", lambda w: w.vbox.machines["nobody"],
         NotFoundError, "'nobody', only", "", "vboxkit ls"),
    Case("start what was destroyed", destroyed(lambda m: m.start()),
         NotFoundError, "does not exist any more", "", "vbox.machines", gone),
    Case("change what was destroyed", destroyed(lambda m: put(m, memory_mb=96)),
         NotFoundError, "does not exist any more", "", "vbox.machines", gone),
    Case("pause what does not run", lambda w: w.web.pause(),
         InvalidStateError, "machine '{web}'", OFF, "start the machine"),
    Case("shut down what does not run", lambda w: w.web.shutdown(),
         InvalidStateError, "machine '{web}'", OFF, "start the machine"),
    Case("save what does not run", lambda w: w.web.save_state(),
         InvalidStateError, "machine '{web}'", OFF, "start the machine"),
    Case("discard a state that was not saved", lambda w: w.web.discard_state(),
         InvalidStateError, "machine '{web}'", OFF, "power_off()"),
    Case("look at the screen of what does not run", lambda w: w.web.screenshot(w.folder / "s.png"),
         InvalidStateError, "machine '{web}'", OFF, "start the machine"),
    Case("a start mode that is none", lambda w: w.web.start(mode="sideways"),  # type: ignore[arg-type]
         SettingsError, "machine '{web}': there is no start mode 'sideways'", "", "headless"),
    Case("wait for what does not come", lambda w: w.web.wait_for_state(
            "Running", timeout=0.05),  # type: ignore[arg-type]
         WaitTimeoutError, "machine '{web}'", OFF, "longer timeout"),
    Case("change what somebody has locked", while_locked(lambda m: put(m, memory_mb=96)),
         LockedError, "machine '{web}'", OFF, "lock_timeout"),
    Case("start what somebody has locked", while_locked(lambda m: m.start()),
         LockedError, "machine '{web}'", OFF, "close what works on the machine"),
    Case("destroy what somebody has locked", while_locked(lambda m: m.destroy()),
         LockedError, "machine '{web}'", OFF, "close what works on the machine"),
    Case("unregister what somebody has locked", while_locked(lambda m: m.unregister()),
         InvalidStateError, "machine '{web}'", OFF, "close what works on it"),
    Case("register a file that is missing",
         lambda w: w.vbox.machines.register(w.folder / "no.vbox"),
         StorageError, "{folder}/no.vbox", "", ".vbox file"),
    Case("register what is no machine", lambda w: w.vbox.machines.register(w.junk("junk.vbox")),
         StorageError, "{folder}/junk.vbox", "", ".vbox file", lambda w: w.junk("junk.vbox")),
    Case("register a machine twice", lambda w: w.vbox.machines.register(w.web.settings_file),
         AlreadyExistsError, "machine '{web}'", "", "unregister()"),
    Case("destroy what clones stand on", lambda w: w.web.destroy(),
         InvalidStateError, "machine '{web}'", OFF, "destroy those machines first",
         lambda w: w.web.clone(w.label("clone"), linked=True)),
    Case("decrypt what is not encrypted", lambda w: w.web.decrypt("secret"),
         InvalidStateError, "machine '{web}'", OFF, "encrypt(password)"),
]  # fmt: skip

CREATE = [
    Case("a system that is none", lambda w: w.vbox.create(w.label("n"), os_type="Debain_64"),
         NotFoundError, "no operating system 'Debain_64'", "", "did you mean Debian_64"),
    Case("a name that is taken", lambda w: w.vbox.create(w.web.name, os_type="Other"),
         AlreadyExistsError, "machine '{web}'", "", "choose another name"),
    Case("a name with a slash", lambda w: w.vbox.create("../up", os_type="Other"),
         ApiError, "cannot be named '../up'", "", "leave out ['/']"),
    Case("more memory than the host has",
         lambda w: w.vbox.create(w.label("n"), os_type="Other", memory_mb=10**8),
         ApiError, "memory_mb cannot be 100000000 MiB", "", "on this host"),
    Case("no CPU", lambda w: w.vbox.create(w.label("n"), os_type="Other", cpus=0),
         ApiError, "cpus cannot be 0", "", "1 to"),
    Case("an ISO that is missing",
         lambda w: w.vbox.create(w.label("n"), os_type="Other", iso=w.folder / "no.iso"),
         StorageError, "{folder}/no.iso", "", "check the path"),
    Case("a folder that is a file",
         lambda w: w.vbox.create(w.label("n"), os_type="Other", folder=w.iso),
         StorageError, "{folder}/cd.iso", "", "choose another folder", lambda w: w.iso),
    Case("an attachment that is none",
         lambda w: w.vbox.create(w.label("n"), os_type="Other", nics=["NTA"]),
         ApiError, "no NetworkAttachmentType 'NTA'", "", "did you mean NAT?"),
    Case("a very large disk",
         lambda w: w.vbox.create(w.label("n"), os_type="Other", disk_mb=10**9),
         ApiError, "cannot have 1000000000 MiB", "", "1 to"),
]  # fmt: skip

HARDWARE = [
    Case("too little memory", lambda w: put(w.web, memory_mb=1),
         ApiError, "machine '{web}'", OFF, "4 to 2097152 MiB"),
    Case("too many CPUs", lambda w: put(w.web, cpus=65),
         ApiError, "machine '{web}'", OFF, "1 to 64"),
    Case("one of several changes is wrong", in_edit(lambda m: put(m.firmware, kind="UEFI")),
         ApiError, "machine '{web}': firmware", OFF, "did you mean EFI"),
    Case("a chipset that is none", lambda w: put(w.web.chipset, kind="ICH8"),
         ApiError, "machine '{web}': chipset", OFF, "did you mean ICH9?"),
    Case("a boot device that is none", lambda w: put(w.web, boot_order=("CD",)),
         ApiError, "machine '{web}'", OFF, "'DVD'"),
    Case("too much video memory", lambda w: put(w.web.graphics, vram_mb=100_000),
         ApiError, "machine '{web}': graphics", OFF, "1 to 256 MiB"),
    Case("EFI variables of a BIOS", lambda w: w.web.efi.initialize(),
         InvalidStateError, "machine '{web}' has a BIOS", "BIOS", "firmware.kind = 'EFI'"),
    Case("plug a CPU in without hot plug", lambda w: w.web.cpu.plug(1),
         ApiError, "machine '{web}': CPU", OFF, "cpu.hot_plug = True"),
    Case("a USB controller that is missing", lambda w: w.web.usb.remove_controller("xHCI"),
         NotFoundError, "machine '{web}' has no USB controller 'xHCI'", "", "one of those"),
    Case("a USB filter with words", lambda w: w.web.usb.add_filter(UsbFilter("f", vendor_id="HP")),
         ApiError, "machine '{web}': USB", OFF, "four hexadecimal digits"),
    Case("a serial port that is missing", lambda w: w.web.serial_ports[4],
         NotFoundError, "machine '{web}' has no serial port 4", "", "0 to 3"),
    Case("a serial port to no TCP port", lambda w: w.web.serial.to_tcp(70_000),
         ApiError, "machine '{web}': serial port 0", OFF, "1 to 65535"),
    Case("a record with a wrong name", lambda w: w.web.apply({"memory": 96}),
         ApiError, "machine '{web}'", OFF, "memory_mb"),
    Case("a record with a wrong value", lambda w: w.web.apply({"cpus": 2, "memory_mb": 1}),
         ApiError, "machine '{web}'", OFF, "4 to 2097152 MiB"),
    Case("make a disk smaller", lambda w: w.web.resize(memory_mb=96, disk_mb=5),
         ApiError, "machine '{web}'", OFF, "attach a new disk"),
    Case("make a disk with snapshots larger", lambda w: w.web.resize(memory_mb=96, disk_mb=20),
         InvalidStateError, "machine '{web}'", OFF, "delete the snapshots first", snapshots("s")),
    Case("pin what does not run", lambda w: w.web.pin({0}),
         InvalidStateError, "machine '{web}'", OFF, "start() the machine"),
    Case("pin to a CPU that is missing", lambda w: w.web.pin({9999}),
         ApiError, "machine '{web}'", OFF, "this host has"),
    Case("a priority that is none", lambda w: put(w.web, priority="Highest"),
         ApiError, "machine '{web}'", OFF, "did you mean High?"),
    Case("measure what does not run", lambda w: w.web.metrics(),
         InvalidStateError, "machine '{web}'", OFF, "start the machine"),
]  # fmt: skip

SNAPSHOTS = [
    Case("a snapshot that is missing", lambda w: w.web.snapshots["frist"],
         NotFoundError, "machine '{web}' has no snapshot 'frist'", "", "did you mean '/first'?",
         snapshots("first")),
    Case("a name that two snapshots have", lambda w: w.web.snapshots["twin"].restore(),
         AmbiguousNameError, "machine '{web}' has 2 snapshots 'twin'", "", "the whole path",
         snapshots("twin", "twin")),
    Case("a snapshot without a name", lambda w: w.web.snapshots.take(""),
         ApiError, "machine '{web}'", OFF, "give a name"),
    Case("a snapshot while somebody has it locked", while_locked(lambda m: m.snapshots.take("s")),
         LockedError, "machine '{web}'", OFF, "lock_timeout"),
    Case("a snapshot within an edit", in_edit(lambda m: m.snapshots.take("s")),
         InvalidStateError, "machine '{web}'", "", "before or after"),
    Case("a range the wrong way round", lambda w: w.web.snapshots.delete_range("two", "one"),
         NotFoundError, "machine '{web}'", "", "the older one first", snapshots("one", "two")),
    Case("fork what does not run", lambda w: w.web.fork(),
         InvalidStateError, "machine '{web}'", OFF, "clone(linked=True)"),
    Case("fork a snapshot that was taken at rest", lambda w: w.web.fork(snapshot="cold"),
         InvalidStateError, "'cold'", "", "clone(linked=True", snapshots("cold")),
    Case("clone to a name that is taken", lambda w: w.web.clone(w.other.name),
         AlreadyExistsError, "machine '{other}'", "", "choose another name", lambda w: w.other),
    Case("clone to a name of no file", lambda w: w.web.clone("a:b"),
         ApiError, "cannot be named 'a:b'", "", "leave out [':']"),
    Case("clone a snapshot that is missing", lambda w: w.web.clone(w.label("n"), snapshot="no"),
         NotFoundError, "machine '{web}' has no snapshot 'no'", "", "snapshots.take(name)"),
    Case("clone into a file", lambda w: w.web.clone(w.label("n"), folder=w.iso),
         StorageError, "machine '{web}'", OFF, "choose another folder", lambda w: w.iso),
    Case("a linked clone of a whole tree",
         lambda w: w.web.clone(w.label("n"), linked=True, mode="all"),
         ApiError, "machine '{web}'", OFF, "linked=False"),
]  # fmt: skip

IMPORT = [
    Case("an appliance that is missing", lambda w: w.vbox.appliances.import_(w.folder / "no.ova"),
         StorageError, "{folder}/no.ova", "", "check the path"),
    Case("an appliance that is none", lambda w: w.vbox.appliances.import_(w.folder / "junk.ova"),
         OvfError, "{folder}/junk.ova", "", "get the file again", lambda w: w.junk("junk.ova")),
    Case("an appliance of another kind", lambda w: w.vbox.appliances.import_(w.iso),
         StorageError, "{folder}/cd.iso", "", "suffix", lambda w: w.iso),
    Case("import to a name that is taken",
         lambda w: w.vbox.appliances.import_(w.ova, name=w.web.name),
         AlreadyExistsError, "machine '{web}'", "", "choose another name"),
    Case("import with too little memory",
         lambda w: w.vbox.appliances.import_(w.ova, name=w.label("n"), memory_mb=1),
         ApiError, "appliance tiny.ova", "", "4 to"),
]  # fmt: skip

MAPPINGS = [
    Case("a guest property that is missing", lambda w: w.web.guest_properties["/no"],
         NotFoundError, "machine '{web}' has no guest property '/no'", "", "get()"),
    Case("a pattern as a name", lambda w: w.web.guest_properties.update({"a*": "b"}),
         ApiError, "machine '{web}': guest property", OFF, "for patterns only"),
    Case("a very long value", lambda w: w.web.guest_properties.update({"a": "b" * 1024}),
         ApiError, "machine '{web}': guest property", OFF, "0 to 1023 bytes"),
    Case("a fleeting property of a machine at rest",
         lambda w: w.web.guest_properties.set("a", "b", flags=["TRANSIENT"]),
         InvalidStateError, "machine '{web}'", OFF, "start() it first"),
    Case("wait for a property that nobody sets",
         lambda w: w.web.guest_properties.wait_for("/no", timeout=0.05),
         WaitTimeoutError, "machine '{web}'", "", "longer timeout"),
    Case("share a folder that is missing",
         lambda w: w.web.shared_folders.update({"src": w.folder / "no"}),
         StorageError, "machine '{web}'", OFF, "make the folder first"),
    Case("share with a slash in the name", lambda w: w.web.shared_folders.update({"a/b": w.folder}),
         ApiError, "machine '{web}': shared folder", OFF, "leave out slashes"),
    Case("share twice under one name", lambda w: w.web.shared_folders.add("src", w.folder),
         AlreadyExistsError, "machine '{web}'", OFF, "another name",
         lambda w: w.web.shared_folders.add("src", w.folder)),
    Case("extra data that is missing", lambda w: w.web.extra_data["no"],
         NotFoundError, "machine '{web}' has no extra data key 'no'", "", "get()"),
    Case("extra data of two lines", lambda w: w.vbox.extra_data.update({"a\nb": "c"}),
         ApiError, "VirtualBox: extra data key", "", "printable characters"),
    Case("a group without its slash", lambda w: w.web.groups.add("team"),
         ApiError, "machine '{web}'", OFF, "/team/web"),
    Case("leave a group that it is not in", lambda w: w.web.groups.remove("/team"),
         NotFoundError, "machine '{web}' is not in group '/team'", "", "discard()"),
    Case("an icon that is no PNG", lambda w: put(w.web, icon=b"GIF89a"),
         ApiError, "machine '{web}'", OFF, "icon.png"),
    Case("a property that the format does not have",
         lambda w: w.spare.properties.update({"no": "1"}),
         NotFoundError, "medium '{folder}/spare.vdi'", "", "get()", lambda w: w.spare),
]  # fmt: skip

EVENTS = [
    Case("a kind of events that is none", lambda w: w.web.events("OnMashineStateChanged"),
         ApiError, "machine '{web}'", OFF, "did you mean OnMachineStateChanged"),
    Case("wait for an event that does not come", lambda w: wait_for_event(w.vbox),
         WaitTimeoutError, "a start", "no event", "longer timeout"),
    Case("measure between the seconds", lambda w: w.vbox.metrics_stream(period=0.5),
         ApiError, "VirtualBox: it cannot be measured every 0.5 s", "", "whole seconds"),
]  # fmt: skip


CASES = [
    *MACHINES, *CREATE, *HARDWARE, *STORAGE, *NETWORK, *SNAPSHOTS, *IMPORT, *MAPPINGS, *EVENTS,
]  # fmt: skip

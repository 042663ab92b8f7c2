"""Images, leases and the reaper."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from vboxkit.core.processes import ProcessId
from vboxkit.core.waiting import wait_until
from vboxkit.errors import ApiError, NotFoundError, StorageError, VBoxKitError, WaitTimeoutError
from vboxkit.guest import Credentials
from vboxkit.lab import images, leases, reaper
from vboxkit.lab.places import TAG_LEASE

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit import VM, Image, Lab

pytestmark = pytest.mark.vm


def dead_process() -> ProcessId:
    """Return the identity of a process that has just ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        identity = ProcessId.of(child.pid)
        child.communicate(b"\n")
    return identity


def abandon(lab: Lab, vm: VM) -> None:
    """Make it look as if the process that forked this machine had died."""
    lease = leases.find(lab.places.leases, vm.name)
    assert lease is not None
    dead = dead_process()
    import msgspec

    leases.write(
        lab.places.leases, msgspec.structs.replace(lease, pid=dead.pid, started=dead.started)
    )


@pytest.mark.smoke
def test_an_image_is_built_once(vm_lab: Lab, vm_image: Image) -> None:
    """Asking again gives the same machine and snapshot."""
    again = vm_lab.image(vm_image.name)
    assert again == vm_image
    assert vm_image in vm_lab.images()
    snapshot = vm_lab.vbox.machines[again.machine].snapshots[again.snapshot]
    assert snapshot.online


def test_a_changed_source_is_another_image(vm_lab: Lab, vm_image: Image) -> None:
    """The digest covers the appliance, the steps and VirtualBox's version."""
    source = images.source_of("tiny")
    version = vm_lab.vbox.version
    assert source.digest(version) == vm_image.digest
    assert replace(source, rekey="true").digest(version) != vm_image.digest
    assert source.digest((7, 0, 0)) != vm_image.digest


def test_an_unknown_image_is_named(vm_lab: Lab) -> None:
    """An unknown image is an error that says which there are."""
    with pytest.raises(NotFoundError, match="'tinny'") as caught:
        vm_lab.image("tinny")
    assert caught.value.available[:2] == ("tiny", "debian")


def test_a_missing_appliance_is_named(vm_lab: Lab, tmp_path: Path) -> None:
    """An OVA that is not there is an error with its path, and nothing is left."""
    before = vm_lab.vbox.machines.names()
    with pytest.raises(StorageError, match=r"gone\.ova"):
        vm_lab.image(str(tmp_path / "gone.ova"))
    assert vm_lab.vbox.machines.names() == before


def test_a_build_that_fails_leaves_nothing(vm_lab: Lab) -> None:
    """A guest that never says the awaited word: the error has the console, and all is undone."""
    source = replace(images.source_of("tiny"), name="mute", ready_text="NEVER-SAID")
    lab_settings = vm_lab.settings
    before = vm_lab.vbox.machines.names()
    vm_lab.vbox.settings = replace(lab_settings, boot_timeout=15.0)
    try:
        with pytest.raises(WaitTimeoutError) as caught:
            vm_lab.image(source)
    finally:
        vm_lab.vbox.settings = lab_settings
    assert "NEVER-SAID" in str(caught.value)
    assert "VBK-READY" in str(caught.value)
    assert vm_lab.vbox.machines.names() == before
    assert not list(vm_lab.places.machines.glob("image-mute*"))
    assert not [it for it in leases.all_leases(vm_lab.places.leases) if "mute" in it.name]


def test_a_rekey_that_fails_leaves_nothing(vm_lab: Lab) -> None:
    """A guest that keeps its well-known key gives an error, not an unsafe image."""
    source = replace(images.source_of("tiny"), name="stubborn", rekey="cat >/dev/null; exit 1")
    with pytest.raises(VBoxKitError):
        vm_lab.image(source)
    assert not [n for n in vm_lab.vbox.machines.names() if "stubborn" in n]
    assert not list(vm_lab.places.machines.glob("image-stubborn*"))


@pytest.mark.smoke
def test_what_a_dead_process_left_is_removed(vm_lab: Lab, vm_image: Image) -> None:
    """A machine whose owner is gone is found, named by a dry run, and removed with its process."""
    vm = vm_lab.fork(vm_image)
    vm_lab.forget(vm)
    assert vm.session_pid is not None
    process, folder, name = ProcessId.of(vm.session_pid), vm.folder, vm.name
    assert name not in " ".join(vm_lab.gc(dry_run=True))
    abandon(vm_lab, vm)
    assert name in " ".join(vm_lab.gc(dry_run=True))
    assert name in vm_lab.vbox.machines
    assert name in " ".join(vm_lab.gc())
    assert name not in vm_lab.vbox.machines
    assert not folder.exists()
    assert not process.alive


def test_a_renamed_leftover_is_removed(vm_lab: Lab, vm_image: Image) -> None:
    """A fork that was given another name is known by its id."""
    vm = vm_lab.fork(vm_image, wait=False)
    label = vm.name
    vm.power_off()
    vm.name = f"{label}-renamed"
    lease = leases.find(vm_lab.places.leases, label)
    assert lease is not None
    reaper.reclaim(vm_lab.vbox, vm_lab.places, lease)
    assert f"{label}-renamed" not in vm_lab.vbox.machines
    assert leases.find(vm_lab.places.leases, label) is None
    vm.destroy()


def test_kept_machines_stay_until_asked_for(vm_lab: Lab, vm_image: Image) -> None:
    """A kept machine outlives its owner, and gc(kept=True) removes it."""
    vm = vm_lab.fork(vm_image)
    vm_lab.forget(vm)
    vm.keep()
    abandon(vm_lab, vm)
    vm_lab.gc()
    assert vm.name in vm_lab.vbox.machines
    vm_lab.gc(kept=True)
    assert vm._name not in vm_lab.vbox.machines


def test_the_reaper_leaves_what_it_did_not_make(vm_lab: Lab) -> None:
    """A machine without a lease is never touched."""
    from vboxkit.core.resources import resource

    machine = vm_lab.vbox.appliances.import_(resource("tiny/tiny.ova"), name="somebody else's")
    try:
        vm_lab.gc(kept=True)
        assert "somebody else's" in vm_lab.vbox.machines
    finally:
        machine.destroy()


def test_an_unregistered_leftover_is_removed(vm_lab: Lab) -> None:
    """A folder of a clone that was cut in the middle goes with its lease."""
    folder = vm_lab.places.machines / "half-made"
    (folder / "Snapshots").mkdir(parents=True)
    (folder / "half-made.vbox").write_text("<x/>")
    lease = leases.take(vm_lab.places.leases, "half-made")
    dead = dead_process()
    import msgspec

    leases.write(
        vm_lab.places.leases, msgspec.structs.replace(lease, pid=dead.pid, started=dead.started)
    )
    assert "half-made" in " ".join(vm_lab.gc())
    assert not folder.exists()
    assert leases.find(vm_lab.places.leases, "half-made") is None


def test_machines_carry_their_owner(vm: VM) -> None:
    """Who made a machine, and what for, is in its extra data."""
    import os

    import msgspec

    text = vm.get_extra_data(TAG_LEASE)
    assert text is not None
    lease = msgspec.json.decode(text, type=leases.Lease)
    assert lease.pid == os.getpid()
    assert lease.owner_alive


def test_a_vm_is_found_by_its_name(vm: VM, vm_lab: Lab) -> None:
    """Another Lab object, or the command, reaches a fork by name, and gets in."""
    again = vm_lab.vm(vm.name)
    assert again == vm
    assert again.ssh_port == vm.ssh_port
    with again.ssh:
        assert again.ssh.succeed("echo in").strip() == "in"
    assert vm in vm_lab.vms()


def test_evidence_is_complete(vm: VM, tmp_path: Path) -> None:
    """State, console and VBox.log are in the text; the files can be saved."""
    text = vm.evidence()
    assert "Running" in text
    assert "VBox.log" in text
    names = {path.name for path in vm.save_evidence(tmp_path / "e")}
    assert names == {"screenshot.png", "serial.log", "VBox.log", "describe.json"}


def test_an_appliance_of_ones_own(vm_lab: Lab, tmp_path: Path) -> None:
    """An OVA is let into once with its own credentials, and from then on with a key of ours."""
    import shutil

    ova = tmp_path / "foreign.ova"
    from vboxkit.core.resources import resource

    shutil.copy(resource("tiny/tiny.ova"), ova)
    key = images.source_of("tiny").credentials.key_file
    image = vm_lab.image(str(ova), credentials=Credentials(user="root", key_file=key))
    try:
        assert image.name == "foreign"
        assert image.key_file != str(key)
        # The credentials need not be given again.
        assert vm_lab.image(str(ova)) == image
        with vm_lab.fork(str(ova)) as vm:
            assert vm.ssh.succeed("id -un").strip() == "root"
            assert vm.ssh.succeed("wc -l < /root/.ssh/authorized_keys").strip() == "2"
    finally:
        vm_lab.remove_image(image)
    assert image not in vm_lab.images()
    assert image.machine not in vm_lab.vbox.machines


@pytest.mark.parametrize("name", ["..", "a/b", "x" * 250])
def test_a_fork_cannot_have_such_a_name(vm_lab: Lab, vm_image: Image, name: str) -> None:
    """A name that is no file name is refused before anything is written."""
    before = leases.all_leases(vm_lab.places.leases)
    with pytest.raises(ApiError, match="cannot be named"):
        vm_lab.fork(vm_image, name=name)
    assert leases.all_leases(vm_lab.places.leases) == before


def test_a_lease_that_cannot_be_read_is_nobodys(vm_lab: Lab) -> None:
    """An empty lease file, as a power cut leaves it, is cleaned up like any leftover."""
    file = vm_lab.places.leases / "torn.json"
    file.touch()
    assert "torn" in " ".join(vm_lab.gc())
    assert not file.exists()


def test_the_reaper_stays_in_its_folder(vm_lab: Lab) -> None:
    """A lease named like a parent folder removes nothing but itself."""
    from vboxkit.lab import reaper

    home = set(vm_lab.places.home.iterdir())
    dead = dead_process()
    lease = leases.Lease(name="..", pid=dead.pid, started=dead.started, created=0)
    reaper.reclaim(vm_lab.vbox, vm_lab.places, lease)
    assert set(vm_lab.places.home.iterdir()) == home


def test_vboxsvc_lets_go_of_what_is_gone(vm_lab: Lab, vm_image: Image) -> None:
    """Its collector, which keeps machines until it measures, does so from the first fork on."""
    collector, host = vm_lab.vbox.com.performanceCollector, vm_lab.vbox.com.host

    def number() -> int:
        """Return the number of the last value that was measured of the host."""
        *_, sequences, _, lengths = collector.queryMetricsData(["CPU/MHz"], [host])
        return max((n + c for n, c in zip(sequences, lengths, strict=True)), default=0)

    for _ in range(2):  # the second time somebody had switched it off
        collector.disableMetrics(["*"], [host])
        vm_lab.fork(vm_image, wait=False).destroy()
        before = number()
        wait_until(lambda before=before: number() > before or None, what="a value", timeout=30)  # type: ignore[misc]


def test_a_leftover_waits_for_what_virtualbox_is_at(vm_lab: Lab, tmp_path: Path) -> None:
    """An import goes on when its client is killed: nothing is removed before its end."""
    api, box = vm_lab.vbox._api, vm_lab.vbox.com
    lease = leases.take(vm_lab.places.leases, "image-lost-00000000", purpose="image")
    folder = vm_lab.places.machines / lease.name
    folder.mkdir(parents=True)
    of_disks = (api.value("AccessMode", "ReadWrite"), api.value("DeviceType", "HardDisk"))
    disk = box.createMedium("VDI", str(tmp_path / "large.vdi"), *of_disks)
    disk.createBaseStorage(2 << 30, [api.value("MediumVariant", "Fixed")]).waitForCompletion(-1)
    copy = box.createMedium("VDI", str(tmp_path / "copy.vdi"), *of_disks)
    work = disk.cloneTo(copy, [api.value("MediumVariant", "Standard")], None)  # takes 5 s
    try:
        assert not work.completed
        with pytest.raises(WaitTimeoutError, match="VirtualBox to end what it is at"):
            reaper.reclaim(vm_lab.vbox, vm_lab.places, lease, timeout=0.2)
        assert not work.completed, "the disk was copied too fast for this test"
        assert folder.exists()
        assert leases.find(vm_lab.places.leases, lease.name) == lease
    finally:
        work.cancel()
        work.waitForCompletion(-1)
        disk.deleteStorage().waitForCompletion(-1)
        reaper.reclaim(vm_lab.vbox, vm_lab.places, lease)
    assert not folder.exists()
    assert leases.find(vm_lab.places.leases, lease.name) is None
    assert not list(tmp_path.iterdir())

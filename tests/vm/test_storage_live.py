"""Disks and DVDs that come and go while a guest runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.vbox.disks import fill, forget, iso, read
from vboxkit import MachineState
from vboxkit.core.waiting import wait_until
from vboxkit.errors import ApiError, InvalidStateError, PasswordError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vboxkit import VM, VirtualBox

pytestmark = pytest.mark.vm


@pytest.fixture
def place(vbox: VirtualBox, vm: VM, tmp_path: Path) -> Iterator[Path]:
    """Give a folder for images; after the test none of them is known."""
    yield tmp_path
    vm.destroy()
    forget(vbox, tmp_path)


def test_disks_and_dvds_come_and_go(vbox: VirtualBox, vm: VM, place: Path) -> None:
    """A SATA disk is plugged in and out, a DVD inserted and ejected; the guest sees both."""
    vm.power_off()
    with vm.edit():
        vm.storage.add("SATA", ports=3)
        drive = vm.storage.attach(kind="DVD", controller="IDE")
    vm.start()
    vm.wait_ready()
    before = set(vm.ssh.succeed("ls /sys/block").split())

    def appeared() -> set[str]:
        return set(vm.ssh.succeed("ls /sys/block").split()) - before

    medium = vbox.media.create(place / "hot.vdi", size_mb=4)
    disk = vm.storage.attach(medium, controller="SATA")
    name = wait_until(
        lambda: next(iter(appeared()), None), what="the disk in the guest", timeout=60, poll=0.5
    )
    assert vm.ssh.succeed(f"cat /sys/block/{name}/size").strip() == str(4 << 11)
    vm.ssh.succeed(f"mknod /dev/hot b $(tr : ' ' < /sys/block/{name}/dev)")
    vm.ssh.succeed("echo from the guest > /dev/hot; sync")

    # Nothing can be done to its file meanwhile.
    assert medium.state == "LockedWrite"
    verbs: list[Callable[[], object]] = [
        lambda: medium.resize(9),
        lambda: medium.clone(place / "copy.vdi"),
        lambda: medium.move(place / "moved.vdi"),
        lambda: medium.encrypt("secret"),
        medium.compact,
        medium.delete,
        medium.close,
    ]
    for verb in verbs:
        with pytest.raises(InvalidStateError, match="LockedWrite") as caught:
            verb()
        assert caught.value.hint
    assert [path.name for path in place.iterdir()] == ["hot.vdi"]

    disk.detach()
    wait_until(
        lambda: True if name not in appeared() else None,
        what="the disk to be gone in the guest",
        timeout=60,
        poll=0.5,
    )
    assert read(medium, 14) == b"from the guest"

    # Into a drive and out of it, by force where the guest has it locked.
    dvd = iso(place / "x.iso")
    with dvd.open("r+b") as file:
        file.seek(40 * 2048)
        file.write(b"on the disc")
    drive.insert(dvd)
    text = (
        "mknod /dev/disc b 11 0; dd if=/dev/disc bs=2048 skip=40 count=1 2>/dev/null | head -c 11"
    )
    assert vm.ssh.succeed(text) == "on the disc"
    drive.eject(force=True)
    assert drive.medium is None
    assert vm.ssh.run("dd if=/dev/disc bs=2048 count=1").exit_code != 0

    # What cannot be done to a running machine says so, and changes nothing.
    attached = vm.storage.attachments
    refused: list[Callable[[], object]] = [
        lambda: vm.storage.attach(medium, controller="IDE"),
        lambda: vm.storage.attach(medium, controller="SATA", discard=True),
        lambda: vm.storage.detach(vm.disks[0]),
        lambda: vm.storage.add("USB"),
        lambda: vm.storage.remove("SATA"),
        lambda: setattr(vm.storage["SATA"], "ports", 9),
        lambda: vm.encrypt("secret"),
    ]
    for verb in refused:
        with pytest.raises(InvalidStateError, match="Running") as caught:
            verb()
        assert caught.value.hint
    with pytest.raises(KeyError), vm.edit():
        vm.storage.attach(medium, controller="SATA")
        raise KeyError
    assert vm.storage.attachments == attached
    assert medium.users() == []
    assert vm.state == MachineState.RUNNING


def test_encrypted_disk_waits_for_its_password(vbox: VirtualBox, vm: VM, place: Path) -> None:
    """The guest reads the disk once the password is there; wrong ones are refused."""
    medium = vbox.media.create(place / "secret.vdi", size_mb=1)
    fill(medium, b"hello from the host")
    medium.encrypt("correct horse", password_id="mine")
    vm.power_off()
    vm.storage.attach(medium, controller="IDE")
    vm.start()
    with pytest.raises(PasswordError, match="another password"):
        vm.add_password("wrong")
    with pytest.raises(InvalidStateError, match="no encrypted disk with a password named 'other'"):
        vm.add_password("correct horse", password_id="other")
    vm.add_password("correct horse")
    vm.wait_ready()
    vm.ssh.succeed("mknod /dev/x b $(tr : ' ' < /sys/block/sdb/dev)")
    assert vm.ssh.succeed("head -c 19 /dev/x") == "hello from the host"
    with pytest.raises(ApiError):
        medium.decrypt("correct horse")

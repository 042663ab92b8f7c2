"""An upgrade tried from one state again and again: with a power cut in it, and back again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vboxkit import VM
    from vboxkit.lab.checkpoint import Checkpoint

#: Version 1 keeps "name value", version 2 "name=value". Each is written aside and then put there.
UPGRADE = """
cp /srv/data /srv/new && sed -i 's/ /=/' /srv/new && sync || exit 1
mv /srv/new /srv/data && echo 2 > /srv/version
"""
DOWNGRADE = """
cp /srv/data /srv/new && sed -i 's/=/ /' /srv/new && sync || exit 1
mv /srv/new /srv/data && echo 1 > /srv/version
"""


@pytest.fixture(scope="module")
def installed(vm_module: VM) -> Checkpoint:
    """Give a running guest with version 1 and some data, to be forked as often as one likes."""
    vm_module.ssh.succeed("mkdir -p /srv; cd /srv; echo 1 > version; echo colour red > data; sync")
    return vm_module.checkpoint("version 1")


def test_upgrade_and_downgrade(installed: Checkpoint) -> None:
    """What version 2 wrote is there in version 1."""
    with installed.fork() as vm:
        vm.ssh.succeed(UPGRADE)
        assert vm.ssh.succeed("cat /srv/data") == "colour=red\n"
        vm.ssh.succeed("echo size=big >> /srv/data")
        vm.ssh.succeed(DOWNGRADE)
        assert vm.ssh.succeed("cat /srv/version /srv/data") == "1\ncolour red\nsize big\n"


def test_a_power_cut_in_the_upgrade(installed: Checkpoint) -> None:
    """It is then as it was before, and can be done again."""
    with installed.fork() as vm:
        vm.ssh.succeed(UPGRADE.partition("mv")[0])
        vm.crash()
        vm.start()
        assert vm.ssh.wait_until_succeeds("cat /srv/version /srv/data") == "1\ncolour red\n"
        vm.ssh.succeed(UPGRADE)
        assert vm.ssh.succeed("cat /srv/version /srv/data") == "2\ncolour=red\n"


def test_a_full_disk_in_the_upgrade(installed: Checkpoint) -> None:
    """It fails, and leaves the data alone."""
    with installed.fork() as vm:
        with vm.disk.fill():
            vm.ssh.fail(UPGRADE)
        assert vm.ssh.succeed("cat /srv/version /srv/data") == "1\ncolour red\n"

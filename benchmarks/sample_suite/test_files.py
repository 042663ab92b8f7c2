"""Files and file systems of the built-in guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vboxkit import VM


def test_a_tree_is_removed(vm: VM) -> None:
    """Nothing of a system folder is left: the next test has it again."""
    vm.ssh.succeed("rm -rf /home /media /mnt")
    assert vm.ssh.run("ls -d /home /media /mnt").exit_code == 1


@pytest.mark.parametrize(("mask", "mode"), [("022", "644"), ("077", "600")])
def test_new_files_heed_the_mask(vm: VM, mask: str, mode: str) -> None:
    """The mask takes rights away."""
    assert vm.ssh.succeed(f"umask {mask}; >/root/f; stat -c %a /root/f") == f"{mode}\n"


def test_a_sparse_file_takes_no_room(vm: VM) -> None:
    """100 MiB long, and no block of it on the disk."""
    seen = vm.ssh.succeed("truncate -s 100M /root/f; stat -c '%s %b' /root/f")
    assert seen.split() == [str(100 << 20), "0"]


def test_a_full_file_system_says_so(vm: VM) -> None:
    """The write fails, and what fitted is there."""
    vm.ssh.succeed("mount -t tmpfs -o size=64k none /mnt")
    result = vm.ssh.fail("dd if=/dev/zero of=/mnt/f bs=4k count=32")
    assert "No space left" in result.stderr


def test_a_file_system_can_be_read_only(vm: VM) -> None:
    """What is mounted so refuses new files."""
    vm.ssh.succeed("mount -t tmpfs none /mnt && mount -o remount,ro /mnt")
    assert "Read-only" in vm.ssh.fail("touch /mnt/f").stderr


def test_old_files_are_found_by_age(vm: VM) -> None:
    """Those of ten days ago, not the new one."""
    vm.ssh.succeed("mkdir /root/t; touch -d @0 /root/t/old; touch /root/t/new")
    assert vm.ssh.succeed("find /root/t -type f -mtime +10") == "/root/t/old\n"

"""Archives and digests of the built-in guest."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vboxkit import VM


@pytest.mark.parametrize("flags", ["", "z"], ids=["plain", "gzip"])
def test_a_tree_goes_through_tar(vm: VM, flags: str) -> None:
    """Modes and links are as before."""
    vm.ssh.succeed("mkdir /root/t; echo x >/root/t/f; chmod 640 /root/t/f; ln -s f /root/t/l")
    vm.ssh.succeed(f"cd /root && tar -c{flags}f t.tar t && rm -r t && tar -x{flags}f t.tar")
    assert vm.ssh.succeed("stat -c %a /root/t/f; readlink /root/t/l").split() == ["640", "f"]


def test_a_tree_goes_through_cpio(vm: VM) -> None:
    """The same for the archives of initial file systems."""
    vm.ssh.succeed("mkdir /root/t; echo x >/root/t/f; cd /root && find t | cpio -oH newc >t.cpio")
    assert vm.ssh.succeed("cd /root && rm -r t && cpio -id <t.cpio && cat t/f") == "x\n"


def test_a_damaged_archive_is_refused(vm: VM) -> None:
    """Gzip looks at its check sum."""
    vm.ssh.succeed(
        "cd /root; seq 200 | gzip >f.gz; printf x | dd of=f.gz bs=1 seek=60 conv=notrunc"
    )
    vm.ssh.fail("gunzip -t /root/f.gz")


@pytest.mark.parametrize("name", ["md5", "sha256", "sha512"])
def test_digests_are_those_of_the_host(vm: VM, name: str) -> None:
    """Of the same bytes."""
    assert vm.ssh.succeed(f"printf vboxkit | {name}sum").split()[0] == (
        hashlib.new(name, b"vboxkit").hexdigest()
    )


def test_base64_is_that_of_the_host(vm: VM) -> None:
    """Both ways."""
    packed = vm.ssh.succeed("printf vboxkit | base64").strip()
    assert base64.b64decode(packed) == b"vboxkit"
    assert vm.ssh.succeed("base64 -d", input=packed) == "vboxkit"

"""What holds on any Linux guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vboxkit import VM


def test_it_is_linux(vm: VM) -> None:
    """The kernel says so."""
    assert vm.ssh.succeed("uname -s") == "Linux\n"


def test_who_logs_in_is_root(vm: VM) -> None:
    """Number 0, and at home."""
    assert vm.ssh.succeed("id -u; pwd").split() == ["0", "/root"]


def test_standard_error_is_apart(vm: VM) -> None:
    """Both streams arrive, each by itself."""
    result = vm.ssh.run("echo out; echo err >&2; exit 3")
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 3)


def test_a_file_is_written_and_read(vm: VM) -> None:
    """Every byte of it."""
    content = bytes(range(256))
    vm.ssh.write_bytes("/tmp/bytes", content)
    assert vm.ssh.read_bytes("/tmp/bytes") == content


def test_a_process_goes_on_in_the_background(vm: VM) -> None:
    """It is there after the command that started it."""
    pid = vm.ssh.succeed("sleep 300 >/dev/null 2>&1 </dev/null & echo $!").strip()
    assert vm.ssh.succeed(f"tr '\\0' ' ' </proc/{pid}/cmdline") == "sleep 300 "


def test_nothing_of_another_test_is_here(vm: VM) -> None:
    """The folder of temporary files is as the image has it."""
    vm.ssh.succeed("test ! -e /tmp/mark && touch /tmp/mark")


def test_a_tree_is_made_and_found(vm: VM) -> None:
    """`find` sees each file once."""
    found = vm.ssh.succeed("mkdir -p /root/t/a; touch /root/t/x /root/t/a/y; find /root/t -type f")
    assert sorted(found.split()) == ["/root/t/a/y", "/root/t/x"]


@pytest.mark.parametrize("mode", ["600", "4755"])
def test_modes_are_kept(vm: VM, mode: str) -> None:
    """Of files, as they were set."""
    assert vm.ssh.succeed(f"touch /root/f; chmod {mode} /root/f; stat -c %a /root/f") == f"{mode}\n"


def test_a_symbolic_link_is_followed(vm: VM) -> None:
    """It reads as its target, and tells it."""
    vm.ssh.succeed("echo here >/root/target; ln -s target /root/link")
    assert vm.ssh.succeed("cat /root/link; readlink /root/link").split() == ["here", "target"]


def test_a_hard_link_is_the_same_file(vm: VM) -> None:
    """One inode with two names."""
    seen = vm.ssh.succeed("cd /root; echo x >a; ln a b; echo y >>b; cat a; stat -c %h a")
    assert seen.split() == ["x", "y", "2"]


def test_a_file_is_edited_in_place(vm: VM) -> None:
    """`sed -i` changes each line once."""
    vm.ssh.succeed("seq 3 >/root/f; sed -i s/^/n/ /root/f")
    assert vm.ssh.succeed("cat /root/f").split() == ["n1", "n2", "n3"]

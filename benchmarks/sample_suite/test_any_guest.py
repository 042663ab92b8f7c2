"""What holds on any Linux guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

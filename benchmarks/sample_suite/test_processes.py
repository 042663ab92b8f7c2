"""Processes of the built-in guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vboxkit import VM


@pytest.mark.parametrize(("signal", "code"), [("HUP", 129), ("INT", 130), ("KILL", 137)])
def test_signals_end_processes(vm: VM, signal: str, code: int) -> None:
    """The shell says by which."""
    assert vm.ssh.run(f"sh -c 'kill -{signal} $$'").exit_code == code


def test_a_trap_catches_a_signal(vm: VM) -> None:
    """And the process ends as it wants to."""
    result = vm.ssh.run("trap 'echo caught; exit 7' TERM; kill -TERM $$; sleep 9")
    assert (result.stdout, result.exit_code) == ("caught\n", 7)


def test_a_process_can_be_nice(vm: VM) -> None:
    """Its niceness is field 19 of its line."""
    seen = vm.ssh.succeed(
        "sleep 60 >/dev/null 2>&1 & renice -n 5 -p $! ; cut -d' ' -f19 /proc/$!/stat"
    )
    assert seen.split()[-1] == "5"


def test_processes_are_found_by_name(vm: VM) -> None:
    """The SSH server's, and none of what is not there."""
    assert vm.ssh.succeed("pidof dropbear").split()
    assert vm.ssh.run("pidof nobodys-program").exit_code == 1


def test_a_limit_of_open_files_holds(vm: VM) -> None:
    """The ninth one is refused."""
    result = vm.ssh.run("ulimit -n 8; exec 3<&0 4<&0 5<&0 6<&0 7<&0; exec 8<&0; echo reached")
    assert "reached" not in result.stdout
    assert not result.ok


def test_a_pipeline_moves_all_of_its_data(vm: VM) -> None:
    """Through three processes."""
    assert vm.ssh.succeed("seq 500 | grep -v 7 | wc -l").strip() == "405"


def test_orphans_are_taken_over_by_init(vm: VM) -> None:
    """Whose parent has ended has process 1 for one."""
    pid = vm.ssh.succeed("(sleep 60 >/dev/null 2>&1 </dev/null & echo $!)").strip()
    assert vm.ssh.succeed(f"cut -d' ' -f4 /proc/{pid}/stat").strip() == "1"


def test_getty_is_started_again(vm: VM) -> None:
    """Init looks after the consoles: where it boots, from 5 s after the SSH server listens."""
    both = "set -- $(pidof getty); test $# = 2"
    old = vm.ssh.wait_until_succeeds(f"{both} && echo $1", timeout=60).strip()
    vm.ssh.succeed(f"kill -KILL {old}")
    vm.ssh.wait_until_succeeds(f"{both} && test $1 != {old}", timeout=30)


def test_a_named_pipe_joins_two_processes(vm: VM) -> None:
    """What one writes, the other one reads."""
    assert vm.ssh.succeed("mkfifo /tmp/p; echo through >/tmp/p & cat /tmp/p") == "through\n"

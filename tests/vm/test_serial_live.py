"""Typing on a serial console, without the network."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from vboxkit.core.waiting import wait_until
from vboxkit.errors import (
    CommandFailedError,
    CommandTimeoutError,
    ConnectionLostError,
    GuestAuthError,
    InvalidStateError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import VM

pytestmark = pytest.mark.vm


def test_commands_without_a_network(vm: VM) -> None:
    """After a login over the serial port commands give exit codes and output, cable or not."""
    vm.network[0].cable_connected = False
    with vm.console as console, console.login("root", "vboxkit") as shell:
        assert shell.succeed("cat /sys/class/net/eth0/carrier") == "0\n"
        assert shell.run("exit 7").exit_code == 7
        assert shell.run("printf 'a\\nb'").stdout == "a\nb"
        assert shell.run('for i in 1 2\ndo echo "\'$i"; done').stdout == "'1\n'2\n"
        long = "x" * 1500
        assert shell.run(f"echo {long}\u00e4 | wc -c; cat; cd /tmp").stdout == "1503\n"
        assert shell.succeed("pwd") == "/root\n"
        with pytest.raises(CommandFailedError, match="exit code 1"):
            shell.succeed("false")
        with pytest.raises(CommandTimeoutError) as caught:
            shell.run("echo begun; sleep 100", timeout=3)
        assert "begun" in caught.value.result.stdout
        assert shell.run("echo alive").stdout == "alive\n"
    assert vm.serial.mode == "RawFile"


def test_nothing_is_lost_or_made_up(vm: VM) -> None:
    """A guest that talks all the while has every line of it in the log, in order."""
    console = vm.console
    vm.ssh.succeed(
        "(i=0; while [ $i -lt 400 ]; do echo n=$i; i=$((i+1)); done > /dev/ttyS0) >/dev/null 2>&1 &"
    )
    console.wait_for("n=40\r", timeout=60)
    for _ in range(2):  # also a port that its guest fills is led away, and back when it is silent
        console.send("\n")
        console.wait_for(r"n=399\r", timeout=120)
        console.close(timeout=60)
        assert vm.serial.mode == "RawFile"
    vm.ssh.succeed("echo after > /dev/ttyS0")
    console.wait_for("after", timeout=60)
    # What was typed is echoed into the lines, the getty's answer, too.
    numbers = [int(n) for n in re.findall(r"n=(\d+)", console.text())]
    assert numbers == list(range(400))
    assert vm.serial.file == console.path


def test_only_one_types(vm: VM) -> None:
    """A second one who types is told so, and the first goes on."""
    from vboxkit.machines.serial_line import SerialLine

    vm.console.send("\n")
    vm.console.expect("login: ", timeout=30)
    other = SerialLine(vm, vm.console.path, vm.folder / "Logs" / "other.log")

    def refused() -> str | None:
        try:
            other.send(b"\0")
        except ConnectionLostError as error:
            return str(error)
        return None

    assert "another process" in wait_until(refused, what="the refusal", timeout=20)
    other.hang_up()
    mark = vm.console.mark()
    vm.console.send("\n")
    vm.console.wait_for("login: ", timeout=30, start=mark)


def test_a_process_that_dies_loses_nothing(vm: VM) -> None:
    """What the guest says after the death of the one who typed is there for the next one."""
    code = (
        "import os, sys, vboxkit\n"
        "vbox = vboxkit.connect(home=sys.argv[1])\n"
        "from vboxkit.machines.serial_line import SerialLine\n"
        "from pathlib import Path\n"
        "machine = vbox.machines[sys.argv[2]]\n"
        "line = SerialLine(machine, Path(sys.argv[3]), Path(sys.argv[3] + '.old'))\n"
        "line.send(b'\\r')\n"
        "print('typed', flush=True)\n"
        "sys.stdin.read()\n"
    )
    home = str(vm._api.home)
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, home, vm.name, str(vm.console.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"typed\n"
        child.kill()
    vm.ssh.succeed("echo while-away > /dev/ttyS0")
    vm.console.send("\n")
    vm.console.wait_for("while-away", timeout=30)


def test_the_log_goes_on_after_a_save(vm: VM) -> None:
    """A guest that is saved and goes on keeps its log; one that boots begins it anew."""
    vm.console.send("\n")
    vm.console.expect("login: ", timeout=30)
    vm.save_state()
    vm.start()
    assert "login: " in vm.console.text()
    assert vm.serial.mode == "RawFile"
    vm.ssh.succeed("echo resumed > /dev/ttyS0")
    vm.console.wait_for("resumed", timeout=30)
    vm.power_off()
    with pytest.raises(InvalidStateError, match="PoweredOff"):
        vm.console.send("x")
    vm.start()
    vm.console.wait_for("VBK-READY", timeout=60)
    assert "resumed" not in vm.console.text()


def test_a_fork_of_a_machine_that_is_typed_on(vm: VM) -> None:
    """The fork has a captured port of its own, and can be typed on itself."""
    vm.console.send("\n")
    vm.console.expect("login: ", timeout=30)
    with vm.fork() as child:
        assert child.serial.mode == "RawFile"
        child.console.login("root", "vboxkit").succeed("touch /tmp/child")
        assert child.ssh.run("ls /tmp/child").ok
    assert vm.ssh.run("ls /tmp/child").exit_code == 1


def test_a_wrong_password_and_a_paused_guest(vm: VM) -> None:
    """Both are told at once, as what they are."""
    with pytest.raises(GuestAuthError, match="does not let 'root' in"):
        vm.console.login("root", "wrong")
    vm.console.close()
    vm.pause()
    with pytest.raises(InvalidStateError, match="Paused"):
        vm.console.send("x")


def test_lines_are_followed(vm_factory: Callable[..., VM]) -> None:
    """follow() yields lines as the guest says them, and ends when the machine does."""
    vm = vm_factory()
    seen = []
    vm.ssh.succeed("(sleep 1; echo one; echo two) > /dev/ttyS0 2>&1 &")
    for line in vm.console.follow(timeout=120):
        seen.append(line)
        if line == "two":
            vm.power_off()
    assert seen[-2:] == ["one", "two"]

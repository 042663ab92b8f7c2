"""``vboxkit console`` and ``vboxkit screenshot`` of a real fork, as processes of their own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from vboxkit.settings import environment

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit import VM

pytestmark = pytest.mark.vm


def command(vm: VM, *words: str) -> list[str]:
    """Return the command line, for the home in which the machine is."""
    return [sys.executable, "-W", "ignore", "-m", "vboxkit", *words]


def env(vm: VM) -> dict[str, str]:
    """Return the environment for it."""
    return environment() | {"VBOXKIT_HOME": str(vm.settings.home)}


def test_what_was_said_is_shown(vm: VM) -> None:
    """--no-follow shows the log and ends; of a machine that is off nothing can be followed."""
    vm.ssh.succeed("echo said > /dev/ttyS0")
    vm.console.wait_for("said", timeout=30)
    words = command(vm, "console", vm.name, "--no-follow")
    done = subprocess.run(words, capture_output=True, env=env(vm), check=True, timeout=100)
    assert done.stdout.rstrip().endswith(b"said")
    vm.power_off()
    words = command(vm, "console", vm.name)
    done = subprocess.run(words, capture_output=True, env=env(vm), check=False, timeout=100)
    assert done.returncode == 1
    assert b"PoweredOff" in done.stderr


def test_typing_from_standard_input(vm: VM) -> None:
    """-i types what it is given, shows the answer, and leads the port back to its file."""
    with subprocess.Popen(
        command(vm, "console", "-i", vm.name),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=env(vm),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        start = vm.console.mark()
        process.stdin.write(b"\r")
        process.stdin.flush()
        vm.console.wait_for("login: ", timeout=60, start=start)
        process.stdin.close()
        assert b"login: " in process.stdout.read()
        assert process.wait(60) == 0
    assert vm.serial.mode == "RawFile"


def test_a_screenshot_is_written_and_read(vm: VM, tmp_path: Path) -> None:
    """It writes the PNG that it names, and shows the text on it."""
    target = tmp_path / "shot.png"
    words = command(vm, "screenshot", vm.name, str(target), "--text")
    done = subprocess.run(words, capture_output=True, env=env(vm), check=True, timeout=100)
    assert target.read_bytes().startswith(b"\x89PNG")
    assert str(target).encode() in done.stderr
    assert b"login" in done.stdout

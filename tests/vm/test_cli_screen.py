"""``vboxkit console`` and ``vboxkit screenshot`` of a real fork, as processes of their own."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.guest.terminals import set_size
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


def in_terminal(vm: VM, *words: str, **more: str) -> str:
    """Run the command in a terminal of 80 by 25, and return what it shows."""
    master, slave = os.openpty()
    set_size(slave, 80, 25)
    mine = {**env(vm), "TERM": "xterm-256color", **more}
    for name in ("COLUMNS", "LINES", "NO_COLOR", "KITTY_WINDOW_ID", "TMUX", "TERM_PROGRAM"):
        if name not in more:
            mine.pop(name, None)
    with subprocess.Popen(
        command(vm, *words), stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env=mine
    ) as process:
        os.close(slave)
        shown = bytearray()
        try:
            while part := os.read(master, 65536):
                shown += part
        except OSError:  # how a terminal's end is told
            pass
        assert process.wait(100) == 0, shown.decode(errors="replace")
    os.close(master)
    return shown.decode().replace("\r\n", "\n")


def test_a_screenshot_is_drawn(vm: VM) -> None:
    """Half blocks in as many colours as there are, with the picture's own colours and size."""
    shown = in_terminal(vm, "screenshot", vm.name, "--show", COLORTERM="truecolor")
    lines = [line for line in shown.splitlines() if "▀" in line]
    columns = {line.count("▀") for line in lines}
    width, height = vm.screen.size
    assert len(columns) == 1
    assert columns.pop() <= 80
    assert len(lines) <= 24
    assert abs(2 * len(lines) / lines[0].count("▀") - height / width) < 0.1
    colours = set(re.findall(r"[34]8;2;(\d+);(\d+);(\d+)m", shown))
    pixels = vm.screen.pixels(width=lines[0].count("▀"), height=2 * len(lines))
    there = {colour for row in range(pixels.height) for colour in pixels.row(row)}
    drawn = {tuple(map(int, colour)) for colour in colours}
    # The cursor blinks between the two looks.
    assert len(drawn & there) > 0.7 * len(there)
    assert len(there) > 1  # text on a ground
    plain = in_terminal(vm, "screenshot", vm.name, "--show", NO_COLOR="1")
    assert "\x1b" not in plain
    assert set(plain) <= set("▀▄█ \n")
    assert plain.strip()


def test_a_screenshot_is_sent_to_terminals_that_show_png(vm: VM, tmp_path: Path) -> None:
    """Those of kitty and iTerm2 get the very picture that would be written."""
    target = tmp_path / "shot.png"
    shown = in_terminal(vm, "screenshot", vm.name, str(target), "--show", TERM="xterm-kitty")
    chunks = re.findall(r"\x1b_G[^;]*;([^\x1b]*)\x1b", shown)
    assert base64.b64decode("".join(chunks)) == target.read_bytes()
    shown = in_terminal(vm, "screenshot", vm.name, "--show", TERM_PROGRAM="iTerm.app")
    found = re.search(r"\x1b\]1337;File=[^:]*:([^\a]*)\a", shown)
    assert found
    assert base64.b64decode(found[1]).startswith(b"\x89PNG")


def test_a_screenshot_without_a_terminal(vm: VM, tmp_path: Path) -> None:
    """--show is refused with the reason; --json tells path and size."""
    words = command(vm, "screenshot", vm.name, "--show")
    done = subprocess.run(words, capture_output=True, env=env(vm), check=False, timeout=100)
    assert (done.returncode, b"terminal" in done.stderr, done.stdout) == (2, True, b"")
    target = tmp_path / "shot.png"
    words = command(vm, "screenshot", vm.name, str(target), "--json")
    done = subprocess.run(words, capture_output=True, env=env(vm), check=True, timeout=100)
    told = json.loads(done.stdout)
    assert (told["path"], (told["width"], told["height"])) == (str(target), vm.screen.size)
    assert target.read_bytes().startswith(b"\x89PNG")

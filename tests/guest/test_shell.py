"""Shells with a terminal: typing, expecting, sizes, ends, and cuts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from vboxkit.errors import (
    CommandFailedError,
    CommandTimeoutError,
    GuestConnectionError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from tests.guest.conftest import MakeGuest, MakeSSH
    from vboxkit.guest import SSH


def test_a_conversation(ssh: SSH) -> None:
    """What is typed is shown and answered; the exit code is the shell's."""
    with ssh.shell() as shell:
        shell.expect(r"prompt> $", timeout=20)
        shell.send("echo 4$((1+1))\n")
        assert shell.expect(r"^(4\d)\r", timeout=20)[1] == "42"
        shell.send("exit 7\n")
        while shell.read(timeout=20):
            pass
        assert shell.exit_code == 7
        with pytest.raises(CommandFailedError, match="takes no input"):
            shell.send("x")


def test_the_size_is_passed_on(ssh: SSH) -> None:
    """The terminal has the size asked for, and changes it."""
    with ssh.shell(columns=101, rows=33) as shell:
        shell.send("stty size\n")
        shell.expect("33 101", timeout=20)
        shell.resize(120, 50)
        shell.send("stty size\n")
        shell.expect("50 120", timeout=20)


def test_a_command_with_a_terminal(ssh: SSH) -> None:
    """Folder and variables hold, and the command sees a terminal."""
    with ssh.shell("test -t 0 && echo $A-$PWD", cwd="/tmp", env={"A": "x"}) as shell:
        shell.expect("x-/tmp", timeout=20)


def test_expect_in_vain(ssh: SSH) -> None:
    """The error has what came instead, and says if the shell ended."""
    with ssh.shell() as shell:
        with pytest.raises(WaitTimeoutError, match="never") as caught:
            shell.expect("never", timeout=3)
        assert "prompt" in caught.value.last_seen
        shell.send("exit\n")
        with pytest.raises(WaitTimeoutError, match="the shell has ended"):
            shell.expect("never", timeout=20)


def test_nothing_to_read(ssh: SSH) -> None:
    """A silent shell is a timeout."""
    with (
        ssh.shell("sleep 300") as shell,
        pytest.raises(CommandTimeoutError, match="wrote nothing within"),
    ):
        shell.read(timeout=0.2)


def test_characters_that_are_cut_in_two(ssh: SSH) -> None:
    """A character whose bytes come one by one is one character."""
    with ssh.shell(r"printf '\342'; sleep 0.2; printf '\230\203\377'; echo end") as shell:
        text = shell.expect("☃(.*)end", timeout=20)
        assert text[0].startswith("☃")


def test_a_server_without_terminals(make_guest: MakeGuest, make_ssh: MakeSSH) -> None:
    """That is told as such, and the connection goes on."""
    ssh = make_ssh(make_guest(terminals=False))
    with ssh.shell() as shell, pytest.raises(GuestConnectionError, match="refuses to run"):
        shell.expect("prompt", timeout=20)
    assert ssh.run("true").ok


@pytest.mark.parametrize("how", ["close", "hang"])
def test_cut_in_the_middle(make_guest: MakeGuest, make_ssh: MakeSSH, how: str) -> None:
    """A connection that breaks or falls silent is a typed error in time."""
    guest = make_guest()
    with make_ssh(guest).shell() as shell:
        shell.expect("prompt", timeout=20)
        guest.sockets[0].trip(how)
        begin = time.monotonic()
        with pytest.raises((GuestConnectionError, WaitTimeoutError)):
            shell.expect("never", timeout=0.5)
        assert time.monotonic() - begin < 10

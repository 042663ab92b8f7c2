"""Shells that are started before there is a command for them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from guest_server import Plan  # type: ignore[import-not-found]

from vboxkit.core.waiting import wait_until
from vboxkit.errors import CommandTimeoutError, GuestConnectionError

if TYPE_CHECKING:
    from vboxkit.guest import SSH


def test_the_next_command_runs_in_it(guest: Any, ssh: SSH) -> None:
    """The server is asked for one shell before, and for none with the command."""
    ssh.prepare()
    asked = len(guest.commands)
    assert ssh.succeed("echo hello") == "hello\n"
    assert len(guest.commands) == asked
    assert ssh.succeed("echo again") == "again\n"
    assert len(guest.commands) == asked + 1


@pytest.mark.parametrize(
    ("line", "code", "out", "err"),
    [
        ("exit 3", 3, "", ""),
        ("false", 1, "", ""),
        ("kill -KILL $$", 137, "", ""),
        ("echo out; echo err >&2", 0, "out\n", "err\n"),
        (r"  printf '%s\n' 'a\b' \\  ", 0, "a\\b\n\\\n", ""),
        ("cat; echo end", 0, "end\n", ""),
        ('echo "$A"; pwd; echo ${VBOXKIT_COMMAND:+marked}', 0, "grüße\n/\nmarked\n", ""),
    ],
)
def test_it_is_a_command_like_any(ssh: SSH, line: str, code: int, out: str, err: str) -> None:
    """Exit code, streams, quoting, folder and variables are those of a shell of its own."""
    results = [ssh.prepare().run(line, cwd="/", env={"A": "grüße"})]
    results.append(ssh.run(line, cwd="/", env={"A": "grüße"}))
    for result in results:
        assert (result.exit_code, result.stdout, result.stderr) == (code, out, err)


def test_input_is_the_commands(ssh: SSH) -> None:
    """What waits has read nothing of what the command is to read."""
    assert ssh.prepare().succeed("cat", input="a\nb\n") == "a\nb\n"


@pytest.mark.parametrize("line", ["echo one\necho two", "true " + "x" * 1000])
def test_others_get_a_shell_of_their_own(guest: Any, ssh: SSH, line: str) -> None:
    """Several lines, or a long one; the prepared one goes on waiting."""
    ssh.prepare()
    asked = len(guest.commands)
    assert ssh.run(line).ok
    assert len(guest.commands) == asked + 1
    assert ssh.run("true").ok
    assert len(guest.commands) == asked + 1


def test_one_that_died_is_passed_over(guest: Any, ssh: SSH) -> None:
    """Its end came while it waited: the command gets another one."""
    ssh.prepare()
    psutil.Process(guest.processes[-1].pid).kill()
    shell = ssh._prepared[0]
    wait_until(lambda: None if shell.usable else True, what="its end", timeout=10)
    assert ssh.succeed("echo well") == "well\n"


def test_it_goes_with_the_connection(guest: Any, ssh: SSH) -> None:
    """A connection that is closed takes it along; the next command connects anew."""
    ssh.prepare()
    ssh.close()
    assert not ssh._prepared
    assert ssh.succeed("echo well") == "well\n"
    assert guest.accepted == 2


def test_a_second_one_replaces_the_first(guest: Any, ssh: SSH) -> None:
    """There is never more than one, in the guest as well."""
    ssh.prepare().prepare()
    first, second = guest.processes[-2:]
    wait_until(lambda: first.poll() is not None or None, what="the first to end", timeout=10)
    assert second.poll() is None
    assert ssh.succeed("echo well") == "well\n"


def test_of_two_threads_one_gets_it(ssh: SSH) -> None:
    """Commands of many threads at once each give their own."""
    ssh.prepare()
    found: list[str] = []

    def run(number: int) -> None:
        found.append(ssh.succeed(f"echo {number}").strip())

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(map(str, range(8)))


def test_what_it_started_is_ended_when_late(ssh: SSH) -> None:
    """A timeout ends the command with all that it started, as ever."""
    ssh.prepare()
    with pytest.raises(CommandTimeoutError, match="was ended"):
        ssh.run("sleep 4711 & sleep 4712", timeout=0.5)
    left = [
        p
        for p in psutil.process_iter(["cmdline"])
        if p.info["cmdline"] in (["sleep", "4711"], ["sleep", "4712"])
    ]
    assert not left


@pytest.mark.parametrize("how", ["close", "hang"])
def test_a_server_that_runs_nothing(make_guest: Any, make_ssh: Any, how: str) -> None:
    """Said in time, with the guest's name; nothing is kept."""
    ssh = make_ssh(make_guest(plans=[Plan("exec", how)]))
    with pytest.raises(GuestConnectionError, match="machine 'web'"):
        ssh.prepare(timeout=1)
    assert not ssh._prepared

"""Background processes: exit code, signals, input, lines, and what goes wrong under them."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from vboxkit.core.waiting import wait_until
from vboxkit.errors import (
    CommandFailedError,
    CommandTimeoutError,
    GuestConnectionError,
    GuestUserError,
)

if TYPE_CHECKING:
    from tests.guest.conftest import MakeGuest, MakeSSH
    from vboxkit.guest import SSH


def gone(pid: int) -> bool | None:
    """Tell, for wait_until, that a process has ended."""
    try:
        return True if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return True


def test_poll_and_wait(ssh: SSH) -> None:
    """poll() does not wait, wait() does; both give the exit code."""
    with ssh.start("read x; echo $x; echo e >&2; exit 5") as process:
        assert process.poll() is None
        assert process.exit_code is None
        process.write("hello\n")
        result = process.wait(timeout=20)
    assert (result.exit_code, result.stdout, result.stderr) == (5, "hello\n", "e\n")
    assert process.poll() == 5
    assert process.wait().exit_code == 5
    assert "ended with 5" in repr(process)


def test_poll_sees_the_end_by_itself(ssh: SSH) -> None:
    """poll() alone is enough to see a process end."""
    process = ssh.start("exit 4")
    assert wait_until(process.poll, what="its end", timeout=20) == 4


def test_leaving_the_block_ends_it_with_its_children(ssh: SSH) -> None:
    """What it started is gone as well, and the connection goes on."""
    with ssh.start("sleep 300 & echo $!; echo $$; wait") as process:
        pids = [int(line) for line in (process.read_line(), process.read_line()) if line]
        assert len(pids) == 2
        assert not gone(pids[0])
    assert process.exit_code is not None
    for pid in pids:
        assert wait_until(partial(gone, pid), what="its end", timeout=10)
    assert ssh.run("true").ok


@pytest.mark.parametrize(("verb", "code"), [("terminate", 143), ("kill", 137)])
def test_signals(ssh: SSH, verb: str, code: int) -> None:
    """terminate() and kill() send their signal; the exit code is a shell's."""
    process = ssh.start("echo $$; exec sleep 300")
    assert process.read_line(timeout=20)
    getattr(process, verb)()
    assert process.wait(timeout=20).exit_code == code
    getattr(process, verb)()  # it has ended: nothing to do


def test_one_that_ignores_sigterm_is_killed(ssh: SSH) -> None:
    """terminate() leaves it running, stop() does not."""
    process = ssh.start("trap '' TERM; echo $$; while :; do sleep 0.1; done")
    pid = int(process.read_line(timeout=20) or 0)
    process.terminate()
    with pytest.raises(CommandTimeoutError, match="it goes on"):
        process.wait(timeout=0.3)
    process.stop(grace=0.2)
    assert wait_until(lambda: gone(pid), what="its end", timeout=10)
    assert process.poll() == 137


def test_lines_one_by_one_and_all_of_it(ssh: SSH) -> None:
    """Lines are read once; the result keeps everything."""
    with ssh.start("echo a; echo b >&2; printf c") as process:
        first = process.read_line(timeout=20)
        rest = list(process.lines(timeout=20))
    assert sorted([str(first), *map(str, rest)]) == ["a", "b", "c"]
    assert process.read_line() is None
    assert (process.result.stdout, process.result.stderr) == ("a\nc", "b\n")


def test_output_so_far(ssh: SSH) -> None:
    """While it runs, the result has what was read."""
    with ssh.start("echo a; sleep 300") as process:
        assert process.read_line(timeout=20) == "a"
        assert process.result.stdout == "a\n"
        assert process.result.exit_code is None
        with pytest.raises(CommandTimeoutError, match="wrote no line") as caught:
            process.read_line(timeout=0.1)
        assert caught.value.result.stdout == "a\n"


def test_a_conversation(ssh: SSH) -> None:
    """What is written is answered, line by line, until its input is closed."""
    with ssh.start("cat") as cat:
        for number in range(20):
            cat.write(f"{number}\n")
            assert cat.read_line(timeout=20) == str(number)
        cat.close_stdin()
        cat.close_stdin()
        assert cat.wait(timeout=20).ok


def test_more_input_than_any_buffer(ssh: SSH) -> None:
    """One thread writes megabytes to a command that answers as many, and nobody locks up."""
    data = bytes(range(256)) * 40_000
    with ssh.start("cat") as cat:
        cat.write(data, timeout=60)
        cat.close_stdin()
        assert cat.wait(timeout=60).stdout_bytes == data


def test_input_that_is_not_read(ssh: SSH) -> None:
    """A command that does not read is a timeout, one that has ended is an error that says so."""
    with (
        ssh.start("sleep 300") as process,
        pytest.raises(CommandTimeoutError, match="did not read its input within"),
    ):
        process.write(b"x" * 8_000_000, timeout=0.5)
    process = ssh.start("exit 3")
    process.wait(timeout=20)
    with pytest.raises(CommandFailedError, match="takes no input any more"):
        process.write("x")


def test_threads_read_and_write_and_wait(ssh: SSH) -> None:
    """One thread waits for lines while another writes them."""
    got: list[str] = []
    with ssh.start("cat") as cat:
        reader = threading.Thread(target=lambda: got.extend(cat.lines(timeout=30)))
        waiter = threading.Thread(target=lambda: cat.wait(timeout=30))
        reader.start()
        waiter.start()
        for number in range(200):
            cat.write(f"{number}\n")
        cat.close_stdin()
        reader.join(30)
        waiter.join(30)
    assert got == [str(number) for number in range(200)]


def test_a_service_left_running_elsewhere_is_not_touched(ssh: SSH, guest: Any) -> None:
    """Two processes of the same words: only the one that is meant ends."""
    other = ssh.start("sleep 301")
    with ssh.start("sleep 301"):
        pass
    assert other.poll() is None
    other.stop()
    assert guest.accepted == 1


@pytest.mark.parametrize("how", ["close", "hang"])
@pytest.mark.parametrize("at", ["open", "exec", "output"])
def test_cut_at_every_point(
    make_guest: MakeGuest,
    make_ssh: MakeSSH,
    at: str,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection that breaks or falls silent is a typed error in time, in each verb."""
    from guest_server import Plan  # type: ignore[import-not-found]

    from vboxkit.settings import Settings

    monkeypatch.setattr("vboxkit.guest.commands.ORDER", 0.3)
    plans = [Plan(at, how)] * (2 if at == "open" else 1)
    guest = make_guest(plans=plans)
    ssh = make_ssh(guest, settings=Settings(ssh_timeout=2))
    ssh.connect()
    begin = time.monotonic()
    wanted = GuestConnectionError if how == "close" else CommandTimeoutError
    with pytest.raises(wanted):
        process = ssh.start("echo a; sleep 9")
        process.wait(timeout=0.5)
    if at != "open":
        for verb in (process.terminate, process.stop):
            with pytest.raises((GuestConnectionError, CommandTimeoutError)):
                verb()
        with process:
            pass
    assert time.monotonic() - begin < 60
    ssh.close()
    guest.plans.clear()
    assert ssh.run("true").ok


def test_a_refused_command(ssh: SSH) -> None:
    """A server that does not run it is told from one that is away."""
    process = ssh.start("refuse")
    with pytest.raises(GuestConnectionError, match="refuses to run 'refuse'"):
        process.wait(timeout=20)
    assert ssh.connected


def test_the_same_user_needs_no_way(ssh: SSH, guest: Any) -> None:
    """Who asks for the user that logs in gets the command as it is."""
    import getpass

    name = getpass.getuser()
    assert ssh.succeed("id -un", user=name) == f"{name}\n"
    assert not any("su " in line and "exit 1" not in line for line in guest.commands)


def test_an_unknown_user(ssh: SSH) -> None:
    """The error names both users and what is missing; a name that is none is refused here."""
    with pytest.raises(GuestUserError, match=r"'root' cannot run .* 'nosuch': there is no") as it:
        ssh.run("true", user="nosuch")
    assert it.value.user == "nosuch"
    for bad in ("", "a b", "-x", "a;reboot"):
        with pytest.raises(ValueError, match="user"):
            ssh.run("true", user=bad)


@pytest.mark.parametrize("tool", ["sudo", "doas"])
def test_sudo_and_doas(ssh: SSH, guest: Any, tool: str) -> None:
    """Who is not root uses the one that is there; folder, variables and exit code hold."""
    tools = guest.folder / "bin"
    tools.mkdir()
    for name, body in {
        "id": 'case "$*" in "-u daemon") echo 1;; *) echo 1000;; esac',
        tool: 'printf "%s " "$@" > args; while [ "$1" != /bin/sh ]; do shift; done; exec "$@"',
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)
    guest.path = tools
    result = ssh.run("echo $A; pwd; exit 3", user="daemon", env={"A": "x 'y"}, cwd="/tmp")
    assert (result.exit_code, result.stdout) == (3, "x 'y\n/tmp\n")
    wanted = "-n -H -u daemon -- /bin/sh -c" if tool == "sudo" else "-n -u daemon /bin/sh -c"
    assert (guest.folder / "args").read_text().startswith(wanted)
    asked = len(guest.commands)
    assert ssh.run("true", user="daemon").ok
    assert len(guest.commands) == asked + 1


def test_neither_root_nor_sudo(ssh: SSH, guest: Any) -> None:
    """Who may not become another user is told so, with what would help."""
    tools = guest.folder / "bin"
    tools.mkdir()
    (tools / "id").write_text('#!/bin/sh\ncase "$*" in "-u daemon") echo 1;; *) echo 1000;; esac\n')
    for name in ("sudo", "doas"):
        (tools / name).write_text("#!/bin/sh\necho a password is required >&2; exit 1\n")
    for file in tools.iterdir():
        file.chmod(0o755)
    guest.path = tools
    with pytest.raises(GuestUserError, match=r"password is required[\s\S]*NOPASSWD"):
        ssh.start("true", user="daemon")

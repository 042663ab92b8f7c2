"""Commands over SSH: exit codes, streams, quoting, timeouts, threads."""

from __future__ import annotations

import pickle
import threading
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import CommandFailedError, CommandTimeoutError, GuestConnectionError

if TYPE_CHECKING:
    from vboxkit.guest import SSH


@pytest.mark.parametrize("code", [0, 1, 2, 125, 127, 255])
def test_exit_code_is_passed_on(ssh: SSH, code: int) -> None:
    """run() never judges an exit code."""
    result = ssh.run(f"exit {code}")
    assert result.exit_code == code
    assert result.ok is (code == 0)


@pytest.mark.parametrize(("name", "code"), [("KILL", 137), ("TERM", 143), ("SEGV", 139)])
def test_signal_is_128_and_its_number(ssh: SSH, name: str, code: int) -> None:
    """A command ended by a signal has the exit code that a shell would give it."""
    assert ssh.run(f"kill -{name} $$").exit_code == code


def test_streams_are_kept_apart(ssh: SSH) -> None:
    """Standard output and standard error arrive each on its own side."""
    result = ssh.run("echo out; echo err >&2")
    assert (result.stdout, result.stderr) == ("out\n", "err\n")


def test_eight_megabytes_on_both_streams(ssh: SSH) -> None:
    """Output far larger than any window, on both streams at once, comes through complete."""
    size = 8_000_000
    result = ssh.run(f"head -c {size} /dev/zero & head -c {size} /dev/zero >&2; wait")
    assert (len(result.stdout_bytes), len(result.stderr_bytes)) == (size, size)


def test_text_and_bytes(ssh: SSH) -> None:
    """Text is UTF-8; what is not becomes a replacement character, and the bytes stay."""
    assert ssh.succeed("echo 'grüße ☃'") == "grüße ☃\n"
    result = ssh.run(r"printf '\377\000\376'")
    assert result.stdout_bytes == b"\xff\x00\xfe"
    assert result.stdout == "\ufffd\x00\ufffd"


def test_input_reaches_the_command(ssh: SSH) -> None:
    """Text and bytes are fed to standard input, which then ends."""
    assert ssh.succeed("cat", input="grüße\n") == "grüße\n"
    assert ssh.run("cat", input=b"\x00\xff").stdout_bytes == b"\x00\xff"


def test_without_input_a_reader_ends(ssh: SSH) -> None:
    """A command that reads its input sees the end of it at once."""
    assert ssh.succeed("cat; echo done") == "done\n"


def test_large_input_and_output_together(ssh: SSH) -> None:
    """Feeding more than a window into a command that answers as much does not lock up."""
    data = bytes(range(256)) * 16_384
    assert ssh.run("cat", input=data).stdout_bytes == data


def test_input_that_nobody_reads_is_no_error(ssh: SSH) -> None:
    """A command may end without having read its input."""
    assert ssh.run("exit 4", input=b"x" * 8_000_000).exit_code == 4


@pytest.mark.parametrize(
    "word", ["a b", "it's", '"', "$HOME", "a\nb", "*", "back\\slash", "", ";", "é"]
)
def test_list_is_quoted(ssh: SSH, word: str) -> None:
    """Arguments of a list reach the program as they are."""
    assert ssh.succeed(["printf", "[%s]", word]) == f"[{word}]"


def test_string_is_a_shell_line(ssh: SSH) -> None:
    """A string is for the shell: pipes, variables, several lines."""
    assert ssh.succeed("x=1\nfor i in 1 2; do echo $i$x; done | tail -n 1") == "21\n"


def test_environment_and_folder(ssh: SSH, guest: Any) -> None:
    """Variables and the folder hold for the whole line."""
    (guest.folder / "my dir").mkdir()
    out = ssh.succeed("echo $A; pwd", env={"A": "x '$y"}, cwd=str(guest.folder / "my dir"))
    assert out == f"x '$y\n{guest.folder}/my dir\n"


def test_missing_folder_stops_the_whole_line(ssh: SSH) -> None:
    """Nothing of the line runs where it should not."""
    result = ssh.run("echo a; echo b", cwd="/nowhere")
    assert result.exit_code == 1
    assert result.stdout == ""


@pytest.mark.parametrize("bad", ["", "  ", [], "a\0b"])
def test_no_command_is_refused(ssh: SSH, bad: Any) -> None:
    """An empty command is the caller's mistake."""
    with pytest.raises(ValueError, match=r"command|type"):
        ssh.run(bad)


def test_bad_variable_name_is_refused(ssh: SSH) -> None:
    """The name of a variable cannot smuggle in a command."""
    with pytest.raises(ValueError, match="variable"):
        ssh.run("true", env={"A;reboot": "x"})


def test_succeed_returns_output_or_raises(ssh: SSH) -> None:
    """The error has the command, the exit code and the last ten lines of both streams."""
    assert ssh.succeed("echo yes") == "yes\n"
    with pytest.raises(CommandFailedError) as caught:
        ssh.succeed(
            "i=0; while [ $i -lt 20 ]; do i=$((i+1)); echo line$i; done; echo bad >&2; exit 7"
        )
    text = str(caught.value)
    assert "exit code 7" in text
    assert "machine 'web'" in text
    assert "bad" in text
    assert "line11\n" in text
    assert "line10\n" not in text
    assert caught.value.result.exit_code == 7


def test_fail_is_the_opposite(ssh: SSH) -> None:
    """fail() gives the result of a failed command and raises for a good one."""
    assert ssh.fail("exit 9").exit_code == 9
    with pytest.raises(CommandFailedError, match="should fail"):
        ssh.fail("true")


def test_result_pickles_and_is_short(ssh: SSH) -> None:
    """A result travels between processes, also inside its error, and its repr stays short."""
    result = ssh.run("head -c 5000 /dev/zero; exit 1")
    assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301 - our own
    assert len(repr(result)) < 150
    with pytest.raises(CommandFailedError) as caught:
        ssh.succeed("exit 1")
    assert pickle.loads(pickle.dumps(caught.value)).result == caught.value.result  # noqa: S301


def test_tail_of_a_stream(ssh: SSH) -> None:
    """The last lines, and nothing for none."""
    result = ssh.run("printf '1\\n2\\n3\\n'")
    assert result.tail("stdout", 2) == "2\n3"
    assert result.tail("stdout", 0) == ""
    assert result.tail("stderr") == ""


def gone(pid: int) -> bool | None:
    """Tell, for wait_until, that a process has ended."""
    return None if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" else True


@pytest.mark.parametrize(
    "command",
    [
        "echo $$; exec sleep 300",
        "sleep 300 & echo $!; wait",
        "trap '' TERM; echo $$; while :; do sleep 300; done",
        "(trap '' HUP; sleep 300 & echo $!); sleep 300",
        "echo $$; while :; do :; done",
    ],
)
def test_timeout_ends_what_was_started(ssh: SSH, command: str) -> None:
    """Whatever the shell made of the command, it is gone, and what it wrote is in the error."""
    with pytest.raises(CommandTimeoutError, match="it was ended") as caught:
        ssh.run(command, timeout=1)
    assert caught.value.result.exit_code is None
    pid = int(caught.value.result.stdout)
    assert wait_until(lambda: gone(pid), what="its end", timeout=30)
    assert ssh.succeed("echo on") == "on\n"


def test_timeout_leaves_other_commands_alone(ssh: SSH) -> None:
    """Only the late command is ended, not its neighbour with the same words."""
    results: list[Any] = []
    ssh.connect()
    neighbour = threading.Thread(target=lambda: results.append(ssh.run("sleep 0.8; echo kept")))
    neighbour.start()
    with pytest.raises(CommandTimeoutError):
        ssh.run("sleep 0.8; echo kept", timeout=0.2)
    neighbour.join()
    assert results[0].stdout == "kept\n"


def test_timeout_takes_a_shared_deadline(ssh: SSH) -> None:
    """A deadline that several calls share counts, and the message names machine and command."""
    with pytest.raises(CommandTimeoutError, match="machine 'web': 'sleep 99' did not end within"):
        ssh.run("sleep 99", timeout=Deadline(0.1))


def test_refused_command_is_typed(ssh: SSH) -> None:
    """A server that does not run commands is told from one that is away."""
    with pytest.raises(GuestConnectionError, match="refuses to run 'refuse'"):
        ssh.run("refuse")
    assert ssh.connected


def test_scripted_exit_without_real_process(ssh: SSH, guest: Any) -> None:
    """What the server says is what comes: code, both streams."""
    guest.scripted["answer"] = (42, b"o", b"e")
    result = ssh.run("answer")
    assert (result.exit_code, result.stdout, result.stderr) == (42, "o", "e")


def test_threads_do_not_mix(ssh: SSH) -> None:
    """Several threads over one connection each get their own answers."""
    wrong: list[str] = []

    def work(who: int) -> None:
        for turn in range(15):
            out = ssh.succeed(f"echo {who}-{turn}; cat", input=f"in{who}")
            if out != f"{who}-{turn}\nin{who}":
                wrong.append(out)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_one_connection_for_many_commands(ssh: SSH, guest: Any) -> None:
    """Commands share a connection, and each channel is closed after use."""
    for _ in range(20):
        ssh.run("true")
    assert guest.accepted == 1
    assert wait_until(
        lambda: None if guest.transports[0]._channels.values() else True,
        what="closed channels",
        timeout=30,
        poll=0.01,
    )

"""The output of a command as it comes: lines, pieces, back pressure, ends, and callbacks."""

from __future__ import annotations

import gc
import pickle
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
    WaitTimeoutError,
)
from vboxkit.guest import Line
from vboxkit.guest.output import LONGEST, Lines, Tail

if TYPE_CHECKING:
    from pathlib import Path

    from tests.guest.conftest import MakeGuest, MakeSSH
    from vboxkit.guest import SSH


def gone(pid: int) -> bool | None:
    """Tell, for wait_until, that a process has ended."""
    try:
        return True if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return True


def test_lines_know_their_stream(ssh: SSH) -> None:
    """Lines of both streams come in order, without their ends, and say where they came from."""
    with ssh.stream("echo a; sleep 0.1; echo b >&2; sleep 0.1; printf c") as stream:
        lines = list(stream)
    assert lines == ["a", "b", "c"]
    assert [line.stream for line in lines] == ["stdout", "stderr", "stdout"]
    assert [line.data for line in lines] == [b"a\n", b"b\n", b"c"]
    assert stream.exit_code == 0
    assert list(stream) == []


def test_lines_come_while_it_runs(ssh: SSH) -> None:
    """The first line is here long before the command ends."""
    begin = time.monotonic()
    for line in ssh.stream("echo now; sleep 60"):
        assert line == "now"
        break
    assert time.monotonic() - begin < 20


def test_a_failure_is_raised_at_the_end(ssh: SSH) -> None:
    """All lines are given first; then the error has the end of what was written."""
    stream = ssh.stream("echo one; echo two >&2; exit 3")
    lines: list[str] = []
    with pytest.raises(CommandFailedError, match="exit code 3") as caught:
        lines.extend(stream)
    assert sorted([*lines, "one", "two"][:2]) == ["one", "two"]
    assert caught.value.result.stderr == "two\n"
    assert list(stream) == []


def test_a_failure_is_not_raised_if_not_wanted(ssh: SSH) -> None:
    """With check=False the exit code is left to the caller."""
    stream = ssh.stream("exit 3", check=False)
    assert list(stream) == []
    assert stream.exit_code == 3
    assert not stream.result.ok


@pytest.mark.parametrize("how", ["break", "close", "with", "drop", "raise"])
def test_leaving_ends_the_command(ssh: SSH, how: str) -> None:
    """However a stream is left, what it started is gone, its children too."""
    stream = ssh.stream("sleep 300 & echo $!; echo $$; wait")
    pids = [int(next(stream)), int(next(stream))]
    if how == "break":
        for _ in ssh.stream("echo x; sleep 300"):
            break
        stream.close()
    elif how == "close":
        stream.close()
        stream.close()
    elif how == "with":
        with stream:
            pass
    elif how == "drop":
        del stream
        gc.collect()
    else:
        with pytest.raises(ZeroDivisionError), stream:
            _ = 1 / 0
    for pid in pids:
        assert wait_until(partial(gone, pid), what="its end", timeout=10)
    assert ssh.succeed("echo on") == "on\n"


def test_a_stream_has_a_timeout(ssh: SSH) -> None:
    """The command is ended, and the error has what came."""
    stream = ssh.stream("echo $$; sleep 300", timeout=0.5)
    pid = int(next(stream))
    with pytest.raises(CommandTimeoutError, match=r"within 0\.5 s; it was ended") as caught:
        next(stream)
    assert caught.value.result.stdout == f"{pid}\n"
    assert wait_until(lambda: gone(pid), what="its end", timeout=10)


def test_one_who_never_stops_writing_is_ended(ssh: SSH) -> None:
    """A command that writes for ever does not outlast its timeout, in run() or a stream."""
    begin = time.monotonic()
    with pytest.raises(CommandTimeoutError, match="it was ended"):
        ssh.run("yes", timeout=0.3)
    with pytest.raises(CommandTimeoutError):
        for _ in ssh.stream("yes", timeout=0.3):
            pass
    with ssh.stream("yes") as stream:
        assert next(stream) == "y"
    assert time.monotonic() - begin < 30


def test_a_slow_reader_holds_the_command_up(ssh: SSH, guest: Any) -> None:
    """No more is fetched than the window of the channel while nobody asks for lines."""
    stream = ssh.stream(
        f"i=0; while :; do i=$((i+1)); echo {'x' * 1000}; echo $i > n; done", timeout=120
    )
    next(stream)
    count = guest.folder / "n"

    def stands_still() -> int | None:
        before = count.read_text()
        time.sleep(0.3)
        enough = int(before or 0) > 1000  # or it has only not come to run
        return int(before) if enough and count.read_text() == before else None

    reached = wait_until(stands_still, what="a command that stands still", timeout=30)
    assert 1000 < reached < 8000
    for _ in range(3000):
        next(stream)
    assert wait_until(
        lambda: True if int(count.read_text() or 0) > reached else None,
        what="going on",
        timeout=30,
    )
    stream.close()


def test_pieces_instead_of_lines(ssh: SSH) -> None:
    """chunks() gives bytes as they came, of any content."""
    pieces = list(ssh.stream(r"printf '\377\000'; printf e >&2").chunks())
    assert b"".join(data for name, data in pieces if name == "stdout") == b"\xff\x00"
    assert b"".join(data for name, data in pieces if name == "stderr") == b"e"


@pytest.mark.parametrize("kind", ["text", "bytes", "file"])
def test_input_of_a_stream(ssh: SSH, tmp_path: Path, kind: str) -> None:
    """Input larger than any window is fed while the output is read."""
    data = b"0123456789abcde\n" * 300_000
    if kind == "file":
        (tmp_path / "x").write_bytes(data)
        with (tmp_path / "x").open("rb") as file:
            got = b"".join(line.data for line in ssh.stream("cat", input=file))
    else:
        source: Any = data.decode() if kind == "text" else data
        got = b"".join(line.data for line in ssh.stream("cat", input=source))
    assert got == data


def test_input_that_nobody_reads(ssh: SSH) -> None:
    """A command that ends without reading is no error."""
    assert list(ssh.stream("echo done", input=b"x" * 8_000_000)) == ["done"]


@pytest.mark.parametrize("verb", ["run", "succeed", "fail"])
def test_live_output(ssh: SSH, guest: Any, verb: str) -> None:
    """The callback gets each piece while the command runs, and the result has all of it."""
    seen: list[tuple[str, bytes]] = []

    def tell(stream: str, data: bytes) -> None:
        seen.append((stream, data))
        (guest.folder / "go").touch()  # for which the command waits

    code = 1 if verb == "fail" else 0
    getattr(ssh, verb)(
        f"echo a; while [ ! -e go ]; do sleep 0.05; done; echo b >&2; exit {code}",
        on_output=tell,
    )
    assert seen == [("stdout", b"a\n"), ("stderr", b"b\n")]
    assert ssh.last_result is not None
    assert (ssh.last_result.stdout, ssh.last_result.stderr) == ("a\n", "b\n")


@pytest.mark.parametrize("error", [OSError("no room"), KeyError("x"), KeyboardInterrupt()])
def test_a_callback_that_raises(ssh: SSH, error: BaseException) -> None:
    """Its own exception comes out, not one of the connection, and the command is ended."""
    pids: list[int] = []

    def take(stream: str, data: bytes) -> None:
        pids.append(int(data))
        raise error

    with pytest.raises(type(error)):
        ssh.run("echo $$; sleep 300", on_output=take)
    assert wait_until(lambda: gone(pids[0]), what="its end", timeout=10)
    assert ssh.connected
    assert ssh.run("true").ok


@pytest.mark.parametrize("how", ["close", "hang"])
@pytest.mark.parametrize("at", ["open", "exec", "output"])
def test_cut_at_every_point(
    make_guest: MakeGuest,
    make_ssh: MakeSSH,
    at: str,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection that breaks, or falls silent, is a typed error in time."""
    from guest_server import Plan  # type: ignore[import-not-found]

    monkeypatch.setattr("vboxkit.guest.commands.ORDER", 0.3)
    plans = [Plan(at, how)] * (2 if at == "open" else 1)
    guest = make_guest(plans=plans)
    ssh = make_ssh(guest)
    ssh.connect()
    begin = time.monotonic()
    expected = GuestConnectionError if how == "close" else CommandTimeoutError
    with pytest.raises(expected):
        list(ssh.stream("echo a; sleep 9", timeout=0.6))
    assert time.monotonic() - begin < 30
    assert len(guest.commands) <= 1
    ssh.close()
    guest.plans.clear()
    assert list(ssh.stream("echo again")) == ["again"]


def test_a_connection_that_is_closed_here(ssh: SSH) -> None:
    """close() of the SSH under a stream is an error of the stream, at once."""
    stream = ssh.stream("echo a; sleep 300")
    assert next(stream) == "a"
    ssh.close()
    with pytest.raises(GuestConnectionError, match="in the middle of"):
        next(stream)


def test_wait_until_succeeds(ssh: SSH, guest: Any) -> None:
    """It tries again until the exit code is 0, and returns what was written then."""
    out = ssh.wait_until_succeeds("echo x >> n; [ $(wc -l < n) -ge 3 ] && cat n", timeout=10)
    assert out == "x\nx\nx\n"


def test_wait_until_succeeds_in_vain(ssh: SSH) -> None:
    """The error tells what the last try gave; one that hangs is ended."""
    with pytest.raises(WaitTimeoutError) as caught:
        ssh.wait_until_succeeds("echo still not; exit 7", timeout=0.3, poll=0.01)
    assert "exit code 7" in caught.value.last_seen
    assert "still not" in caught.value.last_seen
    with pytest.raises(WaitTimeoutError) as caught:
        ssh.wait_until_succeeds("sleep 300", timeout=0.3)
    assert "was ended" in caught.value.last_seen


def test_wait_until_succeeds_through_a_lost_connection(
    make_guest: MakeGuest, make_ssh: MakeSSH
) -> None:
    """A guest that is away for a moment is waited for."""
    from guest_server import Plan

    guest = make_guest(plans=[Plan("exec"), Plan("banner"), Plan("login")])
    assert make_ssh(guest).wait_until_succeeds("echo up", timeout=10) == "up\n"


def test_long_lines_come_in_pieces() -> None:
    """A line without an end does not fill the memory, and nothing of it is lost."""
    lines = Lines()
    for _ in range(5):
        lines.add("stdout", b"x" * (LONGEST // 2))
    lines.add("stdout", b"y\nz")
    lines.finish()
    got = []
    while (line := lines.take()) is not None:
        got.append(line)
    assert [len(line.data) for line in got] == [LONGEST, LONGEST, LONGEST // 2 + 2, 1]
    assert got[2].endswith("xy")


def test_a_line_of_windows_and_of_no_utf8() -> None:
    """A carriage return at the end goes, and what is not UTF-8 is replaced."""
    line = Line.of("stderr", b"a\xff\r\n")
    assert line == "a\ufffd"
    assert line.data == b"a\xff\r\n"


def test_a_line_pickles() -> None:
    """A line travels between processes with what it knows."""
    line = pickle.loads(pickle.dumps(Line.of("stderr", b"x\n")))  # noqa: S301 - our own
    assert (line, line.stream, line.data) == ("x", "stderr", b"x\n")


def test_a_tail_keeps_the_end() -> None:
    """What is older than 64 KB is forgotten, whatever the size of the pieces."""
    tail = Tail()
    for number in range(1000):
        tail.add("stdout", f"{number:0300}".encode())
    tail.add("stderr", b"a" * 100_000 + b"b")
    assert len(tail["stdout"]) == Tail.SIZE
    assert tail["stdout"].endswith(b"999")
    assert tail["stderr"] == b"a" * (Tail.SIZE - 1) + b"b"

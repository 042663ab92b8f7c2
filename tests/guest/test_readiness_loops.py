"""The script by which a guest looks, in real shells."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.guest.loops import HOPELESS, NOT_YET, script
from vboxkit.guest.readiness import GuestTest, all_of, file, port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: The sandbox and every Debian have both; busybox's is that of the built-in guest (tests/vm).
SHELLS = ("/bin/sh", "/bin/bash")


class Loop:
    """A loop that runs on this machine."""

    def __init__(self, shell: str, text: str) -> None:
        self.process = subprocess.Popen(
            [shell, "-c", text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self) -> tuple[int, list[str]]:
        """Wait for its end; return the exit code and what it said."""
        assert self.process.stdout is not None
        lines = [line.rstrip("\n") for line in self.process.stdout]
        return self.process.wait(30), [line for line in lines if line != "slow"]


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    """Give each shell."""
    found = shutil.which(str(request.param))
    assert found is not None
    return found


@pytest.fixture
def loops() -> Iterator[Any]:
    """Start loops that are ended after the test."""
    made: list[Loop] = []

    def start(shell: str, text: str) -> Loop:
        made.append(Loop(shell, text))
        return made[-1]

    yield start
    for loop in made:
        with loop.process as process:
            process.kill()


def asked(*conditions: Any) -> list[GuestTest]:
    """Return conditions that the guest looks at."""
    assert all(isinstance(each, GuestTest) for each in conditions)
    return list(conditions)


def test_it_says_which_hold(shell: str, loops: Any, tmp_path: Path) -> None:
    """All of them at one time, by their numbers."""
    both = asked(file(str(tmp_path)), file(str(tmp_path / "x")))
    loop = loops(shell, script(both, all_of(*both), 30))
    assert loop.process.poll() is None
    (tmp_path / "x").touch()
    assert loop.end() == (0, ["met 0 1"])


def test_each_for_itself_is_told_once(shell: str, loops: Any, tmp_path: Path) -> None:
    """As each comes, and it ends with the last."""
    both = asked(file(str(tmp_path / "x")), file(str(tmp_path)))
    loop = loops(shell, script(both, None, 30))
    first = ""
    while not first.startswith("met"):
        first = loop.process.stdout.readline()
    assert first == "met 1\n"
    (tmp_path / "x").touch()
    assert loop.end() == (0, ["met 0"])


def test_a_port(shell: str, loops: Any) -> None:
    """Whoever listens is found, with and without a process for a look; a client is not."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", number)) as client:
            mine = port(client.getsockname()[1])
            assert loops(shell, script(asked(mine), mine, 1)).end() == (NOT_YET, [])
        here = port(number)
        assert loops(shell, script(asked(here), here, 30)).end() == (0, ["met 0"])


def test_it_ends_by_itself(shell: str, loops: Any) -> None:
    """After its limit, when nobody ends it: a waiter may have been killed."""
    never = file("/nowhere/at/all")
    assert loops(shell, script(asked(never), never, 1)).end() == (NOT_YET, [])


def test_it_ends_with_its_input(loops: Any) -> None:
    """Where the shell can nap without a process, it sees at once that nobody waits any more."""
    never = file("/nowhere/at/all")
    loop = loops("/bin/bash", script(asked(never), never, 600))
    with pytest.raises(subprocess.TimeoutExpired):
        loop.process.wait(0.5)
    begin = time.monotonic()
    loop.process.stdin.close()
    assert loop.end() == (NOT_YET, [])
    assert time.monotonic() - begin < 10


def test_it_starts_no_process_for_a_look(loops: Any) -> None:
    """In bash: neither for a nap, nor for a file, nor for a port."""
    both = asked(file("/nowhere/at/all"), port(1))
    loop = loops("/bin/bash", f"PATH=/nowhere\n{script(both, all_of(*both), 1)}")
    assert loop.end() == (NOT_YET, [])
    assert loop.process.stderr.read() == ""


def test_what_cannot_come(shell: str, loops: Any) -> None:
    """The reason, and the evidence after it."""
    moon = GuestTest("the moon", "never 'it set' 'line one' 'line two'")
    code, said = loops(shell, script(asked(moon), moon, 30)).end()
    assert (code, said) == (HOPELESS, ["never it set", "line one", "line two"])

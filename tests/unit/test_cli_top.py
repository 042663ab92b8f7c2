"""``vboxkit top`` without machines: its screen, other hosts, other users' processes."""

from __future__ import annotations

import io
import json
import os
import re
import select
import signal
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from tests.guest.terminals import set_size
from tests.unit.somebody_else import as_nobody
from vboxkit.cli import output
from vboxkit.cli.__main__ import main
from vboxkit.cli.top import _show, screen
from vboxkit.host.running import running_machines
from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UUID = "01234567-89ab-cdef-0123-456789abcdef"
#: What stands in ssh's place: each host is a file beside it, with what it answers.
_SSH = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
[ "$3" = "vboxkit top --json" ] || exit 99
cat "${0%/*}/$2" 2>/dev/null || { echo "ssh: no route to $2" >&2; exit 255; }
"""


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Give each test consoles of its own."""
    output._console.cache_clear()
    yield
    output._console.cache_clear()


def row(number: int, **more: Any) -> dict[str, Any]:
    """Return what is known of a machine."""
    return {
        "name": f"machine-{number}",
        "id": UUID,
        "state": "Running",
        "host": None,
        "home": "/home/ann/.cache/vboxkit/home",
        "pid": 4711,
        "user": "ann",
        "owner": 4712,
        "test": "tests/test_web.py::test_reload",
        "cpu_percent": float(number),
        "memory_bytes": 117_500_000,
        "disk_bytes": 400_000,
        "uptime_s": 100.0,
        **more,
    }


def drawn(rows: list[dict[str, Any]], columns: int, lines: int, **failures: str) -> list[str]:
    """Return the lines of a screen of this size."""
    file = io.StringIO()
    console = Console(file=file, width=columns, height=lines, highlight=False)
    console.print(screen(rows, failures, console))
    return [line.rstrip() for line in file.getvalue().splitlines() if line.strip()]


@pytest.mark.parametrize("columns", [34, 40, 60, 80, 120, 200])
def test_the_screen_has_room_for_it(columns: int) -> None:
    """Names, states and CPU in any width; as many machines as lines, the busiest first."""
    lines = drawn([row(number) for number in range(100)], columns, 20)
    assert max(map(len, lines)) <= columns
    assert len(lines) <= 20
    machines = [line.split() for line in lines if "machine-" in line]
    assert [words[0] for words in machines] == [f"machine-{99 - it}" for it in range(14)]
    assert {words[1] for words in machines} == {"Running"}
    assert machines[0][2] == "99"
    assert lines[-1] == "and 86 more"


def test_a_wide_screen_has_all() -> None:
    """With the owner's test and the home; a host only where there are several."""
    (line,) = (it for it in drawn([row(7)], 200, 20) if "machine-7" in it)
    for word in ("117.5 MB", "0.4 MB", "100.0 s", "4712 tests/test_web.py::test_reload", "..."):
        assert word in line
    head = drawn([row(7)], 200, 20)
    assert head[0].strip() == "1 machine, CPU 7 %, RAM 117.5 MB"
    assert "host" not in head[1]
    both = drawn([row(7), row(8, host="ci1", home=None)], 200, 20, ci2="no route")
    assert "host" in both[1]
    (line,) = (it for it in both if "machine-8" in it)
    assert line.split()[-3:] == ["ci1", "ann's", "own"]
    assert both[-1] == "ci2: no route"


def test_one_look_in_a_narrow_terminal_is_a_list(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of other commands: nothing is left out there."""
    monkeypatch.setenv("COLUMNS", "40")
    _show([row(7), row(5)], as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2 machines")
    assert "  home: /home/ann/.cache/vboxkit/home" in lines
    assert max(map(len, lines)) <= 40


def test_no_machine(capsys: pytest.CaptureFixture[str]) -> None:
    """It is said; JSON has an empty list."""
    _show([], as_json=False)
    _show([], as_json=True)
    assert capsys.readouterr().out == "no machine runs\n[]\n"


@pytest.fixture
def looks_like_one() -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that has the arguments of a machine's."""
    code = "import sys; sys.stdin.read()"
    words = [sys.executable, "-c", code, "--comment", "looks-like-one", "--startvm", UUID]
    env = {name: it for name, it in environment().items() if not name.startswith("VBOX_")}
    with subprocess.Popen(words, stdin=subprocess.PIPE, env=env) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(20)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a terminal, and /proc")
def test_it_watches_until_ctrl_c(looks_like_one: subprocess.Popen[bytes]) -> None:
    """In a screen of its own, of 40 columns, which is given back; Ctrl-C is no failure."""
    master, slave = os.openpty()
    set_size(slave, 40, 12)
    env = {**environment(), "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        env.pop(name, None)
    with subprocess.Popen(
        [sys.executable, "-m", "vboxkit", "top", "--every", "0.2"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=env,
        start_new_session=True,
    ) as process:
        os.close(slave)
        shown = ""
        try:
            # Two looks; others' machines may be between, and above it.
            while shown.count("CPU") < 4 and select.select([master], [], [], 60)[0]:
                shown += os.read(master, 65536).decode(errors="replace")
            process.send_signal(signal.SIGINT)
            while part := os.read(master, 65536):
                shown += part.decode(errors="replace")
        except OSError:  # how a terminal's end is told
            pass
        assert process.wait(60) == 0, shown
    os.close(master)
    begin, end = shown.index("\x1b[?1049h"), shown.rindex("\x1b[?1049l")
    assert "Traceback" not in shown
    moved = shown[begin:end].replace("\x1b[H", "\n")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", moved)
    assert "RAM" in text
    assert max(len(line) for line in re.split(r"[\r\n]+", text)) <= 40


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="becomes somebody else")
def test_other_users_machines_are_seen(looks_like_one: subprocess.Popen[bytes]) -> None:
    """Whose it is, what it takes; not its home, which its process tells nobody else."""
    running_machines()  # loads what it needs
    (found,) = as_nobody(
        lambda: [asdict(one) for one in running_machines() if one.pid == looks_like_one.pid]
    )
    assert (found["name"], found["id"]) == ("looks-like-one", UUID)
    assert found["user"] == "root"
    assert found["home"] is None
    assert found["memory_bytes"] > 1 << 20


# Other hosts


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a stand-in before ssh, and return the folder of the hosts that it knows."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ssh").write_text(_SSH)
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{environment()['PATH']}")
    return folder


def test_machines_of_other_hosts(hosts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside those of this one, each with its host; of a host that asks others, theirs."""
    (hosts / "ci1").write_text(json.dumps([row(3), row(4, host="far")]))
    (hosts / "ann@ci2").write_text("[]")
    assert main(["top", "--json", "--on", "ci1", "--on", "ann@ci2", "--on", "ci1"]) == 0
    found = [it for it in json.loads(capsys.readouterr().out) if it["host"]]
    assert [(it["name"], it["host"]) for it in found] == [
        ("machine-4", "far"),
        ("machine-3", "ci1"),
    ]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "ssh: no route to ci1 (ssh ci1 vboxkit top --json)"),
        ("bash: vboxkit: command not found", "Expecting value"),
        ('[{"name": "x"}]', "its vboxkit is of another version"),
        ('{"name": "x"}', "its vboxkit is of another version"),
    ],
)
def test_a_host_that_does_not_answer(
    hosts: Path, capsys: pytest.CaptureFixture[str], answer: str | None, reason: str
) -> None:
    """Why, on standard error, and exit code 1; those of other hosts are shown all the same."""
    (hosts / "ci2").write_text(json.dumps([row(3)]))
    if answer is not None:
        (hosts / "ci1").write_text(answer)
    assert main(["top", "--json", "--on", "ci1", "--on", "ci2"]) == 1
    said = capsys.readouterr()
    assert [it["host"] for it in json.loads(said.out) if it["host"]] == ["ci2"]
    assert said.err.startswith("ci1: ")
    assert reason in said.err


@pytest.mark.parametrize("host", ["-oProxyCommand=touch x", ""])
def test_a_host_is_no_option_of_ssh(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused."""
    assert main(["top", f"--on={host}"]) == 2
    assert "is no host" in capsys.readouterr().err


def test_hosts_are_asked_again_and_again(hosts: Path) -> None:
    """Until the block ends: no thread and no process of it stays."""
    from threading import active_count

    from vboxkit.cli.top_hosts import Hosts
    from vboxkit.core.waiting import wait_until

    before = active_count()
    asked = Hosts(["ci1"])
    with asked.watched(0.05):
        wait_until(lambda: asked.failures() or None, what="a failure", timeout=20)
        (hosts / "ci1").write_text(json.dumps([row(3)]))
        wait_until(lambda: asked.rows() or None, what="an answer", timeout=20)
        assert asked.failures() == {}
    wait_until(lambda: active_count() <= before or None, what="its threads to end", timeout=20)

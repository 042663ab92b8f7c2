"""What the command shows, and how it reads words: steps, numbers, tables, command lines."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.cli import output, run, streams
from vboxkit.cli.__main__ import main
from vboxkit.cli.live import _Lines, _Tree, showing
from vboxkit.cli.tour import _process
from vboxkit.core.steps import step, subscribe
from vboxkit.errors import EmulatedWarning
from vboxkit.host import doctor

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("plain_command")


def test_emulation_is_told_once_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The warning is a line of ours, without file and line number, and comes once."""

    def examine() -> list[doctor.Finding]:
        for _ in range(3):
            warnings.warn("machines are emulated", EmulatedWarning, stacklevel=1)
        return []

    monkeypatch.setattr(doctor, "examine", examine)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().err == "machines are emulated\n"


def test_steps_as_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal each step is a line, a failed one with its reason."""
    with subscribe(_Lines(output.err())):
        with pytest.raises(ValueError, match="bad"), step("outer"):
            with step("inner"):
                pass
            raise ValueError("bad")
        with step("noted") as noted:
            noted.update(note="half")
            noted.update(note="half")
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(" (")[0] for line in said] == [
        "outer ...",
        "  ok: inner",
        "FAILED: outer",
        "noted ...",
        "  ... half",
        "ok: noted",
    ]
    assert said[2].endswith("ValueError: bad")


def test_steps_as_a_tree() -> None:
    """In a terminal what runs is drawn, and what has ended stays above."""
    from rich.console import Console

    screen = io.StringIO()
    console = Console(file=screen, width=60, markup=False, highlight=False)
    tree = _Tree(console, keep=True)
    with subscribe(tree):
        with step("outer") as outer:
            with step("inner"):
                pass
            outer.update(percent=40, note="forty")
            console.print(tree)
        console.print(tree)
    lines = [line.strip() for line in screen.getvalue().splitlines() if line.strip()]
    assert "outer  40 %" in lines[0]
    assert "forty" in lines[0]
    assert "inner" in lines[1]
    assert lines[2].split()[1] == "outer"
    assert len(lines) == 4


def test_quiet_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Commands whose standard error belongs to a guest show no steps in a pipe."""
    with showing(plain=False), step("secret"):
        pass
    assert capsys.readouterr().err == ""


def test_numbers_for_people(tmp_path: Path) -> None:
    """Times and sizes are short; disk use counts blocks, as sparse files are short as well."""
    assert [output.duration(it) for it in (0.251, 61.0, 600, 86_400, 864_000)] == [
        "0.25 s",
        "61.0 s",
        "10 min",
        "24 h",
        "10 days",
    ]
    assert output.age(None) == ""
    assert output.size(5_816_320) == "5.8 MB"
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    assert 100_000 <= output.disk_use(tmp_path) < 200_000


def test_tables_in_narrow_terminals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table that does not fit becomes a list; one that fits, or has some room, stays."""
    rows = [["a-rather-long-name", "Running", "", 1234]]
    columns = ["name", "state", "image", "port>"]
    for width, lines in (
        ("30", ["a-rather-long-name", "  state: Running", "  port: 1234"]),
        ("50", [" name                 state     image   port "]),
    ):
        monkeypatch.setenv("COLUMNS", width)
        output._console.cache_clear()
        output.table("", columns, rows)
        said = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
        assert said[: len(lines)] == lines


def test_words_of_a_command() -> None:
    """One word is a shell line, several are arguments that no shell interprets."""
    assert streams.command_line(["ls | wc"]) == "ls | wc"
    assert streams.command_line(["sh", "-c", "exit 3"]) == ["sh", "-c", "exit 3"]


def test_variables_for_the_command() -> None:
    """A value may hold equals signs, and may be empty."""
    param: Any = None
    assert run._variables(param, param, ("A=b=c", "D=")) == {"A": "b=c", "D": ""}


def test_processes_of_a_guest() -> None:
    """Processes are told by pid and start; names may hold anything; kernel threads are not told."""
    fields = "S {} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 433 0"
    assert _process(f"42 (a ) b) {fields.format(1)}") == (42, 433)
    assert _process(f"2 (kthreadd) {fields.format(0)}") is None
    assert _process(f"9 (kworker) {fields.format(2)}") is None
    assert _process("garbage") is None

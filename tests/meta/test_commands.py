"""The command as a whole: every help has an example, what reports has --json, the page is right."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import click
import pytest

from docs import command as page
from vboxkit.cli.__main__ import COMMANDS, SECTIONS

EVERY = dict(page.commands())

#: Commands without --json, with the reason.
WITHOUT_JSON = {
    # They act, and say in a line what they did; what there is then, ls, info and others tell.
    "start", "stop", "destroy", "resize", "media create", "media rm", "images rm",
    "snapshot take", "snapshot restore", "snapshot rm", "net policy", "net unforward",
    "sandbox create", "sandbox remove", "cp",
    # Their output belongs to the guest, or to the command that they run.
    "run", "ssh", "console", "sandbox run", "sandbox shell",
    # Their output is a file's text in a format of its own.
    "ssh-config", "completion",
}  # fmt: skip


@pytest.mark.parametrize("name", EVERY)
def test_help_has_an_example(name: str) -> None:
    """Each command's help has an example of just this command."""
    lines = page.examples(EVERY[name])
    assert any(re.search(rf"(^|[ =]){re.escape(f'vboxkit {name}')}($|[ ;])", it) for it in lines)


@pytest.mark.parametrize("name", EVERY)
def test_help_says_what_it_does(name: str) -> None:
    """A first line that is a sentence, and a text for each option."""
    command = EVERY[name]
    first = (command.help or "").strip().splitlines()[0]
    assert re.fullmatch(r"[A-Z].*", first)
    assert (command.help or "").strip().endswith((".", ")"))


@pytest.mark.parametrize("name", EVERY)
def test_what_reports_has_json(name: str) -> None:
    """Who adds a command decides: --json, or a line with the reason above."""
    has = any("--json" in param.opts for param in EVERY[name].params)
    assert has is (name not in WITHOUT_JSON)


def test_the_exceptions_are_commands() -> None:
    """None of them is a command that is gone."""
    assert set(EVERY) >= WITHOUT_JSON


def test_sections_name_each_command_once() -> None:
    """A command is in one section at most; import and export are beside images and ovf."""
    names = [name for words in SECTIONS.values() for name in words.split()]
    assert len(names) == len(set(names))
    assert {"import", "export", "ovf"} <= set(SECTIONS["Images and appliances"].split())


def test_import_and_export_are_those_of_ovf() -> None:
    """The same commands under two names."""
    assert EVERY["import"] is EVERY["ovf import"]
    assert EVERY["export"] is EVERY["ovf export"]


def test_the_page_lists_every_command() -> None:
    """Made anew by ``python docs/command.py``."""
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.renewed(text) == text
    for name in EVERY:
        assert f"`vboxkit {name}`" in text


@pytest.mark.parametrize("columns", [20, 40, 60, 200])
def test_help_heeds_the_terminals_width(columns: int) -> None:
    """Prose and options are wrapped, down to 20 columns; no line that can be wrapped is longer."""
    done = subprocess.run(
        [sys.executable, "-m", "vboxkit", "--help"],
        env={**os.environ, "COLUMNS": str(columns), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "\x1b" not in done.stdout
    for name in COMMANDS:
        assert re.search(rf"^  {name}( |$)", done.stdout, re.MULTILINE), name
    least = max(columns, 40)  # the column of the names has its own width
    assert [line for line in done.stdout.splitlines() if len(line) > least] == []


@pytest.mark.parametrize("name", EVERY)
def test_help_of_narrow_terminals(name: str) -> None:
    """Every command's help can be drawn at 40 columns."""
    command = EVERY[name]
    context = click.Context(command, info_name=f"vboxkit {name}", terminal_width=38)
    formatter = context.make_formatter()
    command.format_usage(context, formatter)
    command.format_help_text(context, formatter)
    command.format_options(context, formatter)
    # Options and their choices keep their column; examples are copied, and stay whole.
    lines = [line for line in formatter.getvalue().splitlines() if "|" not in line]
    assert [line for line in lines if len(line) > 50] == []

"""The examples of each help are taken by the command itself: its options, choices and arguments."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import click
import pytest

from docs import command as page
from tests.doc_stories import ROOT
from vboxkit.cli.__main__ import COMMANDS, cli
from vboxkit.cli.state import State

if TYPE_CHECKING:
    from pathlib import Path


def _groups() -> list[tuple[str, click.Command]]:
    context = click.Context(cli)
    found = [(name, cli.get_command(context, name)) for name in COMMANDS]
    return [(name, it) for name, it in found if isinstance(it, click.Group)]


#: The lines of all helps that call vboxkit.
LINES = sorted(
    {
        line
        for _, it in [("", cli), *page.commands(), *_groups()]
        for line in page.examples(it)
        if not re.match(r"[A-Z][a-z]+ ", line)  # a sentence
    }
)


def _words(line: str) -> list[list[str]]:
    """Return the arguments of each vboxkit in a line, up to what a shell does with them."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[list[str]] = []
    taking = skipping = False
    for word in lexer:
        if word in {"|", "&&", ";", "||"}:
            taking = False
        elif re.fullmatch(r"[<>]+", word):
            skipping = True
        elif skipping:
            skipping = False
        elif word == "vboxkit" and not taking:
            found.append([])
            taking = True
        elif taking:
            found[-1].append(word)
    return found


#: What pages name in passing, where it is no pattern.
INLINE = [
    pytest.param(code, id=f"{file.name}-{code}")
    for file in (*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md")
    for code in sorted(
        set(re.findall(r"(?<!`)`(vboxkit [^`\n]+)`(?!`)", file.read_text(encoding="utf-8")))
    )
    if "COMMAND" not in code
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run each test where the files are that examples name, and no command."""
    monkeypatch.setattr(click.Command, "invoke", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for file in ("before.json", "box.vmdk", "debian.iso", ".ssh/id_ed25519", "site/x"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    return tmp_path


def _take(words: list[str], folder: Path) -> None:
    """Let the command take its arguments; `folder` sees to it that it is not run."""
    arguments = [word.replace("~", str(folder)) for word in words]
    cli.main(arguments, prog_name="vboxkit", obj=State(arguments), standalone_mode=False)


@pytest.mark.parametrize("line", LINES)
def test_an_example_is_taken(line: str, folder: Path) -> None:
    """Nothing of it is run; each option, choice and number is one of the command's."""
    asked = _words(line.partition("  #")[0])
    assert asked
    for words in asked:
        _take(words, folder)


@pytest.mark.parametrize("code", INLINE)
def test_what_a_page_names_is_taken(code: str, folder: Path) -> None:
    """As well; what is only named may lack its arguments."""
    for words in _words(code):
        try:
            _take(words, folder)
        except click.MissingParameter:
            pass
        except click.UsageError as error:
            if type(error).__name__ != "NoArgsIsHelpError":  # which click 8.1 has not
                raise


@pytest.mark.parametrize(
    "line", ["vboxkit top --onec", "vboxkit net policy web closed", "vboxkit resize web --disk x"]
)
def test_an_example_that_is_wrong_is_found(line: str, folder: Path) -> None:
    """The check itself."""
    with pytest.raises(click.UsageError):
        test_an_example_is_taken(line, folder)
    with pytest.raises(click.UsageError):
        test_what_a_page_names_is_taken(line, folder)

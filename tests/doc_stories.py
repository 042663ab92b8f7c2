"""
Pages that tell a story: files to write and commands to type, in order, with what they print.

A comment above a block says how it is meant:

- ``<!-- file: NAME -->``: it is this file;
- ``<!-- not run: REASON -->``: it is only read;
- ``<!-- exit: N -->``: its last command ends with this exit code (0 if not said; or ``any``).
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Command", "Fence", "commands", "fences", "pages", "play"]

ROOT = Path(__file__).parents[1]

_FENCE = re.compile(
    r"(?:^<!-- (?P<word>file|not run|exit): (?P<rest>[^\n]+) -->\n)?"
    r"^```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)

#: Said by pytest where the kernel driver is missing: pages leave it out.
_EMULATED = "vboxkit: machines are emulated (no kernel driver)\n"
_SECONDS = re.compile(r"\b\d+(\.\d+)? ?s\b")


@dataclass(frozen=True)
class Fence:
    """A block of a page: its language, its text, the comment above it, and its line."""

    language: str
    body: str
    word: str
    rest: str
    line: int


@dataclass(frozen=True)
class Command:
    """A line typed at the prompt, and what is printed below it."""

    line: str
    printed: str


def pages() -> list[Path]:
    """Return all pages for readers; none where only the tests are, as for the wheel."""
    return sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("fixtures/*/*.md")))


def fences(page: Path) -> list[Fence]:
    """Return the blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Fence(
            match["language"],
            match["body"],
            match["word"] or "",
            match["rest"] or "",
            text.count("\n", 0, match.start()) + 1,
        )
        for match in _FENCE.finditer(text)
    ]


def commands(fence: Fence) -> Iterator[Command]:
    """Give the commands of a block, each with what it prints."""
    for part in re.split(r"^\$ ", fence.body, flags=re.MULTILINE)[1:]:
        line, _, printed = part.partition("\n")
        yield Command(line, printed)


def play(
    page: Path,
    folder: Path,
    environment: Mapping[str, str],
    *,
    skip: Mapping[str, str],
    name: Callable[[], str],
) -> int:
    """
    Write the files of a page into a folder and run its commands there; return how many ran.

    Args:
        page: The page.
        folder: Where; it is not emptied before.
        environment: Of the commands; this Python's own programs come first.
        skip: Beginnings of commands that are not run, with the reason.
        name: Asked for what stands in for the word NAME of a command.

    Raises:
        AssertionError: A command ended otherwise than the page says, or printed something else.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    ran = 0
    for fence in fences(page):
        if fence.word == "file":
            target = folder / fence.rest
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(fence.body, encoding="utf-8")
        if fence.language != "console" or fence.word == "not run":
            continue
        typed = list(commands(fence))
        for number, command in enumerate(typed, 1):
            if any(command.line.startswith(each) for each in skip):
                continue
            typed_now = command
            if re.search(r"\bNAME\b", command.line):
                line = re.sub(r"\bNAME\b", name(), command.line)
                typed_now = replace(command, line=line)
            wanted = fence.rest if fence.word == "exit" and number == len(typed) else "0"
            if fence.rest == "any":
                wanted = "any"
            _run(typed_now, wanted, folder, {**environment, "PATH": path}, f"{page}:{fence.line}")
            ran += 1
    return ran


def _run(
    command: Command, wanted: str, folder: Path, environment: dict[str, str], place: str
) -> None:
    done = subprocess.run(
        ["sh", "-c", command.line],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=200,
        cwd=folder,
        env=environment,
    )
    said = f"{place}: $ {command.line}\n{done.stdout}{done.stderr}"
    assert wanted in {"any", str(done.returncode)}, f"{said}\nexit code {done.returncode}"
    if not command.printed:
        return
    # A line of dots stands for any number of lines, also for none; how long it took differs.
    printed = _SECONDS.sub("0 s", command.printed).replace("\n...\n", "\n...")
    said_here = _SECONDS.sub("0 s", done.stdout.replace(_EMULATED, ""))
    if printed.startswith("...\n"):
        printed = "..." + printed[4:]
    flags = doctest.ELLIPSIS
    checker = doctest.OutputChecker()
    example = doctest.Example("", printed)
    assert checker.check_output(printed, said_here, flags), (
        f"{said}\n{checker.output_difference(example, said_here, flags)}"
    )

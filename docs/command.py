"""
The list of commands in `command.md`, from the command itself.

    python docs/command.py          # write it anew
    python docs/command.py --check  # exit code 1 if it is out of date
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vboxkit.cli.__main__ import SECTIONS, cli

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).with_name("command.md")
BEGIN, END = "<!-- commands -->\n", "<!-- end of commands -->\n"


def commands(group: click.Group = cli, *before: str) -> Iterator[tuple[str, click.Command]]:
    """Yield the full name of each command that does something, with the command."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)
        elif command is not None:
            yield " ".join((*before, name)), command


def examples(command: click.Command) -> list[str]:
    """Return the lines of a command's examples: those of its help that begin with the command."""
    lines = (command.epilog or "").replace("\b", "").splitlines()
    words = [line.partition("Example: ")[2] or line.strip() for line in lines]
    return [line for line in words if "vboxkit " in line and not line.startswith('"')]


def listing() -> str:
    """Return the list, as it stands in the page."""
    sections = {section: words.split() for section, words in SECTIONS.items()}
    found = list(commands())
    named = {name for words in sections.values() for name in words}
    sections["More"] = [name.split()[0] for name, _ in found if name.split()[0] not in named]
    lines: list[str] = []
    for section, words in sections.items():
        mine = [(name, command) for name, command in found if name.split()[0] in words]
        if not mine:
            continue
        lines += [f"### {section}", "", "| command | what it does | example |", "|---|---|---|"]
        for name, command in sorted(mine, key=lambda it: words.index(it[0].split()[0])):
            summary = (command.help or "").strip().split("\n\n")[0].replace("\n", " ")
            example = next((line for line in examples(command) if f"vboxkit {name}" in line), "")
            cells = [f"`vboxkit {name}`", " ".join(summary.split()), f"`{example}`"]
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        lines.append("")
    return "\n".join(lines)


def renewed(page: str) -> str:
    """Return the page with the list as it should be."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{listing()}\n{END}{rest.partition(END)[2]}"


def main() -> int:
    """Write the list, or check it."""
    page = PAGE.read_text(encoding="utf-8")
    if "--check" in sys.argv:
        return int(renewed(page) != page)
    PAGE.write_text(renewed(page), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

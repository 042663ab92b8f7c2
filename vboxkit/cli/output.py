"""Where the command writes to: two consoles, JSON, and numbers for people."""

from __future__ import annotations

import json
import sys
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import click

from vboxkit.lab.places import disk_use
from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

__all__ = [
    "age",
    "disk_use",
    "duration",
    "err",
    "fits",
    "grid",
    "json_option",
    "left",
    "out",
    "print_json",
    "size",
    "table",
    "text_of",
    "user_option",
]

user_option = click.option(
    "--user",
    "of_user",
    is_flag=True,
    help="Of your own VirtualBox, not of vboxkit's home.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")

#: Columns where nobody looks: lines go to a file or a program, and shall not be cut at 80.
_WIDE = 200
#: Columns below which a table that does not fit becomes a list.
_NARROW = 72


@lru_cache(maxsize=2)
def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    # The stream is looked up at each print; markup and highlighting would change what a name is.
    console = Console(stderr=stderr, markup=False, highlight=False)
    if not console.is_terminal and "COLUMNS" not in environment():
        console.width = _WIDE
    return console


def out() -> Console:
    """Return the console for results."""
    return _console(stderr=False)


def err() -> Console:
    """Return the console for errors, notices and the steps."""
    return _console(stderr=True)


def print_json(value: Any) -> None:
    """Write a value to standard output as JSON."""
    plain = not str(getattr(sys.stdout, "encoding", "")).lower().startswith("utf")
    click.echo(json.dumps(value, indent=2, ensure_ascii=plain, default=str))


def grid(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, fold: bool = True
) -> Table:
    """
    Draw rows; columns whose names end in ``>`` are aligned to the right.

    Args:
        title: What stands above.
        columns: Their names.
        rows: The cells.
        fold: What does not fit takes several lines; otherwise it is cut.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        drawn.add_column(
            column.rstrip(">"),
            justify="right" if column.endswith(">") else "left",
            overflow="fold" if fold else "ellipsis",
            no_wrap=not fold,
        )
    for row in rows:
        drawn.add_row(*(it if isinstance(it, Text) else Text(str(it)) for it in row))
    return drawn


def fits(drawn: Table, console: Console) -> bool:
    """Return whether a table is as wide as it likes to be."""
    wide = console.options.update(max_width=10_000)
    return console.measure(drawn, options=wide).maximum <= console.width


def text_of(file: Path, option: str) -> str:
    """Return the text of a file that an option names; what is none is wrong usage."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{option}: cannot read {file}: {error}") from error


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows as `grid` draws them, or, where they do not fit by far, as a list."""
    from rich.text import Text

    cells = [[it if isinstance(it, Text) else Text(str(it)) for it in row] for row in rows]
    drawn = grid(title, columns, cells)
    console = out()
    if console.width >= _NARROW or fits(drawn, console):
        console.print(drawn)
        return
    # Columns of a few letters can be read by nobody.
    if title:
        console.print(title, style="italic")
    for row in cells:
        console.print(row[0], style="bold")
        for column, cell in zip(columns[1:], row[1:], strict=True):
            if cell:
                name = column.rstrip(">")
                console.print(Text("  ").append(f"{name}: " if name else "").append_text(cell))


def duration(seconds: float) -> str:
    """Return seconds as people write them."""
    if seconds < 120:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def left(seconds: float) -> str:
    """Return a guess of seconds as people write it."""
    return f"{max(1, seconds):.0f} s" if seconds < 120 else duration(seconds)


def age(moment: float | None) -> str:
    """Return how long ago a moment was."""
    if moment is None:
        return ""
    seconds = max(0.0, time.time() - moment)
    return f"{seconds:.0f} s" if seconds < 120 else duration(seconds)


def size(octets: int) -> str:
    """Return a number of bytes as people write it."""
    return f"{octets / 1e6:.1f} MB" if octets < 1e9 else f"{octets / 1e9:.2f} GB"

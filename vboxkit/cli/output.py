"""Where the command writes to: two consoles, JSON, and numbers for people."""

from __future__ import annotations

import json
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import click

from vboxkit.lab.places import disk_use
from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

__all__ = [
    "age",
    "disk_use",
    "duration",
    "err",
    "json_option",
    "out",
    "print_json",
    "size",
    "table",
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
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows; columns whose names end in ``>`` are aligned to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    cells = [[it if isinstance(it, Text) else Text(str(it)) for it in row] for row in rows]
    grid = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        name = column.rstrip(">")
        grid.add_column(name, justify="right" if column.endswith(">") else "left", overflow="fold")
    for row in cells:
        grid.add_row(*row)
    console = out()
    wide = console.options.update(max_width=10_000)
    if console.width >= _NARROW or console.measure(grid, options=wide).maximum <= console.width:
        console.print(grid)
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


def age(moment: float | None) -> str:
    """Return how long ago a moment was."""
    if moment is None:
        return ""
    seconds = max(0.0, time.time() - moment)
    return f"{seconds:.0f} s" if seconds < 120 else duration(seconds)


def size(octets: int) -> str:
    """Return a number of bytes as people write it."""
    return f"{octets / 1e6:.1f} MB" if octets < 1e9 else f"{octets / 1e9:.2f} GB"

"""A bar for work that is told in bytes: percent, bytes, speed, and how long it still takes."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress

__all__ = ["bar"]

#: Columns below which the bar itself and the bytes are left out.
_NARROW = 80
#: Letters of a file's name that are shown, and of the figures behind it.
_NAME, _FIGURES = 24, 24


@contextmanager
def bar(title: str) -> Iterator[Callable[[int, int, str], None] | None]:
    """
    Show how far some work is, on a terminal's standard error and nowhere else.

    Args:
        title: What is shown until the first file is.

    Yields:
        What is told the bytes done, those of all (0: not known), and the file; `None` where
        nobody looks.
    """
    from vboxkit.cli import live, output

    # Before rich, which takes 25 ms to load.
    if not live.may_be_terminal() or not output.err().is_terminal:
        yield None
        return
    progress = _progress()
    room = max(8, min(_NAME, progress.console.width - _FIGURES))
    task = progress.add_task(_short(title, room), total=None)

    def tell(done: int, total: int, name: str) -> None:
        progress.update(task, completed=done, total=total or None, description=_short(name, room))

    with progress:
        yield tell


def _progress() -> Progress:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        ProgressColumn,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from vboxkit.cli import output

    console = output.err()
    wide: list[ProgressColumn] = []
    if console.width >= _NARROW:
        wide = [BarColumn(bar_width=40 if console.width > 110 else 12), DownloadColumn()]
    return Progress(
        TextColumn("{task.description}", markup=False),
        *wide,
        TaskProgressColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )


def _short(path: str, room: int) -> str:
    name = PurePath(path).name or path
    return name if len(name) <= room else f"{name[: room - 3]}..."

"""The steps of a command as they happen: a live tree in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vboxkit.cli import output
from vboxkit.core.steps import Step, subscribe
from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

__all__ = ["may_be_terminal", "showing"]

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"
_MARKS = {"ok": ("✓", "ok"), "failed": ("✗", "FAILED")}
#: Finished steps deeper than this are folded into their parents.
_DEPTH = 2
#: Variables by which rich takes what is no terminal for one.
_FORCED = {"FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}


@contextmanager
def showing(*, keep: bool = True, plain: bool = True) -> Iterator[None]:
    """
    Show the steps of the block on standard error.

    Args:
        keep: Finished steps stay on the screen; otherwise all is gone when the block ends.
        plain: Write lines where standard error is no terminal; otherwise nothing.
    """
    if not plain and not may_be_terminal():
        yield  # rich takes 25 ms to load
        return
    console = output.err()
    if console.is_terminal and not console.is_dumb_terminal:
        from rich.live import Live

        tree = _Tree(console, keep=keep)
        live = Live(
            tree,
            console=console,
            transient=True,
            refresh_per_second=12,
            # What guests write goes byte by byte past the view, or comes after it.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with live, subscribe(tree):
            yield
    elif plain:
        with subscribe(_Lines(console)):
            yield
    else:
        yield


def may_be_terminal() -> bool:
    """Return whether rich could take standard error for a terminal."""
    return sys.stderr.isatty() or not _FORCED.isdisjoint(environment())


class _Tree:
    """
    Draws what runs now; a tree whose root has ended is printed above, once and for all.

    Steps come from several threads, and rich draws from one of its own.
    """

    def __init__(self, console: Console, *, keep: bool) -> None:
        self._console = console
        self._keep = keep
        self._unicode = console.encoding.startswith("utf")
        self._lock = threading.Lock()
        self._children: dict[Step | None, list[Step]] = {None: []}

    def __call__(self, step: Step, /) -> None:
        done: list[Text] = []
        with self._lock:
            if step not in self._children:
                parent = step.parent if step.parent in self._children else None
                self._children[parent].append(step)
                self._children[step] = []
            if step.duration is not None and step in self._children[None]:
                done = list(self._drawn(step, 0))
                self._children[None].remove(step)
                self._forget(step)
        # Outside of the lock: rich draws under a lock of its own, and asks for ours then.
        if self._keep:
            for line in done:
                self._console.print(line, no_wrap=True, overflow="ellipsis")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with self._lock:
            lines = [line for root in self._children[None] for line in self._drawn(root, 0)]
        # The newest lines are at the bottom: of a tree that is too high, these are shown.
        for line in lines[-max(1, (options.height or console.height) - 1) :]:
            line.no_wrap = True
            line.overflow = "ellipsis"
            yield line

    def _forget(self, step: Step) -> None:
        for child in self._children.pop(step):
            self._forget(child)

    def _drawn(self, step: Step, depth: int) -> Iterator[Text]:
        yield self._line(step, depth)
        if depth < _DEPTH or step.duration is None:
            for child in self._children[step]:
                yield from self._drawn(child, depth + 1)

    def _line(self, step: Step, depth: int) -> Text:
        from rich.text import Text

        plain = 0 if self._unicode else 1
        line = Text("  " * depth)
        if step.duration is None:
            frames = _FRAMES[plain]
            line.append(frames[int(time.monotonic() * 12) % len(frames)], "cyan")
            line.append(f" {step.title}")
            if step.percent is not None:
                line.append(f"  {step.percent} %", "cyan")
            if (speed := step.bytes_per_second) is not None:
                line.append(f"  {output.size(round(speed))}/s", "cyan")
            line.append(f"  {output.duration(time.time() - step.started)}", "cyan")
            if (left := step.seconds_left) is not None:
                line.append(f", about {output.left(left)} left", "cyan")
            if step.note:
                line.append(f"  {step.note}", "dim")
            return line
        good = step.status == "ok"
        line.append(_MARKS[step.status][plain], "green" if good else "bold red")
        line.append(f" {step.title}", "" if good and depth == 0 else "dim" if good else "red")
        line.append(f"  {output.duration(step.duration)}", "dim")
        if not good:
            line.append(f"  {step.error.splitlines()[0]}", "red")
        elif step.note and depth == 0:
            line.append(f"  {step.note}", "dim")
        return line


class _Lines:
    """Writes a line when a step begins that is inside of no other, and when a step ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._notes: dict[Step, str] = {}

    def __call__(self, step: Step, /) -> None:
        with self._lock:
            text = self._text(step)
            if text:
                self._console.print(text, soft_wrap=True)

    def _text(self, step: Step) -> str:
        indent = "  " * step.depth
        if step.duration is not None:
            self._notes.pop(step, None)
            if step.depth > _DEPTH:
                return ""
            error = f": {step.error.splitlines()[0]}" if step.error else ""
            how = "ok" if step.status == "ok" else step.status.upper()
            return f"{indent}{how}: {step.title} ({output.duration(step.duration)}){error}"
        if step.depth:
            return ""
        if step not in self._notes:
            self._notes[step] = ""
            return f"{step.title} ..."
        if step.note == self._notes[step]:
            return ""
        self._notes[step] = step.note
        return f"  ... {step.note}"

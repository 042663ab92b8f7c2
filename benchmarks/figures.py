"""Measuring in turn with rivals, and the lines of the table."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Figure", "clocked", "in_turn", "markdown", "rows", "spread"]


@dataclass(frozen=True)
class Figure:
    """
    One line of the table.

    Attributes:
        name: What was measured.
        median: In `unit`.
        spread: The distance between the first and the last quarter.
        unit: As `s` or `ms`.
        ratio: How many times as long as ours it took: the median of the pairs' ratios.
        values: What was measured, in order.
        target: What was promised, as ``<= 1.10 x raw``, if this line answers to a promise.
        met: Whether it was kept.
        limit: The target as a number in `unit`, for the plot, where it is one.
    """

    name: str
    median: float
    spread: float
    unit: str
    ratio: float
    values: list[float]
    target: str = ""
    met: bool | None = None
    limit: float | None = None

    def __str__(self) -> str:
        line = (
            f"{self.name:34} {self.median:9.3f} {self.spread:8.3f} {self.unit:3} {self.ratio:7.2f}"
        )
        if self.met is None:
            return line
        return f"{line}  target {self.target}: {'met' if self.met else 'MISSED'}"


def markdown(figures: Sequence[Figure]) -> str:
    """Return a table as Markdown has it."""
    lines = ["| what | median | spread | times ours | target | |", "|---|--:|--:|--:|---|---|"]
    for it in figures:
        verdict = "" if it.met is None else "met" if it.met else "**missed**"
        lines.append(
            f"| {it.name} | {it.median:.3f} {it.unit} | {it.spread:.3f} {it.unit} "
            f"| {it.ratio:.2f} | {it.target} | {verdict} |"
        )
    return "\n".join(lines)


def clocked(work: Callable[[], Callable[[], None] | None]) -> float:
    """Return the seconds of some work; what it returns cleans up, off the clock."""
    begin = time.perf_counter()
    clean_up = work()
    took = time.perf_counter() - begin
    if clean_up is not None:
        clean_up()
    return took


def in_turn(
    ways: Mapping[str, Callable[[], Callable[[], None] | None]],
    runs: int,
    *,
    warm_up: bool = True,
) -> dict[str, list[float]]:
    """
    Clock each way so many times, in turn.

    Every other round goes backwards, so that none always has the same one before it.

    Args:
        ways: What is done, by name; see `clocked`.
        runs: How often.
        warm_up: Whether a first round is done and left out.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(1 - warm_up, runs + 1):
        for name, way in list(ways.items())[:: 1 if number % 2 else -1]:
            took = clocked(way)
            if number:
                times[name].append(took)
    return times


def rows(
    times: Mapping[str, list[float]],
    *,
    ours: str,
    unit: str = "s",
    scale: float = 1.0,
    target: str = "",
    met: Callable[[Callable[[str], float]], bool] | None = None,
    at_least: Mapping[str, float] | None = None,
) -> list[Figure]:
    """
    Make the lines of ways that were clocked in turn.

    Args:
        times: Seconds of each round, by way.
        ours: The way that the others are compared with.
        unit: Of the figures.
        scale: From seconds to `unit`.
        target: What was promised.
        met: Says whether it was kept, given a function from a way to its ratio.
        at_least: How many times as long as ours others have to take, by way: their own targets.
    """
    ratios = {
        name: statistics.median(
            [rival / mine for rival, mine in zip(values, times[ours], strict=True)]
        )
        for name, values in times.items()
    }
    own = statistics.median(times[ours]) * scale
    found = []
    for name, values in times.items():
        factor = (at_least or {}).get(name)
        wanted, kept = "", None
        if factor is not None:
            wanted, kept = f">= {factor:g} x {ours}", ratios[name] >= factor
        elif name == ours:
            wanted, kept = target, met(ratios.__getitem__) if met is not None else None
        found.append(
            Figure(
                name=name,
                median=statistics.median(values) * scale,
                spread=spread(values) * scale,
                unit=unit,
                ratio=ratios[name],
                values=[value * scale for value in values],
                target=wanted,
                met=kept,
                limit=None if factor is None else factor * own,
            )
        )
    return found


def spread(values: list[float]) -> float:
    """Return the distance between the first and the last quarter."""
    if len(values) < 2:
        return 0.0
    quarters = statistics.quantiles(values, n=4)
    return quarters[2] - quarters[0]

"""The rows of a page's timeline: one for each machine, made of the spans that were gathered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vboxkit.pytest_plugin.timeline import Kind, Span, making

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vboxkit.pytest_plugin.gather import Gathered

__all__ = ["BAD", "Lane", "Waited", "lanes", "slowest"]

#: Outcomes of a test, the worst first, that are none of success.
BAD = ("crashed", "error", "failed", "rerun")
#: What is told of as a wait.
_WAITS: frozenset[Kind] = frozenset({"wait", "ssh", "build", "rewind", "command"})


@dataclass
class Lane:
    """
    What one machine did.

    Attributes:
        worker: The process whose it was.
        machine: Its name, or that of an image that was built.
        spans: Those that are drawn, the first one first.
        tests: Those that had it.
        outcome: The worst of theirs; ``unfinished`` if there is none.
        ended: Seconds since the epoch when it was gone, or the run was.
        gone: Whether it was destroyed.
    """

    worker: str
    machine: str
    spans: list[Span] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)
    outcome: str = ""
    ended: float = 0.0
    gone: bool = False

    @property
    def began(self) -> float:
        """Seconds since the epoch."""
        return min(span.began for span in self.spans)

    @property
    def cloned(self) -> bool:
        """Whether it was made in this run."""
        return any(span.kind == "clone" for span in self.spans)

    @property
    def is_image(self) -> bool:
        """Whether it is no machine of a test."""
        return all(span.kind == "build" for span in self.spans)

    @property
    def ready(self) -> float | None:
        """When the machine was made, in seconds since the epoch; `None` if it never was."""
        return max((span.ended for span in making(self.spans)), default=None)

    @property
    def making(self) -> float:
        """Seconds that it took to make it, without what it waited for that."""
        return sum(span.seconds for span in making(self.spans))

    @property
    def running(self) -> float:
        """Seconds from when it was made until it was destroyed."""
        if self.ready is None:
            return 0.0
        left = [span.began for span in self.spans if span.kind == "destroy"]
        return max(0.0, max(left, default=self.ended) - self.ready)

    @property
    def waited(self) -> float:
        """Seconds that its test had to wait for room or for its turn, before it was there."""
        before = self.ended if self.ready is None else self.ready
        waits = [s for s in self.spans if s.kind == "wait" and s.began < before]
        return sum(span.seconds for span in waits)

    def seconds(self, kinds: Iterable[Kind]) -> float:
        """Return how long all spans of these kinds took."""
        return sum(span.seconds for span in self.spans if span.kind in kinds)


@dataclass
class Waited:
    """A span that is worth looking at, with whose it was."""

    span: Span
    worker: str
    test: str


def lanes(gathered: Gathered) -> list[Lane]:
    """Return a lane for each machine and image, by worker and time."""
    given = [(worker, test, Span(*values)) for worker, test, values in gathered.spans]
    found: list[Lane] = []
    latest: dict[tuple[str, str], Lane] = {}
    for worker, test, span in sorted(given, key=lambda it: it[2].began):
        if span.kind == "command" or span.inner or not span.machine:
            continue
        lane = latest.get((worker, span.machine))
        # A name may be used again when its machine is gone.
        if lane is None or (span.kind == "clone" and lane.cloned):
            lane = latest[worker, span.machine] = Lane(worker, span.machine)
            found.append(lane)
        lane.spans.append(span)
        if test and test not in lane.tests:
            lane.tests.append(test)
    found = _joined(found)
    by_test: dict[tuple[str, str], list[Lane]] = {}
    by_name: dict[tuple[str, str], list[Lane]] = {}
    for lane in found:
        by_name.setdefault((lane.worker, lane.machine), []).append(lane)
        for test in lane.tests:
            by_test.setdefault((lane.worker, test), []).append(lane)
    for worker, test, span in given:
        if span.kind == "wait" and not span.machine and not span.inner:
            # Of a machine that had no name yet: the next one of its test.
            after = [
                lane for lane in by_test.get((worker, test), ()) if lane.began >= span.ended - 0.001
            ]
            if after:
                min(after, key=lambda lane: lane.began).spans.append(span)
    for one in gathered.tests.values():
        for machine in one.machines:
            its = by_name.get((one.worker, machine), [])
            if len(its) == 1 and one.name not in its[0].tests:
                its[0].tests.append(one.name)
    for lane in found:
        _end(lane, gathered)
    return sorted(found, key=lambda lane: (_natural(lane.worker), lane.began))


def _joined(found: list[Lane]) -> list[Lane]:
    """Give the removal of what a dead worker left, by another one, to the lane of its machine."""
    owners = {lane.machine: lane for lane in found if lane.cloned}
    kept = []
    for lane in found:
        if all(span.kind == "destroy" for span in lane.spans) and lane.machine in owners:
            owners[lane.machine].spans += lane.spans
        else:
            kept.append(lane)
    return kept


def _end(lane: Lane, gathered: Gathered) -> None:
    lane.spans.sort(key=lambda span: span.began)
    destroyed = [s.ended for s in lane.spans if s.kind == "destroy" and not s.error]
    lane.gone = bool(destroyed)
    if lane.is_image or lane.ready is None:
        lane.ended = max(span.ended for span in lane.spans)
    else:
        lane.ended = max(destroyed, default=gathered.ended)
    outcomes = [it.outcome for name in lane.tests if (it := gathered.tests.get(name))]
    bad = [outcome for outcome in BAD if outcome in outcomes]
    given = [outcome for outcome in outcomes if outcome]
    lane.outcome = bad[0] if bad else (given[0] if given else "unfinished")
    if lane.is_image or not lane.cloned:
        lane.outcome = ""  # nobody's, or an earlier run's


def _natural(worker: str) -> tuple[str, int]:
    """Return what puts gw10 behind gw9."""
    name = worker.rstrip("0123456789")
    return name, int(worker[len(name) :] or 0)


def slowest(gathered: Gathered, most: int) -> list[Waited]:
    """Return the longest waits and commands, the longest first."""
    found = [
        Waited(Span(*values), worker, test)
        for worker, test, values in gathered.spans
        if values[0] in _WAITS
    ]
    return sorted(found, key=lambda waited: -waited.span.seconds)[:most]

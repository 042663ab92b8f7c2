"""What machines did in a run: spans of time, told by the steps, and sent with pytest's reports."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import pytest

from vboxkit.core.steps import subscribe
from vboxkit.pytest_plugin import gather, report

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vboxkit.core.steps import Step
    from vboxkit.lab.vm import VM

__all__ = ["Kind", "Span", "Timeline", "making", "recording"]

#: ``test`` is the test's own time, of which a machine that is shared has several.
Kind: TypeAlias = Literal[
    "wait", "clone", "start", "ssh", "ready", "test", "command", "rewind", "destroy", "build"
]


class Span(NamedTuple):
    """
    Some seconds of a machine.

    Attributes:
        kind: What was done.
        machine: Its name; empty if there is none yet.
        title: What was done, in words.
        began: Seconds since the epoch.
        seconds: How long it took.
        error: What it failed with.
        inner: It is part of another span, and drawn as that.
    """

    kind: Kind
    machine: str
    title: str
    began: float
    seconds: float
    error: str = ""
    inner: bool = False

    @property
    def ended(self) -> float:
        """Seconds since the epoch."""
        return self.began + self.seconds


def making(spans: Iterable[Span]) -> list[Span]:
    """Return those of a machine's spans that made it: clone, start, and the first login."""
    found = sorted((s for s in spans if s.kind in _MAKING), key=lambda span: span.began)
    if not any(span.kind == "clone" for span in found):
        return []  # it was there
    # What comes after that is what the test did with it.
    last = "ssh" if any(span.kind == "ssh" for span in found) else "start"
    kinds = [span.kind for span in found]
    return found[: kinds.index(last) + 1] if last in kinds else found


@contextmanager
def recording(config: pytest.Config) -> Iterator[None]:
    """Record what machines do while the block runs, for this run's reports."""
    timeline = Timeline(gather.worker_of(config), for_page=gather.wanted(config) is not None)
    config.stash[report.TIMELINE] = timeline
    with subscribe(timeline):
        yield


_MAKING: frozenset[Kind] = frozenset({"clone", "start", "ssh"})

# Steps are told by their titles: these are all that are looked at.
_CLONE = re.compile(r"fork .+ to (?P<machine>\S+)")
_MACHINE = re.compile(r"(?:machine )?'?(?P<machine>[^':]+)'?: (?P<what>.+)")
_REWIND = re.compile(r"rewind (?P<machine>.+)")
_BUILD = re.compile(r"build image (?P<image>.+)")
_WAIT = re.compile(r"wait for (?P<what>.+)")
_REFRESH = re.compile(r"refresh \S+")

#: Seconds from which a wait or a command is worth a span of its own.
_SHORTEST = 0.005
_SHORTEST_COMMAND = 0.1
#: Commands of a machine that each report tells of: the slowest.
_COMMANDS = 5
#: Characters of an error or a title.
_LONGEST = 500


@dataclass
class _Facts:
    """What is known of a test: its machines, by name, each with what JUnit's file shows of it."""

    machines: dict[str, dict[str, str]] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)


_FACTS = pytest.StashKey[_Facts]()


class Timeline:
    """
    The spans of this process that no report has carried yet; a listener to steps.

    Args:
        worker: The name of this process among those of the run.
        for_page: Whether reports are to carry what the page shows.
    """

    def __init__(self, worker: str, *, for_page: bool) -> None:
        self._worker = worker
        self._for_page = for_page
        self._spans: list[Span] = []
        #: The machine that a step turned out to be about, by the step's id.
        self._about: dict[int, str] = {}
        #: By machine: when the last command ended that was looked at.
        self._looked: dict[str, str] = {}
        #: By machine: the seconds of each kind.
        self._took: dict[str, dict[Kind, float]] = {}

    def __call__(self, step: Step, /) -> None:
        """Take note of a step that has ended; called by each thread that works."""
        if step.duration is None:
            return
        kind, machine = self._read(step)
        self._about.pop(id(step), None)
        if kind == "clone" and step.parent is not None:
            self._about[id(step.parent)] = machine
        if kind is None or (kind == "wait" and step.duration < _SHORTEST):
            return
        over = step.parent
        inner = False
        while over is not None:
            outer, name = self._read(over)
            inner = inner or outer is not None
            machine = machine or name
            over = over.parent
        if inner and kind != "wait":
            return
        if machine and not inner:
            took = self._took.setdefault(machine, {})
            took[kind] = took.get(kind, 0.0) + step.duration
        title = f"{step.title} ({step.note})" if step.note and kind == "wait" else step.title
        self._spans.append(
            Span(
                kind,
                machine,
                title[:_LONGEST],
                step.started,
                step.duration,
                step.error[:_LONGEST],
                inner,
            )
        )

    def timings(self, vm: VM) -> str:
        """
        Return in words what took how long with a machine so far.

        Example:
            ``clone 0.04 s, start 0.31 s, ssh 0.45 s, 3 commands 0.62 s``
        """
        took = self._took.get(report.name_of(vm), {})
        parts = [f"{kind} {seconds:.2f} s" for kind, seconds in took.items()]
        commands = [_command("", entry).seconds for entry in vm.ssh.transcript.entries()]
        if commands:
            word = "commands" if len(commands) > 1 else "command"
            parts.append(f"{len(commands)} {word} {sum(commands):.2f} s")
        return ", ".join(parts) or "nothing was measured"

    def _read(self, step: Step) -> tuple[Kind | None, str]:
        """Return what a step is, `None` if it only holds others, and its machine."""
        title = step.title
        if found := _CLONE.fullmatch(title):
            return "clone", found["machine"]
        if found := _BUILD.fullmatch(title):
            return "build", f"image {found['image']}"
        if found := _REWIND.fullmatch(title):
            return "rewind", found["machine"]
        machine = self._about.get(id(step), "")
        if step.parent is not None:
            machine = machine or self._about.get(id(step.parent), "")
        if title == "wait for SSH":
            return "ssh", machine
        if _WAIT.fullmatch(title):
            return "wait", machine
        if _REFRESH.fullmatch(title):
            return "ready", machine
        if found := _MACHINE.fullmatch(title):
            what = found["what"]
            if what == "wait for room":
                return "wait", ""  # its name is not known yet
            if what.startswith("wait for "):
                return "wait", found["machine"]
            if what.startswith("start ("):
                return "start", found["machine"]
            if what == "destroy":
                return "destroy", found["machine"]
        return None, machine

    def complete(
        self,
        item: pytest.Item,
        made: pytest.TestReport,
        vms: Sequence[VM],
        files: Sequence[str],
    ) -> None:
        """
        Let a report carry what happened since the last one.

        Args:
            item: The test.
            made: Its report.
            vms: The machines that it has now.
            files: What was saved of them.
        """
        if made.when == "setup":
            item.stash[_FACTS] = _Facts()  # a test that runs again begins anew
        facts = item.stash.setdefault(_FACTS, _Facts())
        for vm in vms:
            facts.machines.setdefault(report.name_of(vm), {}).update(self._looked_at(vm, files))
        if made.when == "call":
            took = getattr(made, "start", 0.0), made.duration
            self._spans += [
                Span("test", report.name_of(vm), item.nodeid, *took, made.outcome) for vm in vms
            ]
        spans, self._spans = self._spans, []
        facts.spans += spans
        for span in spans:
            if span.kind == "clone":
                facts.machines.setdefault(span.machine, {})
        if made.failed and files:
            _attach(item, made, files)
        if made.when == "teardown":
            _describe(item, made, facts)
        if self._for_page and (spans or vms):
            exhibits = []
            if made.failed:
                from vboxkit.pytest_plugin.exhibits import exhibit

                exhibits = [exhibit(vm, files) for vm in vms]
            told = self._told(spans)
            told |= {"machines": list(facts.machines), "exhibits": exhibits}
            setattr(made, gather.ATTRIBUTE, told)

    def rest(self) -> dict[str, Any]:
        """Return what no report will carry any more."""
        spans, self._spans = self._spans, []
        return self._told(spans)

    def _told(self, spans: list[Span]) -> dict[str, Any]:
        # Plain values, for they travel between processes.
        return {"worker": self._worker, "spans": [list(span) for span in spans]}

    def _looked_at(self, vm: VM, files: Sequence[str]) -> dict[str, str]:
        """Return what JUnit's file shows of a machine; note its slowest commands."""
        name = report.name_of(vm)
        told = {}
        saved = [file for file in files if f"/{name}/" in file.replace("\\", "/")]
        if saved:
            told["artifacts"] = re.split(r"[/\\][^/\\]*$", saved[0])[0]
            pictures = [file for file in saved if file.endswith("screenshot.png")]
            if pictures:
                told["screenshot"] = pictures[0]
        with suppress(Exception):  # what is told of a test must not make it fail
            last = self._looked.get(name, "")
            # Of a machine that tests share: this one's.
            entries = [it for it in vm.ssh.transcript.entries() if it["ended"] > last]
            if entries:
                self._looked[name] = entries[-1]["ended"]
                told["last_command"] = str(entries[-1]["command"])[:_LONGEST]
                told["exit_code"] = str(entries[-1]["exit_code"])
            new = [_command(name, entry) for entry in entries]
            new = [span for span in new if span.seconds >= _SHORTEST_COMMAND]
            self._spans += sorted(new, key=lambda span: -span.seconds)[:_COMMANDS]
        return told


def _command(machine: str, entry: dict[str, Any]) -> Span:
    began, ended = (datetime.fromisoformat(entry[key]).timestamp() for key in ("began", "ended"))
    failed = f"exit code {entry['exit_code']}" if entry["exit_code"] else ""
    title = str(entry["command"])[:_LONGEST]
    return Span("command", machine, title, began, ended - began, failed)


def _attach(item: pytest.Item, made: pytest.TestReport, files: Sequence[str]) -> None:
    """
    Name the files as continuous integration servers look for them: in a test's standard output.

    JUnit's file has it only where ``junit_logging`` asks for standard output.
    """
    lines = [f"[[ATTACHMENT|{file}]]" for file in files if ": not saved: " not in file]
    if not lines:
        return
    text = "\n".join([*lines, ""])
    if made.when == "teardown":
        made.sections.append(("Captured stdout vm files", text))
    else:
        # It is in the reports that come after this one, of which the last is JUnit's.
        item.add_report_section(made.when or "call", "stdout vm files", text)


#: The seconds that JUnit's file shows, and the spans that they are of.
_SECONDS: dict[str, tuple[Kind, ...]] = {
    "wait_seconds": ("wait",),
    "test_seconds": ("test",),
    "rewind_seconds": ("rewind",),
    "destroy_seconds": ("destroy",),
}


def _describe(item: pytest.Item, made: pytest.TestReport, facts: _Facts) -> None:
    """Write what is known into the properties of a test, which JUnit's file shows."""
    told: list[tuple[str, object]] = []
    room = sum(span.seconds for span in facts.spans if span.kind == "wait" and not span.machine)
    for number, (machine, known) in enumerate(facts.machines.items(), start=1):
        prefix = f"{gather.PROPERTY}{number if number > 1 else ''}."
        told.append((f"{prefix}name", machine))
        fork = making(span for span in facts.spans if span.machine == machine)
        if fork:
            seconds = sum(span.seconds for span in fork)
            told.append((f"{prefix}fork_seconds", f"{seconds:.3f}"))
        for name, kinds in _SECONDS.items():
            mine = [s for s in facts.spans if s.machine == machine and s.kind in kinds]
            seconds = sum(span.seconds for span in mine if not span.inner)
            if name == "wait_seconds" and number == 1:
                seconds += room
            if mine or seconds:
                told.append((f"{prefix}{name}", f"{seconds:.3f}"))
        told += [(prefix + name, value) for name, value in known.items()]
    for properties in (item.user_properties, made.user_properties):
        others = [it for it in properties if not it[0].startswith(gather.PROPERTY)]
        properties[:] = [*others, *told]

"""What a report says of a test's machines, and the summary at the end."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from vboxkit.lab.vm import VM
    from vboxkit.pytest_plugin.timeline import Timeline

__all__ = ["FAILED", "NOTES", "TIMELINE", "VMS", "Notes", "Summary", "complete", "name_of"]

#: Whether a test (or one of a class, a module) that has machines failed so far.
FAILED = pytest.StashKey[bool]()
#: The machines of a test (or a class, a module, the session) that exist now.
VMS = pytest.StashKey[list["VM"]]()


@dataclass
class Notes:
    """
    What the summary is to tell.

    Attributes:
        lines: A sentence each; equal ones are shown once.
        kept: A machine each that was kept: how it is called, whose it was, how vboxkit is called,
            and the test whose state can be replayed, if one can be.
    """

    lines: list[str] = field(default_factory=list)
    kept: list[list[str]] = field(default_factory=list)


NOTES = pytest.StashKey[Notes]()
#: What the machines of this process did; once the first of them is wanted.
TIMELINE: pytest.StashKey[Timeline] = pytest.StashKey()

#: Notes travel as an attribute of a report: so they reach the process that writes the summary
#: also from a worker of xdist, and from one that is killed a moment later.
_ATTRIBUTE = "vboxkit_notes"


def complete(item: pytest.Item, report: pytest.TestReport) -> None:
    """Add a section for each machine to the report of a failure, and the notes there are."""
    from vboxkit.pytest_plugin import artifacts, shared

    vms = shared.machines_of(item)
    files: list[str] = []
    if report.failed and vms:
        # A machine that tests share is kept if one of them failed.
        for node in item.listchain():
            node.stash[FAILED] = True
        # First: what saves evidence might write into VBox.log, whose end is looked at.
        told = [_describe(item, vm) for vm in vms]
        files = artifacts.save(item, vms)
        for vm, (head, evidence) in zip(vms, told, strict=True):
            screen = f"screenshot: {artifacts.screenshot(item, vm, files)}"
            text = "\n".join([*head, screen, evidence])
            report.sections.append((f"vm {name_of(vm)}", text))
        if files:
            report.sections.append(("vm files", "\n".join(files)))
    if TIMELINE in item.config.stash:
        item.config.stash[TIMELINE].complete(item, report, vms, files)
    notes = item.config.stash[NOTES]
    if notes.lines or notes.kept:
        setattr(report, _ATTRIBUTE, {"lines": notes.lines[:], "kept": notes.kept[:]})
        notes.lines.clear()
        notes.kept.clear()


def name_of(vm: VM) -> str:
    """Return a machine's name without asking VirtualBox, which may be what went away."""
    return repr(vm).split("'")[1]


def _describe(item: pytest.Item, vm: VM) -> tuple[list[str], str]:
    """Return the last command and how long things took; and state, console and log."""
    head = []
    try:
        last = vm.ssh.last_result
        if last is not None:
            head.append(f"last command: {last.describe()}")
        if TIMELINE in item.config.stash:
            head.append(f"timings: {item.config.stash[TIMELINE].timings(vm)}")
        return head, vm.evidence()
    except Exception as error:  # whatever is wrong, the test's own failure is what counts
        return head, f"no more is known: {type(error).__name__}: {error}"


class Summary:
    """Collects the notes of all reports, and writes them at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._lines: dict[str, None] = {}
        self._kept: list[list[str]] = []

    def _add(self, lines: list[str], kept: list[list[str]]) -> None:
        self._lines.update(dict.fromkeys(lines))
        self._kept += kept

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the notes of a report."""
        notes: dict[str, Any] | None = getattr(report, _ATTRIBUTE, None)
        if notes is not None:
            self._add(**notes)

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write what there is to tell; nothing if no machine ran."""
        # After Ctrl-C no report carries the last ones.
        notes = self._config.stash[NOTES]
        self._add(notes.lines, notes.kept)
        if self._kept:
            terminalreporter.section("virtual machines that were kept")
            for name, test, command, replayed in self._kept:
                terminalreporter.write_line(f"{name}  of {test}")
                terminalreporter.write_line(f"    get in: {command} ssh {name}")
                if replayed:
                    line = f"    replay: {command} replay {shlex.quote(replayed)}"
                    terminalreporter.write_line(line)
            terminalreporter.write_line(f"remove them: {self._kept[0][2]} gc --kept")
        for line in self._lines:
            terminalreporter.write_line(f"vboxkit: {line}")

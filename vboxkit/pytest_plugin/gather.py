"""The page of a run: whether one is wanted, and what is gathered for it from all processes."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.pytest_plugin import table
from vboxkit.pytest_plugin.options import ini_value

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

__all__ = [
    "ATTRIBUTE",
    "PROPERTY",
    "Failure",
    "Gathered",
    "Test",
    "add_options",
    "check_options",
    "wanted",
    "worker_of",
]

#: What a report carries for the page, from whichever process, is an attribute of this name.
ATTRIBUTE = "vboxkit_timeline"
#: What names of a test's properties begin with.
PROPERTY = "vboxkit.vm"

_PATH = pytest.StashKey[Path | None]()

#: Failures of which the page shows the machines; those that come later have only their message.
_MOST_SHOWN = 50
#: Lines and characters that are shown of each other section of a report: of its end.
_LINES, _CHARACTERS = 200, 8 << 10
#: Characters that are shown of a failure's message: of its beginning, and of its end.
_HEAD, _TAIL = 6 << 10, 12 << 10


def add_options(parser: pytest.Parser) -> None:
    """Declare the option and the ini value."""
    group = parser.getgroup("vboxkit", "vboxkit: disposable virtual machines")
    group.addoption(
        "--vm-report",
        dest="vm_report",
        metavar="FILE",
        default=None,
        help="write a page (HTML, one file) that shows what the machines of the run did when, the"
        " slowest waits, and failures with screenshot, serial console, VBox.log and commands",
    )
    parser.addini("vm_report", "FILE: the same as --vm-report", default=None)


def check_options(config: pytest.Config) -> None:
    """
    Read the option and the ini value; gather for the page if one is wanted.

    Raises:
        pytest.UsageError: There cannot be a file of that name.
    """
    option, ini = config.getoption("vm_report"), ini_value(config, "vm_report")
    told = table.told(config, "report")
    if option is not None:
        folder, given, where = config.invocation_params.dir, option, f"--vm-report={option}"
    elif ini is None and told is not None:
        given, folder, where = str(told.value), told.folder, told.where
    else:
        folder = config.inipath.parent if config.inipath else config.rootpath
        given, where = ini, f"{config.inipath}: vm_report = {ini}"
    if given is None:
        config.stash[_PATH] = None
        return
    path = folder / Path(given).expanduser()
    config.stash[_PATH] = path
    if _is_worker(config):
        config.pluginmanager.register(_Rest(config), "vboxkit-report")
        return  # the page is the controller's
    wrong = _wrong(given, path)
    if wrong:
        right = "the path of a file, which is made, in a folder that exists"
        raise pytest.UsageError(f"{where}: {wrong}; right: {right}")
    config.pluginmanager.register(Gathered(config, path), "vboxkit-report")


def _wrong(given: str, path: Path) -> str:
    """Return what keeps the page from being written; empty if nothing does."""
    if not given:
        return "no file is named"
    if path.is_dir():
        return f"{path} is a folder"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    try:
        # Rights do not tell: root has them all, also where nothing can be written.
        with tempfile.TemporaryFile(dir=path.parent):
            return ""
    except OSError as error:
        return f"nothing can be written into {path.parent} ({error.strerror})"


def wanted(config: pytest.Config) -> Path | None:
    """Return the page's file, or `None` if there is to be none."""
    return config.stash.get(_PATH, None)


def worker_of(config: pytest.Config) -> str:
    """Return the name of this process among those of the run, as ``gw0``; ``main`` if alone."""
    given: dict[str, Any] = getattr(config, "workerinput", {})
    return str(given.get("workerid", "main"))


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@dataclass
class Test:
    """What became of a test."""

    __test__ = False  # this is none of pytest's

    name: str
    worker: str = ""
    outcome: str = ""
    machines: list[str] = field(default_factory=list)


@dataclass
class Failure:
    """A report that is none of success, and what there was to see."""

    test: str
    outcome: str
    when: str
    worker: str
    text: str
    left_out: int = 0
    exhibits: list[dict[str, Any]] = field(default_factory=list)
    sections: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


class Gathered:
    """Collects what reports carry, in the process that shows the results; writes the page."""

    def __init__(self, config: pytest.Config, path: Path) -> None:
        self._config = config
        self.path = path
        self.root = config.rootpath
        self.began = time.time()
        self.ended = self.began
        self.tests: dict[str, Test] = {}
        self.failures: list[Failure] = []
        #: Worker, test, and the values of a `Span`.
        self.spans: list[tuple[str, str, list[Any]]] = []
        self.notes: dict[str, None] = {}
        #: Machines that were kept, and the command that gets in.
        self.kept: dict[str, str] = {}
        #: What pytest's exit code says of the whole.
        self.interrupted = False
        self._shown = 0
        self._nodes: list[Any] = []
        self._trouble = ""

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Remember a worker of xdist: what no report of it carried comes with its end."""
        self._nodes.append(node)

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Take note of a module that could not be collected."""
        if report.failed:
            failure = Failure(report.nodeid, "error", "collection", "", report.longreprtext)
            self._add_failure(failure, [])

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a report carries."""
        carried: dict[str, Any] = getattr(report, ATTRIBUTE, {})
        self._note(**getattr(report, "vboxkit_notes", {}))
        test = self.tests.setdefault(report.nodeid, Test(report.nodeid))
        # What xdist says in the place of a worker that crashed does not name it.
        known = carried.get("worker") or getattr(report, "worker_id", "")
        worker = str(known or test.worker or "main")
        if report.when == "setup":
            test.outcome = ""  # it may run once more
        test.worker = worker
        self._take(carried, report.nodeid)
        test.machines += [it for it in carried.get("machines", ()) if it not in test.machines]
        outcome = _outcome(report)
        if outcome in {"failed", "error", "crashed", "rerun"}:
            test.outcome = outcome
            said = report.longreprtext
            failure = Failure(report.nodeid, outcome, str(report.when), worker, said)
            exhibits = carried.get("exhibits", [])
            self._add_failure(failure, exhibits)
            failure.sections = _sections(report, {it["machine"] for it in exhibits})
        elif not test.outcome and (report.when == "call" or outcome == "skipped"):
            test.outcome = outcome

    def _note(self, lines: Sequence[str] = (), kept: Sequence[Sequence[str]] = ()) -> None:
        self.notes.update(dict.fromkeys(lines))
        self.kept |= {name: f"{command} ssh {name}" for name, _, command, *_ in kept}

    def _take(self, carried: dict[str, Any], test: str) -> None:
        for span in carried.get("spans", ()):
            self.spans.append((str(carried["worker"]), test, span))

    def _add_failure(self, failure: Failure, exhibits: list[dict[str, Any]]) -> None:
        said = failure.text
        left_out = max(0, len(said) - _HEAD - _TAIL)
        if left_out:
            failure.text = (
                f"{said[:_HEAD]}\n\n[{left_out} characters are left out]\n\n{said[-_TAIL:]}"
            )
        if exhibits and self._shown >= _MOST_SHOWN:
            failure.left_out = len(exhibits)
        elif exhibits:
            failure.exhibits = exhibits
            self._shown += 1
        self.failures.append(failure)

    # Innermost: by then all fixtures are torn down, and all workers have ended.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(
        self, exitstatus: int | pytest.ExitCode
    ) -> Generator[None, object, object]:
        """Write the page, also of a run that Ctrl-C ended."""
        try:
            return (yield)
        finally:
            self._write(exitstatus)

    def _write(self, exitstatus: int | pytest.ExitCode) -> None:
        from vboxkit.pytest_plugin import page
        from vboxkit.pytest_plugin.report import NOTES, TIMELINE

        self.interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        timeline = self._config.stash.get(TIMELINE, None)
        if timeline is not None:
            self._take(timeline.rest(), "")
        for node in self._nodes:
            # Of a worker that was killed there is none.
            self._take(getattr(node, "workeroutput", {}).get(ATTRIBUTE, {}), "")
        self._note(self._config.stash[NOTES].lines, self._config.stash[NOTES].kept)
        self.ended = time.time()
        try:
            page.write(self)
        except OSError as error:
            self._trouble = f"{error}"

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where the page is."""
        if self._trouble:
            terminalreporter.write_line(
                f"vboxkit: the report {self.path} was not written: {self._trouble}", red=True
            )
        else:
            terminalreporter.write_line(f"vboxkit: report: {self.path}")


def _sections(report: pytest.TestReport, machines: set[str]) -> list[tuple[str, dict[str, Any]]]:
    """Return what else a report has, as captured output; machines are shown by themselves."""
    from vboxkit.pytest_plugin.exhibits import cut

    shown = {"vm files", *(f"vm {name}" for name in machines)}
    return [
        (title, cut(said, _LINES, _CHARACTERS))
        for title, said in report.sections
        if title not in shown
    ]


class _Rest:
    """Gives the controller, at a worker's end, what no report has carried."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        """Put it into what xdist sends with the end."""
        from vboxkit.pytest_plugin.report import TIMELINE

        result = yield
        timeline = self._config.stash.get(TIMELINE, None)
        if timeline is not None:
            output: dict[str, Any] = self._config.workeroutput  # type: ignore[attr-defined]
            output[ATTRIBUTE] = timeline.rest()
        return result


def _outcome(report: pytest.TestReport) -> str:
    """Return what a report says of its test."""
    if report.when not in {"setup", "call", "teardown"}:
        return "crashed"  # the worker did, so xdist says it in its place
    if report.failed and report.when != "call":
        return "error"
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    return str(report.outcome)

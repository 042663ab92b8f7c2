"""The page of a run, of records that are made up: sizes, and what is hard to read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.core.steps import step, subscribe
from vboxkit.pytest_plugin import gather, page
from vboxkit.pytest_plugin.exhibits import cut
from vboxkit.pytest_plugin.lanes import lanes, slowest
from vboxkit.pytest_plugin.markup import text
from vboxkit.pytest_plugin.timeline import Span, Timeline

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def gathered(pytestconfig: pytest.Config, tmp_path: Path) -> gather.Gathered:
    """Gather for a page of this test's own."""
    return gather.Gathered(pytestconfig, tmp_path / "page.html")


def _report(name: str, *, when: str = "call", said: str = "", **carried: Any) -> pytest.TestReport:
    made = pytest.TestReport(
        nodeid=f"test_x.py::{name}",
        location=("test_x.py", 0, name),
        keywords={},
        outcome="failed" if said else "passed",
        longrepr=said or None,
        when=when,  # type: ignore[arg-type]
    )
    carried = {"worker": "gw0", "spans": [], "machines": [], "exhibits": []} | carried
    setattr(made, gather.ATTRIBUTE, carried)
    return made


def _spans(gathered: gather.Gathered, machine: str, at: float = 0.0) -> list[list[Any]]:
    """Return the life of a machine that takes 4 s in all."""
    began = gathered.began + at
    return [
        list(Span("clone", machine, "fork", began, 0.5)),
        list(Span("start", machine, "start", began + 0.5, 0.5)),
        list(Span("ssh", machine, "wait for SSH", began + 1, 1.0)),
        list(Span("destroy", machine, "destroy", began + 3, 1.0)),
    ]


def test_many_machines(gathered: gather.Gathered) -> None:
    """Of too many machines, those of failures are shown, and how many are not."""
    for number in range(1500):
        name = f"vm-{number}"
        said = "no" if number == 1499 else ""
        spans = _spans(gathered, name, number)
        gathered.pytest_runtest_logreport(
            _report(f"test_{number}", said=said, spans=spans, machines=[name])
        )
    made = page.render(gathered)
    assert made.count("<tr data-row data-from") == 1000
    assert "500 more are not drawn" in made
    assert "#search=vm-1499" in made
    assert len(made) < 3 << 20


def test_many_failures(gathered: gather.Gathered) -> None:
    """Of too many failures the first ones are shown, each one is named; the page stays small."""
    long = {"text": "x" * 16_000, "left_out": 7}
    picture = "A" * 40_000
    for number in range(300):
        shown = {"machine": f"vm-{number}", "files": [], "console": long, "picture": picture}
        gathered.pytest_runtest_logreport(
            _report(f"test_{number}", said="E   no\n" * 20_000, exhibits=[shown])
        )
    made = page.render(gathered)
    assert "7 lines before are left out" in made
    assert "characters are left out]" in made
    assert "What its machines showed is left out" in made
    assert made.count("data:image/png") == 50
    for number in range(300):
        assert f"test_x.py::test_{number}<" in made
    assert len(made) < 10 << 20


def test_a_test_that_runs_again(gathered: gather.Gathered) -> None:
    """The last time is what counts, and the others are shown."""
    for said in ("flaky", ""):
        gathered.pytest_runtest_logreport(_report("test_a", when="setup"))
        gathered.pytest_runtest_logreport(_report("test_a", said=said))
    assert gathered.tests["test_x.py::test_a"].outcome == "passed"
    assert [failure.text for failure in gathered.failures] == ["flaky"]


def test_numbers_of_a_lane(gathered: gather.Gathered) -> None:
    """What it waited, how long its making took, and how long it was up; a wait for room is its."""
    room = list(Span("wait", "", "a-0: wait for room", gathered.began - 5, 5.0))
    again = list(Span("start", "vm-a", "start", gathered.began + 2.2, 0.5))
    spans = [room, *_spans(gathered, "vm-a"), again]
    gathered.pytest_runtest_logreport(_report("test_a", spans=spans, machines=["vm-a"]))
    [lane] = lanes(gathered)
    assert lane.machine == "vm-a"
    assert lane.waited == pytest.approx(5)
    assert lane.making == pytest.approx(2), "what the test started once more is none of it"
    assert lane.running == pytest.approx(1)
    assert lane.ended - lane.began == pytest.approx(9)
    assert (lane.outcome, lane.gone) == ("passed", True)
    assert [waited.span.title for waited in slowest(gathered, 1)] == ["a-0: wait for room"]


def test_what_others_removed(gathered: gather.Gathered) -> None:
    """What a dead worker left is removed by another one: that belongs to the machine's row."""
    *made, removed = _spans(gathered, "vm-a")
    gathered.pytest_runtest_logreport(_report("test_a", spans=made, machines=["vm-a"]))
    gathered.pytest_runtest_logreport(_report("test_b", worker="gw1", spans=[removed]))
    [lane] = lanes(gathered)
    assert (lane.worker, lane.gone, lane.tests) == ("gw0", True, ["test_x.py::test_a"])


def test_a_name_that_is_used_again(gathered: gather.Gathered) -> None:
    """Two machines of one name, one after the other, have a row each."""
    for at, test in ((0, "test_a"), (10, "test_b")):
        spans = _spans(gathered, "web", at)
        gathered.pytest_runtest_logreport(_report(test, spans=spans, machines=["web"]))
    assert [(lane.tests, round(lane.running)) for lane in lanes(gathered)] == [
        (["test_x.py::test_a"], 1),
        (["test_x.py::test_b"], 1),
    ]


def test_steps_become_spans() -> None:
    """Of nested steps the outermost one of a machine counts; what is inside knows its machine."""
    timeline = Timeline("main", for_page=True)
    with subscribe(timeline):
        with step("fork tiny"):
            with step("fork image-1 to vm-1"), step("machine 'image-1': clone"):
                pass
            with step("machine 'vm-1': start (driverless)"), step("machine 'vm-1': start"):
                pass
            with step("wait for SSH"):
                pass
        with pytest.raises(ValueError), step("machine 'vm-1': destroy"):
            raise ValueError("stuck")
        with step("machine 'vm-1': list what it has"):
            pass
    spans = [Span(*values) for values in timeline.rest()["spans"]]
    assert [(span.kind, span.machine) for span in spans] == [
        ("clone", "vm-1"),
        ("start", "vm-1"),
        ("ssh", "vm-1"),
        ("destroy", "vm-1"),
    ]
    assert spans[-1].error == "ValueError: stuck"
    assert timeline.rest()["spans"] == []


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b]0;title\x07left", "left"),
        ("\x1b[2J\x1b[1;31mred\x1b[0m", "red"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("\u202egnp.exe", "[U+202E]gnp.exe"),
        ("half \ud800", "half \ufffd"),
        ("\"'&<>", "&quot;&#x27;&amp;&lt;&gt;"),
        ("nul\0", "nul[U+0000]"),
    ],
)
def test_hostile_text(said: str, shown: str) -> None:
    """No order to a terminal, no character that is not seen, no markup gets into the page."""
    assert text(said) == shown


def test_braces_are_only_text(gathered: gather.Gathered) -> None:
    """What looks like a place of the template is not filled."""
    gathered.pytest_runtest_logreport(_report("test_a", said="{{script}} {{no}}"))
    made = page.render(gathered)
    assert "{{script}} {{no}}" in made
    assert len(re.findall(r"<script>", made)) == 1


def test_cut() -> None:
    """The end of a text, by lines and by characters, also of one line that is too long."""
    assert cut("1\n2\n3\n", 2, 100) == {"text": "2\n3", "left_out": 1}
    assert cut("1\n2\n3\n", 9, 4) == {"text": "2\n3", "left_out": 1}
    assert cut("abcdef", 9, 4) == {"text": "cdef", "left_out": 0}
    assert cut("", 9, 4) == {"text": "", "left_out": 0}

"""Steps: nested records of work with durations."""

from __future__ import annotations

import logging
import threading

import pytest

from vboxkit.core.steps import Step, step, subscribe


def test_a_step_that_ends_well() -> None:
    """It is running inside the block, then ok, with a duration."""
    with step("work") as this:
        assert (this.status, this.duration) == ("running", None)
    assert this.status == "ok"
    assert this.duration is not None
    assert this.duration >= 0
    assert this.error == ""


def test_a_step_that_fails() -> None:
    """The exception passes, and its type and text are kept."""
    with pytest.raises(KeyError), step("work") as this:
        raise KeyError("disk")
    assert this.status == "failed"
    assert this.error == "KeyError: 'disk'"
    assert this.duration is not None


def test_ctrl_c_fails_a_step_too() -> None:
    """Not only errors end a step."""
    with pytest.raises(KeyboardInterrupt), step("work") as this:
        raise KeyboardInterrupt
    assert this.status == "failed"


def test_steps_nest() -> None:
    """A step inside another one knows it; afterwards the outer one is current again."""
    with step("outer") as outer:
        with step("inner") as inner:
            pass
        with step("second") as second, step("deep") as deep:
            pass
    assert inner.parent is second.parent is outer
    assert deep.parent is second
    assert [s.depth for s in (outer, inner, second, deep)] == [0, 1, 1, 2]
    with step("later") as later:
        assert later.parent is None


def test_a_failed_step_is_left_for_its_parent() -> None:
    """After a failure inside, the next step belongs to the outer one."""
    with step("outer") as outer:
        with pytest.raises(ValueError), step("inner"):
            raise ValueError
        with step("next") as following:
            assert following.parent is outer
    assert outer.status == "ok"


def test_threads_have_steps_of_their_own() -> None:
    """A step of one thread is not the parent of another thread's."""
    seen: list[Step | None] = []

    def work() -> None:
        with step("theirs") as this:
            seen.append(this.parent)

    with step("ours"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen == [None]


def test_listeners_see_begin_updates_and_end() -> None:
    """A listener is called for each of them, in order, and not after its block."""
    seen: list[tuple[str, str, int | None, str]] = []
    with subscribe(lambda s: seen.append((s.title, s.status, s.percent, s.note))):
        with step("copy") as this:
            this.update(percent=50)
            this.update(note="disk 2")
    with step("unheard"):
        pass
    assert seen == [
        ("copy", "running", None, ""),
        ("copy", "running", 50, ""),
        ("copy", "running", 50, "disk 2"),
        ("copy", "ok", 50, "disk 2"),
    ]


def test_two_listeners_are_both_called() -> None:
    """One that leaves does not take the other along."""
    first: list[Step] = []
    second: list[Step] = []
    with subscribe(first.append):
        with subscribe(second.append), step("both"):
            pass
        with step("one"):
            pass
    assert [s.title for s in second] == ["both", "both"]
    assert [s.title for s in first] == ["both", "both", "one", "one"]


def test_the_log_has_a_line_for_each(caplog: pytest.LogCaptureFixture) -> None:
    """Title, outcome and duration are logged, indented by depth."""
    with caplog.at_level(logging.DEBUG, logger="vboxkit.steps"), step("outer"), step("inner"):
        pass
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith("  inner: ok, ")
    assert lines[1].startswith("outer: ok, ")
    assert lines[1].endswith(" s")

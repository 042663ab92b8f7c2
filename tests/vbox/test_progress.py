"""Long operations: what their hooks see, and when."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from vboxkit import progress_hook
from vboxkit.core.steps import Step, subscribe
from vboxkit.errors import InvalidStateError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, VirtualBox
    from vboxkit.machines.progress import Progress

pytestmark = pytest.mark.vbox


class Seen:
    """A hook that writes down what it is shown."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int]] = []
        self.parts: list[tuple[int, int]] = []
        self.texts: set[str] = set()
        self.left: list[int | None] = []

    def __call__(self, progress: Progress) -> None:
        """Write it down."""
        self.lines.append((progress.what, progress.percent))
        self.parts.append((progress.operation_number, progress.operation_count))
        self.texts.add(progress.operation_text)
        self.left.append(progress.seconds_left)

    @property
    def ended(self) -> list[str]:
        """What came to its end."""
        return [what for what, percent in self.lines if percent == 100]


def test_a_clone_tells_how_far_it_is(big: Machine, label: Callable[[str], str]) -> None:
    """Percent goes up to 100, parts are counted, and the text says what is copied."""
    seen = Seen()
    big.clone(label("copy"), on_update=seen)
    percents = [percent for _, percent in seen.lines]
    assert percents == sorted(percents)
    assert percents[0] < 100
    assert percents[-1] == 100
    assert len(percents) >= 3
    assert all(1 <= number <= count for number, count in seen.parts)
    assert seen.parts[-1][0] == seen.parts[-1][1]
    assert any("big.vdi" in text for text in seen.texts)
    assert seen.left[-1] == 0
    assert all(left is None or left >= 0 for left in seen.left)


def test_short_operations_reach_the_end(machine: Machine) -> None:
    """What is over at once is shown at its beginning and with 100 %, and never with more."""
    seen = Seen()
    snapshot = machine.snapshots.take("one", on_update=seen)
    snapshot.restore(on_update=seen)
    snapshot.delete(on_update=seen)
    assert sorted(set(seen.ended)) == [
        "delete the snapshot",
        "restore the snapshot",
        "take snapshot 'one'",
    ]
    assert all(0 <= percent <= 100 for _, percent in seen.lines)
    assert all(text for text in seen.texts)


def test_a_verb_of_several_operations_shows_each(
    machine: Machine, label: Callable[[str], str]
) -> None:
    """A linked clone takes a snapshot first; a branch is deleted one by one."""
    seen = Seen()
    name = label("copy")
    copy = machine.clone(name, linked=True, on_update=seen)
    assert list(dict.fromkeys(seen.ended)) == [
        f"take snapshot 'base of {name}'",
        f"clone to {name!r}",
    ]
    copy.destroy()
    machine.snapshots.take("two")
    seen = Seen()
    machine.snapshots[f"base of {name}"].delete(children=True, on_update=seen)
    assert seen.lines.count(("delete the snapshot", 100)) >= 2


def test_a_hook_for_all_in_a_block(
    vbox: VirtualBox, ova: Path, label: Callable[[str], str]
) -> None:
    """Every operation of the block is shown, also to an outer hook; nothing after it."""
    outer, inner = Seen(), Seen()
    with progress_hook(outer):
        machine = vbox.appliances.import_(ova, name=label("machine"))
        with progress_hook(inner), progress_hook(None):
            machine.snapshots.take("x")
        machine.destroy()
    assert list(dict.fromkeys(inner.ended)) == ["take snapshot 'x'"]
    assert list(dict.fromkeys(outer.ended)) == [
        "read",
        "import",
        "take snapshot 'x'",
    ]
    count = len(outer.lines)
    vbox.appliances.import_(ova, name=label("machine"))
    assert len(outer.lines) == count


def test_other_threads_have_hooks_of_their_own(
    machine: Machine, make: Callable[..., Machine]
) -> None:
    """A hook is the thread's that has set it; what it does itself is not shown to it."""
    seen = Seen()
    other = make()

    def nested(progress: Progress) -> None:
        seen(progress)
        if progress.percent == 100:
            other.snapshots.take("of the hook")
            with pytest.raises(InvalidStateError, match="hook"):
                machine.snapshots.take("under way")

    with progress_hook(nested):
        thread = threading.Thread(target=machine.snapshots.take, args=["other"])
        thread.start()
        thread.join(30)
        machine.snapshots.take("mine")
    assert {what for what, _ in seen.lines} == {"take snapshot 'mine'"}
    assert {s.name for s in machine.snapshots} == {"other", "mine"}
    assert {s.name for s in other.snapshots} == {"of the hook"}


def test_steps_see_it_without_a_hook(big: Machine, label: Callable[[str], str]) -> None:
    """The command's live view listens to steps: they have the percent, too."""
    percents: list[int | None] = []

    def listen(step: Step) -> None:
        if "clone to" in step.title:
            percents.append(step.percent)

    with subscribe(listen):
        big.clone(label("copy"))
    assert percents[0] is None
    assert percents[-1] == 100


def test_a_hook_that_is_none(machine: Machine) -> None:
    """Something that cannot be called is refused before anything is done."""
    with pytest.raises(TypeError, match="progress hook"):
        machine.snapshots.take("x", on_update="bar")  # type: ignore[arg-type]
    assert len(machine.snapshots) == 0
    assert machine.session_state == "Unlocked"

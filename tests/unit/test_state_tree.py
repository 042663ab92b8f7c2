"""What state machines remember, and what they refuse; the machines are in tests/vm."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import invariant

from tests.seeded_store import Store
from vboxkit.core.result import Result
from vboxkit.errors import CommandFailedError, SettingsError
from vboxkit.testing import StateGuest, states
from vboxkit.testing.states import run_in
from vboxkit.testing.tree import Action, Node

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import VM


def action(key: str, *, changes: bool = True) -> Action[str]:
    """Return one that is never performed."""
    return Action(key, lambda _: pytest.fail("performed"), key, changes)


def test_a_state_is_found_again_by_the_way_to_it() -> None:
    """The same action leads to the same state, with the answer that it gave; others are new."""
    root: Node[str] = Node()
    a = root.follow(action("a"), "1", 0.5)
    ab = a.follow(action("b"), "2", 0.25)
    assert root.known(action("a")) == (a, "1")
    assert a.known(action("b")) == (ab, "2")
    assert root.known(action("b")) is None
    assert ab.known(action("a")) is None


def test_what_only_reads_leads_nowhere() -> None:
    """Its answer belongs to the state in which it was asked."""
    root: Node[str] = Node()
    read = action("r", changes=False)
    assert root.follow(read, "old", 0.5) is root
    a = root.follow(action("a"), None, 0.5)
    assert root.known(read) == (root, "old")
    assert a.known(read) is None


def test_the_way_from_the_nearest_start() -> None:
    """From the last start before a state, and none is passed that need not be."""
    root: Node[str] = Node()
    a = root.follow(action("a"), None, 1)
    ab = a.follow(action("b"), None, 1)
    abc = ab.follow(action("c"), None, 1)
    assert abc.way_from(lambda it: it.parent is None) == (root, [a, ab, abc])
    assert abc.way_from(lambda it: it in {root, ab}) == (ab, [abc])
    assert abc.way_from(lambda it: it is abc) == (abc, [])
    assert a.way_from(lambda it: it is abc) is None


def acts() -> tuple[StateGuest, list[Action[VM]]]:
    """Return a guest that does nothing, and what it was asked to do."""
    seen: list[Action[VM]] = []
    return StateGuest(seen.append), seen


def test_commands_are_told_apart_by_all_that_matters() -> None:
    """Words, folder, variables, user, input; not by patience."""
    guest, seen = acts()
    guest.run("ls", timeout=5)
    guest.run("ls", timeout=9)
    guest.run(["ls"])
    guest.run("ls", cwd="/tmp")
    guest.run("ls", env={"B": "2", "A": "1"})
    guest.run("ls", env={"A": "1", "B": "2"})
    guest.run("ls", user="joe")
    guest.run("ls", input="x")
    keys = [it.key for it in seen]
    assert keys[0] == keys[1]
    assert keys[4] == keys[5]
    assert len(set(keys)) == 6


def test_functions_are_told_apart_by_code_and_arguments() -> None:
    """The lambda of a rule is a new object each time, and still the same action."""
    guest, seen = acts()
    for number in (1, 1, 2):
        guest.do(lambda vm, n: n, number)
    guest.do(lambda vm, n: n + 1, 1)
    first, second, *others = [it.key for it in seen]
    assert first == second
    assert len({first, *others}) == 3


def _method(_: object) -> Callable[..., object]:
    return [].append


def _closure(used: object) -> Callable[..., object]:
    return lambda vm: used


@pytest.mark.parametrize("make", [_method, _closure])
def test_functions_that_hide_what_they_use_are_refused(make: Callable[..., Any]) -> None:
    """Two of them might do different things and look the same."""
    guest, seen = acts()
    with pytest.raises(SettingsError, match="no plain function"):
        guest.do(make("x"))
    assert seen == []


def test_arguments_that_can_change_are_refused() -> None:
    """A list may be another one the next time."""
    guest, seen = acts()
    with pytest.raises(SettingsError, match="cannot be told apart"):
        guest.do(lambda vm, it: it, [1])  # type: ignore[arg-type]
    assert seen == []


def test_an_answer_can_be_changed_by_its_reader() -> None:
    """Each gets a copy."""
    kept = {"a": [1]}
    guest = StateGuest(lambda _: kept)
    got: dict[str, list[int]] = guest.do(lambda vm: {})
    assert got == kept
    got["a"].append(2)
    assert kept == {"a": [1]}


def test_exit_codes_are_judged_as_by_ssh() -> None:
    """`succeed` and `fail` raise the same errors, also for a remembered answer."""
    good, bad = Result("x", 0, b"out", b"", 0.1), Result("x", 3, b"", b"no\n", 0.1)
    assert StateGuest(lambda _: good).succeed("x") == "out"
    assert StateGuest(lambda _: bad).fail("x") is bad
    with pytest.raises(CommandFailedError, match="exit code 3") as caught:
        StateGuest(lambda _: bad).succeed("x")
    assert caught.value.result is bad
    with pytest.raises(CommandFailedError, match="should fail"):
        StateGuest(lambda _: good).fail("x")


def test_hypothesis_own_ways_to_run_are_refused() -> None:
    """They have no machine; the error says what has."""
    with pytest.raises(SettingsError, match=r"explore\(Store, vm\)"):
        Store.TestCase("runTest").debug()


def test_other_classes_are_refused() -> None:
    """A class that is no state machine of ours."""
    with pytest.raises(SettingsError, match="no VMStateMachine"):
        run_in(None, int, None)  # type: ignore[arg-type]


def test_without_hypothesis_the_error_says_what_to_install() -> None:
    """Only when it is asked for: the package itself can be imported."""
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from vboxkit.errors import ModuleMissingError\n"
        "import vboxkit.testing as t\n"
        "try: t.explore\n"
        "except ModuleMissingError as error: print(error, error.module)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "pip install vboxkit[hypothesis]" in done.stdout
    assert done.stdout.strip().endswith("hypothesis")


class Recorder:
    """Stands where a space would: answers every command, and notes what is asked for."""

    def __init__(self) -> None:
        self.begun: list[bool] = []

    def begin(self, *, final: bool = False) -> None:
        """Note the beginning of an example."""
        self.begun.append(final)

    def act(self, _: object) -> Result:
        """Answer."""
        return Result("x", 0, b"", b"", 0.1)

    def end(self) -> None:
        """Nothing is kept."""


class Puts(Store):
    """Fails at the second put."""

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        """Not two puts."""
        assert self.steps.count("put") < 2


def test_the_last_example_of_a_failure_is_told_as_such() -> None:
    """So that it is done with nothing remembered; there is no phase that tries hundreds more."""
    space: Any = Recorder()
    with pytest.raises(AssertionError):
        run_in(space, Puts, settings(max_examples=20, database=None, derandomize=True))
    assert space.begun[-1] is True
    assert space.begun.count(True) == 1
    assert len(space.begun) < 60


@pytest.mark.parametrize(
    ("decorated", "given", "most"), [(2, None, 2), (2, 4, 4), (None, 4, 4), (None, None, 30)]
)
def test_whose_settings_count(
    monkeypatch: pytest.MonkeyPatch, decorated: int | None, given: int | None, most: int
) -> None:
    """Those that are given, else the decorator's; never a deadline, or the phase ``explain``."""
    seen: list[settings] = []
    monkeypatch.setattr(
        states, "run_state_machine_as_test", lambda _, settings: seen.append(settings)
    )

    class Quiet(Store):
        pass

    if decorated is not None:
        settings(max_examples=decorated)(Quiet)
    space: Any = Recorder()
    run_in(space, Quiet, None if given is None else settings(max_examples=given))
    (used,) = seen
    assert used.max_examples == most
    assert used.deadline is None
    assert Phase.explain not in used.phases
    assert Phase.shrink in used.phases

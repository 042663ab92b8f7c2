"""How many machines may start at once."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from vboxkit.core import processes, steps
from vboxkit.errors import SettingsError, WaitTimeoutError
from vboxkit.host import budget

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the places a folder that nobody else uses, and RAM that is always there."""
    monkeypatch.setenv("VBOXKIT_CACHE_DIR", str(tmp_path / "cache"))  # for other processes
    monkeypatch.setattr(budget, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.setattr(processes, "available_memory_mb", lambda: 10_000)
    return tmp_path / "cache"


def take(stack: ExitStack, count: int) -> None:
    """Take so many places at once."""
    for number in range(count):
        stack.enter_context(budget.may_start(64, what=f"machine {number}", timeout=0))


def test_as_many_as_there_are_places() -> None:
    """All places can be held at once; one more waits, and says for what; then it is free again."""
    with ExitStack() as stack:
        take(stack, budget.places())
        with (
            pytest.raises(WaitTimeoutError, match=f"CPU: {budget.places()} machines") as caught,
            budget.may_start(64, what="machine 'late'", timeout=0.1),
        ):
            pytest.fail("there is no place")
        assert "machine 'late' to have CPU and RAM" in str(caught.value)
        assert caught.value.hint
    with ExitStack() as stack:
        take(stack, budget.places())


def test_a_place_comes_back_after_an_error() -> None:
    """What raises in the block gives its place back."""
    for _ in range(budget.places() + 1):
        with pytest.raises(RuntimeError), budget.may_start(64, what="machine", timeout=0):
            raise RuntimeError


def test_the_place_of_a_dead_process_is_free() -> None:
    """A process that is killed while its machine starts holds nobody up."""
    code = (
        "import os, signal; from vboxkit.host import budget\n"
        "with budget.may_start(64, what='machine', timeout=0): os.kill(os.getpid(), 9)"
    )
    for _ in range(budget.places() + 1):
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with ExitStack() as stack:
        take(stack, budget.places())


def test_ram_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine waits until its RAM is free, and tells those who listen to steps."""
    free = iter([100, 100, 10_000])
    monkeypatch.setattr(processes, "available_memory_mb", lambda: next(free))
    notes: list[str] = []
    with (
        steps.subscribe(lambda step: notes.append(step.note)),
        budget.may_start(64, what="machine", timeout=60),
    ):
        pass
    assert "RAM: 100 MiB are free, 384 are needed" in notes


def test_ram_that_does_not_come_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how much there is and how much is needed."""
    monkeypatch.setattr(processes, "available_memory_mb", lambda: 300)
    with (
        pytest.raises(WaitTimeoutError, match="RAM: 300 MiB are free, 384 are needed"),
        budget.may_start(64, what="machine", timeout=0),
    ):
        pytest.fail("there is no RAM")


def test_ram_of_those_that_are_starting_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that begin at once do not both find the same RAM free; it is nobody's afterwards."""
    monkeypatch.setattr(processes, "available_memory_mb", lambda: 1500)
    with (
        budget.may_start(800, what="first", timeout=0),
        pytest.raises(
            WaitTimeoutError,
            match="RAM: 1500 MiB are free, 1120 are needed, and 864 by those that are starting",
        ),
        budget.may_start(800, what="second", timeout=0.1),
    ):
        pytest.fail("there is no RAM")
    with budget.may_start(800, what="second", timeout=0):
        pass


def test_ram_of_one_that_was_killed_is_nobodys(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was about to take is not waited for."""
    code = (
        "import os, signal; from vboxkit.host import budget\n"
        "with budget.may_start(800, what='machine', timeout=0): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert list((cache / "starts").glob("*.mb"))
    monkeypatch.setattr(processes, "available_memory_mb", lambda: 1500)
    for _ in range(2):
        with budget.may_start(800, what="machine", timeout=0):
            pass
    assert not list((cache / "starts").glob("*.mb"))


@pytest.mark.parametrize("kind", ["file", "no folder"])
def test_a_cache_that_cannot_be_written_to_holds_nobody_up(cache: Path, kind: str) -> None:
    """Nobody can take turns then, and machines start all the same."""
    if kind == "file":
        cache.write_text("")
    else:
        cache.mkdir()
        (cache / "starts").symlink_to("/proc/1/nothing")
    with ExitStack() as stack:
        take(stack, budget.places() + 2)


def test_the_number_of_places_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """For this host, by a variable; a wrong one is named."""
    usual = budget.places()
    monkeypatch.setenv("VBOXKIT_PARALLEL_STARTS", str(usual + 2))
    with ExitStack() as stack:
        take(stack, usual + 2)
        with (
            pytest.raises(WaitTimeoutError, match=f"CPU: {usual + 2} machines"),
            budget.may_start(64, what="machine 'late'", timeout=0.1),
        ):
            pass
    for wrong in ("many", "0", "-1"):
        monkeypatch.setenv("VBOXKIT_PARALLEL_STARTS", wrong)
        with pytest.raises(SettingsError, match="VBOXKIT_PARALLEL_STARTS"):
            budget.places()
    monkeypatch.setenv("VBOXKIT_PARALLEL_STARTS", "")
    assert budget.places() == usual

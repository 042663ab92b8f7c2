"""Which test is meant by what a user gives to ``vboxkit replay``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from vboxkit.errors import AmbiguousNameError, NotFoundError
from vboxkit.lab.replays import Replay, choose

if TYPE_CHECKING:
    from vboxkit.lab.vm import VM


def _replay(name: str, test: str, when: float = 1.0) -> Replay:
    return Replay(cast("VM", SimpleNamespace(name=name)), test, when, failed=True, snapshot="")


KNOWN = [
    _replay("old", "tests/test_web.py::test_reload[a]", 1.0),
    _replay("new-1", "tests/test_web.py::test_reload[a]", 2.0),
    _replay("new-2", "tests/test_web.py::test_reload[a]", 2.0),
    _replay("other", "tests/test_web.py::test_reload_twice", 3.0),
    _replay("grouped", "tests/test_db.py::TestDump::test_it[a@b]@tests/test_db.py"),
]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("tests/test_web.py::test_reload[a]", ["new-1", "new-2"]),
        ("test_web.py::test_reload[a]", ["new-1", "new-2"]),
        ("test_reload[a]", ["new-1", "new-2"]),
        ("reload[a]", ["new-1", "new-2"]),
        ("twice", ["other"]),
        ("old", ["old"]),
        ("test_it[a@b]", ["grouped"]),
        ("tests/test_db.py::TestDump::test_it[a@b]", ["grouped"]),
        ("TestDump", ["grouped"]),
    ],
)
def test_what_is_meant(wanted: str, names: list[str]) -> None:
    """The whole id, its end, a part of it, a machine; of a test, its last run."""
    assert [it.vm.name for it in choose(KNOWN, wanted)] == names


def test_several_tests() -> None:
    """It is not guessed which one is meant."""
    with pytest.raises(AmbiguousNameError, match="fits 2 tests") as caught:
        choose(KNOWN, "test_web")
    assert len(caught.value.matches) == 2


@pytest.mark.parametrize("wanted", ["test_relaod_twice", ""])
def test_none(wanted: str) -> None:
    """The nearest are named."""
    with pytest.raises(NotFoundError, match="no machine was kept") as caught:
        choose(KNOWN, wanted)
    assert len(caught.value.available) == 3
    assert ("test_reload_twice" in caught.value.message) or not wanted


def test_nothing_at_all() -> None:
    """Then it is said how tests' machines are kept."""
    with pytest.raises(NotFoundError) as caught:
        choose([], "test_x")
    assert "--vm-keep=failed" in str(caught.value.hint)

"""Records by themselves: paths, differences, JSON."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import vboxkit
from vboxkit import Record, diff
from vboxkit.machines.record import MISSING


def test_paths() -> None:
    """A path finds a value, replaces it in a copy, and says when it leads nowhere."""
    record = Record({"a": {"b c": [{"d": 1}]}, "e": [1, 2]})
    assert record.at('a["b c"][0].d') == 1
    assert record.at("e[1]") == 2
    changed = record.replace({'a["b c"][0].d': 5, "e": (), "new": {"x": None}})
    assert changed.to_dict() == {"a": {"b c": [{"d": 5}]}, "e": [], "new": {"x": None}}
    assert record.at('a["b c"][0].d') == 1
    for nowhere in ("x", "a.b", "e[2]", "e.b", 'a["b c"].d', "a.b.c"):
        with pytest.raises(KeyError):
            record.at(nowhere)
    for nowhere in ("a.b.c", "e[2]", "e.b", "a[0]"):
        with pytest.raises(KeyError):
            record.replace({nowhere: 1})
    for bad in (".a", "a..b", "a[", "a[b]", "a-b"):
        with pytest.raises(ValueError, match="is no path"):
            record.at(bad)


def test_differences_of_records() -> None:
    """Added, removed and changed, also in lists; numbers and truth are not the same."""
    a = Record({"x": 1, "y": {"k": "v"}, "l": [{"n": 1}, {"n": 2}], "f": [1], "t": 1})
    b = Record({"x": 1, "z": None, "l": [{"n": 1}], "f": [1, 2], "t": True})
    found = diff(a, b)
    assert [str(each) for each in found] == [
        'y: {"k": "v"} -> (not there)',
        'l[1]: {"n": 2} -> (not there)',
        "f: [1] -> [1, 2]",
        "t: 1 -> true",
        "z: (not there) -> null",
    ]
    assert found[0].new is MISSING
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 - our own
    assert diff(a, b, ignore=["y", "l[1]", "f", "t"]).paths == ("z",)
    assert vboxkit.diff(a, a) == vboxkit.diff(b, b)
    assert "'x'" not in repr(found)
    assert "l[1]" in repr(found)


@pytest.mark.parametrize("bad", [{"a": object()}, {1: 2}, {"a": {1: 2}}, {"a": {2, 3}}])
def test_what_a_record_cannot_hold(bad: Any) -> None:
    """Only what JSON has."""
    with pytest.raises(TypeError, match="record"):
        Record(bad)


@pytest.mark.parametrize("bad", ["", "[]", "1", "{"])
def test_json_that_is_no_record(bad: str) -> None:
    """A `ValueError`, whatever is wrong."""
    with pytest.raises(ValueError):
        Record.from_json(bad)

"""
Records of a machine's configuration, and what differs between two of them.

A record is a tree of mappings, tuples and plain values. It is made from what the parts of a machine
say of themselves (`vboxkit.machines.describing`), so that a setting that is added to a part is
recorded, compared and applied without more ado; that is why it has keys and not fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

    from typing_extensions import Self

__all__ = ["MISSING", "Change", "Diff", "Record", "diff"]

_STEP = re.compile(r'\.?([A-Za-z_]\w*)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]')


class _Missing:
    """What a value that is only in one of two records is in the other one."""

    def __repr__(self) -> str:
        return "(not there)"

    def __reduce__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


class Record(Mapping[str, Any]):
    """
    A frozen tree of values: comparable, hashable, and JSON at any time.

    Mappings in it are records, too; sequences are tuples. A path such as ``cpu.pae``,
    ``network[0].mac`` or ``storage["SATA"].ports`` leads to a value.

    Args:
        data: Mappings, sequences and plain values, of any depth.

    Example:
        ``machine.describe().at("cpu.pae")``
    """

    __slots__ = ("_data", "_hash")

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = {key: _frozen(value, key) for key, value in data.items()}
        self._hash: int | None = None

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Record):
            return self._data == other._data
        return NotImplemented if not isinstance(other, Mapping) else self._data == dict(other)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self._data.items()))
        return self._hash

    def __repr__(self) -> str:
        name = self._data.get("name")
        return f"<Record of {name!r}>" if isinstance(name, str) else f"Record({self._data!r})"

    def __str__(self) -> str:
        return self.to_json()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._data,)

    def at(self, path: str) -> Any:
        """
        Return the value to which a path leads.

        Raises:
            KeyError: It leads to nothing.
            ValueError: It is no path.
        """
        found: Any = self
        for step in steps(path):
            try:
                found = found[step]
            except (LookupError, TypeError):
                raise KeyError(path) from None
        return found

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """
        Return a copy in which the values at some paths are others.

        Example:
            ``record.replace({"memory_mb": 2048, "cpu.pae": False})``
        """
        copy = self.to_dict()
        for path, value in changes.items():
            *way, last = steps(path)
            place: Any = copy
            try:
                for step in way:
                    place = place[step]
                if isinstance(place, dict) != isinstance(last, str):
                    raise KeyError(path)
                place[last] = _plain(value)
            except (LookupError, TypeError):
                raise KeyError(path) from None
        return type(self)(copy)

    def without(self, *paths: str) -> Self:
        """
        Return a copy without that to which some paths lead.

        Example:
            ``record.without("extra_data", "network[0].mac")``
        """
        copy = self.to_dict()
        for path in paths:
            *way, last = steps(path)
            place: Any = copy
            try:
                for step in way:
                    place = place[step]
                del place[last]
            except (LookupError, TypeError):
                raise KeyError(path) from None
        return type(self)(copy)

    def to_dict(self) -> dict[str, Any]:
        """Return it as dicts and lists."""
        plain: dict[str, Any] = _plain(self)
        return plain

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return it as JSON."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """
        Return the record that `to_json` wrote.

        Raises:
            ValueError: The text is no JSON, or no JSON object.
        """
        data = json.loads(text)
        if not isinstance(data, dict):
            msg = f"a record is a JSON object, not {type(data).__name__}"
            raise ValueError(msg)  # noqa: TRY004 - of what the text says
        return cls(data)


def _frozen(value: Any, key: object) -> Any:
    if not isinstance(key, str):
        raise TypeError(f"a record's keys are texts, not {key!r}")
    if isinstance(value, Record) or value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Mapping):
        return Record(value)
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(each, key) for each in value)
    raise TypeError(f"a record cannot hold {type(value).__name__} ({key})")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


# Paths


def steps(path: str) -> list[str | int]:
    """Return the keys and positions of which a path consists."""
    found: list[str | int] = []
    end = 0
    while end < len(path):
        match = _STEP.match(path, end)
        if match is None or (not found and path.startswith(".")):
            raise ValueError(
                f'{path!r} is no path, such as network[0].mac or storage["SATA"].ports'
            )
        name, position, quoted = match.groups()
        found.append(name or (int(position) if position else json.loads(quoted)))
        end = match.end()
    return found


def joined(path: str, step: str | int) -> str:
    """Return the path of what is at a step below another path."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    if step.isidentifier() and step.isascii():
        return f"{path}.{step}" if path else step
    return f"{path}[{json.dumps(step, ensure_ascii=False)}]"


def below(path: str, places: Collection[str]) -> bool:
    """Tell whether a path is one of some places, or leads to something in one of them."""
    mine = steps(path)
    return any(mine[: len(way)] == way for way in map(steps, places))


# Differences


@dataclass(frozen=True)
class Change:
    """
    One value that differs.

    Attributes:
        path: Where it is, as ``cpu.pae``.
        old: The value in the first record; `MISSING` if it is not there.
        new: The value in the second one, likewise.
    """

    path: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.path}: {_shown(self.old)} -> {_shown(self.new)}"


def _shown(value: Any) -> str:
    return repr(value) if value is MISSING else json.dumps(_plain(value), ensure_ascii=False)


class Diff(Sequence[Change]):
    """
    What differs between two records, in the order of the first: false if nothing does.

    Example:
        ``print(vboxkit.diff(before, after))``
    """

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = tuple(changes)

    def __getitem__(self, index: Any) -> Any:
        return Diff(self._changes[index]) if isinstance(index, slice) else self._changes[index]

    def __len__(self) -> int:
        return len(self._changes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Diff) and other._changes == self._changes

    def __hash__(self) -> int:
        return hash(self._changes)

    def __str__(self) -> str:
        return "\n".join(map(str, self._changes)) or "no difference"

    def __repr__(self) -> str:
        return f"<Diff: {', '.join(self.paths) or 'nothing'}>"

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the differences are."""
        return tuple(change.path for change in self._changes)


class _Described(Protocol):
    def describe(self) -> Record: ...


def diff(a: Record | _Described, b: Record | _Described, *, ignore: Collection[str] = ()) -> Diff:
    """
    Tell what differs between two records, or between two machines as they are now.

    Args:
        a: A record, or a machine.
        b: Another one.
        ignore: Paths that do not matter, with all that is below them.

    Example:
        ``print(vboxkit.diff(vbox.machines["a"], vbox.machines["b"], ignore=["name"]))``
    """
    first, second = (it if isinstance(it, Record) else it.describe() for it in (a, b))
    found = (each for each in _changes("", first, second) if not below(each.path, ignore))
    return Diff(tuple(found))


def _changes(path: str, old: Any, new: Any) -> Iterator[Change]:
    if isinstance(old, Record) and isinstance(new, Record):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _changes(joined(path, key), old.get(key, MISSING), new.get(key, MISSING))
    elif _are_records(old) and _are_records(new):
        for index in range(max(len(old), len(new))):
            pair = [
                each[index] if index < len(each) else MISSING for each in (tuple(old), tuple(new))
            ]
            yield from _changes(joined(path, index), *pair)
    elif old != new or type(old) is not type(new):
        yield Change(path, old, new)


def _are_records(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(each, Record) for each in value)

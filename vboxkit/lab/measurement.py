"""What `vboxkit.lab.measuring` found: rows with figures, checks of the hardware, comparisons."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from vboxkit.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "GROUPS",
    "Check",
    "Compared",
    "Measurement",
    "Row",
    "as_dict",
    "check_groups",
    "compare",
    "load",
    "save",
]

#: What can be measured, in the order in which it is.
GROUPS = ("fork", "boot", "ssh", "cpu", "memory", "disk", "network", "hardware")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """
    One thing that was measured.

    Attributes:
        group: One of `GROUPS`.
        name: What it is.
        unit: Of all its values: ``s``, ``ms``, ``MB/s`` (of a million bytes), ``loops/s``, ...
        values: One for each run; none if it could not be measured.
        host_values: The same work on this host, in turn with the guest; none where there is no
            such work.
        how: What did the work in the guest, and on the host.
        note: Why there are no values, or what else is to be known.
    """

    group: str
    name: str
    unit: str
    values: list[float] = []
    host_values: list[float] = []
    how: str = ""
    note: str = ""

    @property
    def key(self) -> str:
        """Group and name."""
        return f"{self.group}: {self.name}"

    @property
    def median(self) -> float | None:
        """The value in the middle, in `unit`."""
        return statistics.median(self.values) if self.values else None

    @property
    def spread(self) -> float:
        """The distance between the first and the last quarter of the values, in `unit`."""
        return _spread(self.values)

    @property
    def host(self) -> float | None:
        """The host's value in the middle, in `unit`."""
        return statistics.median(self.host_values) if self.host_values else None

    @property
    def of_host(self) -> float | None:
        """How fast the guest is: 1 is the host's speed, 0.5 half of it; `None` without a host's."""
        if not self.values or not self.host_values:
            return None
        pairs = list(zip(self.values, self.host_values, strict=False))
        return statistics.median([mine / theirs for mine, theirs in pairs])

    @property
    def more_is_better(self) -> bool:
        """Whether it is a rate, and no time."""
        return self.unit.endswith("/s")


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """
    A piece of hardware: what is configured, and what the guest sees of it.

    Attributes:
        name: What it is.
        configured: What the machine's settings say, or what the host has.
        seen: What the guest has.
        missing: What of it the guest does not have; nothing, if all is as configured.
        note: What is to be known besides, or why it could not be seen.
        known: Whether it could be seen at all.
    """

    name: str
    configured: str
    seen: str
    missing: list[str] = []
    note: str = ""
    known: bool = True

    @property
    def ok(self) -> bool:
        """Whether all is there, and could be seen."""
        return self.known and not self.missing

    @property
    def verdict(self) -> str:
        """``as configured``, what is missing, or ``not known``."""
        if not self.known:
            return f"not known: {self.note}" if self.note else "not known"
        if not self.missing:
            return f"as configured; {self.note}" if self.note else "as configured"
        said = f"missing: {', '.join(self.missing)}"
        return f"{said}; {self.note}" if self.note else said


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """
    All that was found at one time.

    Attributes:
        name: The image or machine.
        where: On what it was measured, as ``a fork of image tiny``.
        taken: When, in seconds since the epoch.
        runs: How often each row was measured.
        emulated: Whether VirtualBox interprets the guest; `None` if its log does not say.
        virtualbox: Its version.
        host: The host's system, CPU, number of CPUs and load before, as text.
        rows: What was measured.
        checks: What was looked at.
        version: Of this record.
    """

    name: str
    where: str
    taken: float
    runs: int
    emulated: bool | None
    virtualbox: str
    host: dict[str, str]
    rows: list[Row]
    checks: list[Check]
    version: int = 1


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """
    One row of two measurements.

    Attributes:
        key: Group and name.
        unit: Of both.
        then: The earlier median; `None` if there is none.
        now: The later one, likewise.
        ratio: `now` divided by `then`.
        verdict: ``better`` or ``worse`` if each value of one is beyond each of the other, ``same``
            if they overlap; ``not measured`` if one of them is missing.
    """

    key: str
    unit: str
    then: float | None
    now: float | None
    ratio: float | None
    verdict: str


def compare(now: Measurement, then: Measurement) -> list[Compared]:
    """
    Compare two measurements row by row, those of the groups that the later one has.

    Rows that only one of them has come last.

    Example:
        ``[row for row in compare(now, load("before.json")) if row.verdict == "worse"]``
    """
    groups = {row.group for row in now.rows}
    earlier = {row.key: row for row in then.rows if row.group in groups}
    later = {row.key: row for row in now.rows}
    keys = [key for key in later if key in earlier] + list(later) + list(earlier)
    return [_compared(later.get(key), earlier.get(key)) for key in dict.fromkeys(keys)]


def _compared(now: Row | None, then: Row | None) -> Compared:
    row = now or then
    assert row is not None  # noqa: S101 - one of them has the key
    new, old = now.median if now else None, then.median if then else None
    if now is None or then is None or now.unit != then.unit or new is None or not old:
        return Compared(
            key=row.key, unit=row.unit, then=old, now=new, ratio=None, verdict="not measured"
        )
    verdict = "same"
    if min(now.values) > max(then.values) or max(now.values) < min(then.values):
        verdict = "better" if (new > old) == now.more_is_better else "worse"
    return Compared(key=row.key, unit=row.unit, then=old, now=new, ratio=new / old, verdict=verdict)


def save(found: Measurement, path: Path | str) -> Path:
    """Write a measurement as JSON, to compare a later one with."""
    target = Path(path)
    target.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    return target


def as_dict(found: Measurement | Compared) -> dict[str, Any]:
    """
    Return it as `json` can write it; a measurement with the figures that are made of its values.

    What `json` wrote of a measurement is read by `load`, too.
    """
    record: dict[str, Any] = msgspec.to_builtins(found)
    if isinstance(found, Measurement):
        for plain, row in zip(record["rows"], found.rows, strict=True):
            plain["median"], plain["spread"] = row.median, row.spread if row.values else None
            plain["host"], plain["of_host"] = row.host, row.of_host
        for plain, check in zip(record["checks"], found.checks, strict=True):
            plain["ok"], plain["verdict"] = check.ok, check.verdict
    return record


def load(path: Path | str) -> Measurement:
    """
    Read a measurement that `save` wrote.

    Raises:
        SettingsError: It is none.
        FileNotFoundError: There is no such file.
    """
    source = Path(path)
    try:
        found = msgspec.json.decode(source.read_bytes(), type=Measurement)
    except msgspec.DecodeError as error:
        raise SettingsError(
            f"{source} holds no measurement: {error}",
            hint="vboxkit bench NAME --save FILE.json writes one",
        ) from error
    values = [value for row in found.rows for value in (*row.values, *row.host_values)]
    if found.version != 1 or not all(math.isfinite(value) and value > 0 for value in values):
        raise SettingsError(
            f"{source} is a measurement of version {found.version} with values that cannot be read",
            hint="measure again, with this version of vboxkit",
        )
    return found


def check_groups(only: Collection[str]) -> tuple[str, ...]:
    """
    Return the groups that shall be measured, in their order: all, if none is named.

    Raises:
        SettingsError: There is none of such a name.
    """
    wrong = sorted(set(only) - set(GROUPS))
    if wrong:
        raise SettingsError(
            f"there is nothing to measure of the name {', '.join(map(repr, wrong))}",
            hint=f"one or more of {', '.join(GROUPS)}",
        )
    return tuple(group for group in GROUPS if not only or group in only)


def _spread(values: list[float]) -> float:
    if len(values) < 2:
        return 0.0
    quarters = statistics.quantiles(values, n=4)
    return quarters[2] - quarters[0]

"""Reading the audit log again: its lines, and whether they are as they were written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vboxkit.core.audit import FIRST, HEAD, NAME, digest, files, writing
from vboxkit.errors import WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Damage", "Verdict", "entries", "verify"]


@dataclass(frozen=True)
class Damage:
    """
    A place where the log is not as it was written.

    Attributes:
        file: The file's name.
        line: The line in it, from 1; 0 for the file as a whole.
        sentence: What is wrong.
    """

    file: str
    line: int
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """
    What `verify` found.

    Attributes:
        lines: How many changes the log has.
        hash: The hash of the last one: kept elsewhere, it proves all before it.
        damages: What is wrong, in order.
    """

    lines: int
    hash: str
    damages: list[Damage]


def entries(home: Path) -> Iterator[dict[str, Any]]:
    """Yield the changes of a home's log, the oldest first; lines that are damaged are left out."""
    for _, _, entry in _lines(_taken(home)):
        if entry is not None:
            yield entry


def verify(home: Path) -> Verdict:
    """
    Check that no line of a home's log was edited, added, moved or taken away.

    Others may write to it meanwhile: what is checked is the log as it is now.

    Example:
        ``assert not verify(vbox.home).damages``
    """
    damages: list[Damage] = []
    number, previous, count = 0, FIRST, 0
    name, line = "", 0
    log = _taken(home)
    for path, line, entry in _lines(log):
        name = path.name

        def say(sentence: str, *, file: str = name, at: int = line) -> None:
            damages.append(Damage(file, at, sentence))

        if entry is None:
            say("it is no line of this log: cut off while it was written, or edited")
            continue
        count += 1
        if digest(entry) != entry["hash"]:
            say(f"change {entry['number']} was edited: its hash is another one")
        if entry["number"] != number + 1:
            say(f"change {entry['number']} stands where {number + 1} is due")
        elif entry["previous"] != previous:
            say(f"change {entry['number']} does not follow from the one before it")
        number, previous = entry["number"], entry["hash"]
    damages.extend(_head(log, number, previous))
    return Verdict(count, previous, damages)


@dataclass(frozen=True)
class _Log:
    """A log at one moment: its full files, which stay as they are, and what is in the others."""

    full: list[Path]
    last: Path
    lines: bytes
    head: str | None


def _taken(home: Path) -> _Log:
    if not (home / HEAD).exists() and not files(home):
        return _Log([], home / NAME, b"", None)  # and no lock's file is made
    try:
        with writing(home):
            return _read(home)
    except (OSError, WaitTimeoutError):  # read only, or somebody keeps it
        return _read(home)


def _read(home: Path) -> _Log:
    last = home / NAME
    lines = last.read_bytes() if last.exists() else b""
    head = (home / HEAD).read_text() if (home / HEAD).exists() else None
    return _Log([path for path in files(home) if path != last], last, lines, head)


def _head(log: _Log, number: int, last: str) -> Iterator[Damage]:
    if log.head is None:
        if number:
            yield Damage(HEAD, 0, "it is missing: whether the last changes are there is not known")
        return
    try:
        told, wanted = log.head.split()
        due = int(told)
    except ValueError:
        yield Damage(HEAD, 0, "it is damaged")
        return
    # A process that dies between the two leaves the head one behind.
    if due > number or due < number - 1:
        yield Damage(HEAD, 0, f"the last change is {due}, and the log ends with {number}")
    elif due == number and wanted != last:
        yield Damage(HEAD, 0, f"change {number} is not the one that was written")


def _lines(log: _Log) -> Iterator[tuple[Path, int, dict[str, Any] | None]]:
    for path in log.full:
        with path.open("rb") as file:
            for index, text in enumerate(file, 1):
                yield path, index, _parsed(text)
    for index, text in enumerate(log.lines.splitlines(), 1):
        yield log.last, index, _parsed(text)


def _parsed(text: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(text)
        whole = isinstance(entry, dict) and isinstance(entry["number"], int)
        return entry if whole and {"hash", "previous", "time"} <= entry.keys() else None
    except (ValueError, KeyError):
        return None

"""
The audit log: each change to VirtualBox is one line of JSON, chained to the line before by a hash.

A line has what a hash over it and over the hash before it proves: a line that was edited, left out,
added or moved does not fit the chain any more. What was cut off the end is found by `HEAD`, which
has the number and the hash of the last line.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import sys
import threading
import time
import warnings
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.core.locks import lock_file
from vboxkit.core.secrets import masked
from vboxkit.errors import AuditWarning, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "FIRST",
    "HEAD",
    "NAME",
    "AuditLog",
    "Entry",
    "digest",
    "files",
    "is_change",
    "writing",
]

#: The file that is written to, in the VirtualBox home; full ones have a number behind the name.
NAME = "vboxkit-audit.jsonl"
HEAD = "vboxkit-audit.head"
#: The hash before the first line.
FIRST = "0" * 64

#: Bytes of a file after which the next one is begun.
_FULL = 8 << 20
#: Seconds that another process may take to write a line.
_TURN = 5.0
#: Characters of an error's message that are kept.
_LONGEST = 400

#: First words of operations that change nothing, as they stand behind "cannot".
_READING = frozenset(
    {
        "ask",
        "check",
        "count",
        "describe",
        "draw",
        "find",
        "list",
        "listen",
        "look",
        "measure",
        "read",
        "wait",
    }
)
#: Others that change nothing, or only what is inside a guest.
_HARMLESS = frozenset(
    {
        "lock the machine",
        "open a guest session",
        "run a command",
        "take a screenshot",
        "use the Guest Additions",
    }
)


def is_change(operation: str) -> bool:
    """Return whether an operation, as it stands behind "cannot", changes something."""
    return operation.split(" ", 1)[0] not in _READING and operation not in _HARMLESS


def digest(entry: dict[str, Any]) -> str:
    """Return the hash of a line, which covers all of it but the hash itself."""
    body = {key: value for key, value in entry.items() if key != "hash"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def files(home: Path) -> list[Path]:
    """Return the files of a home's log, the oldest first."""
    full = home.glob(NAME.replace(".jsonl", "-*.jsonl"))
    last = home / NAME
    return [*sorted(full), *([last] if last.exists() else [])]


@contextmanager
def writing(home: Path) -> Iterator[None]:
    """Be the one who uses a home's log: waits some seconds for others, who take a ms each."""
    with lock_file(home / "vboxkit-audit.lock", what="the audit log", timeout=_TURN):
        yield


class Entry:
    """
    A change that is under way.

    Attributes:
        operation: What is done, as it stands behind "cannot".
        subject: To which object.
        values: What was set: name, value before, value now.
    """

    def __init__(self, operation: str, subject: str) -> None:
        self.operation = operation
        self.subject = subject
        self.values: list[dict[str, Any]] = []

    def note(self, name: str, before: object, now: object) -> None:
        """Add a value that was set."""
        self.values.append({"name": name, "from": masked(name, before), "to": masked(name, now)})


class AuditLog:
    """
    The log of one VirtualBox home.

    Args:
        home: The home.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._of_thread = threading.local()
        self._silent = False

    @property
    def current(self) -> Entry | None:
        """The change of this thread that is under way."""
        return getattr(self._of_thread, "change", None)

    @contextmanager
    def change(self, operation: str, subject: str) -> Iterator[None]:
        """
        Write a line when the block ends, however it ends; inside another change, only that does.

        Args:
            operation: What the block does, after "cannot".
            subject: To which object.
        """
        if self.current is not None or not is_change(operation):
            yield
            return
        change = self._of_thread.change = Entry(operation, subject)
        begin = time.monotonic()
        result = "done"
        try:
            yield
        except BaseException as error:
            words = masked("", str(error))
            result = f"{type(error).__name__}: {words}"[:_LONGEST]
            raise
        finally:
            self._of_thread.change = None
            self._write(change, result, time.monotonic() - begin)

    def _write(self, change: Entry, result: str, seconds: float) -> None:
        entry: dict[str, Any] = {
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "user": _user(),
            "pid": os.getpid(),
            "program": Path(sys.argv[0]).name if sys.argv else "",
            "operation": masked("", change.operation),
            "object": change.subject,
            "values": change.values,
            "result": result,
            "seconds": round(seconds, 3),
        }
        try:
            with writing(self.home):
                self._append(entry)
        except (OSError, WaitTimeoutError) as error:
            # A change that is made cannot be unmade for want of a line about it.
            if not self._silent:
                self._silent = True
                warnings.warn(
                    f"the audit log of {self.home} could not be written: {error};"
                    f" first missing: {change.operation} ({change.subject})",
                    AuditWarning,
                    stacklevel=2,
                )

    def _append(self, entry: dict[str, Any]) -> None:
        path = self.home / NAME
        number, previous = self._head()
        # Before it is opened: Windows renames no file that is.
        if path.exists() and path.stat().st_size > _FULL:
            path.rename(path.with_name(f"{path.stem}-{number:010d}.jsonl"))
        with path.open("ab") as file:
            entry = {"number": number + 1, **entry, "previous": previous}
            entry["hash"] = digest(entry)
            line = json.dumps(entry, ensure_ascii=False, default=str).encode()
            # A line that somebody could not finish stays a line of its own.
            file.write((b"\n" if self._torn(path) else b"") + line + b"\n")
        new = self.home / f"{HEAD}.new"
        new.write_text(f"{entry['number']} {entry['hash']}\n")
        new.replace(self.home / HEAD)

    def _head(self) -> tuple[int, str]:
        """Return the number and the hash of the last line."""
        known = (0, FIRST)
        try:
            number, told = (self.home / HEAD).read_text().split()
            known = (int(number), told)
        except (FileNotFoundError, ValueError):
            pass
        # Who wrote a line may have died before he wrote the head.
        last = self._last()
        return max(known, last) if last else known

    def _last(self) -> tuple[int, str] | None:
        for path in reversed(files(self.home)):
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - (64 << 10)))
                lines = file.read().splitlines()
            for line in reversed(lines):
                try:
                    entry = json.loads(line)
                    return int(entry["number"]), str(entry["hash"])
                except (ValueError, KeyError, TypeError):
                    continue
        return None

    @staticmethod
    def _torn(path: Path) -> bool:
        with path.open("rb") as file:
            if not file.seek(0, os.SEEK_END):
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user id without a name
        return str(os.getuid()) if hasattr(os, "getuid") else "?"

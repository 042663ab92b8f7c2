"""The machines of other hosts, for ``vboxkit top --on``: by the user's own ssh."""

from __future__ import annotations

import json
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Hosts"]

#: Nobody is asked for a password, and a host that is off is not waited for.
_SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "--")
_COMMAND = "vboxkit top --json"
#: Seconds for an answer.
_PATIENCE = 30.0
#: What each row of an answer has; one of another version may have more.
_KEYS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "state": str,
    "user": str,
    "memory_bytes": int,
    "uptime_s": (int, float),
}
_MAYBE = ("home", "owner", "cpu_percent", "disk_bytes")


class Hosts:
    """
    Other hosts, and what each said last.

    Args:
        names: As ssh knows them.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(dict.fromkeys(names))
        self._said: dict[str, list[dict[str, Any]]] = {}
        self._failures: dict[str, str] = {}
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def rows(self) -> list[dict[str, Any]]:
        """Return the machines of all hosts that have answered."""
        with self._lock:
            return [row for name in self._names for row in self._said.get(name, [])]

    def failures(self) -> dict[str, str]:
        """Return why hosts did not answer the last time, by their names."""
        with self._lock:
            return dict(self._failures)

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Ask all of them once, meanwhile; the block ends when all have answered."""
        with self._threads(self._ask):
            yield

    @contextmanager
    def watched(self, every: float) -> Iterator[None]:
        """Ask all of them again and again while the block runs; `every` is in seconds."""

        def go_on(name: str) -> None:
            while not self._ended.is_set():
                self._ask(name)
                self._ended.wait(every)

        with self._threads(go_on):
            try:
                yield
            finally:
                self._end()

    @contextmanager
    def _threads(self, work: Callable[[str], None]) -> Iterator[None]:
        threads = [threading.Thread(target=work, args=(name,)) for name in self._names]
        for thread in threads:
            thread.start()
        try:
            yield
            for thread in threads:
                thread.join()
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        self._ended.set()
        with self._lock:
            for process in self._running:
                process.kill()

    def _ask(self, name: str) -> None:
        try:
            rows = _rows(name, self._output(name))
        except (OSError, ValueError) as error:
            with self._lock:
                self._said.pop(name, None)
                self._failures[name] = str(error)
            return
        with self._lock:
            self._said[name] = rows
            self._failures.pop(name, None)

    def _output(self, name: str) -> str:
        with subprocess.Popen(
            [*_SSH, name, _COMMAND],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            with self._lock:
                self._running.add(process)
            try:
                if self._ended.is_set():
                    process.kill()
                out, err = process.communicate(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise OSError(f"no answer in {_PATIENCE:.0f} s") from None
            finally:
                with self._lock:
                    self._running.discard(process)
        if process.returncode:
            last = (err.strip() or f"exit code {process.returncode}").splitlines()[-1]
            raise OSError(f"{last} (ssh {name} {_COMMAND})")
        return out


def _rows(name: str, text: str) -> list[dict[str, Any]]:
    told = json.loads(text)
    rows = []
    for row in told if isinstance(told, list) else [told]:
        of_ours = isinstance(row, dict)
        if not (of_ours and all(isinstance(row.get(key), kind) for key, kind in _KEYS.items())):
            raise ValueError("its vboxkit is of another version")
        rows.append({**dict.fromkeys(_MAYBE), "test": "", **row, "host": row.get("host") or name})
    return rows

"""What was run in a guest, command by command, for whoever looks at a failure afterwards."""

from __future__ import annotations

import json
from collections import deque
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from vboxkit.core.secrets import masked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vboxkit.core.result import Result

__all__ = ["Transcript"]

#: Commands that are kept, and bytes of each of their streams.
_MOST = 1000
_BYTES = 16 << 10


class Transcript:
    """
    The last thousand commands of a connection, each with times, exit code and output.

    Of each stream the last 16 KiB are kept; what looks like a password is masked.

    Example:
        >>> Transcript().entries()
        []
    """

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=_MOST)

    def add(self, result: Result) -> None:
        """Add a command that has just ended."""
        ended = datetime.now(timezone.utc)
        began = ended - timedelta(seconds=result.duration)
        self._entries.append(
            {
                "began": began.isoformat(timespec="milliseconds"),
                "ended": ended.isoformat(timespec="milliseconds"),
                "command": masked("", result.command),
                "exit_code": result.exit_code,
                "stdout": _end(result.stdout_bytes),
                "stderr": _end(result.stderr_bytes),
            }
        )

    def entries(self) -> list[dict[str, Any]]:
        """Return the commands, the oldest first."""
        return list(self._entries)

    def save(self, path: Path) -> Path:
        """Write them as JSON, a line each."""
        with path.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in self._lines())
        return path

    def _lines(self) -> Iterator[str]:
        for entry in self.entries():
            yield json.dumps(entry, ensure_ascii=False)


def _end(data: bytes) -> str:
    cut = len(data) - _BYTES
    text = data[-_BYTES:].decode("utf-8", errors="replace")
    return f"[{cut} bytes before]\n{text}" if cut > 0 else text

"""Runs the command as a newcomer does, as a process of its own."""

from __future__ import annotations

import stat
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Said", "command", "reachable"]


@contextmanager
def reachable(folder: Path) -> Iterator[None]:
    """Let everybody come to a folder while the block runs, by execute rights on what is above."""
    closed = [
        (place, mode)
        for place in (folder, *folder.parents)
        for mode in [stat.S_IMODE(place.stat().st_mode)]
        if not mode & stat.S_IXOTH
    ]
    for place, mode in closed:
        place.chmod(mode | stat.S_IXOTH | stat.S_IROTH)
    try:
        yield
    finally:
        for place, mode in closed:
            place.chmod(mode)


class Said:
    """How a command ended, and what it said."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        self.out = done.stdout
        self.lines = done.stderr.splitlines()

    @property
    def error(self) -> str:
        """The line with the error."""
        found = [line for line in self.lines if line.startswith("error: ")]
        assert len(found) == 1, self.lines
        return found[0]

    @property
    def remedy(self) -> str:
        """What follows ``try:``, on the line below the error."""
        after = self.lines[self.lines.index(self.error) + 1]
        assert after.startswith("  try: "), self.lines
        return after.removeprefix("  try: ")

    def check(self, code: int, error: str, remedy: str) -> None:
        """See that it failed so, without a traceback, and with nothing where results are."""
        assert self.code == code, (self.code, self.lines)
        assert error in self.error
        assert remedy in self.remedy
        assert not any("Traceback" in line for line in self.lines)
        assert self.out == ""


def command(home: Path, *words: object, wrap: tuple[str, ...] = (), **more: str) -> Said:
    """
    Run ``vboxkit``.

    Args:
        home: Its VirtualBox home.
        words: The arguments.
        wrap: The command by which it is run.
        more: Changes to its environment.
    """
    env = environment()
    for name in ("VBOX_USER_HOME", "VBOX_IPC_SOCKETID", "COLUMNS", "FORCE_COLOR"):
        env.pop(name, None)
    done = subprocess.run(
        [*wrap, sys.executable, "-W", "ignore", "-m", "vboxkit", *map(str, words)],
        env={**env, "VBOXKIT_HOME": str(home), **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )
    return Said(done)

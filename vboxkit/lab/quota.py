"""
How many disposable machines there may be at once: of all processes that use a home.

Each machine has a place: a file that its owner holds locked. The kernel gives it back when the
owner dies, however that happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.core.locks import HeldLock, lock_file, try_lock
from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vboxkit.core.waiting import Timeout

__all__ = ["Quota"]

#: Seconds between two looks; a place that is given back has no event.
_LOOK = 0.1


class Quota:
    """
    The places of one home.

    Args:
        folder: Where they are.
        most: How many machines; `None` for any number.
        memory_mb: How much memory their guests have together, in MiB; `None` for any.

    Example:
        >>> import tempfile, pathlib
        >>> quota = Quota(pathlib.Path(tempfile.mkdtemp()), most=2)
        >>> with quota.take(["web"], 64, timeout=1)[0]: pass
    """

    def __init__(
        self, folder: Path, *, most: int | None = None, memory_mb: int | None = None
    ) -> None:
        self._folder = folder
        self._most = most
        self._memory_mb = memory_mb

    def take(self, names: Sequence[str], memory_mb: int, *, timeout: Timeout) -> list[HeldLock]:
        """
        Wait until there is room for these machines, all of them, and take their places.

        Args:
            names: Their names.
            memory_mb: What the guest of each has, in MiB.
            timeout: Seconds, `timedelta` or `Deadline`.

        Returns:
            A place each; ``.release()`` gives it back.

        Raises:
            SettingsError: There will never be room for so many.
            WaitTimeoutError: There was none in time; `last_seen` says who has the places.
        """
        if self._most is None and self._memory_mb is None:
            return []
        count = len(names)
        if self._most is not None and count > self._most:
            raise SettingsError(
                f"{count} machines are wanted at once, and {self._most} are allowed",
                hint="a higher --vm-max",
            )
        if self._memory_mb is not None and count * memory_mb > self._memory_mb:
            raise SettingsError(
                f"{count} machines with {memory_mb} MiB are wanted, and {self._memory_mb} MiB are"
                " allowed for all",
                hint="a higher --vm-memory-budget",
            )
        taken = self._try(names, memory_mb)
        if taken is not None:
            return taken
        with step(f"{names[0]}: wait for room") as this:
            this.update(note=self._told())
            return wait_until(
                lambda: self._try(names, memory_mb),
                what=f"room for {', '.join(names)}",
                timeout=Deadline(timeout),
                poll=_LOOK,
                last_seen=self._told,
                hint="a higher --vm-max or --vm-memory-budget, or fewer machines in a test",
            )

    def _try(self, names: Sequence[str], memory_mb: int) -> list[HeldLock] | None:
        with lock_file(self._folder / "quota.lock", what="the list of machines", timeout=60):
            there = self._there()
            count = len(there) + len(names)
            memory = sum(mb for _, mb in there) + memory_mb * len(names)
            if (self._most is not None and count > self._most) or (
                self._memory_mb is not None and memory > self._memory_mb
            ):
                return None
            taken = []
            for name in names:
                place = try_lock(self._folder / f"{memory_mb}-{name}.place")
                assert place is not None  # noqa: S101 - the name is new, and the list is ours
                taken.append(place)
            return taken

    def _there(self) -> list[tuple[str, int]]:
        """Return the machines that have a place; remove the places of dead owners."""
        found = []
        for file in self._folder.glob("*.place"):
            mine = try_lock(file)
            if mine is None:
                memory, _, name = file.stem.partition("-")
                found.append((name, int(memory)))
            else:
                file.unlink(missing_ok=True)
                mine.release()
        return found

    def _told(self) -> str:
        with lock_file(self._folder / "quota.lock", what="the list of machines", timeout=60):
            return ", ".join(f"{name} ({mb} MiB)" for name, mb in self._there()) or "nobody"

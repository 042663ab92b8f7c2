"""
The watcher: a process apart that removes what a killed session left.

One per home. It is started with the first lease, sleeps until an owner of leases ends, removes
what that owner left (`reaper.collect`), and ends itself when all owners that it has seen are gone.
It does not load VirtualBox: that is done by a short process of its own, when there is work.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.core import processes
from vboxkit.core.locks import try_lock
from vboxkit.lab import leases
from vboxkit.lab.places import Places

if TYPE_CHECKING:
    from vboxkit.core.processes import ProcessId

__all__ = ["ensure", "main"]

#: How often it looks for owners that are new, and for leases that have expired.
_LOOK = 5.0
#: How often the removal of a machine is tried before it waits until another owner has ended, or
#: for the next session.
_TRIES = 3
#: Seconds after which a clean-up hangs, and is ended.
_COLLECT_TIMEOUT = 600.0


def ensure(places: Places) -> None:
    """
    Start the watcher of a home unless there is one; called after a lease was written.

    Costs a tenth of a millisecond if there is one, and does not wait for one that starts. Without
    one (no room for its log, no more processes) the next session cleans up: that is no error.
    """
    with suppress(OSError):
        _start(places)


def _start(places: Places) -> None:
    lock = try_lock(_lock_file(places))
    if lock is None:
        return
    lock.release()
    with (places.home / "watcher.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "vboxkit.lab.watcher", str(places.home)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C and a terminal that closes are for the session, not for who cleans up after it.
            start_new_session=True,
            cwd=places.home,
        )
    # Takes its exit code when it ends: no zombie, and no warning of a child that is forgotten.
    threading.Thread(target=process.wait, name="vboxkit watcher", daemon=True).start()


def main(home: Path) -> int:
    """Watch a home until there is nothing left to watch; ends at once if another one does."""
    places = Places(home)
    while (lock := try_lock(_lock_file(places))) is not None:
        try:
            tired = not _watch(places)
        finally:
            lock.release()
        # A lease that was written while we still held the lock counted on us.
        if not _owners(places) and (tired or not _abandoned(places)):
            return 0  # what is left is kept on purpose, or cannot be removed
    return 0


def _watch(places: Places) -> bool:
    """Watch until there is nothing to watch; `False` if what is left cannot be removed."""
    seen: set[ProcessId] = set()
    before: set[str] = set()
    tries: Counter[str] = Counter()
    while True:
        alive = {owner for owner in seen | _owners(places) if owner.alive}
        if seen - alive:
            tries.clear()  # a fork of that owner may have been what stood in the way
        seen = alive
        abandoned = _abandoned(places)
        # One that cannot be removed is no reason to leave the others.
        doomed = {name for name in abandoned if tries[name] < _TRIES}
        # Only what was abandoned at the last look already: whoever is about to clean up after its
        # own children goes first.
        if doomed & before:
            _collect(places)
            tries.update(abandoned & _abandoned(places))
            before = set()
            continue
        if not seen and not doomed:
            return not abandoned
        before = doomed
        processes.wait_for_end(seen, timeout=_LOOK)


def _owners(places: Places) -> set[ProcessId]:
    """Return the living processes that hold leases."""
    return {lease.owner for lease in leases.all_leases(places.leases) if lease.owner_alive}


def _abandoned(places: Places) -> set[str]:
    return {lease.name for lease in leases.all_leases(places.leases) if lease.abandoned}


def _collect(places: Places) -> None:
    """Clean up in a process of its own: VBoxSVC would stay for as long as we are connected."""
    sys.stdout.write(time.strftime("%F %T cleaning up\n"))
    sys.stdout.flush()
    code = (
        "import sys; from pathlib import Path; from vboxkit.lab import Lab;"
        " from vboxkit.settings import Settings;"
        " [print(it) for it in Lab(Settings.load(home=Path(sys.argv[1]))).gc()]"
    )
    command = [sys.executable, "-c", code, str(places.home)]
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(command, check=False, timeout=_COLLECT_TIMEOUT)


def _lock_file(places: Places) -> Path:
    return places.locks / "watcher.lock"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

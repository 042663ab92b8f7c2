"""Names and folders of machines that are being made, so that two processes do not take one."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.core.locks import HeldLock, lock_file, try_lock
from vboxkit.core.signals import held
from vboxkit.errors import AlreadyExistsError
from vboxkit.machines.clones import require_free_name
from vboxkit.settings import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vboxkit.com.api import Api
    from vboxkit.core.waiting import Deadline

__all__ = ["Wanted", "home_lock", "require_unreserved", "reserved"]

#: How long the giving back of a name waits for its turn; without it a file of no bytes stays.
_BACK = 10.0

#: The name asked for, or the one suggested (and which of the two it is), and where its settings
#: file is then.
Wanted = tuple[str, bool, "Callable[[str], Path]"]


def home_lock(api: Api) -> Path:
    """Return the file of the lock that is held while a name in a home is looked for."""
    home = hashlib.sha256(os.fsencode(str(api.virtualbox.homeFolder))).hexdigest()[:16]
    return cache_dir() / "names" / f"{home}.lock"


@contextmanager
def reserved(api: Api, wanted: Sequence[Wanted], *, deadline: Deadline) -> Iterator[list[str]]:
    """
    Keep names, and their folders, until the block is over; yield them.

    A suggested name gets a number behind it if it is taken, or if a process that lives has it
    reserved. The reservation goes with its process, however that ends.

    Args:
        api: The way in.
        wanted: What is asked for or suggested.
        deadline: For the turn; it is held for milliseconds.

    Raises:
        AlreadyExistsError: A name that was asked for is taken, or being taken.
    """
    turn = home_lock(api)
    locks: list[HeldLock] = []
    names: list[str] = []
    try:
        with lock_file(turn, what="another process to choose a name", timeout=deadline):
            for name, asked, file in wanted:
                if asked:
                    require_free_name(api, name)
                    if name in names or not _take(turn, name, file(name), locks):
                        raise _being_made(name)
                    names.append(name)
                else:
                    names.append(_free(api, name, file, locks, names))
        yield names
    finally:
        with held():
            _give_back(turn, locks)


def require_unreserved(api: Api, name: str, file: Path) -> None:
    """
    Require that nobody has a name reserved; the caller holds `home_lock`.

    Raises:
        AlreadyExistsError: A process is making a machine of that name.
    """
    locks: list[HeldLock] = []
    if not _take(home_lock(api), name, file, locks):
        raise _being_made(name)
    _release(locks)


def _being_made(name: str) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"a machine {name!r} is being made already",
        kind="machine",
        wanted=name,
        hint="choose another name",
    )


def _free(
    api: Api,
    name: str,
    file: Callable[[str], Path],
    locks: list[HeldLock],
    names: Sequence[str],
) -> str:
    turn = home_lock(api)
    for number in count():
        # As VirtualBox numbers them.
        tried = f"{name} {number}" if number else name
        place = file(tried)
        taken = tried in names or _known(api, tried) or os.path.lexists(place.parent)
        if not taken and _take(turn, tried, place, locks):
            return tried
    raise AssertionError  # count() does not end


def _known(api: Api, name: str) -> bool:
    try:
        found: Any = api.virtualbox.findMachine(name)
    except Exception as error:
        foreign = api.foreign(error)
        if foreign is None or foreign.symbol != "VBOX_E_OBJECT_NOT_FOUND":
            raise
        return False
    return found is not None


def _take(turn: Path, name: str, file: Path, locks: list[HeldLock]) -> bool:
    """Take the locks of a name and its folder, or none of them."""
    taken: list[HeldLock] = []
    for key in (f"name {name}", f"folder {file.parent}"):
        digest = hashlib.sha256(os.fsencode(key)).hexdigest()[:16]
        lock = try_lock(turn.with_suffix("") / f"{digest}.lock")
        if lock is None:
            _release(taken)
            return False
        taken.append(lock)
    locks += taken
    return True


def _give_back(turn: Path, locks: list[HeldLock]) -> None:
    if not locks:
        return
    try:
        # In turn, nobody is about to take a lock whose file is removed.
        with lock_file(turn, what="another process to choose a name", timeout=_BACK):
            _release(locks)
    finally:
        for lock in locks:
            lock.release()


def _release(locks: list[HeldLock]) -> None:
    for lock in locks:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()

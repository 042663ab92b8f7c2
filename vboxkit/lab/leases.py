"""
Leases: who made which disposable machine.

A lease is a small file, written before anything of the machine exists and removed after all of it
is gone. Whatever dies in between, even this process, the lease says what may be left and whose it
was.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import msgspec

from vboxkit.core.processes import ProcessId

__all__ = ["Lease", "all_leases", "take"]


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """
    The claim of a process on a machine's name.

    Attributes:
        name: The machine's name.
        pid: The process.
        started: When that process started, for a pid that comes again.
        created: When the lease was taken, in seconds since the epoch.
        purpose: ``fork`` or ``image``.
        test: What it is for: the test's node id, for one.
        keep: The machine stays when its owner is gone.
        session: The run that it belongs to, as ``pytest 4711``.
        expires: When it may be removed even if its owner lives, in seconds since the epoch.
        machine: The machine's UUID, once there is one: it may be renamed.
        began: When that process started, by a clock that nobody changes, see `ProcessId`.
    """

    name: str
    pid: Annotated[int, msgspec.Meta(ge=0, le=0x7FFF_FFFF)]
    started: float
    created: float
    purpose: str = "fork"
    test: str = ""
    keep: bool = False
    session: str = ""
    expires: float | None = None
    machine: str = ""
    began: float | None = None

    @property
    def owner(self) -> ProcessId:
        """The process that took it."""
        return ProcessId(self.pid, self.started, self.began)

    @property
    def owner_alive(self) -> bool:
        """Whether the process that took it still runs."""
        return self.owner.alive

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires is not None and time.time() > self.expires

    @property
    def abandoned(self) -> bool:
        """Whether nobody will clean up after it any more, or its time is over."""
        return not self.keep and (self.expired or not self.owner_alive)

    def encoded(self) -> str:
        """Return the lease as one line of JSON."""
        return msgspec.json.encode(self).decode()


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def take(
    folder: Path,
    name: str,
    *,
    purpose: str = "fork",
    test: str = "",
    session: str = "",
    ttl: float | None = None,
) -> Lease:
    """
    Write a lease of this process for a machine that is about to be made.

    Args:
        folder: Where the home's leases are.
        name: The machine's name.
        purpose: ``fork``, ``image`` or ``pool``.
        test: What it is for.
        session: The run that it belongs to.
        ttl: Seconds after which it may be removed whoever lives.
    """
    me = ProcessId.current()
    now = time.time()
    lease = Lease(
        name=name,
        pid=me.pid,
        started=me.started,
        began=me.began,
        created=now,
        purpose=purpose,
        test=test,
        session=session,
        expires=None if ttl is None else now + ttl,
    )
    write(folder, lease)
    return lease


def write(folder: Path, lease: Lease) -> None:
    """Write a lease: whole, or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    file = _file(folder, lease.name)
    draft = file.with_suffix(f".{lease.pid}.tmp")
    draft.write_text(lease.encoded())
    draft.replace(file)


def release(folder: Path, name: str) -> None:
    """Remove a lease: all of the machine is gone."""
    _file(folder, name).unlink(missing_ok=True)


def find(folder: Path, name: str) -> Lease | None:
    """
    Return the lease of a machine, or `None`.

    One that cannot be read (an empty file after a power cut) is nobody's: its machine counts as
    abandoned. One that may not be read (another user's) is not there for us.
    """
    nobodys = Lease(name=name, pid=0, started=0.0, created=0.0)
    try:
        lease = msgspec.json.decode(_file(folder, name).read_bytes(), type=Lease)
    except OSError:
        return None
    except msgspec.DecodeError:
        return nobodys
    return lease if lease.name == name else nobodys


def name_in(text: str) -> str:
    """Return the name in a lease's line, as machines carry it; an empty one if it is none."""
    try:
        return msgspec.json.decode(text, type=Lease).name
    except msgspec.DecodeError:
        return ""


def all_leases(folder: Path) -> list[Lease]:
    """Return all leases, oldest first."""
    found = [find(folder, file.stem) for file in folder.glob("*.json")]
    return sorted((lease for lease in found if lease is not None), key=lambda it: it.created)


def drop_drafts(folder: Path) -> None:
    """Remove drafts whose writer is gone."""
    for draft in folder.glob("*.tmp"):
        try:
            ProcessId.of(int(draft.suffixes[-2].lstrip(".")))
        except (ProcessLookupError, ValueError, IndexError):
            draft.unlink(missing_ok=True)


def keep(folder: Path, name: str) -> None:
    """Mark a lease so that its machine stays when its owner is gone."""
    lease = find(folder, name)
    if lease is not None:
        write(folder, msgspec.structs.replace(lease, keep=True))


def adopt(folder: Path, name: str) -> None:
    """Make this process the owner of a machine that waited in a pool, without an end."""
    lease = find(folder, name)
    if lease is not None:
        me = ProcessId.current()
        write(
            folder,
            msgspec.structs.replace(
                lease, pid=me.pid, started=me.started, began=me.began, expires=None
            ),
        )

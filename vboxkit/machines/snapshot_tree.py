"""The tree of a machine's snapshots: walking, finding by path, drawing, cutting."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline
from vboxkit.errors import AmbiguousNameError, InvalidStateError, NotFoundError
from vboxkit.machines.progress import progress_hook

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.progress import ProgressHook
    from vboxkit.machines.snapshots import Snapshot

__all__ = ["between", "delete", "draw", "find", "matches", "not_found", "walk", "with_paths"]

#: Before a node that others follow, before the last one, below the former, below the latter.
_LINES = ("├─ ", "└─ ", "│  ", "   ")
_PLAIN = ("|- ", "`- ", "|  ", "   ")


def walk(root: Snapshot) -> Iterator[tuple[int, Snapshot]]:
    """Yield a snapshot and all below it with their depth, parents before children."""
    pending = [(0, root)]
    while pending:
        depth, snapshot = pending.pop()
        yield depth, snapshot
        pending += [(depth + 1, child) for child in reversed(snapshot.children)]


def with_paths(walked: Iterable[tuple[int, Snapshot]]) -> Iterator[tuple[str, Snapshot]]:
    """Yield each snapshot of a walk from the root with its path, which begins with a slash."""
    above: list[str] = []
    for depth, snapshot in walked:
        above[depth:] = [snapshot._name]
        yield "/" + "/".join(above), snapshot


def matches(machine: Machine, name: str) -> list[tuple[str, Snapshot]]:
    """
    Return the snapshots, with their paths, that a name or a path fits.

    A slash may be part of a name: then the same text fits a name and a path.
    """
    return [
        (path, snapshot)
        for path, snapshot in with_paths(machine.snapshots.walk())
        if path == name
        or (name and not name.startswith("/") and path.endswith(f"/{name}"))
        or snapshot._name == name
    ]


def find(machine: Machine, name: str) -> Snapshot | None:
    """See `Snapshots.find`."""
    found = matches(machine, name)
    if len(found) > 1:
        paths = [path for path, _ in found]
        if len(set(paths)) < len(paths):
            paths = [f"{path} ({snapshot.id})" for path, snapshot in found]
        raise AmbiguousNameError(
            f"{machine._subject()} has {len(found)} snapshots {name!r}: {', '.join(paths)}",
            kind="snapshot",
            wanted=name,
            matches=paths,
            hint="give the whole path, or the UUID",
        )
    return found[0][1] if found else None


def not_found(machine: Machine, name: str) -> NotFoundError:
    """Return the error for a snapshot that is not there, with the near names."""
    walked = list(with_paths(machine.snapshots.walk()))
    paths = [path for path, _ in walked]
    by_name = {snapshot._name: path for path, snapshot in walked}
    near = [by_name[n] for n in difflib.get_close_matches(name, by_name, n=3)]
    near = near or difflib.get_close_matches(f"/{name.lstrip('/')}", paths, n=3)
    there = f"only {paths}" if paths else "no snapshot at all"
    return NotFoundError(
        f"{machine._subject()} has no snapshot {name!r}, {there}",
        kind="snapshot",
        wanted=name,
        available=paths,
        hint=f"did you mean {' or '.join(map(repr, near))}?"
        if near
        else "machine.snapshots.take(name) makes one",
    )


def _printable(name: str) -> str:
    """Make a name one line that harms no terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)


def draw(machine: Machine, *, plain: bool) -> str:
    """See `Snapshots.tree`."""
    more, last, line, blank = _PLAIN if plain else _LINES
    current = machine.snapshots.current
    changed = ", changed" if current is not None and machine.com.currentStateModified else ""
    now = f"* now: {machine.state}{changed}"
    root = machine.snapshots.root
    if root is None:
        return f"{_printable(machine.name)}\n{last}{now}, no snapshots"
    lines = [_printable(machine.name)]
    # Of what is still to be drawn: what stands before its line, whether it is its parent's last.
    pending: list[tuple[str, bool, Snapshot | str]] = [("", True, root)]
    while pending:
        before, is_last, node = pending.pop()
        head = before + (last if is_last else more)
        if isinstance(node, str):
            lines.append(head + node)
            continue
        kind = "online" if node.online else "offline"
        time = node.timestamp.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        lines.append(f"{head}{_printable(node.name)}  ({kind}, {time})")
        below: list[Snapshot | str] = [*node.children, *([now] if node == current else [])]
        inside = before + (blank if is_last else line)
        pending += [(inside, n == 0, child) for n, child in enumerate(reversed(below))]
    return "\n".join(lines)


def between(oldest: Snapshot, youngest: Snapshot) -> list[Snapshot]:
    """
    Return two snapshots and those between them, the youngest first.

    Raises:
        NotFoundError: One was not taken after the other.
    """
    found: list[Snapshot] = []
    at: Snapshot | None = youngest
    while at is not None:
        found.append(at)
        if at == oldest:
            return found
        at = at.parent
    raise NotFoundError(
        f"{youngest._subject()} was not taken after {oldest._name!r}, but after"
        f" {[s._name for s in found[:0:-1]]}",
        kind="snapshot",
        wanted=oldest._name,
        available=[s._name for s in found],
        hint="give the older one first; print(machine.snapshots.tree()) shows them",
    )


def delete(
    machine: Machine,
    doomed: list[Snapshot],
    *,
    timeout: Timeout | None,
    on_update: ProgressHook | None,
) -> None:
    """Delete snapshots, children before parents; refused before anything is done."""
    deadline = Deadline(machine.settings.progress_timeout if timeout is None else timeout)
    for snapshot in doomed:
        with snapshot._translated("delete the snapshot"):
            snapshot._existing()
        dependents = machine.linked_clones(snapshot)
        if dependents:
            names = ", ".join(repr(name) for name in dependents)
            raise InvalidStateError(
                f"{snapshot._subject()} cannot be deleted: linked clones stand on it: {names}",
                state=str(machine.state),
                operation="delete the snapshot",
                hint="destroy those machines first",
            )
    _check_branches(machine, doomed)
    with progress_hook(on_update):
        if len(doomed) == 1:
            doomed[0]._delete(deadline)
            return
        with step(f"{machine._subject()}: delete {len(doomed)} snapshots"):
            for snapshot in doomed:
                snapshot._delete(deadline)


def _check_branches(machine: Machine, doomed: list[Snapshot]) -> None:
    """
    Refuse what VirtualBox would refuse half way: a disk is merged into one other only.

    Args:
        machine: The machine.
        doomed: What is to be deleted, children before parents.
    """
    current = machine.snapshots.current
    #: What stands on a snapshot (others, the present state) once those before it are gone.
    above: dict[str, dict[str, str]] = {}
    for snapshot in doomed:
        users = {"": "the present state"} if snapshot == current else {}
        for child in snapshot.children:
            users |= above.get(child.id, {child.id: repr(child._name)})
        above[snapshot.id] = users
        if len(users) > 1:
            raise InvalidStateError(
                f"{snapshot._subject()} cannot be deleted: more than one state was made from it:"
                f" {', '.join(users.values())}",
                state=str(machine.state),
                operation="delete the snapshot",
                hint="delete(children=True) deletes what was taken after it, too",
            )

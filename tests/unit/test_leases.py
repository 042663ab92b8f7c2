"""Leases of disposable machines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vboxkit.core.processes import ProcessId
from vboxkit.lab import leases


def dead() -> ProcessId:
    """Return a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        return ProcessId.of(process.pid)


def of(process: ProcessId, **more: object) -> leases.Lease:
    """Return a lease of some process."""
    values = {
        "name": "web",
        "pid": process.pid,
        "started": process.started,
        "began": process.began,
        "created": 1.0,
        **more,
    }
    return leases.Lease(**values)  # type: ignore[arg-type]


def test_a_lease_is_ours_and_found(tmp_path: Path) -> None:
    """What is taken can be read by every process."""
    folder = tmp_path / "leases"
    lease = leases.take(folder, "web", purpose="image", test="test_a.py::test_b[x/y]")
    assert leases.find(folder, "web") == lease
    assert leases.all_leases(folder) == [lease]
    assert (lease.purpose, lease.test, lease.keep) == ("image", "test_a.py::test_b[x/y]", False)
    assert lease.owner_alive
    assert not lease.abandoned


def test_released_it_is_gone(tmp_path: Path) -> None:
    """Releasing twice does no harm; others stay."""
    leases.take(tmp_path, "web")
    other = leases.take(tmp_path, "db")
    leases.release(tmp_path, "web")
    leases.release(tmp_path, "web")
    assert leases.find(tmp_path, "web") is None
    assert leases.all_leases(tmp_path) == [other]


def test_a_lease_of_a_dead_process_is_abandoned() -> None:
    """Unless it is to be kept."""
    gone = dead()
    assert not of(gone).owner_alive
    assert of(gone).abandoned
    assert not of(gone, keep=True).abandoned


def test_a_pid_that_came_again_does_not_keep_a_lease() -> None:
    """Our pid with another start time is another process."""
    me = ProcessId.current()
    assert not of(me).abandoned
    assert of(ProcessId(me.pid, me.started - 1000)).abandoned
    assert me.began is not None
    assert of(ProcessId(me.pid, me.started, me.began - 1000)).abandoned


def test_a_clock_that_is_changed_abandons_nothing() -> None:
    """The owner lives, whatever the time of day is said to be now."""
    me = ProcessId.current()
    assert not of(ProcessId(me.pid, me.started - 86_400, me.began)).abandoned


def test_keep(tmp_path: Path) -> None:
    """A kept lease is kept on the disk; one that is not there stays so."""
    lease = leases.take(tmp_path, "web")
    leases.keep(tmp_path, "web")
    kept = leases.find(tmp_path, "web")
    assert kept is not None
    assert kept.keep
    assert (kept.pid, kept.created) == (lease.pid, lease.created)
    leases.keep(tmp_path, "nothing")
    assert leases.find(tmp_path, "nothing") is None


def test_oldest_first(tmp_path: Path) -> None:
    """All leases are in the order in which they were taken."""
    for name, created in (("b", 2.0), ("a", 3.0), ("c", 1.0)):
        leases.write(tmp_path, of(ProcessId.current(), name=name, created=created))
    assert [lease.name for lease in leases.all_leases(tmp_path)] == ["c", "b", "a"]


def test_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that dies before the end leaves the old lease, and a draft that nobody reads."""
    old = leases.take(tmp_path, "web", test="old")

    def killed(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        leases.take(tmp_path, "web", test="new")
    assert leases.find(tmp_path, "web") == old
    assert leases.all_leases(tmp_path) == [old]


def test_drafts_of_the_dead_are_removed(tmp_path: Path) -> None:
    """A draft whose writer lives is left alone."""
    mine = tmp_path / f"web.{ProcessId.current().pid}.tmp"
    theirs = tmp_path / f"db.{dead().pid}.tmp"
    odd = tmp_path / "odd.tmp"
    for file in (mine, theirs, odd):
        file.write_text("{")
    leases.drop_drafts(tmp_path)
    assert list(tmp_path.iterdir()) == [mine]


def test_a_folder_that_is_not_there_holds_none(tmp_path: Path) -> None:
    """No folder, no leases."""
    assert leases.all_leases(tmp_path / "none") == []


def test_encoded_is_one_line() -> None:
    """It fits into extra data of a machine."""
    lease = of(ProcessId.current(), test="a\nb")
    assert "\n" not in lease.encoded()
    assert leases.name_in(lease.encoded()) == lease.name
    assert leases.name_in("") == leases.name_in('{"name": 3}') == ""

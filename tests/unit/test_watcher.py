"""When the watcher cleans up, and when it ends; the clean-up itself needs VirtualBox."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from vboxkit.core.locks import try_lock
from vboxkit.core.processes import ProcessId
from vboxkit.lab import leases, watcher
from vboxkit.lab.places import Places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Return the folders of a home, in which the watcher looks every few milliseconds."""
    monkeypatch.setattr(watcher, "_LOOK", 0.01)
    return Places(tmp_path)


@pytest.fixture
def owners() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start processes that can own leases, and that are alive until they are killed."""
    code = [sys.executable, "-c", "input()"]
    started = [subprocess.Popen(code, stdin=subprocess.PIPE) for _ in range(2)]
    yield started
    for process in started:
        process.kill()
        process.communicate()


def lease(places: Places, name: str, owner: subprocess.Popen[bytes], **more: object) -> None:
    """Write a lease of a process."""
    me = ProcessId.of(owner.pid)
    values = {"name": name, "pid": me.pid, "started": me.started, "created": 1.0, **more}
    leases.write(places.leases, leases.Lease(**values))  # type: ignore[arg-type]


def end(owner: subprocess.Popen[bytes]) -> None:
    """Kill a process and wait until it is gone."""
    owner.kill()
    owner.wait()


def collecting(
    monkeypatch: pytest.MonkeyPatch, places: Places, do: Callable[[int], None]
) -> list[set[str]]:
    """Let something else clean up; return what was abandoned each time."""
    calls: list[set[str]] = []

    def collect(given: Places) -> None:
        assert given == places
        calls.append(watcher._abandoned(places))
        do(len(calls))

    monkeypatch.setattr(watcher, "_collect", collect)
    return calls


def test_nothing_to_watch(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends at once, and cleans nothing up."""
    calls = collecting(monkeypatch, places, lambda _: None)
    assert watcher.main(places.home) == 0
    assert not calls


def test_what_is_kept_is_no_work(
    places: Places, monkeypatch: pytest.MonkeyPatch, owners: list[subprocess.Popen[bytes]]
) -> None:
    """It ends with its owner, and is not cleaned up."""
    lease(places, "kept", owners[0], keep=True)
    end(owners[0])
    calls = collecting(monkeypatch, places, lambda _: None)
    assert watcher.main(places.home) == 0
    assert not calls


def test_another_one_watches(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two there is only one."""
    lock = try_lock(watcher._lock_file(places))
    assert lock is not None
    calls = collecting(monkeypatch, places, lambda _: None)
    assert watcher.main(places.home) == 0
    assert not calls
    lock.release()


def test_a_lease_that_expired_while_its_owner_lives(
    places: Places, monkeypatch: pytest.MonkeyPatch, owners: list[subprocess.Popen[bytes]]
) -> None:
    """It is cleaned up; the watcher stays until the owner has ended."""
    lease(places, "old", owners[0], expires=1.0)

    def collect(_: int) -> None:
        leases.release(places.leases, "old")
        owners[0].kill()

    assert len(collecting(monkeypatch, places, collect)) == 0
    assert watcher.main(places.home) == 0
    assert owners[0].wait() != 0


def test_what_cannot_be_removed_is_left_in_the_end(
    places: Places, monkeypatch: pytest.MonkeyPatch, owners: list[subprocess.Popen[bytes]]
) -> None:
    """It is tried a few times; then the watcher ends, and leaves it to the next session."""
    lease(places, "stuck", owners[0])
    end(owners[0])
    calls = collecting(monkeypatch, places, lambda _: None)
    assert watcher.main(places.home) == 0
    assert len(calls) == watcher._TRIES
    assert leases.find(places.leases, "stuck")


def test_what_cannot_be_removed_holds_up_nothing_else(
    places: Places, monkeypatch: pytest.MonkeyPatch, owners: list[subprocess.Popen[bytes]]
) -> None:
    """One that another session's fork stands on is given up; the next one's leftovers go."""
    lease(places, "below", owners[0])
    lease(places, "fork", owners[1])
    end(owners[0])

    def collect(number: int) -> None:
        if number == watcher._TRIES:
            end(owners[1])
        if number > watcher._TRIES:
            leases.release(places.leases, "fork")
            leases.release(places.leases, "below")

    calls = collecting(monkeypatch, places, collect)
    assert watcher.main(places.home) == 0
    assert calls == [*[{"below"}] * watcher._TRIES, {"below", "fork"}]
    assert not leases.all_leases(places.leases)


def test_what_stood_on_another_sessions_fork_goes_when_that_has_ended(
    places: Places, monkeypatch: pytest.MonkeyPatch, owners: list[subprocess.Popen[bytes]]
) -> None:
    """The other one cleaned up after itself: what was given up is tried again."""
    lease(places, "below", owners[0])
    lease(places, "fork", owners[1])
    end(owners[0])

    def collect(number: int) -> None:
        if number == watcher._TRIES:
            leases.release(places.leases, "fork")
            owners[1].kill()
        if number > watcher._TRIES:
            leases.release(places.leases, "below")

    calls = collecting(monkeypatch, places, collect)
    assert watcher.main(places.home) == 0
    assert len(calls) == watcher._TRIES + 1
    assert not leases.all_leases(places.leases)


@pytest.mark.parametrize("text", ["", "{", '{"name":"x","pid":-1,"started":0,"created":0}'])
def test_a_lease_that_cannot_be_read(
    places: Places, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """It is nobody's, and is cleaned up."""
    places.leases.mkdir()
    (places.leases / "broken.json").write_text(text)
    calls = collecting(monkeypatch, places, lambda _: leases.release(places.leases, "broken"))
    assert watcher.main(places.home) == 0
    assert calls == [{"broken"}]


def test_a_folder_in_place_of_a_lease(places: Places) -> None:
    """It is no lease."""
    (places.leases / "folder.json").mkdir(parents=True)
    assert leases.all_leases(places.leases) == []
    assert watcher.main(places.home) == 0


def test_a_lease_in_a_file_of_another_name(places: Places) -> None:
    """It is nobody's, under the file's name: the other one is not touched."""
    leases.take(places.leases, "web")
    text = (places.leases / "web.json").read_text()
    (places.leases / "copy.json").write_text(text.replace('"web"', '"../../web"'))
    (copy,) = [it for it in leases.all_leases(places.leases) if it.name != "web"]
    assert (copy.name, copy.abandoned) == ("copy", True)


def test_a_hanging_clean_up_is_ended(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watcher goes on, and tries again."""
    monkeypatch.setattr(watcher, "_COLLECT_TIMEOUT", 0.1)
    monkeypatch.setattr(subprocess, "run", _hang)
    watcher._collect(places)


def _hang(command: list[str], *, check: bool, timeout: float) -> None:
    assert command
    assert not check
    raise subprocess.TimeoutExpired(command, timeout)


def test_a_home_in_which_no_watcher_can_start(places: Places) -> None:
    """That is no error: the next session cleans up."""
    (places.home / "watcher.log").mkdir()
    watcher.ensure(places)
    assert try_lock(watcher._lock_file(places)) is not None

"""Files: round trips, what interrupts them, and what is said about it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.errors import GuestConnectionError, GuestFileError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.guest.conftest import MakeGuest, MakeSSH
    from vboxkit.guest import SSH

DATA = os.urandom(300_000)


@pytest.fixture(params=["sftp", "shell"])
def served(request: pytest.FixtureRequest, make_guest: MakeGuest) -> Any:
    """Start a server with SFTP, and one without."""
    return make_guest(sftp=request.param == "sftp")


def names(folder: Path) -> list[str]:
    """List a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_round_trip(served: Any, make_ssh: MakeSSH, tmp_path: Path) -> None:
    """A file comes back as it went, and nothing else stays behind."""
    (tmp_path / "a b").write_bytes(DATA)
    ssh = make_ssh(served)
    there = f"{served.folder}/it's there"
    ssh.put(tmp_path / "a b", there)
    assert (served.folder / "it's there").read_bytes() == DATA
    assert ssh.get(there, tmp_path / "back").read_bytes() == DATA
    assert names(served.folder) == ["it's there"]
    assert names(tmp_path) == ["a b", "back", "guest"]


def test_mode(served: Any, make_ssh: MakeSSH, tmp_path: Path) -> None:
    """The source's permissions are kept unless others are asked for."""
    source = tmp_path / "tool"
    source.write_text("#!/bin/sh\n")
    source.chmod(0o750)
    ssh = make_ssh(served)
    ssh.put(source, f"{served.folder}/one")
    ssh.put(source, f"{served.folder}/two", mode=0o604)
    assert stat.S_IMODE((served.folder / "one").stat().st_mode) == 0o750
    assert stat.S_IMODE((served.folder / "two").stat().st_mode) == 0o604


def test_replaces_what_is_there(served: Any, make_ssh: MakeSSH, tmp_path: Path) -> None:
    """An old file is replaced in both directions."""
    ssh = make_ssh(served)
    (served.folder / "f").write_text("old and longer")
    ssh.write_text(f"{served.folder}/f", "néw")
    assert ssh.read_text(f"{served.folder}/f") == "néw"
    (tmp_path / "g").write_text("old")
    ssh.get(f"{served.folder}/f", tmp_path / "g")
    assert (tmp_path / "g").read_text() == "néw"


def test_text_and_bytes(served: Any, make_ssh: MakeSSH) -> None:
    """Contents go without a local file, also an empty one."""
    ssh = make_ssh(served)
    ssh.write_bytes(f"{served.folder}/b", b"\x00\xff")
    ssh.write_bytes(f"{served.folder}/e", b"")
    assert ssh.read_bytes(f"{served.folder}/b") == b"\x00\xff"
    assert ssh.read_bytes(f"{served.folder}/e") == b""


def test_missing_files(served: Any, make_ssh: MakeSSH, tmp_path: Path) -> None:
    """The message says which file, and on whose side."""
    ssh = make_ssh(served)
    with pytest.raises(GuestFileError, match="nofile on this machine"):
        ssh.put(tmp_path / "nofile", f"{served.folder}/x")
    with pytest.raises(GuestFileError, match=r"gone in machine 'web'"):
        ssh.get(f"{served.folder}/gone", tmp_path / "x")
    with pytest.raises(GuestFileError, match=r"gone in machine 'web'"):
        ssh.read_text(f"{served.folder}/gone")
    assert names(tmp_path) == ["guest"]
    assert ssh.run("true").ok


def test_missing_folders(served: Any, make_ssh: MakeSSH, tmp_path: Path) -> None:
    """A target's folder is not made up."""
    ssh = make_ssh(served)
    (served.folder / "f").write_text("x")
    with pytest.raises(GuestFileError, match=r"nodir/x in machine 'web'"):
        ssh.write_text(f"{served.folder}/nodir/x", "x")
    with pytest.raises(GuestFileError, match=r"nodir/x on this machine"):
        ssh.get(f"{served.folder}/f", tmp_path / "nodir" / "x")


def test_folders_are_refused(served: Any, make_ssh: MakeSSH, tmp_path: Path) -> None:
    """A folder in place of a file is told as such, on each side and in each role."""
    ssh = make_ssh(served)
    (served.folder / "d").mkdir()
    (served.folder / "f").write_text("x")
    with pytest.raises(GuestFileError, match="folder"):
        ssh.put(tmp_path, f"{served.folder}/x")
    with pytest.raises(GuestFileError, match="folder"):
        ssh.write_text(f"{served.folder}/d", "x")
    with pytest.raises(GuestFileError, match="folder"):
        ssh.read_text(f"{served.folder}/d")
    with pytest.raises(GuestFileError, match="folder"):
        ssh.get(f"{served.folder}/f", tmp_path)
    assert names(served.folder) == ["d", "f"]


def test_forbidden_target(make_guest: MakeGuest, make_ssh: MakeSSH, tmp_path: Path) -> None:
    """A read-only place in the guest is told from a missing one."""
    guest = make_guest(forbidden=tmp_path / "guest" / "ro")
    (guest.folder / "ro").mkdir()
    with pytest.raises(GuestFileError, match="permission denied"):
        make_ssh(guest).write_text(f"{guest.folder}/ro/x", "x")


def test_full_disk(make_guest: MakeGuest, make_ssh: MakeSSH) -> None:
    """A copy that does not fit is an error, and nothing of it stays."""
    guest = make_guest(full_after=100_000)
    ssh = make_ssh(guest)
    with pytest.raises(GuestFileError, match=r"x in machine 'web'"):
        ssh.write_bytes(f"{guest.folder}/x", DATA)
    assert names(guest.folder) == []
    ssh.write_bytes(f"{guest.folder}/y", b"small")
    assert names(guest.folder) == ["y"]


@pytest.mark.parametrize("how", ["close", "hang"])
def test_interrupted_put(make_guest: MakeGuest, make_ssh: MakeSSH, how: str) -> None:
    """The old file stays when the new one does not arrive whole."""
    from guest_server import Plan  # type: ignore[import-not-found]

    guest = make_guest(plans=[Plan("file", how)])
    (guest.folder / "x").write_text("old")
    ssh = make_ssh(guest, settings=_short())
    with pytest.raises(GuestConnectionError, match="copying"):
        ssh.write_bytes(f"{guest.folder}/x", DATA * 10)
    assert (guest.folder / "x").read_text() == "old"
    ssh.close()
    ssh.write_bytes(f"{guest.folder}/x", b"new")
    assert (guest.folder / "x").read_text() == "new"


@pytest.mark.parametrize("how", ["close", "hang"])
def test_interrupted_get(
    make_guest: MakeGuest, make_ssh: MakeSSH, tmp_path: Path, how: str
) -> None:
    """No half file is left here, under no name."""
    from guest_server import Plan

    guest = make_guest(plans=[Plan("file", how)])
    (guest.folder / "x").write_bytes(DATA * 10)
    with pytest.raises(GuestConnectionError, match="copying"):
        make_ssh(guest, settings=_short()).get(f"{guest.folder}/x", tmp_path / "x")
    assert names(tmp_path) == ["guest"]


def test_interrupted_put_by_shell(make_guest: MakeGuest, make_ssh: MakeSSH) -> None:
    """What cat got before the connection broke is not renamed."""
    guest = make_guest(sftp=False)
    ssh = make_ssh(guest)
    ssh.run("true")

    class Cutting:
        def __init__(self) -> None:
            self.blocks = 0

        def read(self, size: int) -> bytes:
            self.blocks += 1
            if self.blocks == 5:
                guest.disconnect()
            return b"x" * size if self.blocks < 10 else b""

    from vboxkit.guest.filesystem import Content

    with pytest.raises(GuestConnectionError):
        ssh._store(Content(Cutting(), 10 << 15), f"{guest.folder}/x", 5)  # type: ignore[arg-type]
    assert not (guest.folder / "x").exists()


def test_a_file_that_changes(served: Any, make_ssh: MakeSSH, tmp_path: Path) -> None:
    """A file that grows while it is copied fails the copy, and nothing of it stays."""
    source = tmp_path / "log"
    source.write_bytes(DATA)

    def grow(*_: object) -> None:
        with source.open("ab") as stream:
            stream.write(b"x")

    with pytest.raises(GuestFileError, match="log on this machine: it changed"):
        make_ssh(served).put(source, f"{served.folder}/x", progress=grow)
    assert names(served.folder) == []


def test_permissions_and_time(served: Any, make_ssh: MakeSSH, tmp_path: Path) -> None:
    """They go both ways, but nothing that comes from the guest runs as the user here."""
    source = tmp_path / "f"
    source.write_text("f")
    source.chmod(0o640)
    os.utime(source, (1_600_000_000, 1_600_000_000))
    ssh = make_ssh(served)
    ssh.put(source, f"{served.folder}/f")
    (served.folder / "f").chmod(0o4751)
    for path in (served.folder / "f", ssh.get(f"{served.folder}/f", tmp_path / "back")):
        assert int(path.stat().st_mtime) == 1_600_000_000
    assert stat.S_IMODE((tmp_path / "back").stat().st_mode) == 0o751


def test_progress(served: Any, make_ssh: MakeSSH, tmp_path: Path) -> None:
    """The bytes done grow to the bytes in all."""
    data = DATA * 8  # told once a piece, and a piece is as much as has come: at most 256 KiB
    (tmp_path / "f").write_bytes(data)
    ssh = make_ssh(served)
    for copy in (
        lambda tell: ssh.put(tmp_path / "f", f"{served.folder}/f", progress=tell),
        lambda tell: ssh.get(f"{served.folder}/f", tmp_path / "b", progress=tell),
    ):
        told: list[tuple[int, int, str]] = []
        copy(lambda *what: told.append(what))  # noqa: B023 - called at once
        assert told[-1] == (len(data), len(data), "f")
        assert [what[0] for what in told] == sorted(what[0] for what in told)
        assert len(told) > 3


def test_leftovers_here(ssh: SSH, guest: Any, tmp_path: Path) -> None:
    """What a process that died left is removed with the next copy; a copy that goes on is not."""
    import fcntl

    (guest.folder / "f").write_text("f")
    old, used, new = (tmp_path / f".f.{n}2345678.part" for n in ("1", "2", "3"))
    for path in (old, used, new):
        path.write_text("half")
    for path in (old, used):
        os.utime(path, (1, 1))
    with used.open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        ssh.get(f"{guest.folder}/f", tmp_path / "f")
    assert names(tmp_path) == sorted(["f", "guest", used.name, new.name])


def test_without_posix_rename(make_guest: MakeGuest, make_ssh: MakeSSH) -> None:
    """A server without that extension replaces files as well."""
    guest = make_guest(posix_rename=False)
    (guest.folder / "x").write_text("old")
    ssh = make_ssh(guest)
    ssh.write_text(f"{guest.folder}/x", "new")
    assert ssh.read_text(f"{guest.folder}/x") == "new"
    assert names(guest.folder) == ["x"]


def test_sftp_session_is_kept_and_replaced(ssh: SSH, guest: Any) -> None:
    """Copies share a session, which idles without harm, and a new connection gets a new one."""
    ssh.write_text(f"{guest.folder}/x", "1")
    first = ssh._sftp
    ssh.write_text(f"{guest.folder}/x", "2")
    assert ssh._sftp is first
    assert ssh._transport is not None
    assert ssh._transport.watch.busy == 0
    guest.disconnect()
    assert ssh.read_text(f"{guest.folder}/x") == "2"
    assert guest.accepted == 2


def _short() -> Any:
    from vboxkit.settings import Settings

    return Settings(ssh_timeout=0.7)

"""Folders with all in them: by tar, and file by file, by SFTP and by the shell."""

from __future__ import annotations

import errno
import io
import os
import resource
import stat
import tarfile
import threading
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.errors import GuestConnectionError, GuestFileError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.guest.conftest import MakeGuest, MakeSSH
    from vboxkit.guest import SSH

WHEN = 1_600_000_000
HIDE = 'command() { [ "$2" != tar ]; }; '


@pytest.fixture(params=["tar", "sftp", "shell"])
def there(request: pytest.FixtureRequest, make_guest: MakeGuest, make_ssh: MakeSSH) -> SSH:
    """Make a client of a guest with tar, without, and with neither tar nor SFTP."""
    return client(make_guest(sftp=request.param != "shell"), make_ssh, tar=request.param == "tar")


def client(served: Any, make_ssh: MakeSSH, *, tar: bool = True) -> SSH:
    """Make a client, of a guest without tar if that is asked for."""
    ssh = make_ssh(served)
    if not tar:
        run = ssh._execute

        def without(line: str, *args: Any, **options: Any) -> Any:
            return run(HIDE + line, *args, **options)

        ssh._execute = without  # type: ignore[method-assign]
    return ssh


def plant(top: Path) -> Path:
    """Make a tree with everything in it that can be copied."""
    (top / "a b/empty").mkdir(parents=True)
    (top / "a b/new\nline").write_bytes(os.urandom(100_000))
    (top / "grüße.txt").write_text("grüße")
    (top / "-tool").write_text("#!/bin/sh\n")
    (top / "-tool").chmod(0o751)
    (top / ".hidden").write_text("")
    (top / ("long" * 40)).mkdir()
    (top / ("long" * 40) / ("name" * 50)).write_text("deep")
    (top / "to file").symlink_to("grüße.txt")
    (top / "a b/up").symlink_to("../-tool")
    (top / "to folder").symlink_to("a b")
    (top / "dangling").symlink_to("nothing")
    (top / "closed").mkdir()
    (top / "closed/f").write_text("f")
    (top / "closed").chmod(0o555)
    for path in top.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (WHEN, WHEN))
    return top


def shape(top: Path) -> dict[str, tuple[object, ...]]:
    """Tell all that there is in a tree."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(top.rglob("*")):
        name, seen = str(path.relative_to(top)), path.lstat()
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()))
        elif path.is_dir():
            found[name] = ("folder", stat.S_IMODE(seen.st_mode), int(seen.st_mtime))
        else:
            mode = stat.S_IMODE(seen.st_mode)
            found[name] = ("file", mode, int(seen.st_mtime), path.read_bytes())
    return found


def names(folder: Path) -> list[str]:
    """List a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_round_trip(there: SSH, tmp_path: Path) -> None:
    """A tree comes back as it went: names, contents, permissions, times, links, empty folders."""
    source, guest = plant(tmp_path / "tree"), tmp_path / "guest"
    there.put_tree(source, f"{guest}/it's there")
    assert shape(guest / "it's there") == shape(source)
    assert there.get_tree(f"{guest}/it's there", tmp_path / "back") == tmp_path / "back"
    assert shape(tmp_path / "back") == shape(source)
    assert names(guest) == ["it's there"]
    assert names(tmp_path) == ["back", "guest", "tree"]


def test_into_what_is_there(there: SSH, tmp_path: Path) -> None:
    """Files are replaced, also links by files; what is there besides stays."""
    source, guest = plant(tmp_path / "tree"), tmp_path / "guest"
    for target in (guest / "t", tmp_path / "h"):
        (target / "a b").mkdir(parents=True)
        (target / "a b/mine").write_text("mine")
        (target / "grüße.txt").write_text("old")
        (target / ".hidden").symlink_to("a b")
        (target / "to folder").symlink_to("nothing")
    there.put_tree(source, f"{guest}/t/")
    there.get_tree(f"{guest}/t", tmp_path / "h")
    for target in (guest / "t", tmp_path / "h"):
        found = shape(target)
        assert found.pop("a b/mine")[3] == b"mine"
        expected = shape(source)
        del found["a b"], expected["a b"]  # it was there: its time is its own
        assert found == expected
    assert names(guest) == ["t"]
    assert names(tmp_path) == ["guest", "h", "tree"]


def test_files_and_folders_do_not_mix(there: SSH, tmp_path: Path) -> None:
    """A file in the place of a folder, or the other way round, is refused on each side."""
    guest = tmp_path / "guest"
    (tmp_path / "file").write_text("")
    (tmp_path / "d/x").mkdir(parents=True)
    (guest / "t").mkdir()
    (guest / "t/x").write_text("keep")
    with pytest.raises(GuestFileError, match="folder"):
        there.put_tree(tmp_path / "file", f"{guest}/n")
    with pytest.raises(GuestFileError, match="folder"):
        there.put_tree(tmp_path / "d", f"{guest}/t")
    with pytest.raises(GuestFileError, match="folder"):
        there.put_tree(tmp_path / "d", f"{guest}/t/x")
    with pytest.raises(GuestFileError, match="folder"):
        there.get_tree(f"{guest}/t/x", tmp_path / "n")
    with pytest.raises(GuestFileError, match="folder"):
        there.get_tree(f"{guest}/t", tmp_path / "file")
    with pytest.raises(GuestFileError):
        there.get_tree(f"{guest}/t", tmp_path / "d")
    assert (guest / "t/x").read_text() == "keep"
    assert names(guest) == ["t"]
    assert names(tmp_path) == ["d", "file", "guest"]


def test_what_is_missing(there: SSH, tmp_path: Path) -> None:
    """The message names the path, and whose it is."""
    (tmp_path / "d").mkdir()
    guest = tmp_path / "guest"
    with pytest.raises(GuestFileError, match="none on this machine: no such file"):
        there.put_tree(tmp_path / "none", f"{guest}/x")
    with pytest.raises(GuestFileError, match="no/x in machine 'web': its folder does not exist"):
        there.put_tree(tmp_path / "d", f"{guest}/no/x")
    with pytest.raises(GuestFileError, match="none in machine 'web': no such file"):
        there.get_tree(f"{guest}/none", tmp_path / "x")
    (guest / "t").mkdir()
    with pytest.raises(GuestFileError, match="no/x on this machine"):
        there.get_tree(f"{guest}/t", tmp_path / "no/x")
    assert names(guest) == ["t"]
    assert names(tmp_path) == ["d", "guest"]


def test_progress(there: SSH, tmp_path: Path) -> None:
    """Bytes done grow to the bytes in all, and each file is named."""
    source, guest = plant(tmp_path / "tree"), tmp_path / "guest"
    total = sum(p.stat().st_size for p in source.rglob("*") if p.is_file() and not p.is_symlink())
    files = {"a b/new\nline", "grüße.txt", "-tool", "closed/f"}
    for copy in (
        lambda tell: there.put_tree(source, f"{guest}/t", progress=tell),
        lambda tell: there.get_tree(f"{guest}/t", tmp_path / "back", progress=tell),
    ):
        told: list[tuple[int, int, str]] = []
        copy(lambda *what: told.append(what))  # noqa: B023 - called at once
        done = [what[0] for what in told]
        assert done == sorted(done)
        assert done[-1] == total
        assert {what[2] for what in told} >= files
        assert {what[1] for what in told} <= {0, total}


def test_devices_are_refused(there: SSH, tmp_path: Path) -> None:
    """What is no file, folder or link is not left out without a word."""
    guest = tmp_path / "guest"
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "d/pipe")
    with pytest.raises(GuestFileError, match="d/pipe on this machine"):
        there.put_tree(tmp_path / "d", f"{guest}/d")
    (guest / "e").mkdir()
    os.mkfifo(guest / "e/pipe")
    with pytest.raises(GuestFileError, match="pipe"):
        there.get_tree(f"{guest}/e", tmp_path / "e")
    assert names(guest) == ["e"]
    assert names(tmp_path) == ["d", "guest"]


@pytest.mark.parametrize("leads_to", ["/etc/passwd", "../x", "d/../../x"])
def test_links_out_of_the_tree(there: SSH, tmp_path: Path, leads_to: str) -> None:
    """They are refused, left out, or kept, as asked."""
    tree = tmp_path / "guest/t"
    (tree / "d").mkdir(parents=True)
    (tree / "out").symlink_to(leads_to)
    (tree / "f").write_text("f")
    with pytest.raises(GuestFileError, match="t/out from the guest") as caught:
        there.get_tree(str(tree), tmp_path / "a")
    assert "links=" in str(caught.value.hint)
    there.get_tree(str(tree), tmp_path / "b", links="skip")
    assert names(tmp_path / "b") == ["d", "f"]
    there.get_tree(str(tree), tmp_path / "c", links="keep")
    assert os.readlink(tmp_path / "c/out") == leads_to  # noqa: PTH115
    assert names(tmp_path) == ["b", "c", "guest"]


def test_set_user_id_stays_behind(there: SSH, tmp_path: Path) -> None:
    """What comes from a guest does not run as the user here."""
    tree = tmp_path / "guest/t"
    tree.mkdir(parents=True)
    (tree / "f").write_text("f")
    (tree / "f").chmod(0o4755)
    there.get_tree(str(tree), tmp_path / "b")
    assert stat.S_IMODE((tmp_path / "b/f").stat().st_mode) == 0o755


def archive(*members: tuple[str, bytes, str]) -> bytes:
    """Make an archive as only a hostile guest would."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.GNU_FORMAT) as made:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(content)
                made.addfile(info, io.BytesIO(content.encode()))
            else:
                info.linkname = content
                made.addfile(info)
    return sink.getvalue()


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", tarfile.REGTYPE, "x")],
        [("/tmp/vboxkit-evil", tarfile.REGTYPE, "x")],
        [("a/../../evil", tarfile.REGTYPE, "x")],
        [("d", tarfile.SYMTYPE, "."), ("d/f", tarfile.REGTYPE, "x")],
        [("d", tarfile.SYMTYPE, ".."), ("d/evil", tarfile.REGTYPE, "x")],
        [("h", tarfile.LNKTYPE, "../secret")],
        [("h", tarfile.LNKTYPE, "/etc/passwd")],
        [("n", tarfile.CHRTYPE, "")],
        [("f", tarfile.REGTYPE, "1"), ("f", tarfile.REGTYPE, "2")],
        [("d", tarfile.SYMTYPE, "e"), ("e", tarfile.SYMTYPE, "d/../..")],
    ],
)
def test_a_hostile_guest(
    make_guest: MakeGuest, make_ssh: MakeSSH, tmp_path: Path, members: list[tuple[str, bytes, str]]
) -> None:
    """Whatever its tar sends, nothing is written outside of the target, and nothing is left."""
    (tmp_path / "secret").write_text("secret")
    guest = make_guest()
    (guest.folder / "t").mkdir()
    guest.scripted = {f"tar -cf - -C {guest.folder}/t .": (0, archive(*members), b"")}
    with pytest.raises(GuestFileError):
        make_ssh(guest).get_tree(f"{guest.folder}/t", tmp_path / "x")
    assert names(tmp_path) == ["guest", "secret"]


def test_an_archive_that_ends_early(
    make_guest: MakeGuest, make_ssh: MakeSSH, tmp_path: Path
) -> None:
    """A tar that breaks off without complaint does not pass for a whole one."""
    guest = make_guest()
    (guest.folder / "t").mkdir()
    whole = archive(("f", tarfile.REGTYPE, "x" * 5000))
    guest.scripted = {f"tar -cf - -C {guest.folder}/t .": (0, whole[:2000], b"")}
    with pytest.raises(GuestFileError, match="damaged"):
        make_ssh(guest).get_tree(f"{guest.folder}/t", tmp_path / "x")
    assert names(tmp_path) == ["guest"]


def test_no_room_here(there: SSH, tmp_path: Path) -> None:
    """What does not fit on this machine is a typed error, and nothing of it stays."""
    guest = tmp_path / "guest"
    (guest / "t").mkdir()
    (guest / "t/f").write_bytes(bytes(500_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for copy in (
        lambda: there.get_tree(f"{guest}/t", tmp_path / "x"),
        lambda: there.get(f"{guest}/t/f", tmp_path / "x"),
    ):
        # A limit of this process stands for a full disk, which only root could make.
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            with pytest.raises(GuestFileError, match="on this machine: ") as caught:
                copy()  # type: ignore[no-untyped-call]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert caught.value.errno == errno.EFBIG
        assert names(tmp_path) == ["guest"]
    assert there.read_bytes(f"{guest}/t/f") == bytes(500_000)


@pytest.mark.parametrize("sftp", [True, False])
@pytest.mark.parametrize("tar", [True, False])
def test_cut_off(
    make_guest: MakeGuest, make_ssh: MakeSSH, tmp_path: Path, *, sftp: bool, tar: bool
) -> None:
    """A connection that breaks leaves nothing here; what it left there goes with the next call."""
    guest = make_guest(sftp=sftp)
    (tmp_path / "tree").mkdir()
    (guest.folder / "t").mkdir()
    for number in range(4):
        (tmp_path / "tree" / str(number)).write_bytes(bytes(2_000_000))
        (guest.folder / "t" / str(number)).write_bytes(bytes(2_000_000))
    ssh = client(guest, make_ssh, tar=tar)
    ssh.run("true")

    left = ["get", "put"]
    copies = 2
    cut_off = threading.Event()

    def cut(done: int, *_: object) -> None:
        if done > 3_000_000 and left and len(left) == copies:
            left.pop()
            guest.disconnect()
            cut_off.set()

    with pytest.raises(GuestConnectionError):
        ssh.put_tree(tmp_path / "tree", f"{guest.folder}/new", progress=cut)
    assert left == ["get"]
    copies = 1
    assert cut_off.wait(20)  # it may be another thread's, which is at it still
    whole = False
    try:
        ssh.get_tree(f"{guest.folder}/t", tmp_path / "new", progress=cut)
        whole = True
    except GuestConnectionError:
        pass
    assert left == []
    assert not (guest.folder / "new").exists()
    if whole:
        # File by file, and it broke between two: the next call made a new connection.
        assert not tar
        assert [path.stat().st_size for path in (tmp_path / "new").iterdir()] == [2_000_000] * 4
        assert names(tmp_path) == ["guest", "new", "tree"]
    else:
        assert names(tmp_path) == ["guest", "tree"]
    for process in guest.processes:
        process.wait(20)
    assert ssh.exists(str(guest.folder))
    assert names(guest.folder) == ["t"]


def test_a_file_that_cannot_be_read(
    make_guest: MakeGuest, make_ssh: MakeSSH, tmp_path: Path
) -> None:
    """A file that shrinks while it is copied fails the copy, and nothing of it stays."""
    guest = make_guest()
    (tmp_path / "tree").mkdir()
    for name in ("a", "b"):
        (tmp_path / "tree" / name).write_bytes(bytes(200_000))

    def shrink(*_: object) -> None:
        (tmp_path / "tree/b").write_bytes(b"")

    with pytest.raises(GuestFileError, match="tree/b on this machine: it became shorter"):
        make_ssh(guest).put_tree(tmp_path / "tree", f"{guest.folder}/t", progress=shrink)
    assert names(guest.folder) == []

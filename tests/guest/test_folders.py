"""Looking at the guest's files, and making and removing them: the same by SFTP and by the shell."""

from __future__ import annotations

import errno
import os
import pickle
import stat
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.errors import GuestConnectionError, GuestFileError

if TYPE_CHECKING:
    from tests.guest.conftest import MakeGuest, MakeSSH
    from vboxkit.guest import SSH

ODD = ["a b", "-r", "it's", "grüße", "new\nline", "*", ".hidden", "..odd"]


@pytest.fixture(params=["sftp", "shell"])
def served(request: pytest.FixtureRequest, make_guest: MakeGuest) -> Any:
    """Start a server with SFTP, and one without."""
    return make_guest(sftp=request.param == "sftp")


@pytest.fixture
def there(served: Any, make_ssh: MakeSSH) -> SSH:
    """Make its client."""
    return make_ssh(served)


def test_odd_names_are_listed_and_removed(served: Any, there: SSH) -> None:
    """No name is too strange: blanks, dashes, quotes, newlines, other alphabets, dots."""
    for name in ODD:
        there.write_text(f"{served.folder}/{name}", name)
    assert there.listdir(str(served.folder)) == sorted(ODD)
    for name in ODD:
        assert there.read_text(f"{served.folder}/{name}") == name
        there.remove(f"{served.folder}/{name}")
    assert there.listdir(str(served.folder)) == []


def test_stat(served: Any, there: SSH) -> None:
    """stat() follows links, lstat() does not; kind, size, permissions and time are right."""
    (served.folder / "f").write_bytes(b"12345")
    (served.folder / "f").chmod(0o640)
    os.utime(served.folder / "f", (1_600_000_000, 1_600_000_000))
    (served.folder / "l").symlink_to("f")
    os.mkfifo(served.folder / "p")
    for name in ("f", "l"):
        found = there.stat(f"{served.folder}/{name}")
        assert (found.kind, found.size, found.mode, found.mtime) == (
            "file",
            5,
            0o640,
            1_600_000_000,
        )
        assert (found.uid, found.gid) == (os.getuid(), os.getgid())
    assert there.lstat(f"{served.folder}/l").kind == "link"
    assert there.readlink(f"{served.folder}/l") == "f"
    assert there.stat(f"{served.folder}").kind == "folder"
    assert there.stat(f"{served.folder}/p").kind == "other"


def test_exists(served: Any, there: SSH) -> None:
    """Nothing, a link to nothing and a path through a file do not exist; all else does."""
    (served.folder / "f").write_text("")
    (served.folder / "l").symlink_to("nowhere")
    found = [there.exists(f"{served.folder}/{n}") for n in ("f", "", "l", "no", "f/x")]
    assert found == [True, True, False, False, False]


def test_mkdir(served: Any, there: SSH) -> None:
    """Folders are made with permissions and parents as asked, and errors say what is wrong."""
    base = str(served.folder)
    there.mkdir(f"{base}/a", mode=0o711)
    assert stat.S_IMODE((served.folder / "a").stat().st_mode) == 0o711
    there.mkdir(f"{base}/a", exist_ok=True)
    there.mkdir(f"{base}/b/c/d/", parents=True)
    assert (served.folder / "b/c/d").is_dir()
    (served.folder / "f").write_text("")
    for path, number in (("a", errno.EEXIST), ("f", errno.EEXIST), ("no/x", errno.ENOENT)):
        with pytest.raises(GuestFileError, match=f"{path} in machine 'web'") as caught:
            there.mkdir(f"{base}/{path}")
        assert (caught.value.errno, caught.value.path) == (number, f"{base}/{path}")
        assert caught.value.hint
    with pytest.raises(GuestFileError):
        there.mkdir(f"{base}/f", exist_ok=True)


def test_remove(served: Any, there: SSH) -> None:
    """Files, links and empty folders go; a full one only if asked; never what links lead to."""
    base = served.folder
    (base / "keep").mkdir()
    (base / "keep/f").write_text("")
    (base / "d/e").mkdir(parents=True)
    (base / "d/l").symlink_to("../keep")
    (base / "l").symlink_to("keep")
    there.remove(f"{base}/l")
    with pytest.raises(GuestFileError, match="not empty") as caught:
        there.remove(f"{base}/d")
    assert caught.value.errno == errno.ENOTEMPTY
    there.remove(f"{base}/d", recursive=True)
    assert sorted(path.name for path in base.rglob("*")) == ["f", "keep"]
    for recursive in (False, True):
        with pytest.raises(GuestFileError, match="no such file"):
            there.remove(f"{base}/d", recursive=recursive)
        there.remove(f"{base}/d", recursive=recursive, missing_ok=True)


def test_rename(served: Any, there: SSH) -> None:
    """A file or folder gets another name; a file in its place is replaced, a folder is not."""
    base = served.folder
    there.write_text(f"{base}/a", "a")
    there.write_text(f"{base}/b", "b")
    there.rename(f"{base}/a", f"{base}/b")
    assert there.read_text(f"{base}/b") == "a"
    there.mkdir(f"{base}/d")
    with pytest.raises(GuestFileError, match="exists"):
        there.rename(f"{base}/b", f"{base}/d")
    there.rename(f"{base}/d", f"{base}/e")
    assert there.listdir(str(base)) == ["b", "e"]
    with pytest.raises(GuestFileError, match="no such file"):
        there.rename(f"{base}/no", f"{base}/x")


def test_glob(served: Any, there: SSH) -> None:
    """Patterns fit as in Python and in a shell; what they cannot enter is passed over."""
    base = str(served.folder)
    for name in ("a/x.txt", "a/b/y.txt", ".h/z.txt", "c.txt"):
        (served.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (served.folder / name).write_text("")
    (served.folder / "l").symlink_to("a")

    def fits(pattern: str) -> list[str]:
        return [path.removeprefix(f"{base}/") for path in there.glob(f"{base}/{pattern}")]

    assert fits("*") == ["a", "c.txt", "l"]
    assert fits("*.txt") == ["c.txt"]
    assert fits("*/*.txt") == ["a/x.txt", "l/x.txt"]
    assert fits("**/*.txt") == ["a/b/y.txt", "a/x.txt", "c.txt"]
    assert fits(".h/?.txt") == [".h/z.txt"]
    assert fits("[ab]/[!b]*") == ["a/x.txt"]
    assert fits("no/*") == fits("c.txt/*") == []
    assert there.glob("/") == ["/"] or served.sftp  # which serves one folder only


def test_temporary_directory(served: Any, there: SSH) -> None:
    """It is private, empty, and gone afterwards with all in it, also after an error."""
    base = str(served.folder)
    with there.temporary_directory(folder=base) as path:
        assert path.startswith(f"{base}/vboxkit-")
        assert there.stat(path).mode == 0o700
        there.write_text(f"{path}/f", "x")
    with pytest.raises(KeyError), there.temporary_directory(folder=base) as path:
        there.mkdir(f"{path}/d")
        raise KeyError
    assert there.listdir(base) == []
    with pytest.raises(GuestFileError), there.temporary_directory(folder=f"{base}/no"):
        pass


def test_a_temporary_directory_outlives_no_connection(served: Any, make_ssh: MakeSSH) -> None:
    """If the guest cannot be reached at the end, the next call that does removes the folder."""
    ssh = make_ssh(served)
    base = str(served.folder)
    port = ssh.address
    with pytest.raises(GuestConnectionError), ssh.temporary_directory(folder=base):
        ssh.address = type(port)("127.0.0.1", 1)
        ssh.close()
    ssh.address = port
    assert ssh.exists(base)
    assert ssh.listdir(base) == []


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_is_no_path(there: SSH, path: str) -> None:
    """An empty path, and one with a zero byte, are refused before anything is sent."""
    with pytest.raises(GuestFileError, match="no path"):
        there.exists(path)


def test_a_name_that_is_too_long(served: Any, there: SSH) -> None:
    """It is told as such."""
    with pytest.raises(GuestFileError, match="too long") as caught:
        there.write_text(f"{served.folder}/{'x' * 300}", "")
    assert caught.value.errno == errno.ENAMETOOLONG
    there.write_text(f"{served.folder}/{'x' * 255}", "just right")


def test_errors_pickle(there: SSH) -> None:
    """Number, path and advice survive the way between processes."""
    with pytest.raises(GuestFileError) as caught:
        there.stat("/no/such/thing")
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert (again.errno, again.path, again.hint, str(again)) == (
        caught.value.errno,
        "/no/such/thing",
        caught.value.hint,
        str(caught.value),
    )


def test_text_that_is_none(served: Any, there: SSH) -> None:
    """What is no UTF-8 is a typed error."""
    (served.folder / "b").write_bytes(b"\xff\xfe")
    with pytest.raises(GuestFileError, match="UTF-8"):
        there.read_text(f"{served.folder}/b")

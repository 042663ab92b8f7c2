"""Files and folders in a real busybox guest, by SFTP and by its shell, and what cuts a copy off."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.guest.test_trees import names, plant, shape
from vboxkit.errors import GuestConnectionError, GuestFileError
from vboxkit.guest.sftp_streams import LARGE_BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vboxkit import VM, Image, Lab

pytestmark = pytest.mark.vm

SERVER = "/usr/lib/openssh/sftp-server"
ODD = ["a b", "-r", "it's", "grüße", "new\nline", "*", ".hidden"]


def way_of(vm: VM, way: str) -> None:
    """Let copies go by SFTP, or, with its server gone, by the shell."""
    if way == "shell":
        vm.ssh.succeed(f"if [ -e {SERVER} ]; then mv {SERVER} {SERVER}.off; fi")
        vm.ssh.close()


@pytest.fixture(params=["sftp", "shell"])
def there(request: pytest.FixtureRequest, vm: VM) -> Iterator[VM]:
    """Give a guest with an SFTP server, and one without."""
    way_of(vm, request.param)
    yield vm
    used = vm.ssh._sftp is not None
    assert used == (request.param == "sftp")


def test_files_and_names(there: VM, tmp_path: Path) -> None:
    """Contents, permissions, times and odd names are the same both ways."""
    ssh = there.ssh
    source = tmp_path / "it's a file"
    source.write_bytes(os.urandom(200_000))
    source.chmod(0o751)
    os.utime(source, (1_600_000_000, 1_600_000_000))
    told: list[tuple[int, int, str]] = []
    with ssh.temporary_directory() as folder:
        ssh.put(source, f"{folder}/x", progress=lambda *what: told.append(what))
        assert told[-1] == (200_000, 200_000, source.name)
        found = ssh.stat(f"{folder}/x")
        assert (found.size, found.mode, found.mtime) == (200_000, 0o751, 1_600_000_000)
        back = ssh.get(f"{folder}/x", tmp_path / "back")
        assert back.read_bytes() == source.read_bytes()
        assert int(back.stat().st_mtime) == 1_600_000_000
        for name in ODD:
            ssh.write_text(f"{folder}/{name}", name)
        assert ssh.listdir(folder) == sorted([*ODD, "x"])
        assert ssh.glob(f"{folder}/a*") == [f"{folder}/a b"]
        assert ssh.read_text(f"{folder}/new\nline") == "new\nline"
        ssh.remove(f"{folder}/-r")
        assert not ssh.exists(f"{folder}/-r")
    assert not ssh.exists(folder)
    assert ssh.read_text("/proc/version").startswith("Linux")  # which has no size


def test_a_larger_file_there_and_back(there: VM, tmp_path: Path) -> None:
    """Two megabytes are the same, both ways; SFTP asks for as much at once as OpenSSH's gives."""
    source = tmp_path / "large"
    source.write_bytes(os.urandom(2_000_000))
    told: list[int] = []
    there.ssh.put(source, "/data/large")
    assert there.ssh.stat("/data/large").size == 2_000_000
    there.ssh.get("/data/large", tmp_path / "back", progress=lambda done, *_: told.append(done))
    digests = [hashlib.sha256((tmp_path / it).read_bytes()).digest() for it in ("large", "back")]
    assert digests[0] == digests[1]
    assert told[-1] == 2_000_000
    if there.ssh._sftp is not None:
        assert told[0] == LARGE_BLOCK


@pytest.mark.parametrize(("way", "tar"), [("sftp", True), ("sftp", False), ("shell", True)])
def test_trees(vm: VM, tmp_path: Path, way: str, *, tar: bool) -> None:
    """A tree comes back as it went, by busybox's tar and file by file."""
    way_of(vm, way)
    vm.ssh._tar = None if tar else False
    source = plant(tmp_path / "tree")
    vm.ssh.put_tree(source, "/data/it's a tree")
    vm.ssh.get_tree("/data/it's a tree", tmp_path / "back")
    assert shape(tmp_path / "back") == shape(source)
    assert vm.ssh.listdir("/data") == ["it's a tree"]
    assert names(tmp_path) == ["back", "tree"]
    assert vm.ssh._tar is tar


def test_errors(there: VM, tmp_path: Path) -> None:
    """A full disk, a read-only one and the wrong kind of file are told apart; nothing is left."""
    ssh = there.ssh
    ssh.succeed(
        "mkdir -p /run/full /run/ro && mount -t tmpfs -o size=100k none /run/full && "
        "mount -t tmpfs -o ro none /run/ro"
    )
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/big").write_bytes(bytes(300_000))
    for number, path, copy in (
        (errno.ENOSPC, "/run/full/x", lambda: ssh.put(tmp_path / "tree/big", "/run/full/x")),
        (errno.ENOSPC, "/run/full/t", lambda: ssh.put_tree(tmp_path / "tree", "/run/full/t")),
        (errno.EROFS, "/run/ro/x", lambda: ssh.write_text("/run/ro/x", "x")),
        (errno.EISDIR, "/etc", lambda: ssh.write_text("/etc", "x")),
        (errno.ENOENT, "/no/x", lambda: ssh.write_text("/no/x", "x")),
        (errno.ENAMETOOLONG, f"/tmp/{'x' * 256}", lambda: ssh.write_text(f"/tmp/{'x' * 256}", "")),
    ):
        with pytest.raises(GuestFileError) as caught:
            copy()  # type: ignore[no-untyped-call]
        assert (caught.value.errno, caught.value.path) == (number, path), str(caught.value)
        assert caught.value.hint
    assert ssh.listdir("/run/full") == []


def test_no_room_here(vm: VM) -> None:
    """A disk that is full on this machine is a typed error, and the guest goes on answering."""
    vm.ssh.write_bytes("/data/x", b"x" * 100_000)

    class Full:
        def write(self, _: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    from vboxkit.guest.file_errors import OutsideError

    for way in ("sftp", "shell"):
        way_of(vm, way)
        with pytest.raises(OutsideError, match="No space"):
            vm.ssh._fetch("/data/x", Full(), None)  # type: ignore[arg-type]
        assert vm.ssh.read_bytes("/data/x") == b"x" * 100_000


@pytest.mark.parametrize(
    ("way", "what"),
    [
        *(("sftp", "put"), ("sftp", "get"), ("shell", "put"), ("shell", "get")),
        *(("sftp", "put_tree"), ("sftp", "get_tree")),
    ],
)
def test_a_guest_that_is_paused(vm: VM, tmp_path: Path, way: str, what: str) -> None:
    """The copy ends in time with a typed error; once the guest runs again nothing is left of it."""
    way_of(vm, way)
    size = 600_000
    (tmp_path / "t").mkdir()
    (tmp_path / "t/f").write_bytes(os.urandom(size))
    vm.ssh.put_tree(tmp_path / "t", "/data/t")

    def pause(*_: object) -> None:
        if vm.state == "Running":
            vm.pause()

    ways: dict[str, Any] = {
        "put": lambda: vm.ssh.put(tmp_path / "t/f", "/data/new", timeout=6, progress=pause),
        "get": lambda: vm.ssh.get("/data/t/f", tmp_path / "new", timeout=6, progress=pause),
        "put_tree": lambda: vm.ssh.put_tree(tmp_path / "t", "/data/new", timeout=6, progress=pause),
        "get_tree": lambda: vm.ssh.get_tree("/data/t", tmp_path / "new", timeout=6, progress=pause),
    }
    with pytest.raises(GuestConnectionError, match="copying"):
        ways[what]()
    assert names(tmp_path) == ["t"]
    assert vm.state == "Paused"
    vm.resume()
    assert vm.ssh.exists("/data/t")
    assert vm.ssh.listdir("/data") == ["t"]


@pytest.mark.parametrize("what", ["put", "get"])
def test_a_guest_whose_plug_is_pulled(
    vm_lab: Lab, vm_image: Image, tmp_path: Path, what: str
) -> None:
    """The copy ends with a typed error, and half a file is neither here nor there."""
    with vm_lab.fork(vm_image) as vm:
        source = tmp_path / "f"
        source.write_bytes(os.urandom(2_000_000))
        if what == "get":
            vm.ssh.put(source, "/data/f")
        begun = threading.Event()
        puller = threading.Thread(target=lambda: begun.wait(60) and vm.power_off())
        puller.start()
        try:
            with pytest.raises(GuestConnectionError):
                if what == "put":
                    vm.ssh.put(
                        source, "/data/new", timeout=20, progress=lambda done, *_: _at(begun, done)
                    )
                else:
                    vm.ssh.get(
                        "/data/f",
                        tmp_path / "new",
                        timeout=20,
                        progress=lambda done, *_: _at(begun, done),
                    )
        finally:
            begun.set()
            puller.join(60)
        assert names(tmp_path) == ["f"]
        if what == "put":
            vm.start()
            vm.wait_ready(timeout=120)
            assert vm.ssh.exists("/data")
            assert vm.ssh.listdir("/data") == []


def _at(begun: threading.Event, done: int) -> None:
    if done > 100_000:
        begun.set()

"""A disk that is full: while the image is built, and in the middle of a test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.plugin.conftest import assert_images_only

if TYPE_CHECKING:
    from tests.plugin.conftest import Runs

pytestmark = pytest.mark.vm

_LOOK = Path(__file__).with_name("look.py")

#: Runs pytest, and then a look at what it left, with a disk as home that nobody else sees. VBoxSVC
#: is ended while that is mounted.
_ON_SMALL_DISK = """
import ctypes, os, pathlib, subprocess, sys
from vboxkit.com.xpcom import isolation
from vboxkit.core import processes
home, size, look, *arguments = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
MS_REC, MS_PRIVATE, CLONE_NEWNS = 0x4000, 0x40000, 0x20000
# In a chroot the root is no mount point and cannot be made private; there it has to be already.
private = "shared:" not in pathlib.Path("/proc/self/mountinfo").read_text()
if (
    libc.unshare(CLONE_NEWNS)
    or (libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) and not private)
    or libc.mount(b"none", home.encode(), b"tmpfs", 0, b"size=" + size.encode())
):
    sys.exit("no disk: " + os.strerror(ctypes.get_errno()))
try:
    subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments])
    pathlib.Path(home, "rest").unlink(missing_ok=True)
    print("LEFT " + subprocess.run(
        [sys.executable, look, home], stdout=subprocess.PIPE, text=True, check=True
    ).stdout)
finally:
    for server, _ in processes.find(
        argument="--auto-shutdown", environment=isolation(pathlib.Path(home))
    ):
        processes.kill(server)
"""


def on_small_disk(
    runs: Runs, folder: Path, size: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, dict[str, Any]]:
    """Return what a run with a disk of some size printed, and what it left."""
    folder.mkdir()
    monkeypatch.setenv("VBOXKIT_HOME", str(folder))
    done = subprocess.run(
        [sys.executable, "-c", _ON_SMALL_DISK, str(folder), size, str(_LOOK)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        cwd=runs.pytester.path,
    )
    if done.stderr.startswith("no disk: "):
        pytest.skip(f"a process of this user cannot mount a small disk: {done.stderr}")
    said, mark, left = done.stdout.rpartition("LEFT ")
    assert mark, done.stdout + done.stderr
    return said, json.loads(left)


def test_no_room_for_the_image(
    vm_run: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setup's error says which file of which appliance did not fit; nothing of it is left."""
    vm_run.pytester.makepyfile("def test_x(vm): pass")
    said, left = on_small_disk(vm_run, tmp_path / "small", "4m", monkeypatch)
    assert "1 error in" in said
    assert "ProgressFailedError: appliance tiny.ova: cannot import" in said
    assert "VERR_DISK_FULL" in said
    assert "the space that is left" in said
    assert not any(left.values()), left


def test_no_room_for_what_a_test_does(
    vm_run: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot that does not fit, and a guest that VirtualBox pauses for it: typed errors."""
    vm_run.pytester.makepyfile(
        """
        import pytest
        from vboxkit.errors import ApiError, CommandTimeoutError

        def test_x(vm):
            with open(vm.settings.home / "rest", "wb", buffering=0) as rest:
                with pytest.raises(OSError, match="No space left"):
                    while rest.write(bytes(1 << 16)):
                        pass
            with pytest.raises(ApiError, match=vm.name) as caught:
                vm.snapshots.take("does not fit")
            print(f"it said: {caught.value}")
            with pytest.raises(CommandTimeoutError, match="is Paused"):
                vm.ssh.run("head -c 2000000 /dev/urandom > /root/more; sync", timeout=20)
            (vm.settings.home / "rest").unlink()
            vm.resume()
            vm.ssh.succeed("true")
            assert 0, "to see it"
        """
    )
    said, left = on_small_disk(vm_run, tmp_path / "small", "400m", monkeypatch)
    assert "1 failed in" in said, said
    assert "AssertionError: to see it" in said, said
    assert_images_only(left, tmp_path / "small")
    assert len(left["images"]) == 1

"""VBoxSVC killed, and a disk that is full: each in processes with a home of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit.com.xpcom import isolation
from vboxkit.core import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.vbox

_KILL = """
import sys, vboxkit
from vboxkit.com.xpcom import isolation
from vboxkit.core import processes
from vboxkit.errors import ConnectionLostError

vbox = vboxkit.connect(sys.argv[1])
machine = vbox.appliances.import_(sys.argv[2], name="survivor")
environment = isolation(vbox.home)
(server, _), = processes.find(argument="--auto-shutdown", environment=environment)
assert processes.kill(server)
calls = {
    "state": lambda: machine.state,
    "setter": lambda: setattr(machine, "memory_mb", 96),
    "snapshot": lambda: machine.snapshots.take("s"),
    "clone": lambda: machine.clone("c"),
    "find": lambda: vbox.machines.find("survivor"),
    "import": lambda: vbox.appliances.import_(sys.argv[2], name="second"),
    "destroy": lambda: machine.destroy(),
}
for name, call in calls.items():
    try:
        call()
    except ConnectionLostError as error:
        assert isinstance(error, ConnectionError)
        assert error.hint, name
        print(name, "lost:", error.message)
print(repr(machine))
"""

_LOOK = """
import sys, vboxkit
vbox = vboxkit.connect(sys.argv[1])
machine = vbox.machines["survivor"]
machine.memory_mb = 80
print(vbox.machines.names(), machine.state, machine.memory_mb)
machine.destroy()
print(vbox.machines.names())
"""

_FULL = """
import ctypes, os, pathlib, sys, vboxkit
libc = ctypes.CDLL(None, use_errno=True)
MS_REC, MS_PRIVATE, CLONE_NEWNS = 0x4000, 0x40000, 0x20000
small = os.path.dirname(sys.argv[1])
# In a chroot the root is no mount point and cannot be made private; there it has to be already.
private = "shared:" not in pathlib.Path("/proc/self/mountinfo").read_text()
if (
    libc.unshare(CLONE_NEWNS)
    or (libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) and not private)
    or libc.mount(b"none", small.encode(), b"tmpfs", 0, b"size=3m")
):
    print("no disk:", os.strerror(ctypes.get_errno()))
    sys.exit()
from vboxkit.errors import VBoxKitError
vbox = vboxkit.connect(sys.argv[1])
try:
    vbox.appliances.import_(sys.argv[2], name="too-big")
except VBoxKitError as error:
    print(type(error).__name__, error)
print("machines", vbox.machines.names())
print("media", len(vbox._api.array(vbox.com, "hardDisks")))
print("paths", [p.name for p in (vbox.home / "machines").glob("*")])
# End the server while its home is still mounted.
from vboxkit.com.xpcom import isolation
from vboxkit.core import processes
for server, _ in processes.find(argument="--auto-shutdown", environment=isolation(vbox.home)):
    processes.kill(server)
"""


def test_every_call_after_the_servers_death_says_so(
    private_home: Path, ova: Path, answer: Callable[..., str]
) -> None:
    """`ConnectionLostError` with a hint from reading, changing, finding, importing, destroying."""
    out = answer(_KILL, private_home, ova)
    for call in ("state", "setter", "snapshot", "clone", "find", "import", "destroy"):
        assert f"{call} lost:" in out
    assert "machine 'survivor'" in out
    assert "<Machine 'survivor'" in out


def test_a_new_process_goes_on(private_home: Path, ova: Path, answer: Callable[..., str]) -> None:
    """After VBoxSVC was killed, the next process finds the machine and can work with it."""
    answer(_KILL, private_home, ova)
    out = answer(_LOOK, private_home)
    assert out.splitlines() == ["['survivor'] PoweredOff 80", "[]"]
    assert list((private_home / "machines").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Choose a home on which a process may mount a small disk; its server is ended."""
    home = tmp_path / "small" / "home"
    home.parent.mkdir()
    yield home
    for server, _ in processes.find(argument="--auto-shutdown", environment=isolation(home)):
        processes.kill(server)


def test_no_space_for_an_import(small_disk: Path, ova: Path, answer: Callable[..., str]) -> None:
    """A full disk: the error says so, and machine, medium and folder are taken back."""
    out = answer(_FULL, small_disk, ova)
    if out.startswith("no disk"):
        pytest.skip(f"a process of this user cannot mount a small disk: {out.strip()}")
    assert "VERR_DISK_FULL" in out
    assert "too-big" in out or ova.name in out
    assert "machines []" in out
    assert "media 0" in out
    assert "paths []" in out

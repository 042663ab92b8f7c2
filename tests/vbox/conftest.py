"""Machines that need not run, and a look at what is left of them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import textwrap
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import vboxkit
from tests.vbox.disks import attach_big_disk, forget
from tests.vbox.networks import delete_networks, networks
from vboxkit.com.versions import create_machine
from vboxkit.com.xpcom import isolation
from vboxkit.core import processes, resources
from vboxkit.errors import InvalidStateError
from vboxkit.machines.opening import remove_new

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vboxkit import Machine, Snapshot, VirtualBox
    from vboxkit.machines.dhcp import DhcpServer
    from vboxkit.machines.medium import Medium
    from vboxkit.machines.nat_networks import NatNetwork

#: In the name of all that these tests make; tests of other processes may use the same home.
PREFIX = f"vt{os.getpid()}-"
_numbers = count(1)


def remains(vbox: VirtualBox) -> set[str]:
    """Return what VirtualBox and the disk hold of these tests, a line each."""
    api = vbox._api
    found = {f"machine {name}" for name in vbox.machines.names() if PREFIX in name}
    media = api.array(vbox.com, "hardDisks")
    while media:
        medium = media.pop()
        # hardDisks lists base disks only; the differencing ones are below them.
        media += api.array(medium, "children")
        if PREFIX in str(medium.location):
            found.add(f"medium {medium.location}")
    paths = (vbox.home / "machines").rglob("*")
    return found | {f"path {path}" for path in paths if PREFIX in str(path)}


def destroy_all(vbox: VirtualBox) -> None:
    """Destroy the machines of these tests, clones before what they stand on."""
    for _ in range(10):
        mine = [machine for machine in vbox.machines if PREFIX in machine.name]
        if not mine:
            return
        for machine in mine:
            with suppress(InvalidStateError):
                machine.destroy()


@pytest.fixture(autouse=True)
def nothing_left(vbox: VirtualBox) -> Iterator[None]:
    """Destroy what a test made, and check that nothing of it is left."""
    yield
    destroy_all(vbox)
    left = remains(vbox)
    if left:
        # Failing once is enough: the tests that follow are not to blame.
        remove_new(vbox._api, vbox.home, known=lambda medium: PREFIX not in str(medium.location))
        for path in sorted((vbox.home / "machines").glob(f"*{PREFIX}*")):
            shutil.rmtree(path, ignore_errors=True)
    assert left == set()


@pytest.fixture(scope="session", autouse=True)
def nothing_left_at_the_end(vbox: VirtualBox) -> Iterator[None]:
    """Check once more, when all tests are over."""
    yield
    assert remains(vbox) == set()


@pytest.fixture
def inventory(vbox: VirtualBox) -> Callable[[], set[str]]:
    """Machines, media and paths of these tests, but for what any change of a machine makes."""

    def look() -> set[str]:
        return {
            line
            for line in remains(vbox)
            if not line.endswith((".vbox-prev", "/Snapshots", "/Logs"))
        }

    return look


@pytest.fixture
def label() -> Callable[[str], str]:
    """Make names that nobody else uses."""
    return lambda kind: f"{PREFIX}{next(_numbers)}-{kind}"


@pytest.fixture(scope="session")
def ova() -> Path:
    """Return the appliance of the built-in guest."""
    return resources.resource("tiny/tiny.ova")


@pytest.fixture(scope="session")
def parts(ova: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Read the appliance's files, by name: the descriptor first, then its disk."""
    with tarfile.open(ova) as tar:
        found = {}
        for member in tar.getmembers():
            file = tar.extractfile(member)
            assert file is not None
            with file:
                found[member.name] = file.read()
    return {name: found[name] for name in sorted(found, key=lambda n: not n.endswith(".ovf"))}


@pytest.fixture
def package(
    parts: dict[str, bytes], tmp_path: Path, label: Callable[[str], str]
) -> Callable[..., Path]:
    """
    Make OVAs like the built-in one that suggest another machine name.

    Keywords: `name` (suggested), `manifest` (its text is altered by a function), `leave_out`
    (a suffix of a member), `folder`.
    """
    ovf, disk = (next(n for n in parts if n.endswith(end)) for end in (".ovf", ".vmdk"))

    def make(
        *,
        name: str | None = None,
        manifest: Callable[[str], str] | None = None,
        leave_out: str = "-",
        folder: Path = tmp_path,
    ) -> Path:
        text = parts[ovf].decode()
        start = text.index('<VirtualSystem ovf:id="') + len('<VirtualSystem ovf:id="')
        old = text[start : text.index('"', start)]
        new = name or label("suggested")
        files = {ovf: text.replace(f'"{old}"', f'"{new}"').encode(), disk: parts[disk]}
        if manifest is not None:
            lines = [f"SHA256 ({n}) = {hashlib.sha256(files[n]).hexdigest()}\n" for n in files]
            files[ovf.replace(".ovf", ".mf")] = manifest("".join(lines)).encode()
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{new}.ova"
        with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
            for member, content in files.items():
                if member.endswith(leave_out):
                    continue
                source = folder / "member"
                source.write_bytes(content)
                tar.add(source, arcname=member)
                source.unlink()
        return target

    return make


@pytest.fixture
def make(vbox: VirtualBox, ova: Path, label: Callable[[str], str]) -> Callable[..., Machine]:
    """Import machines; the arguments are those of `Appliances.import_`."""
    return lambda **options: vbox.appliances.import_(ova, **{"name": label("machine"), **options})


@pytest.fixture
def machine(make: Callable[..., Machine]) -> Machine:
    """Import a machine, powered off; it is destroyed after the test."""
    return make()


@pytest.fixture
def big(machine: Machine) -> Machine:
    """Return a machine that takes a while to be copied: 200 MiB that cannot be compressed."""
    attach_big_disk(machine, 200)
    return machine


@pytest.fixture
def no_network_left(vbox: VirtualBox, nothing_left: None) -> Iterator[None]:
    """Delete the networks that a test made, and check that none is left."""
    yield
    delete_networks(vbox, PREFIX)
    assert networks(vbox, PREFIX) == set()


@pytest.fixture
def nat(vbox: VirtualBox, label: Callable[[str], str]) -> NatNetwork:
    """Make a NAT network."""
    return vbox.networks.nat.create(label("net"), network="10.9.0.0/24")


@pytest.fixture
def dhcp(vbox: VirtualBox, label: Callable[[str], str]) -> DhcpServer:
    """Make a DHCP server for an internal network."""
    return vbox.networks.dhcp.create(
        label("lab"), ip_address="10.7.0.1", lower_ip="10.7.0.100", upper_ip="10.7.0.200"
    )


@pytest.fixture
def place(vbox: VirtualBox, tmp_path: Path, label: Callable[[str], str]) -> Iterator[Path]:
    """Give a folder for images; after the test no machine uses them, and none is known."""
    folder = tmp_path / label("images")
    folder.mkdir()
    yield folder
    destroy_all(vbox)
    forget(vbox, folder)


@pytest.fixture
def disks(vbox: VirtualBox, place: Path) -> Callable[[], Medium]:
    """Make small disks."""
    numbers = count()
    return lambda: vbox.media.create(place / f"disk{next(numbers)}.vdi", size_mb=1)


@pytest.fixture
def bare(vbox: VirtualBox, label: Callable[[str], str]) -> Callable[[], Machine]:
    """Make machines without any disk or controller."""

    def build() -> Machine:
        name = label("bare")
        vbox.com.registerMachine(create_machine(vbox._api, name, os_type="Linux26_64"))
        return vbox.machines[name]

    return build


@pytest.fixture
def child() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """
    Run Python code in other processes, which are killed after the test.

    Arguments: the code, its arguments, and `wrap`, the command it is run by.
    """
    env = dict(os.environ)
    package = str(Path(vboxkit.__file__).parents[1])
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [package, env.get("PYTHONPATH")]))
    # The tests' own home must not leak into processes that choose another one.
    for name in ("VBOX_USER_HOME", "VBOX_IPC_SOCKETID"):
        env.pop(name, None)
    with ExitStack() as stack:

        def start(code: str, *arguments: object, wrap: Any = ()) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [*wrap, sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    env=env,
                )
            )
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def answer(child: Callable[..., subprocess.Popen[str]]) -> Callable[..., str]:
    """Run Python code in another process to its end, and return what it printed."""

    def run(code: str, *arguments: object, wrap: Any = ()) -> str:
        process = child(code, *arguments, wrap=wrap)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, out
        return out

    return run


#: Gives a process, and the VBoxSVC that it starts, a disk of 2 MiB that nobody else sees.
_SMALL_DISK = """
import ctypes, os, pathlib, sys
from vboxkit.com.xpcom import isolation
from vboxkit.core import processes
from vboxkit.errors import VBoxKitError
libc = ctypes.CDLL(None, use_errno=True)
MS_RDONLY, MS_REMOUNT, MS_REC, MS_PRIVATE, CLONE_NEWNS = 1, 0x20, 0x4000, 0x40000, 0x20000
home, small = sys.argv[1:]
private = "shared:" not in pathlib.Path("/proc/self/mountinfo").read_text()
if (
    libc.unshare(CLONE_NEWNS)
    or (libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) and not private)
    or libc.mount(b"none", small.encode(), b"tmpfs", 0, b"size=2m")
):
    print("no disk:", os.strerror(ctypes.get_errno()))
    sys.exit()

def fill():
    with open(small + "/rest", "wb", buffering=0) as rest:
        try:
            while rest.write(bytes(4096)):
                pass
        except OSError:
            pass

def make_read_only():
    assert not libc.mount(b"none", small.encode(), b"tmpfs", MS_REMOUNT | MS_RDONLY, None)

import vboxkit
vbox = vboxkit.connect(home)
try:
{code}
finally:
    for server, _ in processes.find(argument="--auto-shutdown", environment=isolation(vbox.home)):
        processes.kill(server)
"""


@pytest.fixture
def on_small_disk(
    private_home: Path, tmp_path: Path, answer: Callable[..., str]
) -> Callable[[str], list[str]]:
    """
    Run code in a process with a disk of 2 MiB, and return the lines that it printed.

    It has ``vbox``, the disk's path ``small``, and ``fill()`` and ``make_read_only()`` for that.
    """

    def run(code: str) -> list[str]:
        small = tmp_path / "small"
        small.mkdir()
        whole = _SMALL_DISK.replace("{code}", textwrap.indent(textwrap.dedent(code), "    "))
        out = answer(whole, private_home, small)
        if out.startswith("no disk"):
            pytest.skip(out)
        return out.splitlines()

    return run


@pytest.fixture
def private_home(tmp_path: Path) -> Iterator[Path]:
    """Choose a VirtualBox home for other processes, whose server is ended after the test."""
    home = tmp_path / "private"
    yield home
    for server, _ in processes.find(argument="--auto-shutdown", environment=isolation(home)):
        processes.kill(server)


def shape(machine: Machine) -> list[str]:
    """Return names, each with a dot for every level above it."""
    return ["." * depth + snapshot.name for depth, snapshot in machine.snapshots.walk()]


@pytest.fixture
def tree(machine: Machine) -> dict[str, Snapshot]:
    """
    Take snapshots like this; the machine stands on `b`, where it has 128 MiB.

    a
    ├─ b
    │  ├─ c
    │  ├─ d
    │  └─ now
    └─ e
    """
    snapshots = machine.snapshots
    taken = {name: snapshots.take(name) for name in "abc"}
    taken["b"].restore()
    taken["d"] = snapshots.take("d")
    taken["a"].restore()
    taken["e"] = snapshots.take("e")
    taken["b"].restore()
    machine.memory_mb = 128
    return taken

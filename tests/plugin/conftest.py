"""Runs of pytest with the plugin, in processes of their own, and a look at what they leave."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import vboxkit
from vboxkit.com.xpcom import isolation
from vboxkit.core import processes
from vboxkit.core.locks import try_lock
from vboxkit.core.ports import is_free
from vboxkit.core.waiting import wait_until
from vboxkit.settings import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE = Path(vboxkit.__file__).parents[1]
_LOOK = Path(__file__).with_name("look.py")

#: A plugin of the runs, in each of their processes: writes the port of each machine into a file.
_PORTS = """
import os
from vboxkit.pytest_plugin.factory import VMFactory

fork = VMFactory._fork

def noted(self, *arguments, **more):
    made = fork(self, *arguments, **more)
    with open(os.environ["VBK_PORTS"], "a") as file:
        for vm in made:
            print(vm.ssh_port, file=file)
    return made

VMFactory._fork = noted
"""

#: What a test run, this one, must not hand down to the runs that it starts.
_NOT_INHERITED = (
    *("VBOX_USER_HOME", "VBOX_IPC_SOCKETID", "VBOXKIT_KEEP", "VBOXKIT_IMAGE", "VBOXKIT_HOME"),
    *("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"),
    *("PYTEST_XDIST_TESTRUNUID", "PYTEST_XDIST_AUTO_NUM_WORKERS"),
)


class Runs:
    """
    Starts runs of pytest in a folder of their own.

    Attributes:
        pytester: That folder.
        home: The VirtualBox home of their machines.
    """

    def __init__(self, pytester: pytest.Pytester, home: Path) -> None:
        self.pytester = pytester
        self.home = home
        #: Each run's forks write their ports there, see `_PORTS`.
        self.ports = pytester.path / "ports.txt"
        self._started: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str) -> pytest.RunResult:
        """Run to the end."""
        return self.pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments, timeout=180)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a run; as a shell does, in a process group of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.pytester.path,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        """End what was started and still runs."""
        while self._started:
            with self._started.pop() as process:
                process.kill()

    def wait_for(self, name: str, process: subprocess.Popen[str]) -> None:
        """Wait until a test of a run made a file of this name, in the run's folder."""
        file = self.pytester.path / name

        def there() -> bool | None:
            if process.poll() is not None:
                assert process.stdout is not None
                pytest.fail(f"the run ended before:\n{process.stdout.read()}")
            return True if file.exists() else None

        wait_until(there, what=f"{file} to be made", timeout=120)

    def look(self, *orders: str) -> dict[str, Any]:
        """Return what the home holds; see ``look.py``."""
        done = subprocess.run(
            [sys.executable, str(_LOOK), str(self.home), *orders],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def assert_nothing_left(self) -> None:
        """Check that there is nothing but images: no machine, medium, file, port or process."""
        assert_images_only(self.look(), self.home)
        ports = self.ports.read_text().split() if self.ports.exists() else []
        assert [port for port in ports if _leaked(int(port))] == []


def _leaked(port: int) -> bool:
    """Tell whether somebody listens on a port which nobody has leased: others may have it now."""
    if is_free(port):
        return False
    lock = try_lock(cache_dir() / "ports" / f"{port}.lock")
    if lock is None:
        return False
    lock.release()
    return not is_free(port)


def assert_images_only(found: dict[str, Any], home: Path) -> None:
    """Check that what a look into a home has found are images, and nothing else."""
    images = set(found["images"])
    assert set(found["machines"]) == images
    # Of a name, VirtualBox takes for the folder what any file system can hold.
    folders = {re.sub(r"[^\w.-]", "_", name) for name in images}
    assert set(found["folders"]) == folders
    roots = [str(home / "machines" / name) + os.sep for name in folders]
    assert [m for m in found["media"] if not m.startswith(tuple(roots))] == []
    assert found["strays"] == []
    assert found["leases"] == []
    assert found["processes"] == []


@pytest.fixture(scope="session")
def plugin_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Lead Python to vboxkit, and pytest to its entry point, installed or not."""
    folders = [str(_PACKAGE)]
    if not any(e.name == "vboxkit" for e in metadata.entry_points(group="pytest11")):
        # A checkout that is not installed: give it the entry point that a wheel would have.
        site = tmp_path_factory.mktemp("site")
        info = site / f"vboxkit-{vboxkit.__version__}.dist-info"
        info.mkdir()
        about = f"Metadata-Version: 2.1\nName: vboxkit\nVersion: {vboxkit.__version__}\n"
        (info / "METADATA").write_text(about)
        entry = "[pytest11]\nvboxkit = vboxkit.pytest_plugin.plugin\n"
        (info / "entry_points.txt").write_text(entry)
        folders.append(str(site))
    noting = tmp_path_factory.mktemp("noting")
    (noting / "vbk_ports.py").write_text(_PORTS)
    folders.append(str(noting))
    return os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make the VirtualBox home of all runs: the image is built once."""
    folder = tmp_path_factory.mktemp("home")
    yield folder
    _remove(folder)


def _remove(home: Path) -> None:
    """Remove a home when its VBoxSVC, which ends some seconds after its last client, is gone."""
    wait_until(
        lambda: None if _serves(home) else True,
        what=f"VBoxSVC of {home} to end",
        timeout=60,
        poll=0.2,
    )
    shutil.rmtree(home)
    # XPCOM leaves the folder of its socket; who keeps a home uses it again.
    socket = f".vbox-{isolation(home)['VBOX_IPC_SOCKETID']}-ipc"
    shutil.rmtree(Path("/tmp") / socket, ignore_errors=True)


def _serves(home: Path) -> bool:
    return any(processes.find(argument="--auto-shutdown", environment=isolation(home)))


@pytest.fixture
def run(
    pytester: pytest.Pytester, plugin_path: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Runs:
    """Start runs that need no VirtualBox."""
    # Before pytester's own home hides it: ports are leased for all processes of this user.
    for name in _NOT_INHERITED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", plugin_path)
    monkeypatch.setenv("VBOXKIT_CACHE_DIR", str(cache_dir()))
    monkeypatch.setenv("VBOXKIT_HOME", str(home))
    made = Runs(pytester, home)
    monkeypatch.setenv("PYTEST_PLUGINS", "vbk_ports")
    monkeypatch.setenv("VBK_PORTS", str(made.ports))
    return made


@pytest.fixture
def vm_run(run: Runs, pytestconfig: pytest.Config) -> Iterator[Runs]:
    """Start runs that make machines; when the test is over, nothing of them may be left."""
    reason = run.look().get("skip")
    if reason:
        if pytestconfig.getoption("vm_required"):
            pytest.fail(reason)
        pytest.skip(reason)
    yield run
    run.end()
    run.assert_nothing_left()


@pytest.fixture
def own_home(
    vm_run: Runs, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runs]:
    """Start runs in a new home, in which there is no image yet."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("VBOXKIT_HOME", str(home))
    mine = Runs(vm_run.pytester, home)
    yield mine
    mine.end()
    mine.assert_nothing_left()
    _remove(home)

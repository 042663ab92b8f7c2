"""``--vm-home=isolated|user``: which VirtualBox the tests' machines are in."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit import MachineState
from vboxkit.core import processes
from vboxkit.core.waiting import wait_until
from vboxkit.lab import leases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugin.conftest import Runs
    from vboxkit import VM

pytestmark = pytest.mark.vm

#: What the user does: VirtualBox as it is, without a lab.
_USER = """
import json, sys, warnings
import vboxkit
warnings.simplefilter("ignore")
vbox = vboxkit.connect()
if sys.argv[1] == "make":
    mine = vbox.create("mine", os_type="Linux_64", memory_mb=32, cpus=1, disk_mb=10)
    mine.start()
elif sys.argv[1] == "end":
    for machine in vbox.machines:
        if machine.running:
            machine.power_off()
        machine.destroy()
print(json.dumps({
    "home": str(vbox.home),
    "folder": str(vbox.com.systemProperties.defaultMachineFolder),
    "machines": {machine.name: str(machine.state) for machine in vbox.machines},
    "pids": [machine.session_pid for machine in vbox.machines if machine.running],
}))
"""


class User:
    """A user of this machine, with a VirtualBox home and a machine of his own, which runs."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.before = self("make")

    def __call__(self, order: str = "look") -> dict[str, Any]:
        """Do something, and return what there is then."""
        done = subprocess.run(
            [sys.executable, "-c", _USER, order], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def files(self) -> list[str]:
        """Return the user's own files, without those of the lab and the logs of VirtualBox."""
        folders = [self.home, Path(self.before["folder"])]
        found = [str(path) for folder in folders for path in folder.rglob("*") if path.is_file()]
        return sorted(it for it in found if ".log" not in it and "/vboxkit" not in it)


@pytest.fixture
def user(
    vm_run: Runs, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[User]:
    """Be that user, until the end of the test."""
    folder = tmp_path_factory.mktemp("user")
    name = f"vboxkit-test-{secrets.token_hex(4)}"
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("VBOX_USER_HOME", str(folder / "vbox"))
    # Else it would be the VBoxSVC of whoever runs the tests.
    monkeypatch.setenv("VBOX_IPC_SOCKETID", name)
    monkeypatch.delenv("VBOXKIT_HOME")
    user = User(folder / "vbox")
    yield user
    user("end")
    wait_until(
        lambda: (
            None
            if any(
                processes.find(argument="--auto-shutdown", environment={"VBOX_IPC_SOCKETID": name})
            )
            else True
        ),
        what="the user's VBoxSVC to end",
        timeout=60,
        poll=0.2,
    )
    shutil.rmtree(folder)
    shutil.rmtree(f"/tmp/.vbox-{name}-ipc", ignore_errors=True)


def test_isolated_sees_nothing_of_the_user(
    vm_run: Runs, user: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is the default, and what it makes is not seen by the user, either."""
    monkeypatch.setenv("VBOXKIT_CACHE_DIR", str(tmp_path))
    vm_run.pytester.makepyfile(
        f"""
        def test_apart(vbox, vm_settings):
            assert vbox.machines.names() == []
            assert str(vbox.home) == str(vm_settings.home) != {str(user.home)!r}
            vbox.create("theirs", os_type="Linux_64", memory_mb=4, disk_mb=0)
        """
    )
    for arguments in ((), ("--vm-home=isolated",)):
        shutil.rmtree(tmp_path / "home", ignore_errors=True)
        vm_run("--vm-required", *arguments).assert_outcomes(passed=1)
        assert (tmp_path / "home" / "machines" / "theirs").is_dir()
        assert user() == user.before
        _wait_for_end(tmp_path / "home")


def _wait_for_end(home: Path) -> None:
    from vboxkit.com.xpcom import isolation

    def ended() -> bool | None:
        found = processes.find(argument="--auto-shutdown", environment=isolation(home))
        return None if any(found) else True

    wait_until(ended, what=f"VBoxSVC of {home} to end", timeout=60, poll=0.2)
    socket = f".vbox-{isolation(home)['VBOX_IPC_SOCKETID']}-ipc"
    shutil.rmtree(Path("/tmp") / socket, ignore_errors=True)


_FORKS = """
    from pathlib import Path

    def test_fork(vm, vbox):
        assert vm.ssh.succeed("uname -s").strip() == "Linux"
        assert {"mine", vm.name} <= set(vbox.machines.names())
        assert vm.folder.parent == Path(__HOME__) / "vboxkit" / "machines"
        Path("forked").touch()
        if Path("hang").exists():
            vm.ssh.run("sleep 600")
"""


def test_user_shares_the_users_virtualbox_and_clears_up_its_own(
    vm_run: Runs, user: User, vm: VM
) -> None:
    """
    A run, and one that is killed: what is left of both is an image, and the user's as it was.

    The user's machine runs all the time, and so does one of another home, whose process looks to
    the user's VirtualBox like one of a machine that is gone.
    """
    pytester = vm_run.pytester
    pytester.makepyfile(_FORKS.replace("__HOME__", repr(str(user.home))))
    files = user.files()
    assert any(name.endswith("mine.vbox") for name in files)
    pytester.makepyprojecttoml('[tool.vboxkit]\nhome = "user"')
    vm_run("--vm-required").assert_outcomes(passed=1)
    (pytester.path / "forked").unlink()
    (pytester.path / "hang").touch()
    pytester.makepyprojecttoml("[tool.pytest.ini_options]\nvm_home = 'user'")
    killed = vm_run.start("--vm-required")
    vm_run.wait_for("forked", killed)
    killed.kill()
    killed.wait(30)
    # As if a run had died that was about to make a machine of the name that the user's now has.
    leases.write(
        user.home / "vboxkit" / "leases",
        leases.Lease(name="mine", pid=killed.pid, started=0.0, created=time.time()),
    )
    subprocess.run([sys.executable, "-m", "vboxkit", "--home", "user", "gc"], check=True)
    found = user()
    images = [name for name in found["machines"] if name.startswith("image-tiny-")]
    assert len(images) == 1
    assert found == {
        **user.before,
        "machines": {images[0]: "PoweredOff", **user.before["machines"]},
    }
    assert user.before["machines"] == {"mine": "Running"}
    assert user.files() == files
    folders = {path.name for path in (user.home / "vboxkit" / "machines").iterdir()}
    assert folders == set(images)
    assert not [*(user.home / "vboxkit" / "leases").iterdir()]
    assert vm.state is MachineState.RUNNING
    assert vm.ssh.succeed("echo here").strip() == "here"

"""Other programs that are handed a guest: OpenSSH, ansible, pytest-testinfra, fabric."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.errors import HostKeyError

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit import VM

pytestmark = pytest.mark.vm


def run(*line: object, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a program, and return what it said."""
    return subprocess.run(
        [str(it) for it in line],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        stdin=subprocess.DEVNULL,
        **more,
    )


def need(program: str) -> None:
    """Skip where a client is not installed; the sandbox has them all."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed here")


def test_openssh(vm: VM, tmp_path: Path) -> None:
    """OpenSSH's client and scp get in by the entry alone, and the files go with the machine."""
    need("ssh")
    config = vm.ssh.write_config()
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    done = run("ssh", "-F", config, vm.name, "echo $((6*7))")
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    (tmp_path / "here").write_text("text")
    done = run("scp", "-F", config, tmp_path / "here", f"{vm.name}:/tmp/there")
    assert done.returncode == 0, done.stderr
    assert vm.ssh.read_text("/tmp/there") == "text"
    mine = vm.ssh.write_config(tmp_path / "a folder's %", name="web")
    assert run("ssh", "-F", mine, "web", "true").returncode == 0
    folder = vm.folder
    vm.destroy()
    assert not folder.exists()


def test_a_new_host_key_is_told_and_an_old_one_refused(vm: VM, tmp_path: Path) -> None:
    """After a refresh the entry pins the new key; OpenSSH refuses by the old one, as do we."""
    need("ssh")
    old = vm.ssh.write_config(tmp_path / "old")
    before = vm.ssh.fabric()
    vm.refresh("ssh-host-key")
    done = run("ssh", "-F", old, vm.name, "true")
    assert done.returncode == 255
    assert "HOST IDENTIFICATION HAS CHANGED" in done.stderr
    assert run("ssh", "-F", vm.ssh.write_config(), vm.name, "true").returncode == 0
    fabric = pytest.importorskip("fabric", reason="fabric, which the sandbox has")
    with pytest.raises(HostKeyError), fabric.Connection(**before) as connection:
        connection.run("true", hide=True, in_stream=False)


def test_ansible(vm: VM, tmp_path: Path) -> None:
    """The inventory is what ansible understands, and its raw module runs in the guest."""
    need("ansible")
    environment = {**os.environ, "ANSIBLE_HOME": str(tmp_path / "ansible"), "HOME": str(tmp_path)}
    inventory = vm.write_ansible_inventory(tmp_path / "the inventory.yml")
    assert stat.S_IMODE(inventory.stat().st_mode) == 0o600
    told = run("ansible-inventory", "-i", inventory, "--list", env=environment)
    variables = json.loads(told.stdout)["_meta"]["hostvars"][vm.name]
    assert variables["ansible_port"] == vm.ssh_port
    assert variables["ansible_user"] == "root"
    line = ("ansible", "-i", inventory, "all", "-m", "raw", "-a")
    done = run(*line, "hostname; echo $((6*7))", env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "42" in done.stdout
    done = run(*line, "exit 3", env=environment)
    assert done.returncode != 0
    with pytest.raises(ValueError, match="yml"):
        vm.write_ansible_inventory(tmp_path / "inventory")


def test_testinfra(vm: VM, tmp_path: Path) -> None:
    """A test of pytest-testinfra is given the guest by --hosts, and sees inside of it."""
    pytest.importorskip("testinfra", reason="pytest-testinfra, which the sandbox has")
    test = tmp_path / "test_inside.py"
    test.write_text(
        "def test_inside(host):\n"
        "    assert host.check_output('uname -s') == 'Linux'\n"
        "    assert host.file('/etc/passwd').contains('root')\n"
        "    assert not host.file('/nowhere').exists\n"
    )
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:vboxkit"]
    done = run(*line, f"--hosts={vm.testinfra()}", test, cwd=tmp_path)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_fabric(vm: VM) -> None:
    """Fabric runs commands and copies files by the arguments alone."""
    fabric = pytest.importorskip("fabric", reason="fabric, which the sandbox has")
    with fabric.Connection(**vm.ssh.fabric()) as connection:
        assert connection.run("echo $((6*7))", hide=True, in_stream=False).stdout == "42\n"


def test_the_command_prints_the_entry(vm: VM, tmp_path: Path) -> None:
    """What vboxkit ssh-config prints is all that OpenSSH's client needs."""
    need("ssh")
    home = vm.settings.home
    done = run(sys.executable, "-m", "vboxkit", "--home", home, "ssh-config", vm.name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Host {vm.name}\n")
    config = tmp_path / "config"
    config.write_text(done.stdout)
    assert run("ssh", "-F", config, vm.name, "true").returncode == 0
    done = run(sys.executable, "-m", "vboxkit", "--home", home, "ssh-config", "nobody")
    assert done.returncode == 1
    assert done.stdout == ""

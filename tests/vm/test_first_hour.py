"""What a newcomer meets in the first hour, with running guests: each error names its remedy."""

from __future__ import annotations

import shutil
import socket
from typing import TYPE_CHECKING

import pytest

from tests.vbox.first_hour import command
from vboxkit import Credentials
from vboxkit.com import installation
from vboxkit.core import resources
from vboxkit.errors import DriverNeededError, GuestAuthError, InvalidStateError, PortInUseError
from vboxkit.guest.credentials import generate_key
from vboxkit.guest.ssh import SSH

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit import VM

pytestmark = pytest.mark.vm


@pytest.fixture
def wrong_key(tmp_path: Path) -> Path:
    """Make a key that no guest knows."""
    return generate_key(tmp_path / "wrong")


def test_a_wrong_key(vm: VM, wrong_key: Path, tmp_path: Path) -> None:
    """An appliance of one's own with a key it does not know: whom it did not let in, and why."""
    box = shutil.copy(resources.resource("tiny/tiny.ova"), tmp_path / "box.ova")
    home = tmp_path / "home"
    said = command(home, "images", "build", box, "--key", wrong_key, "--name", "mine")
    said.check(1, f"did not let 'root' in with key {wrong_key}", "authorized_keys")
    # Nothing of it stays.
    assert command(home, "ls", "--json").out.strip() == "[]"
    with (
        SSH(vm.ssh.address, Credentials(key_file=wrong_key)) as ssh,
        pytest.raises(GuestAuthError, match="did not let 'root' in with") as caught,
    ):
        ssh.run("true")
    assert caught.value.hint == said.remedy


def test_a_key_that_is_missing(vm: VM, tmp_path: Path) -> None:
    """The option names the file, the library also what gives another."""
    missing = tmp_path / "id_none"
    said = command(vm.settings.home, "images", "build", "tiny", "--key", missing)
    assert (said.code, str(missing) in "".join(said.lines)) == (2, True)
    with (
        SSH(vm.ssh.address, Credentials(key_file=missing)) as ssh,
        pytest.raises(GuestAuthError, match=f"the key {missing} .* does not exist") as caught,
    ):
        ssh.run("true")
    assert "Credentials(key_file=...)" in (caught.value.hint or "")


@pytest.fixture
def off(vm: VM) -> VM:
    """Return a machine that is powered off."""
    vm.power_off()
    return vm


def test_a_machine_that_is_off(off: VM) -> None:
    """What needs a guest that runs says so, and how it is started."""
    for words in (("ssh", off.name, "true"), ("screenshot", off.name), ("console", off.name)):
        command(off.settings.home, *words).check(1, "PoweredOff", "start")
    with pytest.raises(InvalidStateError, match="PoweredOff") as caught:
        off.screen.shot()
    assert "start" in (caught.value.hint or "")


@pytest.mark.skipif(installation.driver_available(), reason="with the driver it starts")
def test_a_mode_that_needs_the_driver(off: VM) -> None:
    """Somebody asks for VirtualBox's own way to start where there is no driver."""
    said = command(off.settings.home, "start", off.name, "--mode", "headless")
    said.check(3, "needs VirtualBox's kernel driver", "install the kernel driver")
    with pytest.raises(DriverNeededError) as caught:
        off.start(mode="headless")
    assert caught.value.hint == said.remedy
    assert "vboxkit doctor" in said.remedy


def test_a_port_that_is_busy_at_the_start(off: VM) -> None:
    """A forward's port was taken meanwhile: VirtualBox would start without it."""
    port = off.network[0].forward(guest=80).host_port
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", port))
        busy.listen()
        said = command(off.settings.home, "start", off.name)
        said.check(1, f"port {port}", "end the program that listens there")
        with pytest.raises(PortInUseError, match=str(port)) as caught:
            off.start()
    assert caught.value.hint == said.remedy

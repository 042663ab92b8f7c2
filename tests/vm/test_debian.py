"""The Debian guest: made by its recipe, booted once, forked; what needs systemd and OpenSSH."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.guest.test_trees import plant, shape
from vboxkit import MachineState
from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import (
    CommandTimeoutError,
    GuestAuthError,
    GuestUserError,
    NotReadyError,
    TunnelError,
    WaitTimeoutError,
)
from vboxkit.guest.readiness import all_of, any_of, unit
from vboxkit.guest.ssh import SSH
from vboxkit.lab import clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import VM, Image, Lab

# The first one makes the appliance and boots it: minutes without hardware virtualisation.
pytestmark = [pytest.mark.vm, pytest.mark.slow, pytest.mark.debian, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def debian(vm_lab: Lab) -> Image:
    """Return the image, made and booted if it was not."""
    return vm_lab.image("debian")


@pytest.fixture
def guest(debian: Image, vm_factory: Callable[..., VM]) -> VM:
    """Return a fork of it."""
    return vm_factory(image=debian.name)


def test_it_is_a_stock_debian(guest: VM) -> None:
    """Debian's own kernel, systemd with all that it started, OpenSSH, from packages."""
    assert guest.ssh.succeed("systemctl is-system-running") == "running\n"
    said = guest.ssh.succeed(
        """
        cat /proc/1/comm
        uname -r
        readlink "/proc/$(cat /run/sshd.pid)/exe"
        dpkg-query -f '${binary:Package} ${db:Status-Status}\\n' -W openssh-server systemd
        dpkg-query -S /boot/vmlinuz-$(uname -r)
        """
    ).splitlines()
    assert said[0] == "systemd"
    assert said[1].endswith("-cloud-amd64")
    assert said[2] == "/usr/sbin/sshd"
    assert said[3:5] == ["openssh-server installed", "systemd installed"]
    assert said[5].startswith("linux-image-")


def test_apt_works_without_a_network(guest: VM) -> None:
    """Nothing is half installed; what is there can be asked for and removed."""
    assert guest.ssh.succeed("dpkg --audit && apt-get check -qq") == ""
    packages = guest.ssh.succeed("dpkg -l | grep -c ^ii")
    assert 120 < int(packages) < 250
    assert "Remv procps" in guest.ssh.succeed("apt-get --simulate remove procps")


def test_a_fork_resumes_the_guest(debian: Image, guest: VM, vm_factory: Callable[..., VM]) -> None:
    """Forks are in one boot, and do not see what the other one writes."""
    other = vm_factory(image=debian.name)
    boot = "cat /proc/sys/kernel/random/boot_id"
    assert guest.ssh.succeed(f"echo one > /root/who; {boot}") == other.ssh.succeed(boot)
    assert other.ssh.run("cat /root/who").exit_code == 1


def test_nothing_is_left_of_the_build(guest: VM) -> None:
    """The login before the snapshot is over: there are the server, and what serves this command."""
    said = guest.ssh.succeed("ps -C sshd -o args=").splitlines()
    assert len(said) == 2
    assert "[listener]" in said[0]
    assert "root@notty" in said[1]


def test_it_can_be_made_its_own(guest: VM) -> None:
    """Host name, machine id and host key can be renewed, and the new host key is the one shown."""
    read = "cat /etc/machine-id; hostname"
    before = guest.ssh.succeed(read).split()
    key = guest.ssh.host_key
    guest.refresh("entropy", "hostname", "machine-id", "ssh-host-key")
    guest.ssh.close()
    after = guest.ssh.succeed(read).split()
    assert after[0] != before[0]
    assert after[1] != before[1] == "debian"
    assert guest.ssh.host_key != key


def test_nobody_else_has_its_keys(debian: Image, guest: VM) -> None:
    """The key that the appliance came with is not let in, and its host key is gone."""
    from vboxkit.lab import images

    source = images.source_of("debian")
    assert source.make is not None
    source = source.make([])  # the image does not need it, and may be older
    assert source.credentials.key_file is not None
    public = source.credentials.key_file.with_suffix(".pub").read_text().split()[1]
    assert public not in guest.ssh.succeed("cat /root/.ssh/authorized_keys")
    assert debian.host_key.startswith("ecdsa-sha2-nistp256 ")
    assert debian.host_key != source.credentials.host_key


def make_units(vm: VM, **commands: str) -> None:
    """Make units of type oneshot, and start them behind; new ones are found without a reload."""
    for name, command in commands.items():
        text = f"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c '{command}'\n"
        vm.ssh.write_text(f"/run/systemd/system/{name}.service", text)
    vm.ssh.succeed(["systemctl", "start", "--no-block", *commands], timeout=200)


def test_a_unit_that_comes_up(guest: VM) -> None:
    """One that takes a while is awaited, alone and beside others; it is active then."""
    make_units(guest, first="sleep 5")
    guest.wait_for_unit("first", timeout=200)
    assert guest.ssh.succeed("systemctl is-active first") == "active\n"
    guest.wait(all_of(unit("first"), unit("ssh"), unit("multi-user.target")), timeout=200)


def test_a_unit_that_fails(guest: VM) -> None:
    """Told at once, with what the unit said and how it ended; also if it fails while awaited."""
    make_units(guest, soon="sleep 5; echo no database here; exit 3")
    begin = time.monotonic()
    for _ in range(2):  # it fails meanwhile; it failed before
        with pytest.raises(NotReadyError, match="the unit failed") as caught:
            guest.wait_for_unit("soon", timeout=1000)
        assert time.monotonic() - begin < 500
        assert "no database here" in str(caught.value)
        assert "status=3" in str(caught.value)
    # systemd calls this degraded: started it has all the same
    assert guest.ssh.run("systemctl is-system-running").stdout == "degraded\n"
    guest.wait_for_boot(timeout=200)
    with pytest.raises(NotReadyError, match="the unit failed"):
        guest.wait(any_of(unit("soon"), unit("stuck")), timeout=1000)


def test_a_unit_that_never_starts(guest: VM) -> None:
    """Not in time: the error says what systemd makes of it. One that is not there: at once."""
    make_units(guest, stuck="sleep 1000")
    with pytest.raises(WaitTimeoutError) as caught:
        guest.wait_for_unit("stuck", timeout=10)
    assert "ActiveState=activating" in str(caught.value.last_seen)
    with pytest.raises(WaitTimeoutError) as caught:
        guest.wait_for_unit("reboot.target", timeout=10)
    assert "ActiveState=inactive" in str(caught.value.last_seen)
    with pytest.raises(NotReadyError, match="no such unit"):
        guest.wait_for_unit("no-such-thing", timeout=1000)


def test_a_boot(guest: VM) -> None:
    """Cold: SSH is there first, and the boot is over when systemd has no jobs left."""
    guest.power_off()
    guest.start()
    guest.wait_ready(timeout=900)
    said = guest.ssh.run("systemctl is-system-running").stdout.strip()
    assert said in {"initializing", "starting"}
    guest.wait_for_boot(timeout=900)
    assert guest.ssh.succeed("systemctl is-system-running") == "running\n"
    guest.wait_for_unit("multi-user.target", timeout=200)


def test_the_serial_console(guest: VM) -> None:
    """A getty asks for name and password there; a wrong one is refused, the right one gets in."""
    guest.ssh.close()
    with guest.console as console:
        with pytest.raises(GuestAuthError):
            console.login("root", "wrong", timeout=300)
        with console.login("root", "vboxkit", timeout=300) as shell:
            assert shell.succeed("cat /proc/sys/kernel/hostname", timeout=200) == "debian\n"
            assert shell.succeed("readlink /proc/$$/fd/2", timeout=200) == "/dev/ttyS0\n"
            assert shell.run("exit 3", timeout=200).exit_code == 3


def test_a_unix_socket(guest: VM) -> None:
    """OpenSSH leads to one in the guest, here that of D-Bus; one that is not there is an error."""
    with guest.ssh.forward_local("/run/dbus/system_bus_socket") as tunnel:
        with socket.create_connection((tunnel.host, tunnel.port), timeout=200) as sock:
            sock.sendall(b"\0AUTH\r\n")
            assert sock.recv(200).startswith(b"REJECTED EXTERNAL")
    with guest.ssh.forward_local("/run/nobody.sock") as tunnel:
        with socket.create_connection((tunnel.host, tunnel.port), timeout=200) as sock:
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        error = wait_until(lambda: tunnel.error, what="the error", timeout=200)
    assert isinstance(error, TunnelError)
    assert error.code == 2


def test_files(guest: VM, tmp_path: Path) -> None:
    """By OpenSSH's SFTP server, in both directions; of a tree also modes, times and links."""
    data = os.urandom(3 << 20)
    (tmp_path / "data").write_bytes(data)
    guest.ssh.put(tmp_path / "data", "/srv/data")
    said = guest.ssh.succeed("sha256sum /srv/data; ls /proc/[0-9]*/exe -l | grep -c sftp-server")
    assert said.split() == [hashlib.sha256(data).hexdigest(), "/srv/data", "1"]
    assert guest.ssh.get("/srv/data", tmp_path / "back").read_bytes() == data
    source = plant(tmp_path / "tree")
    for tar in (None, False):  # by GNU's tar, and one by one
        guest.ssh._tar = tar
        guest.ssh.put_tree(source, f"/srv/{tar}")
        guest.ssh.get_tree(f"/srv/{tar}", tmp_path / f"{tar}")
        assert shape(tmp_path / f"{tar}") == shape(source)


def test_another_user_by_su(guest: VM) -> None:
    """Root needs no password to be somebody else."""
    assert guest.ssh.succeed("id -un; pwd", user="nobody") == "nobody\n/\n"
    with pytest.raises(GuestUserError, match="no such user"):
        guest.ssh.run("true", user="nobody2")


def test_another_user_by_sudo(guest: VM) -> None:
    """Who is not root needs sudo's leave; what runs by it is ended with its time, too."""
    guest.ssh.succeed(
        """
        useradd --create-home --shell /bin/bash --password '*' worker
        install -d -o worker -m 700 /home/worker/.ssh
        install -o worker -m 600 /root/.ssh/authorized_keys /home/worker/.ssh
        """
    )
    address, way_in = guest.ssh.address, replace(guest.credentials, user="worker")
    with SSH(address, way_in, settings=guest.settings) as worker:
        worker.wait_ready(timeout=200)
        with pytest.raises(GuestUserError, match="neither sudo nor doas"):
            worker.run("true", user="root")
        guest.ssh.write_text(
            "/etc/sudoers.d/worker", "worker ALL=(ALL) NOPASSWD: ALL\n", mode=0o440
        )
        assert worker.succeed("id -un; pwd", user="root", timeout=200) == "root\n/root\n"
        with pytest.raises(CommandTimeoutError):
            worker.run("sleep 4321; true", user="root", timeout=20)
        # The order to end goes by sudo as well, which takes longer than it is waited for. The
        # brackets keep the search from finding itself.
        guest.ssh.succeed("while grep -qs '432[1]' /proc/[0-9]*/cmdline; do sleep 1; done")
        guest.ssh.succeed("date -u -s @1700000000")
        assert clock.sync(worker, Deadline(200), name="worker") < -1_000_000


def test_the_clock(guest: VM) -> None:
    """A fork goes on with the time of its snapshot: the first command mends it, sync_clock more."""
    ahead, unsure = clock.offset(guest.ssh, Deadline(200))
    assert abs(ahead) - unsure < 1
    guest.ssh.succeed("date -u -s @1700000000")
    assert guest.sync_clock(timeout=200) < -1_000_000
    ahead, unsure = clock.offset(guest.ssh, Deadline(200))
    assert abs(ahead) - unsure < 1


def test_the_power_button_ends_it(guest: VM) -> None:
    """Systemd takes the guest down, cleanly."""
    guest.shutdown(timeout=600)
    assert guest.state is MachineState.POWERED_OFF

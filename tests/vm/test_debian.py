"""The Debian guest: made by its recipe, booted once, forked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit import MachineState

if TYPE_CHECKING:
    from collections.abc import Callable

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


def test_the_power_button_ends_it(guest: VM) -> None:
    """Systemd takes the guest down, cleanly."""
    guest.shutdown(timeout=600)
    assert guest.state is MachineState.POWERED_OFF

"""The commands that mend a machine, for its system."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vboxkit.host.findings import Host, System

__all__ = ["driver", "extension_pack", "load_driver", "open_device", "virtualbox"]

_VIRTUALBOX: dict[System, str] = {
    "debian": "vboxkit sandbox create; with the driver: sudo apt-get install"
    " ./virtualbox-7.2_*.deb, of virtualbox.org/wiki/Linux_Downloads",
    "ubuntu": "sudo apt-get install virtualbox; without the driver: vboxkit sandbox create",
    "fedora": "sudo dnf install VirtualBox, of rpmfusion.org/Configuration",
    "arch": "sudo pacman -S virtualbox virtualbox-host-dkms linux-headers",
    "suse": "sudo zypper install virtualbox",
    "macos": "brew install --cask virtualbox",
    "windows": "winget install --exact --id Oracle.VirtualBox",
}
_DRIVER: dict[System, str] = {
    "debian": "sudo apt-get install virtualbox-dkms linux-headers-$(uname -r)",
    "ubuntu": "sudo apt-get install virtualbox-dkms linux-headers-$(uname -r)",
    "fedora": "sudo dnf install akmod-VirtualBox kernel-devel && sudo akmods",
    "arch": "sudo pacman -S virtualbox-host-dkms linux-headers",
    "suse": "sudo zypper install virtualbox-kmp-default",
}
_PACK = "Oracle_VirtualBox_Extension_Pack"


def virtualbox(host: Host) -> str:
    """Return what installs VirtualBox."""
    return _VIRTUALBOX.get(host.system, "install VirtualBox 7 from virtualbox.org")


def driver(host: Host, *, oracle: bool) -> str:
    """
    Return what makes the kernel driver for the kernel that runs.

    Args:
        host: The machine.
        oracle: VirtualBox is Oracle's own package, which has a program for it.
    """
    if host.is_container:
        return (
            "on the machine that runs this container: load vboxdrv; then run the container with"
            " --device /dev/vboxdrv --device /dev/vboxdrvu"
        )
    if oracle:
        return "sudo /sbin/vboxconfig"
    made = _DRIVER.get(host.system)
    return f"{made} && {load_driver()}" if made else f"build vboxdrv, then: {load_driver()}"


def load_driver() -> str:
    """Return what loads a driver that is there."""
    return "sudo modprobe vboxdrv"


def open_device(host: Host) -> str:
    """Return what gives the driver's devices the rights that VirtualBox gives them."""
    if host.is_container:
        return "run the container with --device /dev/vboxdrv --device /dev/vboxdrvu"
    return "sudo chmod 600 /dev/vboxdrv && sudo chmod 666 /dev/vboxdrvu"


def extension_pack(host: Host, name: str, version: str) -> str:
    """Return what brings an extension pack to VirtualBox's version."""
    if name != "Oracle VirtualBox Extension Pack" and "Oracle" not in name:
        if host.system in {"debian", "ubuntu"}:
            return "sudo apt-get install --only-upgrade virtualbox virtualbox-ext-pack"
        return f'sudo VBoxManage extpack uninstall "{name}"'
    file = f"{_PACK}-{version}.vbox-extpack"
    before = "" if host.system == "windows" else "sudo "
    return (
        f"download {file} of download.virtualbox.org/virtualbox/{version}, then: "
        f"{before}VBoxManage extpack install --replace {file}"
    )

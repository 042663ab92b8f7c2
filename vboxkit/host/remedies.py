"""The commands that mend a machine, for its system."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vboxkit.host.findings import Host, System

__all__ = [
    "driver",
    "end",
    "extension_pack",
    "load_driver",
    "loopback",
    "may_write",
    "open_device",
    "set_variable",
    "virtualbox",
]

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


def set_variable(host: Host, name: str, value: str) -> str:
    """Return what sets an environment variable."""
    return f"setx {name} {value}" if host.system == "windows" else f"export {name}={value}"


def may_write(host: Host, folder: str) -> str:
    """Return what lets everybody write to a folder for temporary files."""
    if host.system == "windows":
        return f'icacls "{folder}" /grant "%USERNAME%:(OI)(CI)M"'
    return f"sudo chmod 1777 {folder}"


def loopback(host: Host) -> str:
    """Return what brings back the addresses of the machine itself."""
    if host.system == "windows":
        return "netsh winsock reset, and restart Windows"
    return "sudo ifconfig lo0 up" if host.system == "macos" else "sudo ip link set lo up"


def end(host: Host, pids: Sequence[int]) -> str:
    """Return what ends processes."""
    if host.system == "windows":
        return f"taskkill /F {' '.join(f'/PID {pid}' for pid in pids)}"
    return f"kill {' '.join(map(str, pids))}"


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

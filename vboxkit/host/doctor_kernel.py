"""What the kernel and the processor do for VirtualBox on this machine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vboxkit.com import installation
from vboxkit.errors import SetupError
from vboxkit.host import remedies
from vboxkit.host.findings import Finding
from vboxkit.host.sandbox import inside_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.host.findings import Host

__all__ = ["group", "kernel_driver", "kvm", "kvm_conflict", "processor"]

#: From this kernel on KVM takes the processor's virtualisation when it is loaded.
_TAKES_AT_LOAD = (6, 12)
#: From this kernel on VirtualBox 7.2 shares the processor with KVM; on AMD from 7.2.6 on.
_CAN_SHARE = (6, 16)
_SHARES = (7, 2, 0)
_SHARES_ON_AMD = (7, 2, 6)
#: From this VirtualBox on it is KVM that switches the processor's virtualisation on for it.
_NEEDS_KVM = (7, 2, 10)

_KVM_SWITCH = "sys/module/kvm/parameters/enable_virt_at_load"
_SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def _version() -> str | None:
    try:
        return installation.find().version
    except SetupError:
        return None


def kernel_driver(host: Host) -> Iterator[Finding]:
    """Look at VirtualBox's kernel driver: there, of the right version, and to be opened."""
    if not host.is_linux:
        yield Finding("kernel driver", "ok", "comes with VirtualBox")
        return
    loaded = (host.read("sys/module/vboxdrv/version") or "").split(" ")[0]
    devices = [host.path(f"dev/{name}") for name in ("vboxdrv", "vboxdrvu")]
    if installation.driver_available(host.root):
        version = _version()
        if loaded and version and loaded != version:
            yield Finding(
                "kernel driver",
                "problem",
                f"{loaded} is loaded, VirtualBox is {version}: machines do not start",
                "end all machines, then: sudo modprobe -r vboxnetadp vboxnetflt vboxdrv && "
                + remedies.driver(host, oracle=_is_oracles(host)),
            )
            return
        told = f"{loaded} loaded" if loaded else "loaded"
        yield Finding("kernel driver", "ok", f"{told}: machines run at full speed")
        return
    if any(device.exists() for device in devices):
        yield Finding(
            "kernel driver",
            "warning",
            f"{host.user} cannot open {devices[-1 if host.uid else 0]}: machines are emulated,"
            " which is slow but works",
            remedies.open_device(host),
        )
        return
    yield Finding(
        "kernel driver",
        "warning",
        "absent: machines are emulated, which is slow but works",
        _missing_driver(host),
    )
    if _secure_boot(host) and not host.is_container:
        yield Finding(
            "Secure Boot",
            "warning",
            "on: the kernel loads only drivers that are signed with a key it knows",
            "sudo mokutil --import KEY.der, with the key your drivers are signed with (of dkms:"
            " /var/lib/dkms/mok.pub), and boot anew",
        )


def _missing_driver(host: Host) -> str:
    if inside_sandbox():
        return "vboxkit doctor, outside of the sandbox: the driver is the host's"
    if _is_built(host):
        return remedies.load_driver()
    try:
        installation.find()
    except SetupError:
        return f"for full speed, VirtualBox with its driver: {remedies.virtualbox(host)}"
    return remedies.driver(host, oracle=_is_oracles(host))


def _is_built(host: Host) -> bool:
    for place in ("lib/modules", "usr/lib/modules"):
        folder = host.path(place) / host.kernel
        if any(folder.glob("*/vboxdrv.ko*")) or any(folder.glob("*/*/vboxdrv.ko*")):
            return True
    return False


def _is_oracles(host: Host) -> bool:
    return any(host.path(f"{place}/vboxconfig").exists() for place in ("sbin", "usr/sbin"))


def _secure_boot(host: Host) -> bool:
    try:
        # Four bytes of attributes, then the switch.
        return host.path(_SECURE_BOOT).read_bytes()[4:5] == b"\1"
    except OSError:
        return False


def kvm(host: Host) -> Iterator[Finding]:
    """Look whether KVM is in VirtualBox's way; it is not where machines are emulated."""
    if not host.is_linux:
        return
    parts = [name for name in ("kvm_intel", "kvm_amd") if host.path(f"sys/module/{name}").exists()]
    if not parts:
        yield Finding("KVM", "ok", "not loaded")
        return
    device = "" if host.path("dev/kvm").exists() else ", without /dev/kvm"
    if not host.path("sys/module/vboxdrv").exists():
        yield Finding("KVM", "ok", f"loaded{device}; VirtualBox's driver is not: no conflict")
        return
    yield kvm_conflict(host, parts[0], _version())


def kvm_conflict(host: Host, module: str, version: str | None) -> Finding:
    """
    Say whether KVM and a VirtualBox with its driver get along.

    Args:
        host: The machine.
        module: ``kvm_intel`` or ``kvm_amd``, which is loaded.
        version: VirtualBox's; `None` if it is not known.
    """
    numbers = tuple(map(int, version.split("."))) if version else ()
    at_load = host.read(_KVM_SWITCH) in {"Y", "1"}
    users = host.read(f"sys/module/{module}/refcnt") or "0"
    shares = host.kernel_version >= _CAN_SHARE and numbers >= (
        _SHARES_ON_AMD if module == "kvm_amd" else _SHARES
    )
    now = f"for now: sudo modprobe -r {module}"
    if shares:
        if numbers >= _NEEDS_KVM and not at_load:
            return Finding(
                "KVM",
                "warning",
                f"VirtualBox {version} wants KVM to switch virtualisation on, and"
                " kvm.enable_virt_at_load=0 keeps it from that (VERR_SVM_HOST_SVME_NOT_ENABLED)",
                "grep -rl enable_virt_at_load /etc/modprobe.d /usr/lib/modprobe.d: remove these"
                f" files, and boot anew; {now}",
            )
        return Finding("KVM", "ok", f"loaded; VirtualBox {version} shares the processor with it")
    if host.kernel_version >= _TAKES_AT_LOAD and at_load:
        return Finding(
            "KVM",
            "warning",
            "holds the processor's virtualisation from its loading on, so that machines do not"
            " start (VERR_VMX_IN_VMX_ROOT_MODE, VERR_SVM_IN_USE)",
            "echo options kvm enable_virt_at_load=0 | sudo tee /etc/modprobe.d/kvm-virtualbox.conf,"
            f" and boot anew; {now}",
        )
    if users.isdecimal() and int(users) > 0:
        return Finding(
            "KVM",
            "warning",
            "runs a machine of its own; VirtualBox's do not start meanwhile",
            "end KVM's machines: sudo fuser -v /dev/kvm shows them",
        )
    return Finding("KVM", "ok", "loaded, and leaves the processor to VirtualBox")


def processor(host: Host) -> Iterator[Finding]:
    """Look for hardware virtualisation, which is nested if this machine is itself virtual."""
    flags = re.search(r"^flags\s*:(.*)$", host.read("proc/cpuinfo") or "", re.MULTILINE)
    if flags is None:
        return  # not x86, or not Linux
    words = set(flags[1].split())
    virtual = "hypervisor" in words
    where = "this machine is itself virtual" if virtual else "this machine is not virtual"
    kind = "VT-x" if "vmx" in words else "AMD-V" if "svm" in words else ""
    if kind:
        detail = f"{kind}{', nested' if virtual else ''}; {where}"
        yield Finding("hardware virtualisation", "ok", detail)
    elif virtual:
        yield Finding(
            "hardware virtualisation",
            "warning",
            f"not passed on; {where}: its own are emulated",
            "on its host, with this machine off: VBoxManage modifyvm NAME --nested-hw-virt on;"
            " of KVM: virt-xml NAME --edit --cpu host-passthrough",
        )
    else:
        yield Finding(
            "hardware virtualisation",
            "warning",
            f"switched off, or not there; {where}",
            "switch VT-x (Intel) or SVM (AMD) on in the firmware: systemctl reboot"
            " --firmware-setup",
        )


def group(host: Host) -> Iterator[Finding]:
    """Look whether the user is in the group that may use USB devices of the host."""
    line = next(
        (
            line.split(":")
            for line in (host.read("etc/group") or "").splitlines()
            if line.startswith("vboxusers:")
        ),
        None,
    )
    if host.uid == 0 or line is None or len(line) < 4 or not line[2].isdecimal():
        return
    if int(line[2]) in host.groups:
        yield Finding("vboxusers group", "ok", f"{host.user} is in it")
    elif host.user in line[3].split(","):
        yield Finding(
            "vboxusers group",
            "warning",
            f"{host.user} is in it, but was not when this session began",
            "log out and in again, or: newgrp vboxusers",
        )
    else:
        yield Finding(
            "vboxusers group",
            "warning",
            f"{host.user} is not in it: USB devices of the host cannot be used",
            f"sudo usermod -aG vboxusers {host.user}, and log in again",
        )

"""What the doctor says of kernel and processor, on machines laid out in a folder."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.unit.somebody_else import as_nobody
from tests.vbox.first_hour import reachable
from vboxkit.com import installation
from vboxkit.errors import EmulatedWarning
from vboxkit.host import doctor_kernel, driverless

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit.host.findings import Host

pytestmark = pytest.mark.usefixtures("sandbox")

_UBUNTU = 'NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n'


def test_no_driver_is_a_warning(
    lay: Callable[..., Host], installed: Callable[[str | None], Path]
) -> None:
    """Machines run without it, slowly; each way to have it has its command."""
    installed("7.2.22")
    host = lay({"etc/os-release": _UBUNTU})
    (found,) = doctor_kernel.kernel_driver(host)
    assert (found.status, "emulated" in found.detail) == ("warning", True)
    assert found.remedy == (
        "sudo apt-get install virtualbox-dkms linux-headers-$(uname -r) && sudo modprobe vboxdrv"
    )
    (host.path("sbin")).mkdir()
    host.path("sbin/vboxconfig").touch()
    assert next(doctor_kernel.kernel_driver(host)).remedy == "sudo /sbin/vboxconfig"
    module = host.path("lib/modules/6.12.48-amd64/updates/dkms/vboxdrv.ko.xz")
    module.parent.mkdir(parents=True)
    module.touch()
    assert next(doctor_kernel.kernel_driver(host)).remedy == "sudo modprobe vboxdrv"
    module.unlink()
    host.path(".dockerenv").touch()
    assert "--device /dev/vboxdrv" in (next(doctor_kernel.kernel_driver(host)).remedy or "")


def test_secure_boot_is_told_where_the_driver_is_missing(
    lay: Callable[..., Host], nowhere: None
) -> None:
    """The kernel would refuse one that is not signed."""
    host = lay({doctor_kernel._SECURE_BOOT: "\6\0\0\0\1"})
    found = {it.name: it for it in doctor_kernel.kernel_driver(host)}
    assert "mokutil" in (found["Secure Boot"].remedy or "")
    host.path(doctor_kernel._SECURE_BOOT).write_text("\6\0\0\0\0")
    assert "Secure Boot" not in {it.name for it in doctor_kernel.kernel_driver(host)}


def test_driver_of_another_version(
    lay: Callable[..., Host], installed: Callable[[str | None], Path]
) -> None:
    """A driver that was not loaded anew after an update is a problem."""
    installed("7.2.22")
    files = {"dev/vboxdrv": "", "dev/vboxdrvu": ""}
    version = "sys/module/vboxdrv/version"
    host = lay({**files, version: "7.2.22 r175245 (0x00330004)\n", "etc/os-release": _UBUNTU})
    (found,) = doctor_kernel.kernel_driver(host)
    assert (found.status, found.remedy) == ("ok", None)
    host.path(version).write_text("7.0.16 r162802 (0x00330004)\n")
    (found,) = doctor_kernel.kernel_driver(host)
    assert (found.status, "7.0.16" in found.detail) == ("problem", True)
    assert "modprobe -r vboxnetadp vboxnetflt vboxdrv" in (found.remedy or "")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="becomes somebody else")
def test_devices_that_may_not_be_opened(lay: Callable[..., Host], tmp_path: Path) -> None:
    """A user without the right to open /dev/vboxdrvu is told so, and how the rights are meant."""
    host = lay({"dev/vboxdrv": "", "dev/vboxdrvu": ""})
    for name, mode in (("vboxdrv", 0o600), ("vboxdrvu", 0o660)):
        host.path(f"dev/{name}").chmod(mode)
    read, write = os.pipe()
    with reachable(tmp_path):
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            found = next(doctor_kernel.kernel_driver(dataclasses.replace(host, uid=65534)))
            os.write(write, json.dumps(dataclasses.asdict(found)).encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as answer:
            told = json.loads(answer.read())
        os.waitpid(child, 0)
    assert (told["status"], "ann cannot open" in told["detail"]) == ("warning", True)
    assert told["detail"].partition(":")[0].endswith("vboxdrvu")
    assert told["remedy"] == "sudo chmod 600 /dev/vboxdrv && sudo chmod 666 /dev/vboxdrvu"


_SWITCH = "sys/module/kvm/parameters/enable_virt_at_load"


@pytest.mark.parametrize(
    ("kernel", "module", "version", "switch", "wrong"),
    [
        ("6.8.0-45-generic", "kvm_intel", "7.2.22", None, ""),
        ("6.11.0", "kvm_amd", "7.0.20", None, ""),
        ("6.12.48-amd64", "kvm_intel", "7.2.22", "Y", "VERR_VMX_IN_VMX_ROOT_MODE"),
        ("6.14.0-24-generic", "kvm_amd", "7.2.6", "Y", "VERR_SVM_IN_USE"),
        ("6.12.48-amd64", "kvm_intel", "7.2.22", "N", ""),
        ("6.18.2", "kvm_amd", "7.2.4", "Y", "VERR_SVM_IN_USE"),
        ("6.18.2", "kvm_intel", "7.2.4", "Y", ""),
        ("6.18.2", "kvm_intel", "7.1.12", "Y", "VERR_VMX_IN_VMX_ROOT_MODE"),
        ("6.17.0", "kvm_amd", "7.2.8", "Y", ""),
        ("7.1.0", "kvm_amd", "7.2.10", "Y", ""),
        ("7.1.0", "kvm_amd", "7.2.10", "N", "VERR_SVM_HOST_SVME_NOT_ENABLED"),
    ],
)
def test_kvm(
    lay: Callable[..., Host],
    *,
    kernel: str,
    module: str,
    version: str,
    switch: str | None,
    wrong: str,
) -> None:
    """Whether KVM is in the way depends on kernel, processor, VirtualBox and the switch."""
    files = {f"sys/module/{module}/refcnt": "0\n"}
    if switch:
        files[_SWITCH] = f"{switch}\n"
    found = doctor_kernel.kvm_conflict(lay(files, kernel=kernel), module, version)
    assert found.status == ("warning" if wrong else "ok")
    assert wrong in found.detail
    wanted = "remove" if switch == "N" else "enable_virt_at_load=0"
    assert not wrong or wanted in (found.remedy or "")


def test_kvm_with_a_machine_of_its_own(lay: Callable[..., Host]) -> None:
    """Older kernels: KVM is in the way while its machines run."""
    host = lay({"sys/module/kvm_intel/refcnt": "2\n"}, kernel="6.1.0-28-amd64")
    found = doctor_kernel.kvm_conflict(host, "kvm_intel", "7.0.20")
    assert (found.status, "fuser" in (found.remedy or "")) == ("warning", True)


def test_kvm_without_virtualboxs_driver(lay: Callable[..., Host], nowhere: None) -> None:
    """Emulated machines do not mind; a machine without KVM is told as such."""
    host = lay()
    assert [it.detail for it in doctor_kernel.kvm(host)] == ["not loaded"]
    host.path("sys/module/kvm_intel").mkdir(parents=True)
    (found,) = doctor_kernel.kvm(host)
    assert (found.status, "no conflict" in found.detail) == ("ok", True)
    host.path("sys/module/vboxdrv").mkdir(parents=True)
    (found,) = doctor_kernel.kvm(host)
    assert "leaves the processor to VirtualBox" in found.detail


@pytest.mark.parametrize(
    ("flags", "status", "word", "remedy"),
    [
        ("fpu vmx", "ok", "VT-x; this machine is not virtual", ""),
        ("fpu svm hypervisor", "ok", "AMD-V, nested", ""),
        ("fpu hypervisor", "warning", "not passed on", "--nested-hw-virt on"),
        ("fpu", "warning", "switched off", "--firmware-setup"),
    ],
)
def test_processor(
    lay: Callable[..., Host], flags: str, status: str, word: str, remedy: str
) -> None:
    """VT-x or AMD-V, nested or not, or what switches it on."""
    host = lay({"proc/cpuinfo": f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t:\n"})
    (found,) = doctor_kernel.processor(host)
    assert (found.status, word in found.detail) == (status, True)
    assert remedy in (found.remedy or "")


def test_processor_of_another_kind(lay: Callable[..., Host]) -> None:
    """One whose flags are not x86's is not judged."""
    assert not list(doctor_kernel.processor(lay({"proc/cpuinfo": "Features : fp asimd\n"})))


def test_group(lay: Callable[..., Host]) -> None:
    """Not in it; in it since a moment ago; in it; root needs none; no such group."""
    host = lay({"etc/group": "vboxusers:x:125:\n"}, groups=frozenset({1000}))
    (found,) = doctor_kernel.group(host)
    assert "usermod -aG vboxusers ann" in (found.remedy or "")
    host.path("etc/group").write_text("root:x:0:\nvboxusers:x:125:bob,ann\n")
    (found,) = doctor_kernel.group(host)
    assert (found.status, "newgrp vboxusers" in (found.remedy or "")) == ("warning", True)
    member = dataclasses.replace(host, groups=frozenset({1000, 125}))
    assert [it.status for it in doctor_kernel.group(member)] == ["ok"]
    assert not list(doctor_kernel.group(dataclasses.replace(host, uid=0)))
    host.path("etc/group").write_text("root:x:0:\n")
    assert not list(doctor_kernel.group(host))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="becomes somebody else")
def test_a_driver_that_this_user_may_not_open(lay: Callable[..., Host], tmp_path: Path) -> None:
    """It is not said to be missing: that is another remedy."""
    host = lay()
    assert not installation.driver_refused(host.root)
    devices = [host.path(f"dev/{name}") for name in ("vboxdrv", "vboxdrvu")]
    devices[0].parent.mkdir()
    for device in devices:
        device.touch(mode=0o600)
    assert not installation.driver_refused(host.root)  # root may
    with reachable(tmp_path):
        assert as_nobody(lambda: installation.driver_refused(host.root)) is True


@pytest.mark.parametrize("refused", [False, True])
def test_the_warning_says_why_machines_are_emulated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, refused: bool
) -> None:
    """A driver that is missing, or one that this user may not open; the doctor has the rest."""
    monkeypatch.setattr(driverless, "driver_refused", lambda: refused)
    words = "may not open" if refused else "is missing"
    with pytest.warns(EmulatedWarning, match=f"kernel driver .*{words}.*vboxkit doctor"):
        process = driverless.launch(
            "no-machine", "no-machine", installation=tmp_path, extra={}, log=tmp_path / "log"
        )
    assert process.wait(60)

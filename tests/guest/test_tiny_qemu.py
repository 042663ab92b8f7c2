"""A second opinion on the tiny guest: it boots, serves SSH and goes down cleanly in QEMU too."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TINY = Path(__file__).resolve().parents[2] / "fixtures" / "tiny"
QEMU = "qemu-system-x86_64"

pytestmark = [
    pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"{QEMU} is not installed"),
    pytest.mark.skipif(not (TINY / "tiny.ova").exists(), reason="tiny.ova is missing"),
]


def until(probe: Callable[[], bool], *, what: str, seconds: float) -> None:
    """Wait until the probe says yes; fail the test after so many seconds."""
    deadline = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > deadline:
            pytest.fail(f"no {what} after {seconds:g} s")
        time.sleep(0.05)


def free_port() -> int:
    """Find a TCP port of this host that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Qemu:
    """A running QEMU with the tiny guest in it."""

    def __init__(self, folder: Path) -> None:
        with tarfile.open(TINY / "tiny.ova") as ova:
            disk = next(name for name in ova.getnames() if name.endswith(".vmdk"))
            member = ova.extractfile(disk)
            assert member is not None
            with member, (folder / "disk.vmdk").open("wb") as out:
                shutil.copyfileobj(member, out)
        self.port = free_port()
        self.serial = folder / "serial.log"
        # A socket's path may have about a hundred characters, and pytest's folders are long.
        self._folder = folder
        self.process = subprocess.Popen(
            [
                *(QEMU, "-m", "64", "-display", "none", "-no-reboot"),
                *("-serial", "file:serial.log", "-qmp", "unix:qmp,server=on,wait=off"),
                *("-drive", "file=disk.vmdk,format=vmdk,if=ide,snapshot=on"),
                *("-nic", f"user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{self.port}-:22"),
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
        )

    def ready(self) -> bool:
        """Whether the guest has said on its serial port that SSH listens."""
        assert self.process.poll() is None, "QEMU has ended"
        return self.serial.exists() and b"VBK-READY" in self.serial.read_bytes()

    def press_power_button(self) -> None:
        """Do what ACPI calls pressing the power button, over QMP."""
        with socket.socket(socket.AF_UNIX) as s, pytest.MonkeyPatch.context() as patch:
            patch.chdir(self._folder)
            s.settimeout(10)
            s.connect("qmp")
            with s.makefile("rw") as stream:
                stream.readline()  # the greeting
                for command in ("qmp_capabilities", "system_powerdown"):
                    stream.write(json.dumps({"execute": command}) + "\n")
                    stream.flush()
                    answer: dict[str, Any] = {}
                    while "return" not in answer:  # events come in between
                        answer = json.loads(stream.readline())
                        assert "error" not in answer, answer

    def ended(self) -> bool:
        """Whether QEMU has ended, as it does when the guest switches itself off."""
        return self.process.poll() is not None

    def run(self, command: str) -> tuple[int, str]:
        """Run a command in the guest by SSH; return its exit status and its output."""
        with paramiko.SSHClient() as client:
            client.get_host_keys().add(
                f"[127.0.0.1]:{self.port}", "ssh-ed25519", public_key("insecure_host_key.pub")
            )
            client.connect(
                "127.0.0.1",
                self.port,
                "root",
                key_filename=str(TINY / "insecure_key"),
                allow_agent=False,
                look_for_keys=False,
                timeout=30,
                banner_timeout=30,
                auth_timeout=30,
            )
            _, stdout, _ = client.exec_command(command, timeout=30)
            text = stdout.read().decode()
            return stdout.channel.recv_exit_status(), text


def public_key(name: str) -> paramiko.PKey:
    """Read a public key that lies beside the OVA."""
    return paramiko.PKey.from_type_string("ssh-ed25519", key_bytes(TINY / name))


def key_bytes(path: Path) -> bytes:
    """Return the key itself from a line "type base64 comment"."""
    return base64.b64decode(path.read_text().split()[1])


@pytest.fixture
def qemu(tmp_path: Path) -> Iterator[Qemu]:
    """Boot the tiny guest in QEMU, wait until it says that it is ready, and end it afterwards."""
    machine = Qemu(tmp_path)
    try:
        until(machine.ready, what="VBK-READY on the serial port", seconds=120)
        yield machine
    finally:
        machine.process.kill()
        machine.process.wait(30)


def test_it_serves_ssh_and_obeys_the_power_button(qemu: Qemu) -> None:
    """The guest answers SSH with the well-known keys and powers off when the button is pressed."""
    assert qemu.run("uname -s") == (0, "Linux\n")
    qemu.press_power_button()
    until(qemu.ended, what="end of QEMU after the power button", seconds=30)
    assert qemu.process.returncode == 0


def test_poweroff_in_the_guest_ends_the_machine(qemu: Qemu) -> None:
    """`poweroff` switches the machine off, with the file system clean."""
    assert qemu.run("sync; (sleep 1; poweroff) > /dev/null 2>&1 &")[0] == 0
    until(qemu.ended, what="end of QEMU after poweroff", seconds=30)
    assert qemu.process.returncode == 0

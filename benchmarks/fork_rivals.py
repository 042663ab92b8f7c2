"""What a fork is compared with: the same by the command line, and machines that boot."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.com import installation
from vboxkit.core.ports import lease_port
from vboxkit.core.resources import resource
from vboxkit.core.waiting import Deadline
from vboxkit.host import driverless
from vboxkit.machines.fork import plug_in_at_once
from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Image, Lab

__all__ = ["clone_and_boot", "fork_by_commands", "import_and_boot", "prepare", "sweep"]

#: All machines that are made here are named so.
PREFIX = "bench-"

#: As a user would write it who knows VirtualBox well: one `modifyvm` for all changes, no look at
#: states, and the first connection that works is the command itself. A shorter sleep was not
#: faster: each try takes a CPU from the machine that starts.
_SCRIPT = """
set -e
$manage clonevm $image --snapshot $snapshot --options Link --name $name --register >/dev/null
$manage modifyvm $name --nat-pf1 delete ssh --nat-pf1 "ssh,tcp,127.0.0.1,$port,,22" \\
    --uart-mode1 file $serial
$start
for try in $(seq 600); do
    if $ssh true; then exit 0; fi
    sleep 0.05
done
exit 1
"""


def fork_by_commands(lab: Lab, image: Image, name: str) -> Callable[[], None]:
    """
    Fork by VBoxManage, and run a command by OpenSSH's client, in one shell script.

    That the cable is plugged in at once is set in the image, see `prepare`. Where the kernel driver
    is missing, VBoxManage cannot start a machine: it is started the way ours is.
    """
    api = lab.vbox._api
    folder = Path(tempfile.mkdtemp(prefix="vboxkit-bench-"))
    port = lease_port()
    known = folder / "known_hosts"
    known.write_text(f"guest {image.host_key}\n")
    manage = api.installation / "VBoxManage"
    if installation.driver_available():
        start = f"{manage} startvm {name} --type headless >/dev/null"
    else:
        process = [sys.executable, "-I", "-S", "-E", driverless._SCRIPT, api.installation]
        words = shlex.join(map(str, [*process, "--startvm", name, "--comment", name]))
        start = f"setsid {words} >/dev/null 2>&1 </dev/null &"
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": "3",
        "HostKeyAlias": "guest",
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": known,
    }
    ssh = ["ssh", "-q", "-F", "/dev/null", "-i", image.key_file, "-p", port.port]
    ssh += [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    variables = {
        "manage": manage,
        "image": image.machine,
        "snapshot": image.snapshot,
        "name": name,
        "port": port.port,
        "serial": f"{lab.places.machines}/{name}/serial.log",
        "ssh": shlex.join(map(str, [*ssh, f"{image.user}@127.0.0.1"])),
    }
    lines = [f"{key}={shlex.quote(str(value))}" for key, value in variables.items()]
    script = "\n".join(lines) + _SCRIPT.replace("$start", start)
    result = subprocess.run(
        ["bash", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        env={**environment(), **api.environment},
        timeout=300,
    )
    assert result.returncode == 0, result.stderr

    def clean_up() -> None:
        lab.vbox.machines[name].destroy()
        port.release()
        known.unlink()
        folder.rmdir()

    return clean_up


def clone_and_boot(
    lab: Lab, image: Image, name: str, *, timeout: float = 180
) -> Callable[[], None]:
    """Make a linked clone, throw its memory away, boot it, and run a command."""
    vm = lab._clone(image, name, "", Deadline(timeout))
    vm.discard_state()
    vm.start()
    vm.wait_ready(timeout=timeout).ssh.succeed("true")
    return vm.destroy


def import_and_boot(lab: Lab, name: str) -> Callable[[], None]:
    """Import the appliance, boot it, and run a command with the key that it comes with."""
    from vboxkit.guest import SSH, Address, Credentials

    machine = lab.vbox.appliances.import_(resource("tiny/tiny.ova"), name=name)
    forward = machine.network[0].forward(guest=22)
    credentials = Credentials(user="root", key_file=resource("tiny/insecure_key"))
    machine.start()
    with SSH(Address("127.0.0.1", forward.host_port), credentials) as ssh:
        ssh.wait_ready(180)
        ssh.succeed("true")

    def clean_up() -> None:
        machine.destroy()
        forward.release()

    return clean_up


def prepare(lab: Lab, image: Image) -> None:
    """See to it that an image of an older vboxkit has what new ones have: else 5 s are lost."""
    golden = lab.vbox.machines[image.machine]
    with golden.edit():
        plug_in_at_once(golden)


def sweep(lab: Lab) -> None:
    """Remove what a benchmark left that was ended in the middle."""
    for machine in list(lab.vbox.machines):
        if machine.name.startswith(PREFIX):
            machine.destroy()

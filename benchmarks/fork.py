"""Fork to first SSH command done, against a linked clone that boots, and import and boot."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from figures import Figure, in_turn, rows

import vboxkit
from vboxkit.core.resources import resource
from vboxkit.core.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Image, Lab


def bench(runs: int) -> list[Figure]:
    """Measure, in the home that the settings say."""
    with vboxkit.Lab() as lab:
        image = lab.image("tiny")
        times = in_turn(
            {
                "fork": lambda: fork(lab, image),
                "linked clone + boot": lambda: clone_and_boot(lab, image),
                "import + boot": lambda: import_and_boot(lab),
            },
            runs,
        )
    return rows(times, ours="fork")


def fork(lab: Lab, image: Image) -> Callable[[], None]:
    """Fork, and run a command."""
    vm = lab.fork(image)
    vm.ssh.succeed("true")
    return vm.destroy


def clone_and_boot(lab: Lab, image: Image) -> Callable[[], None]:
    """Make a linked clone, throw its memory away, boot it, and run a command."""
    vm = lab._clone(image, f"bench-{time.monotonic_ns()}", "", Deadline(120))
    vm.discard_state()
    vm.start()
    vm.wait_ready(timeout=120).ssh.succeed("true")
    return vm.destroy


def import_and_boot(lab: Lab) -> Callable[[], None]:
    """Import the appliance, boot it, and run a command with the key that it comes with."""
    from vboxkit.guest import SSH, Address, Credentials

    machine = lab.vbox.appliances.import_(resource("tiny/tiny.ova"), name="bench-import")
    forward = machine.network[0].forward(guest=22)
    credentials = Credentials(user="root", key_file=resource("tiny/insecure_key"))
    machine.start()
    with SSH(Address("127.0.0.1", forward.host_port), credentials) as ssh:
        ssh.wait_ready(120)
        ssh.succeed("true")

    def clean_up() -> None:
        machine.destroy()
        forward.release()

    return clean_up

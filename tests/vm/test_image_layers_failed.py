"""Images of layers whose build fails or is interrupted: what is said, what stays, what goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.vm.image_layers import CALLS, count, pruned, remains
from vboxkit import Call, Put, Run
from vboxkit.errors import ProvisioningError

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit import VM, Image, Lab

pytestmark = [pytest.mark.vm, pytest.mark.usefixtures("no_layers_left")]


def fails(vm: VM) -> None:
    """Do something, and raise."""
    vm.fork("left-by-a-function")
    raise LookupError("nothing there")


def switches_off(vm: VM) -> None:
    """Leave no running guest."""
    vm.power_off()


def locks_out(vm: VM) -> None:
    """Leave a guest that nobody gets in to."""
    vm.ssh.succeed("echo nobody > /root/.ssh/authorized_keys")


def interrupts(vm: VM) -> None:
    """End as if by Ctrl-C."""
    vm.ssh.succeed("true")
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Run("echo out; echo err >&2; exit 7"), ["exit code 7", "out", "err"]),
        (Run("sleep 60", timeout=1), ["CommandTimeoutError", "did not end within 1 s"]),
        (Run("kill -9 -1; sleep 9"), ["failed"]),
        (Put(__file__, "/proc/nope/x"), ["mkdir", "/proc/nope"]),
        (Call(fails), ["LookupError: nothing there"]),
        (Call(switches_off), ["PoweredOff", "vm.start()"]),
        (Call(locks_out), ["does not let us in", "authorized_keys"]),
    ],
    ids=["exit code", "timeout", "lost", "put", "raises", "off", "locked out"],
)
def test_a_step_that_fails_leaves_nothing(vm_lab: Lab, step: Any, words: list[str]) -> None:
    """The error names image, step and what was seen."""
    before = remains(vm_lab)
    with pytest.raises(ProvisioningError) as caught:
        vm_lab.image("tiny", steps=[step], name="bad")
    error = caught.value
    text = str(error)
    assert "image 'bad': step 1 of 1" in text
    assert [word for word in words if word not in text] == []
    assert (error.image, error.step) == ("bad", step.title)
    assert remains(vm_lab) == before
    assert "left-by-a-function" not in vm_lab.vbox.machines


def test_the_steps_before_one_that_fails_stay(vm_lab: Lab, vm_image: Image) -> None:
    """They are not done again; until then they are layers without a name, which pruning removes."""
    others = vm_lab.images(layers=True)
    with pytest.raises(ProvisioningError, match="step 2 of 2") as caught:
        vm_lab.image("tiny", steps=[count, "exit 7"], name="bad")
    assert caught.value.result.exit_code == 7
    calls = len(CALLS)
    [below] = [it for it in vm_lab.images(layers=True) if it not in others]
    assert below.parent == vm_image.digest
    assert below.machine in pruned(vm_lab)
    assert vm_lab.image("tiny", steps=[count], name="good").machine == below.machine
    assert len(CALLS) == calls
    assert below.machine not in pruned(vm_lab)


def test_a_step_that_is_interrupted_leaves_nothing(vm_lab: Lab) -> None:
    """Ctrl-C passes, and takes the machine with it."""
    before = remains(vm_lab)
    with pytest.raises(KeyboardInterrupt):
        vm_lab.image("tiny", steps=[interrupts], name="bad")
    assert remains(vm_lab) == before


def test_a_file_that_changes_while_it_is_put(vm_lab: Lab, tmp_path: Path) -> None:
    """What is in the guest must be what the digest says: the build fails, nothing stays."""
    file = tmp_path / "log"
    file.write_text("x")

    class Touchy(Put):
        """Changes its source once it was put."""

        def apply(self, vm: VM) -> None:
            """Do it."""
            super().apply(vm)
            file.write_text("y")

    with pytest.raises(ProvisioningError, match="changed while it was done"):
        vm_lab.image("tiny", steps=[Touchy(file, "/root/log")], name="bad")

"""An exported guest boots again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from vboxkit.errors import InvalidStateError
from vboxkit.lab.images import source_of

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit import VM, Lab

pytestmark = pytest.mark.vm


def test_what_a_guest_wrote_is_there_when_the_appliance_boots(
    vm: VM, vm_lab: Lab, tmp_path: Path
) -> None:
    """A running fork is refused; powered off it is exported, imported, booted, and has its file."""
    vm.ssh.succeed("echo written here > /root/exported && sync")
    with pytest.raises(InvalidStateError, match="is Running: an export needs it at rest") as caught:
        vm.export(tmp_path / "web.ova")
    assert "power_off" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []
    vm.power_off()
    done = vm.export(tmp_path / "web.ova", format="ovf-2.0")
    source = replace(
        source_of("tiny"),
        # The key of the image that the fork stands on is in the guest now.
        credentials=vm.credentials,
        name="exported",
        appliance=done.path,
        content="",
    )
    image = vm_lab.image(source)
    try:
        with vm_lab.fork(image) as again:
            assert again.ssh.succeed("cat /root/exported").strip() == "written here"
    finally:
        vm_lab.remove_image(image)


def test_a_saved_machine_is_exported_without_its_memory(vm: VM, tmp_path: Path) -> None:
    """Said in the result; the machine itself goes on where it stood."""
    vm.ssh.succeed("mkdir -p /run/t && mount -t tmpfs none /run/t && echo here > /run/t/x")
    vm.save_state()
    done = vm.export(tmp_path / "a.ova")
    assert f"{vm.name}: the saved state is left out: the guest will boot" in done.warnings
    vm.start()
    assert vm.ssh.succeed("cat /run/t/x").strip() == "here"

"""That forks have their network at once is set once, in the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit.lab import ImageSource

if TYPE_CHECKING:
    from vboxkit import VM, Lab

pytestmark = pytest.mark.vm

KEY = "VBoxInternal/Devices/virtio-net/0/Config/LinkUpDelay"


def test_an_image_holds_what_its_forks_need(vm: VM, vm_lab: Lab) -> None:
    """A fork finds the cable's setting there, where writing it would save all settings again."""
    image = vm_lab.image(ImageSource("cable", base=vm.image, steps=["touch /root/cable"]))
    try:
        golden = vm_lab.vbox.machines[image.machine]
        assert golden.get_extra_data(KEY) == "0"
        with vm_lab.fork(image) as fork:
            assert fork.get_extra_data(KEY) == "0"
    finally:
        vm_lab.remove_image(image)

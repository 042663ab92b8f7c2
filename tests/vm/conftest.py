"""A look at what is left of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.vm.image_layers import remains
from vboxkit.lab import images

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit import Image, Lab


@pytest.fixture
def no_layers_left(vm_lab: Lab, vm_image: Image) -> Iterator[None]:
    """Remove the images and layers of a test; nothing else of it may be there."""
    before = {it.machine_name for it in vm_lab.images(layers=True)}
    yield
    mine = [it for it in vm_lab.images(layers=True) if it.machine_name not in before]
    for image in sorted(mine, key=lambda it: -len(it.layers)):
        if images.read(vm_lab.places, image.digest) is not None:
            vm_lab.remove_image(image)
    assert {it.machine_name for it in vm_lab.images(layers=True)} == before
    assert remains(vm_lab) - before == set()
    assert vm_lab.image(vm_image.name) == vm_image

"""Images of layers that are removed or pruned: what goes along, and what stays."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.vm.image_layers import machines, pruned
from vboxkit.errors import InvalidStateError, NotFoundError
from vboxkit.lab import images

if TYPE_CHECKING:
    from vboxkit import Image, Lab

pytestmark = [pytest.mark.vm, pytest.mark.usefixtures("no_layers_left")]


def test_removing_layers(vm_lab: Lab, vm_image: Image) -> None:
    """What others stand on stays, and the error names them; what nobody needs goes along."""
    app = vm_lab.image("tiny", steps=["echo 1 > /root/1", "echo 2 > /root/2"], name="app")
    web = vm_lab.image("app", steps=["echo 3 > /root/3"], name="web")
    layers = machines(web)
    with pytest.raises(InvalidStateError, match="image 'web'") as caught:
        vm_lab.remove_image(app)
    assert "remove those first" in str(caught.value)
    with web.fork() as vm:
        for image in (web, app, vm_image):
            with pytest.raises(InvalidStateError, match=vm.name):
                vm_lab.remove_image(image)
        assert vm.ssh.succeed("cat /root/1 /root/2 /root/3").split() == ["1", "2", "3"]
    assert machines(vm_lab.image("web")) == layers
    vm_lab.remove_image(web)
    assert layers[3] not in vm_lab.vbox.machines
    assert machines(vm_lab.image("app")) == layers[:3]
    vm_lab.remove_image(app)
    assert [it for it in layers[1:] if it in vm_lab.vbox.machines] == []
    with pytest.raises(NotFoundError, match=r"image 'web' .* was removed"):
        web.fork()
    with pytest.raises(NotFoundError, match="not there any more"):
        vm_lab.image(app.with_steps("true"))


def test_pruning(vm_lab: Lab, vm_image: Image) -> None:
    """Replaced, forgotten and foreign images go, layers that nobody needs, and nothing else."""
    old = vm_lab.image("tiny", steps=["echo 1 > /root/1", "echo 2 > /root/2"], name="app")
    assert vm_image.machine not in pruned(vm_lab)
    assert old.machine not in pruned(vm_lab)
    new = vm_lab.image("tiny", steps=["echo 1 > /root/1", "echo 3 > /root/3"], name="app")
    assert pruned(vm_lab)[old.machine] == "replaced by a newer one"
    shared = old.layers[1].machine
    assert not {new.machine, shared, vm_image.machine} & set(pruned(vm_lab))
    with vm_lab.fork(old):
        assert old.machine not in pruned(vm_lab)
    assert old.machine in [one.image.machine for one in vm_lab.prune_images()]
    assert old.machine not in vm_lab.vbox.machines
    assert machines(vm_lab.image("app")) == machines(new)

    # Not asked for in a long time.
    file = images.folder_of(vm_lab.places, new.digest) / "names/app"
    os.utime(file, (time.time() - 10 * 86_400,) * 2)
    assert new.machine not in pruned(vm_lab)
    assert pruned(vm_lab, days=9)[new.machine] == "not asked for in 9 days"
    assert pruned(vm_lab, days=9)[shared] == "no image stands on it"
    vm_lab.image("app")
    assert new.machine not in pruned(vm_lab, days=9)

    # Of another VirtualBox.
    images.write(vm_lab.places, msgspec.structs.replace(new, version="7.0.0"))
    assert pruned(vm_lab)[new.machine] == "of VirtualBox 7.0.0"
    with pytest.raises(NotFoundError, match=r"built for VirtualBox 7\.0\.0"):
        vm_lab.image("app")
    found = vm_lab.prune_images()
    order = [one.image.machine for one in found]
    assert order.index(new.machine) < order.index(shared)
    assert shared not in vm_lab.vbox.machines
    assert vm_image.machine in vm_lab.vbox.machines

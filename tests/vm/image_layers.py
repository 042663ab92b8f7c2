"""What tests of images' layers share: a step that counts its calls, and looks at what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vboxkit.lab import leases

if TYPE_CHECKING:
    from vboxkit import VM, Image, Lab

__all__ = ["CALLS", "count", "machines", "pruned", "remains"]

#: How often `count` was called, by any test.
CALLS: list[str] = []


def count(vm: VM) -> None:
    """Write a number that no second call would write."""
    CALLS.append(vm.name)
    vm.ssh.write_text("/root/count", str(len(CALLS)))


def remains(lab: Lab) -> set[str]:
    """Return the names of all image machines, their folders and leases."""
    found = [*lab.vbox.machines.names(), *(it.name for it in lab.places.machines.iterdir())]
    found += [it.name for it in leases.all_leases(lab.places.leases)]
    return {name for name in found if name.startswith("image-")}


def machines(image: Image) -> list[str]:
    """Return the machines of an image's layers."""
    return [layer.machine for layer in image.layers]


def pruned(lab: Lab, **options: Any) -> dict[str, str]:
    """Return what would be pruned, by machine, with the reasons."""
    found = lab.prune_images(dry_run=True, **options)
    assert all(one.disk_bytes > 1_000_000 for one in found)
    return {one.image.machine: one.reason for one in found}

"""The marker ``vm``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

import pytest

from vboxkit.pytest_plugin.options import check_image

if TYPE_CHECKING:
    from vboxkit.lab.images import Image, ImageSource

__all__ = ["LINE", "PARAMETER", "Wanted", "check", "images", "wanted"]

#: Without arguments it is a plain label, so a project that has a marker of this name for its own
#: selection (``-m vm``) may declare it once more.
LINE = (
    "vm(image=..., memory_mb=..., cpus=..., count=..., network=..., snapshot=..., rewind=...): the"
    " test runs virtual machines (needs VirtualBox). image is what its machines are forks of: a"
    " name, the path of an OVA below the root folder, an Image or an ImageSource; of a list of"
    " them, the test runs with each. memory_mb and cpus: the guest has so much (an image of its"
    " own, built once). count: how many machines the fixture `vms` gives. network: 'isolated'"
    " cuts the network cables once the machine is ready (SSH, too; the console stays), 'nat' is"
    " as it is. snapshot: a snapshot of the machine that image names, a machine of the home."
    " rewind=True: `vm_class`, `vm_module` and `vm_session` are put back to the image's state"
    " before the test."
)

#: The parameter by which a test runs with each of several images.
PARAMETER = "vm_image_of_test"

Network = Literal["nat", "isolated"]


@dataclass(frozen=True)
class Wanted:
    """What a test's markers ask for; the nearest one that says something counts."""

    image: Any = None
    memory_mb: int | None = None
    cpus: int | None = None
    count: int = 1
    network: Network | None = None
    snapshot: str | None = None
    rewind: bool = False

    @property
    def source(self) -> str | Image | ImageSource | None:
        """The image, of a machine's snapshot if that is asked for; `None` for `vm_image`."""
        if self.snapshot is None:
            image: str | Image | ImageSource | None = self.image
            return image
        from vboxkit.lab.images import ImageSource

        return ImageSource(machine=self.image, snapshot=self.snapshot)


_NAMES = tuple(field.name for field in fields(Wanted))


def check(item: pytest.Item) -> None:
    """
    Check the arguments of a test's markers.

    Raises:
        pytest.UsageError: One is wrong; the message names the right ones.
    """
    for mark in item.iter_markers("vm"):
        wrong = sorted(set(mark.kwargs) - set(_NAMES))
        if mark.args or wrong:
            given = ", ".join([*map(repr, mark.args), *wrong])
            raise pytest.UsageError(
                f"{item.nodeid}: @pytest.mark.vm does not take {given};"
                f" right: {', '.join(f'{name}=...' for name in _NAMES)}"
            )
        for name, value in mark.kwargs.items():
            right = _WRONG[name](value)
            if right:
                raise pytest.UsageError(
                    f"{item.nodeid}: @pytest.mark.vm: {name}={value!r}; right: {right}"
                )
    told = wanted(item)
    if told.snapshot is not None and not isinstance(told.image, str):
        raise pytest.UsageError(
            f"{item.nodeid}: @pytest.mark.vm: snapshot={told.snapshot!r} of what?"
            " right: image='a machine of the home'"
        )
    if told.snapshot is None:
        for image in images(item) or [told.image]:
            if isinstance(image, str):
                check_image(
                    item.config, image, item.config.rootpath, f"{item.nodeid}: @pytest.mark.vm"
                )


def wanted(node: pytest.Item | pytest.Collector) -> Wanted:
    """Return what a test's markers (or a class's, a module's) ask for."""
    given: dict[str, Any] = {}
    for mark in node.iter_markers("vm"):
        given = {**mark.kwargs, **given}
    callspec = getattr(node, "callspec", None)
    if callspec is not None and PARAMETER in callspec.params:
        given["image"] = callspec.params[PARAMETER]
    elif isinstance(given.get("image"), (list, tuple)):
        given.pop("image")  # a class's or module's machine is of `vm_image`
    if isinstance(given.get("image"), str) and given.get("snapshot") is None:
        given["image"] = check_image(
            node.config, given["image"], node.config.rootpath, f"{node.nodeid}: @pytest.mark.vm"
        )
    return Wanted(**{name: given[name] for name in _NAMES if name in given})


def images(node: pytest.Item | pytest.Collector) -> list[Any]:
    """Return the images of a marker that has several."""
    for mark in node.iter_markers("vm"):
        image = mark.kwargs.get("image")
        if isinstance(image, (list, tuple)):
            return list(image)
        if image is not None:
            return []
    return []


def _number(value: object) -> str:
    right = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return "" if right else "a number above 0"


def _network(value: object) -> str:
    return "" if value in get_args(Network) else ", ".join(map(repr, get_args(Network)))


def _snapshot(value: object) -> str:
    return "" if isinstance(value, str) and value else "the name or path of a snapshot"


def _image(value: object) -> str:
    return "" if value else "an image"


def _rewind(value: object) -> str:
    return "" if isinstance(value, bool) else "True or False"


#: What is right, if a value is wrong.
_WRONG = {
    "image": _image,
    "memory_mb": _number,
    "cpus": _number,
    "count": _number,
    "network": _network,
    "snapshot": _snapshot,
    "rewind": _rewind,
}

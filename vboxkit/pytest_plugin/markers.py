"""The marker ``vm``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import pytest

from vboxkit.pytest_plugin.options import check_image

if TYPE_CHECKING:
    from vboxkit.lab.images import Image, ImageSource
    from vboxkit.lab.lab import Lab

__all__ = ["LINE", "OWNERS", "PARAMETER", "Wanted", "check", "images", "wanted"]

#: Without arguments it is a plain label, so a project that has a marker of this name for its own
#: selection (``-m vm``) may declare it once more.
LINE = (
    "vm(image=..., memory_mb=..., cpus=..., count=..., network=..., snapshot=..., rewind=...): the"
    " test runs virtual machines (needs VirtualBox). image is what its machines are forks of: a"
    " name, the path of an OVA below the root folder, an Image or an ImageSource; of a list of"
    " them, the test runs with each. memory_mb and cpus: the guest has so much (an image of its"
    " own, built once). count: how many machines the fixture `vms` gives. network: 'isolated'"
    " cuts the network cables once the machine is ready (SSH, too; the console stays), 'nat' is"
    " as it is. snapshot: one of the machine that image names, a machine of the home (or that of"
    " an ImageSource, with credentials, where no fork made it)."
    " rewind=True: `vm_class`, `vm_module` and `vm_session` are put back to the image's state"
    " before the test."
)

#: The fixtures that give a machine to several tests, and whose it is: their markers count for it.
OWNERS: dict[str, type[pytest.Collector]] = {
    "vm_class": pytest.Class,
    "vm_module": pytest.Module,
    "vm_session": pytest.Session,
}
#: The fixtures whose machines are a test's own.
_OWN = {"vm", "vm_factory", "vm_network", "vm_self", "vms"}
#: What the marker says of how a machine is made.
_MADE = ("image", "memory_mb", "cpus", "network", "snapshot")

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

    def source(self, lab: Lab) -> str | Image | ImageSource | None:
        """Return the image, of a snapshot if that is asked for; `None` for `vm_image`."""
        if self.snapshot is None:
            image: str | Image | ImageSource | None = self.image
            return image
        from vboxkit.errors import NotFoundError
        from vboxkit.lab.images import ImageSource

        if isinstance(self.image, ImageSource):
            return replace(self.image, snapshot=self.snapshot)
        found = ImageSource(machine=self.image, snapshot=self.snapshot)
        try:
            return replace(found, credentials=lab.vm(self.image).credentials)
        except NotFoundError:
            return found  # no fork: whoever made it has to say how to get in


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
    _check_owners(item)
    told = wanted(item)
    if told.snapshot is not None and not _of_machine(told.image):
        raise pytest.UsageError(
            f"{item.nodeid}: @pytest.mark.vm: snapshot={told.snapshot!r} of what?"
            " right: image='a machine of the home', image=ImageSource(machine=...)"
        )
    if told.snapshot is None:
        for image in images(item) or [told.image]:
            if isinstance(image, str):
                check_image(
                    item.config, image, item.config.rootpath, f"{item.nodeid}: @pytest.mark.vm"
                )


def _check_owners(item: pytest.Item) -> None:
    """Refuse what a shared machine would not heed: that of a test, and several images."""
    names = set(getattr(item, "fixturenames", ()))
    if names & _OWN:
        return
    for name, kind in OWNERS.items():
        owner = item.getparent(kind) if name in names else None
        if owner is None:
            continue  # a function outside of a class has `vm_class` for itself
        for node, mark in item.iter_markers_with_node("vm"):
            below = node is not owner and owner in node.listchain()
            lost = [it for it in _MADE if it in mark.kwargs] if below else []
            if isinstance(mark.kwargs.get("image"), (list, tuple)):
                lost = ["image"]
            if lost:
                given = ", ".join(f"{it}={mark.kwargs[it]!r}" for it in lost)
                common = (
                    "the fixture vm_image"
                    if kind is pytest.Session
                    else f"a marker of their {kind.__name__.lower()}"
                )
                raise pytest.UsageError(
                    f"{item.nodeid}: @pytest.mark.vm: {name}, which tests share, cannot heed"
                    f" {given}; right: the fixture vm; or the same for all of them, by {common}"
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
    several = value if isinstance(value, (list, tuple)) else [value]
    # Who gives one of the two classes has loaded them.
    known = sys.modules.get("vboxkit.lab.images")
    kinds: tuple[type, ...] = (str,)
    if known is not None:
        kinds = (str, known.Image, known.ImageSource)
    right = bool(several) and all(it and isinstance(it, kinds) for it in several)
    return "" if right else "a name, a path as text, an Image, an ImageSource, or a list of them"


def _of_machine(image: Any) -> bool:
    """Tell whether an image is what a snapshot may be of."""
    known = sys.modules.get("vboxkit.lab.images")
    if known is not None and isinstance(image, known.ImageSource):
        return bool(image.machine)
    return isinstance(image, str)


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

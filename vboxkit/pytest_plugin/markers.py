"""The marker ``vm``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.pytest_plugin.options import check_image

if TYPE_CHECKING:
    from vboxkit.lab.images import Image, ImageSource

__all__ = ["LINE", "check", "image_of"]

#: Without arguments it is a plain label, so a project that has a marker of this name for its own
#: selection (``-m vm``) may declare it once more.
LINE = (
    "vm(image=...): the test runs virtual machines (needs VirtualBox); image, if given, is what its"
    " `vm` and `vm_factory()` are forks of: a name, the path of an OVA below the root folder, an"
    " Image or an ImageSource."
)

_ARGUMENTS = {"image"}


def check(item: pytest.Item) -> None:
    """
    Check the arguments of a test's markers.

    Raises:
        pytest.UsageError: One is wrong; the message names the right ones.
    """
    for mark in item.iter_markers("vm"):
        wrong = sorted(set(mark.kwargs) - _ARGUMENTS)
        if mark.args or wrong:
            given = ", ".join([*map(repr, mark.args), *wrong])
            raise pytest.UsageError(
                f"{item.nodeid}: @pytest.mark.vm does not take {given};"
                f" right: {', '.join(f'{name}=...' for name in sorted(_ARGUMENTS))}"
            )
        _image(item, mark)


def image_of(item: pytest.Item) -> str | Image | ImageSource | None:
    """Return the image that the nearest marker names, or `None`."""
    for mark in item.iter_markers("vm"):
        if "image" in mark.kwargs:
            image: str | Image | ImageSource = _image(item, mark)
            return image
    return None


def _image(item: pytest.Item, mark: pytest.Mark) -> Any:
    image = mark.kwargs.get("image")
    if isinstance(image, str):
        return check_image(image, item.config.rootpath, f"{item.nodeid}: @pytest.mark.vm")
    return image

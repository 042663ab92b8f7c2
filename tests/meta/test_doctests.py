"""The examples in docstrings run."""

from __future__ import annotations

import doctest
import importlib

import pytest

#: Modules whose examples need neither VirtualBox nor a guest.
MODULES = [
    "vboxkit.core.waiting",
    "vboxkit.core.steps",
    "vboxkit.settings",
    "vboxkit.ovf.units",
    "vboxkit.ovf.inspecting",
    "vboxkit.ovf.verifying",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    """Each example gives what it says."""
    failed, tried = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert tried > 0
    assert failed == 0

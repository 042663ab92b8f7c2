"""The public names: complete, importable, documented, and cheap to import."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys

import pytest

import vboxkit

MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(vboxkit.__path__, "vboxkit.")
    # Scripts that are run, not imported, and what needs the command's or pytest's own set-up.
    if not info.name.endswith(("__main__", "driverless_main"))
)


@pytest.mark.parametrize("name", vboxkit.__all__)
def test_each_public_name_resolves(name: str) -> None:
    """Everything in ``__all__`` is there, and what is a class or function has a docstring."""
    value = getattr(vboxkit, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__doc__


def test_unknown_names_are_attribute_errors() -> None:
    """A wrong name fails as on any module."""
    with pytest.raises(AttributeError, match="no attribute 'Mashine'"):
        _ = vboxkit.Mashine


@pytest.mark.parametrize("name", MODULES)
def test_all_is_true(name: str) -> None:
    """Each name in a module's ``__all__`` exists, and every module has a docstring."""
    module = importlib.import_module(name)
    assert module.__doc__
    for public in getattr(module, "__all__", ()):
        assert hasattr(module, public), public


@pytest.mark.parametrize("name", [n for n in MODULES if ".pytest_plugin" not in n])
def test_public_things_are_documented(name: str) -> None:
    """Every public class, function and method of every module has a docstring."""
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        value = getattr(module, public)
        if not inspect.isclass(value):
            continue
        for member, method in vars(value).items():
            if not member.startswith("_") and inspect.isfunction(method):
                assert inspect.getdoc(getattr(value, member)), f"{public}.{member}"


def test_importing_vboxkit_loads_nothing_heavy() -> None:
    """``import vboxkit`` leaves paramiko, rich, tenacity, pytest and VirtualBox unloaded."""
    code = "import json, sys, vboxkit; print(json.dumps(sorted(sys.modules)))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    heavy = {"paramiko", "rich", "click", "tenacity", "pytest", "vboxapi", "psutil", "msgspec"}
    assert heavy.isdisjoint(json.loads(out))

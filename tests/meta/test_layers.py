"""The rules that keep the house easy to live in: arrows point down, one owner per package."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import vboxkit

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(vboxkit.__file__).parent
BASE = Path(__file__).parents[2]

#: The higher may import the lower. Two of one height do not know each other.
HEIGHT = {
    "errors": 0,
    "settings": 1,
    "core": 2,
    "com": 3,
    "host": 4,
    "net": 4,
    "machines": 5,
    "guest": 5,
    "ovf": 3,
    "lab": 6,
    "pytest_plugin": 7,
    "testing": 7,
    "cli": 7,
}

#: Foreign packages, and the places that alone may import them.
OWNERS = {
    "vboxapi": ("com/",),
    "xpcom": ("com/",),
    "paramiko": ("guest/",),
    "cryptography": ("guest/", "ovf/"),
    "defusedxml": ("ovf/",),
    "dpkt": ("net/",),
    "psutil": ("core/processes.py",),
    "filelock": ("core/locks.py", "core/ports.py"),
    "tenacity": ("core/waiting.py",),
    "platformdirs": ("settings.py",),
    "msgspec": ("settings.py", "lab/"),
    "rich": ("cli/",),
    "click": ("cli/",),
    "matplotlib": ("cli/bench_plot.py",),
    "pytest": ("pytest_plugin/",),
    "_pytest": ("pytest_plugin/",),
    "hypothesis": ("testing/states.py",),
}

FILES = sorted(ROOT.rglob("*.py"))
#: Files beside the package that are held to its length.
BESIDE = [
    path for folder in ("benchmarks", "tests") for path in sorted((BASE / folder).rglob("*.py"))
]


def name_of(path: Path) -> str:
    """Return the path below the package; for a file beside it, below the repository."""
    return path.relative_to(ROOT if path.is_relative_to(ROOT) else BASE).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Yield the full names of all modules that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: relative import"
            module = node.module or ""
            yield module
            if module == "vboxkit":
                yield from (f"vboxkit.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_arrows_point_down(path: Path) -> None:
    """A module imports only what lies below its own package, or is in it."""
    mine = name_of(path).split("/")[0].removesuffix(".py")
    if mine not in HEIGHT:
        return  # the package's own __init__ and __main__ stand above all
    for module in imports(path):
        if not module.startswith("vboxkit."):
            continue
        other = module.split(".")[1]
        if other in HEIGHT and other != mine:
            assert HEIGHT[other] < HEIGHT[mine], f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_one_owner_per_foreign_package(path: Path) -> None:
    """A foreign package is imported by its owner alone."""
    for module in imports(path):
        places = OWNERS.get(module.split(".")[0])
        if places is not None:
            assert name_of(path).startswith(places), f"{name_of(path)} imports {module}"


def test_every_package_has_a_height() -> None:
    """A new package is given its place in the order."""
    packages = {p.name for p in ROOT.iterdir() if p.is_dir() and (p / "__init__.py").exists()}
    assert packages <= set(HEIGHT)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_settings_reads_the_environment(path: Path) -> None:
    """``os.environ`` is read in `settings`, and by scripts that run without vboxkit."""
    if name_of(path) == "settings.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "putenv"}:
            owner = node.value
            assert not (isinstance(owner, ast.Name) and owner.id == "os"), name_of(path)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nobody_sleeps_but_waiting(path: Path) -> None:
    """``time.sleep`` is called in `core.waiting` alone."""
    if name_of(path) == "core/waiting.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.Attribute) and node.attr == "sleep"), name_of(path)


@pytest.mark.parametrize("path", FILES + BESIDE, ids=name_of)
def test_no_file_is_long(path: Path) -> None:
    """Nobody needs a file over 400 lines."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400

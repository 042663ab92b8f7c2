"""The page that says what of VirtualBox's API vboxkit has: it is up to date, and no row lies."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import vboxkit
from docs import coverage
from vboxkit import errors, machines
from vboxkit.machines.base import Attribute
from vboxkit.machines.parts import Setting

ROOT = Path(vboxkit.__file__).parent
PAGE = coverage.OUTPUT.read_text(encoding="utf-8")
VERSION, INTERFACES = coverage.read_types()


def _read_page() -> tuple[dict[str, list[tuple[list[str], str]]], list[tuple[list[str], str]]]:
    """Return the rows under each interface, and the rows of whole interfaces, as they stand."""
    detailed: dict[str, list[tuple[list[str], str]]] = {}
    others: list[tuple[list[str], str]] = []
    here = others
    for line in PAGE.splitlines():
        if line.startswith("## "):
            title = line[3:]
            here = detailed.setdefault(title, []) if title in INTERFACES else others
        elif match := re.fullmatch(r"\| (`I?\w+`(?:, `\w+`)*) \| (.+) \|", line):
            here.append((re.findall(r"`(\w+)`", match[1]), match[2]))
    return detailed, others


DETAILED, OTHERS = _read_page()
ROWS = [
    pytest.param(interface, names, answer, id=f"{interface}.{names[0]}")
    for interface, rows in [*DETAILED.items(), ("", OTHERS)]
    for names, answer in rows
]


@cache
def public() -> dict[str, Any]:
    """Return all that a row may name: the public names, and the public classes of all objects."""
    found = {name: getattr(vboxkit, name) for name in vboxkit.__all__}
    for module in [
        errors,
        *(
            importlib.import_module(f"vboxkit.machines.{each.name}")
            for each in pkgutil.iter_modules(machines.__path__)
        ),
    ]:
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if inspect.isclass(value):
                assert found.setdefault(name, value) is value, f"two classes are named {name}"
    found["connect"] = vboxkit.connect
    return found


@cache
def made(cls: type) -> set[str]:
    """Return the attributes that objects of a class are given when they are made."""
    names = {field.name for field in fields(cls)} if is_dataclass(cls) else set()
    for each in cls.__mro__:
        if each.__module__.startswith("vboxkit."):
            tree = ast.parse(dedent(inspect.getsource(each)))
            names |= {
                node.attr
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and isinstance(node.value, ast.Name)
                and node.value.id == "self"
            }
    return names


def resolve(name: str) -> Any:
    """Return what a row names; `None` for an attribute that objects are given when made."""
    start, _, attribute = name.partition(".")
    assert start in public(), f"vboxkit has no {start}"
    found = public()[start]
    if not attribute:
        return found
    assert not attribute.startswith("_")
    value = inspect.getattr_static(found, attribute, None)
    assert value is not None or attribute in made(found), f"{start} has no {attribute}"
    return value


@cache
def words() -> set[str]:
    """Return every word of vboxkit's code, but for the tables of what moved between versions."""
    found: set[str] = set()
    for path in ROOT.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name == "versions.py":
            text = text.split("def holder")[1]
        found |= set(re.findall(r"\w+", text))
    return found


def spelled(member: str) -> set[str]:
    """Return how a member is written in code: as it is, or as the array that it belongs to."""
    array = re.match(r"[gs]et([A-Z])(\w+)$", member)
    return {member} | ({array[1].lower() + array[2], array[1] + array[2]} if array else set())


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    """Making it anew gives the same bytes, by the command that the page tells."""
    output = tmp_path / "coverage.md"
    command = [sys.executable, str(coverage.HERE / "coverage.py"), "--output", str(output)]
    subprocess.run(command, check=True, cwd=tmp_path)
    assert output.read_bytes() == coverage.OUTPUT.read_bytes()


def test_every_interface_is_there_once() -> None:
    """Each interface of the API has a table or a row; each table has each of its members once."""
    named = [*DETAILED, *(name for names, _ in OTHERS for name in names)]
    assert sorted(named) == sorted(INTERFACES)
    for interface, rows in DETAILED.items():
        members = [name for names, _ in rows for name in names]
        assert sorted(members) == sorted(INTERFACES[interface].members), interface


def test_the_totals_are_right() -> None:
    """The numbers at the top are those of the rows below it."""
    raw = [
        *(name for names, answer in OTHERS if _raw(answer) for name in names),
        *(name for name, rows in DETAILED.items() if all(_raw(answer) for _, answer in rows)),
    ]
    count = len(INTERFACES)
    assert f"| interfaces | {count - len(raw)} | {len(raw)} | {count} |" in PAGE
    members = sum(len(each.members) for each in INTERFACES.values())
    covered = sum(len(n) for rows in DETAILED.values() for n, answer in rows if not _raw(answer))
    covered += sum(len(INTERFACES[names[0]].members) for names, a in OTHERS if not _raw(a))
    assert f"| their members | {covered} | {members - covered} | {members} |" in PAGE
    assert VERSION in PAGE


def _raw(answer: str) -> bool:
    return answer.startswith("raw only")


@pytest.mark.parametrize(("interface", "names", "answer"), ROWS)
def test_no_row_lies(interface: str, names: list[str], answer: str) -> None:
    """What a row names is there; where vboxkit has nothing, there is a reason."""
    mentioned = re.findall(r"\b(?!vboxkit)[A-Z]\w+\.\w+", answer)
    for name in mentioned:
        resolve(name)
    if _raw(answer):
        assert re.match(r"raw only: \w.{5,}", answer)
        return
    targets = re.findall(r"`([\w.]+)`", answer)
    assert targets, f"{interface}: {names}: neither a name nor a reason"
    remark = re.search(r" \((.+)\)$", answer)
    found = [resolve(name) for name in targets]
    if not interface or remark:
        return
    for name in names:
        # Where other members give the same, a remark has to say how.
        assert spelled(name) & words(), f"no code of vboxkit names {interface}.{name}"
        if name in WRITABLE.get(interface, ()):
            assert any(map(_can_change, found)), f"{interface}.{name} can be set, {answer} cannot"
        if name in ATTRIBUTES[interface] and len(found) == 1 and isinstance(found[0], Attribute):
            assert found[0]._name in spelled(name), f"{targets[0]} reads {found[0]._name}"


def _attributes() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return the attributes of each interface, and those of them that can be set."""
    every: dict[str, set[str]] = {}
    writable: dict[str, set[str]] = {}
    for node in ast.parse(coverage.TYPES.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            writable[node.name] = {
                item.target.id
                for item in node.body
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
            }
            every[node.name] = writable[node.name] | {
                item.name
                for item in node.body
                if isinstance(item, ast.FunctionDef) and item.decorator_list
            }
    return every, writable


ATTRIBUTES, WRITABLE = _attributes()


def _can_change(found: Any) -> bool:
    """Whether something can be set by it: a verb, or an attribute that can be assigned."""
    if isinstance(found, property):
        return found.fset is not None
    if isinstance(found, Attribute):
        return isinstance(found, Setting)
    return callable(found) or hasattr(found, "__set__")


def test_the_classes_of_events_have_all_that_the_events_have() -> None:
    """Where the page names a class for an event, that has a field for each attribute of it."""
    checked = 0
    for (name, *_), answer in OTHERS:
        if answer == f"`{name[1:]}`":
            kinds = fields(public()[name[1:]])
            there = {kind.metadata["raw"].split(".")[0] for kind in kinds if kind.metadata}
            for member in INTERFACES[name].members:
                assert spelled(member) & there, f"{answer} has no {member}"
                checked += 1
    assert checked > 100


def test_names_that_are_none_are_found() -> None:
    """The check itself: a name that is wrong is not resolved."""
    assert resolve("Machine.memory_mb") is not None
    assert resolve("Snapshot.id") is None  # made in __init__
    for wrong in ("Machine.memory", "Maschine.name", "Machine._held", "Snapshot.ids"):
        with pytest.raises((AssertionError, AttributeError)):
            resolve(wrong)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"IThing": {"one": "x"}, "interfaces": {}}, "IThing: named not: two"),
        ({"IThing": {"one, two, three": "x"}, "interfaces": {}}, "does not exist: three"),
        ({"IThing": {"one": "x", "two, one": "x"}, "interfaces": {}}, "named twice: one"),
        ({"interfaces": {"IOther": "x"}}, "IThing has no answer"),
        ({"interfaces": {"IThing": "x", "INone*": "x"}}, r"no interface INone\*"),
        ({"interfaces": {"ITh*": "x", "I*ing": "x"}}, "IThing has several answers"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(change: dict[str, Any], text: str) -> None:
    """A member without an answer, or with two, or that is gone in a new version: an error."""
    thing = {"IThing": coverage.Interface("IThing", "nsISupports", ("one", "two"))}
    with pytest.raises(coverage.Disagreement, match=text):
        coverage.decide(thing, change, set())

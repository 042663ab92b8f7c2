"""What vboxkit asks of VirtualBox is there in 7.0, 7.1 and 7.2, or listed as missing."""

from __future__ import annotations

import ast
import zipfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import vboxkit
from vboxkit.com import versions
from vboxkit.errors import UnsupportedVersionError
from vboxkit.machines.states import MachineState, SessionState
from vboxkit.settings import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.com.api import Api

ROOT = Path(vboxkit.__file__).parent
#: tests/run.sh puts the releases of vbox-sdk here, pinned.
RELEASES = cache_dir() / "vbox-sdk"
SERIES = [(7, 0), (7, 1), (7, 2)]

#: What vboxkit knows and a version lacks: a user is told so (`UnsupportedVersionError`, or an
#: error that lists what there is), or vboxkit does without, where the code says so.
MISSING: dict[tuple[int, int], dict[str, set[str]]] = {
    (7, 0): {
        "GraphicsFeature": {"Acceleration3D"},  # an attribute then: versions.accelerated_3d
        "NetworkAdapterType": {"I82583V", "UsbNet"},  # came with 7.2
        "PlatformArchitecture": {"x86"},  # there was no other
        "VMExecutionEngine": {"Default", "Interpreter", "Recompiler"},  # came with 7.1
    },
    (7, 1): {"NetworkAdapterType": {"I82583V", "UsbNet"}},
    (7, 2): {},
}


@cache
def enumerations(series: tuple[int, int]) -> dict[str, dict[str, int]]:
    """Return the enumerations of a release of vbox-sdk."""
    wanted = ".".join(map(str, series))
    found = sorted(RELEASES.glob(f"vbox_sdk-{wanted}.*.whl"))
    if not found:
        pytest.skip(f"{RELEASES} has no vbox-sdk {wanted}: tests/run.sh host gets it")
    with zipfile.ZipFile(found[-1]) as wheel:
        source = wheel.read("vboxapi/VirtualBox_constants.py").decode()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__dValues":
            assert isinstance(node.value, ast.Dict)
            pairs = zip(node.value.keys, node.value.values, strict=True)
            # One of them, the status codes, is a name only.
            return {
                ast.literal_eval(key): ast.literal_eval(value)
                for key, value in pairs
                if key is not None and isinstance(value, ast.Dict)
            }
    raise AssertionError(f"{found[-1]} has no enumerations")


def texts(node: ast.AST) -> Iterator[str]:
    """Yield the texts in an expression, such as both of ``"Shared" if online else "Write"``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (*texts(node.body), *texts(node.orelse))


def aliases(tree: ast.AST) -> dict[str, list[str]]:
    """Return the ``Name = Literal[...]`` of a module."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript):
            target, value = node.targets[0], node.value
            if isinstance(target, ast.Name) and getattr(value.value, "id", "") == "Literal":
                items = value.slice.elts if isinstance(value.slice, ast.Tuple) else [value.slice]
                found[target.id] = [text for item in items for text in texts(item)]
    return found


def uses() -> set[tuple[str, str]]:
    """Return the enumerations (name empty) and the members of them that vboxkit names."""
    found: set[tuple[str, str]] = set()
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in ROOT.rglob("*.py")]
    literals: dict[str, list[str]] = {}
    for tree in trees:
        literals.update(aliases(tree))
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                found |= set(_in_call(node, literals))
    for kind in (MachineState, SessionState):
        found |= {(kind.__name__, str(member)) for member in kind}
    return found


def _in_call(node: ast.Call, literals: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    function, given = node.func, node.args
    if isinstance(function, ast.Attribute) and function.attr in {"value", "name", "names"}:
        # As in: value of "LockType", "Shared".
        for enumeration in texts(given[0]) if given else ():
            yield enumeration, ""
            if function.attr == "value" and len(given) > 1:
                yield from ((enumeration, name) for name in texts(given[1]))
    elif isinstance(function, ast.Subscript) and len(given) > 1:
        # A setting: its attribute, its enumeration; the names are those of its type.
        if getattr(function.value, "id", "").endswith("Choice"):
            names = literals.get(getattr(function.slice, "id", ""), [])
            for enumeration in texts(given[1]):
                yield enumeration, ""
                yield from ((enumeration, name) for name in names)
    elif isinstance(function, ast.Name) and function.id == "choose" and len(given) > 2:
        # For an object: the enumeration, the name.
        for enumeration in texts(given[1]):
            yield enumeration, ""
            yield from ((enumeration, name) for name in texts(given[2]))
    elif isinstance(function, ast.Name) and function.id == "listen":
        # Kinds of events.
        yield from (("VBoxEventType", name) for kind in given for name in texts(kind))


def test_the_uses_are_found() -> None:
    """The search sees calls, conditions, choices and our own enumerations."""
    found = uses()
    assert {
        ("LockType", "Shared"),
        ("LockType", "Write"),
        ("PortMode", "RawFile"),
        ("NetworkAttachmentType", ""),
        ("MachineState", "Running"),
        ("ChipsetType", "ICH9"),
    } <= found
    assert len(found) > 60


@pytest.mark.parametrize("series", SERIES)
def test_every_name_exists_or_is_known_to_be_missing(series: tuple[int, int]) -> None:
    """Each enumeration and member that vboxkit names is one of the release's."""
    known = enumerations(series)
    listed = {
        (enumeration, name) for enumeration, names in MISSING[series].items() for name in names
    }
    listed |= {(enumeration, "") for enumeration in MISSING[series]}
    unknown = {use for use in uses() if not _has(known, series, *use)}
    assert unknown - listed == set()


def _has(
    known: dict[str, dict[str, int]], series: tuple[int, int], enumeration: str, name: str
) -> bool:
    values = known.get(versions.enumeration(series, enumeration), {})
    return name in values if name else bool(values)


@pytest.mark.parametrize("series", SERIES)
def test_what_is_listed_as_missing_is_missing(series: tuple[int, int]) -> None:
    """No row of the table is out of date: the newest version has it, this one does not."""
    for enumeration, names in MISSING[series].items():
        for name in names:
            assert not _has(enumerations(series), series, enumeration, name)
            assert _has(enumerations((7, 2)), (7, 2), enumeration, name)


@pytest.mark.parametrize("new", sorted(versions.ENUMERATIONS))
def test_renamed_enumerations(new: str) -> None:
    """The old name is 7.0's, the new one is 7.1's and 7.2's, and not the other way round."""
    old = versions.ENUMERATIONS[new]
    assert old in enumerations((7, 0))
    assert new not in enumerations((7, 0))
    for series in ((7, 1), (7, 2)):
        assert new in enumerations(series)
        assert old not in enumerations(series)
        assert versions.enumeration(series, new) == new
    assert set(enumerations((7, 0))[old]) <= set(enumerations((7, 2))[new])
    assert versions.enumeration((7, 0, 26), new) == old


# The interfaces of the newest version, as generated


@cache
def interfaces() -> dict[str, dict[str, str]]:
    """Return the members of each interface, with what they give where that is one name."""
    tree = ast.parse((ROOT / "com" / "interfaces.pyi").read_text(encoding="utf-8"))
    found: dict[str, dict[str, str]] = {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        members = found[node.name] = {}
        for item in node.body:
            if isinstance(item, ast.FunctionDef):
                members[item.name] = ast.unparse(item.returns) if item.returns else ""
            elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                members[item.target.id] = ast.unparse(item.annotation)
    return found


def exists(interface: str, member: str) -> bool:
    """Tell whether an interface has a member; an array is a pair of methods there."""
    getter = f"get{member[:1].upper()}{member[1:]}"
    return bool({member, getter} & set(interfaces()[interface]))


PLACES = [(i, m, place) for i, members in versions.MOVED.items() for m, place in members.items()]


@pytest.mark.parametrize(("interface", "member", "place"), PLACES)
def test_moved_members_are_where_the_table_says(
    interface: str, member: str, place: versions.Place
) -> None:
    """In the newest version a moved member is at the end of its path, and nowhere before."""
    assert not exists(interface, member)
    for step in place.since.split("."):
        interface = interfaces()[interface][step]
    assert exists(interface, member)


@pytest.mark.parametrize("member", sorted(versions.SINCE))
def test_new_members_exist(member: str) -> None:
    """What the table says to be new is there in the newest version, moved or not."""
    interface, name = member.split(".")
    place = versions.MOVED.get(interface, {}).get(name)
    for step in place.since.split(".") if place else ():
        interface = interfaces()[interface][step]
    assert exists(interface, name)


@pytest.mark.parametrize("new", sorted(versions.RENAMED))
def test_renamed_members(new: str) -> None:
    """Whatever has the new name in the newest version does not have the old one."""
    homes = [interface for interface in interfaces() if exists(interface, new)]
    assert homes
    assert not any(exists(interface, versions.RENAMED[new]) for interface in homes)


# Where things are in an older version


def api(*version: int) -> Any:
    """Stand in for the way into an old VirtualBox, of which only the version is asked."""
    return SimpleNamespace(version=version)


def test_holder_follows_the_version() -> None:
    """In 7.0 the machine itself has it, or its BIOS settings; since 7.1 what it was moved to."""
    machine = SimpleNamespace(
        platform=SimpleNamespace(x86="the x86 part"),
        firmwareSettings="firmware",
        BIOSSettings="bios",
    )
    old, new = api(7, 0, 26), api(7, 1, 0)
    assert versions.holder(new, machine, "HPETEnabled") == "the x86 part"
    assert versions.holder(old, machine, "HPETEnabled") is machine
    assert versions.holder(new, machine, "logoFadeIn") == "firmware"
    assert versions.holder(old, machine, "logoFadeIn") == "bios"
    assert versions.holder(new, machine, "memorySize") is machine


def test_spelling_follows_the_version() -> None:
    """7.1 renamed some members."""
    assert versions.spelling(api(7, 0, 0), "IOAddress") == "IOBase"
    assert versions.spelling(api(7, 1, 0), "IOAddress") == "IOAddress"
    assert versions.spelling(api(7, 0, 0), "path") == "path"


def test_what_is_too_new_is_refused_with_the_version_that_has_it() -> None:
    """The error names the running version, the member, and where it came from."""
    old: Api = api(7, 0, 26)
    assert not versions.has(old, "IMachine", "VMExecutionEngine")
    with pytest.raises(UnsupportedVersionError) as caught:
        versions.require(old, "IMachine", "VMExecutionEngine")
    assert "VirtualBox 7.0.26 has no IMachine::VMExecutionEngine" in str(caught.value)
    assert "it came with VirtualBox 7.1" in str(caught.value)
    versions.require(api(7, 1, 0), "IMachine", "VMExecutionEngine")
    versions.require(old, "IMachine", "memorySize")


def test_3d_is_an_attribute_or_a_feature() -> None:
    """Both ways are read and written by the same two functions."""
    adapter = SimpleNamespace(accelerate3DEnabled=False)
    versions.set_accelerated_3d(api(7, 0, 0), adapter, True)
    assert versions.accelerated_3d(api(7, 0, 0), adapter)

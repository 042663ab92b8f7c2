"""The generated types are those of the running VirtualBox."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.com import generate, installation, versions
from vboxkit.com.xpcom import isolation
from vboxkit.core import processes
from vboxkit.errors import SetupError

if TYPE_CHECKING:
    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox

#: What XPCOM's objects have of themselves, and room for what may come.
RESERVED = "InternalAndReserved"
#: A getter, a setter; not callable: hidden, a constructor, not of XPCOM.
GETTER, SETTER, NOT_CALLABLE = 0x80, 0x40, 0x20 | 0x10 | 0x08


@pytest.fixture(scope="module")
def committed() -> str:
    """Read the types that are committed; those of another version are no matter of these tests."""
    text = generate.OUTPUT.read_text(encoding="utf-8")
    running = installation.find().version
    if f"VirtualBox {running}," not in text.splitlines()[1]:
        pytest.skip(f"the types are of another version than VirtualBox {running}")
    return text


def test_generating_anew_gives_the_same_bytes(
    committed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The web service is started, asked and ended; nothing of it is left."""
    homes: list[Path] = []

    def look(home: Path) -> dict[str, str]:
        homes.append(home)
        return isolation(home)

    monkeypatch.setattr(generate, "isolation", look)
    output = tmp_path / "interfaces.pyi"
    assert generate.main(["--output", str(output)]) == 0
    assert output.read_text(encoding="utf-8") == committed
    (home,) = homes
    mine = isolation(home)
    assert not home.exists()
    assert not (Path("/tmp") / f".vbox-{mine['VBOX_IPC_SOCKETID']}-ipc").exists()
    for argument in ("--auto-shutdown", "--logfile"):
        assert list(processes.find(argument=argument, environment=mine)) == []


def test_a_service_that_ends_by_itself_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its exit code and its words are in the error, not a timeout; nothing is written."""
    program = tmp_path / "vboxwebsrv"
    program.write_text("#!/bin/sh\necho no licence; exit 3\n")
    program.chmod(0o755)
    with pytest.raises(SetupError, match="ended with exit code 3: no licence"):
        generate.service_description(installation.Installation(tmp_path))
    assert capsys.readouterr().out == ""


# The same, as XPCOM itself tells it


@cache
def generated() -> dict[str, tuple[str, dict[str, ast.stmt]]]:
    """Return base and members of each generated interface."""
    found = {}
    for node in ast.parse(generate.OUTPUT.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name[0] == "I" and node.name[1].isupper():
            members: dict[str, ast.stmt] = {}
            for item in node.body:
                if isinstance(item, ast.FunctionDef):
                    members[item.name] = item
                elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    members[item.target.id] = item
            found[node.name] = (ast.unparse(node.bases[0]), members)
    return found


def shape(member: ast.stmt) -> Any:
    """Return what a generated member is: an attribute, or how many arguments and results."""
    if not isinstance(member, ast.FunctionDef):
        return "read/write"
    if member.decorator_list:
        return "read-only"
    arguments = len(member.args.posonlyargs or member.args.args) - 1
    returns = member.returns
    if isinstance(returns, ast.Constant) and returns.value is None:
        return arguments, 0
    if isinstance(returns, ast.Subscript) and ast.unparse(returns.value) == "tuple":
        assert isinstance(returns.slice, ast.Tuple)
        return arguments, len(returns.slice.elts)
    return arguments, 1


def told_by_xpcom(name: str) -> tuple[str, dict[str, Any]]:
    """Return parent and members of an interface, as the running XPCOM describes it."""
    from xpcom import xpt

    interface = xpt.Interface(name)
    getters, setters, members = set(), set(), {}
    methods = interface.methods
    inherited = interface.GetParent().GetMethodCount()
    for index in range(inherited, len(methods)):
        method = methods[index]
        if method.flags & NOT_CALLABLE or method.name.startswith(RESERVED):
            continue
        if method.flags & GETTER:
            getters.add(method.name)
        elif method.flags & SETTER:
            setters.add(method.name)
        else:
            # The lengths of arrays are parameters of their own, which Python does not see.
            lengths = {p.type_desc[1] for p in method.params if p.type_desc[0] & 0x1F == 20}
            seen = [p for i, p in enumerate(method.params) if i not in lengths]
            given = sum(1 for p in seen if p.IsIn())
            members[method.name] = (given, len(seen) - given)
    assert setters <= getters
    attributes = {n: "read/write" if n in setters else "read-only" for n in getters}
    return interface.GetParent().GetName(), {**attributes, **members}


def test_members_are_those_of_the_running_type_library(vbox: VirtualBox, committed: str) -> None:
    """Names, getters, setters, methods, numbers of arguments and results: no difference."""
    assert vbox.version
    assert committed
    differences = {}
    for name, (_, members) in generated().items():
        expected = told_by_xpcom(name)[1]
        mine = {key: shape(member) for key, member in members.items()}
        if mine != expected:
            differences[name] = sorted(mine.items() ^ expected.items(), key=str)
    assert differences == {}
    assert len(generated()) > 200


def test_inheritance_is_that_of_the_running_type_library(vbox: VirtualBox, committed: str) -> None:
    """Each interface extends what it extends there; XPCOM's own parents count as none."""
    assert vbox.version
    assert committed
    for name, (base, _) in generated().items():
        parent = told_by_xpcom(name)[0]
        assert base == (parent if parent in generated() else "nsISupports"), name


def test_enumerations_are_those_of_the_running_version(vbox: VirtualBox, committed: str) -> None:
    """``SomethingName`` has every name of the enumeration, and no other."""
    found = {}
    for node in ast.parse(committed).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            assert isinstance(node.value, (ast.Subscript, ast.Name, ast.BinOp))
            if isinstance(node.value, ast.Subscript) and node.target.id.endswith("Name"):
                value = ast.literal_eval(node.value.slice)
                names = [value] if isinstance(value, str) else list(value)
                found[node.target.id.removesuffix("Name")] = sorted(names)
    assert len(found) > 100
    for enumeration, names in found.items():
        assert names == list(vbox._api.names(enumeration)), enumeration


def test_an_objects_attributes_can_be_used_as_the_types_say(
    machine: Machine, committed: str
) -> None:
    """Every attribute and method of IMachine is there on a machine; results are of the type."""
    assert committed
    for member in generated()["IMachine"][1]:
        try:
            getattr(machine.com, member)
        except AttributeError:
            pytest.fail(f"IMachine has no {member}")
        except Exception as error:
            # Not implemented (settingsAuxFilePath), or not in this state.
            if machine._api.foreign(error) is None:
                raise
    kinds = {"str": str, "int": int, "bool": bool}
    checked = 0
    for name, node in generated()["IMachine"][1].items():
        if isinstance(node, ast.AnnAssign) and (kind := kinds.get(ast.unparse(node.annotation))):
            assert type(getattr(machine.com, name)) is kind, name
            checked += 1
    assert checked > 20


@pytest.mark.parametrize("interface", sorted(versions.MOVED))
def test_moved_members_are_found_on_real_objects(
    vbox: VirtualBox, machine: Machine, interface: str
) -> None:
    """`holder` gives, for each member that moved, an object which has it."""
    objects = {
        "IMachine": machine.com,
        "ISystemProperties": vbox.com.systemProperties,
        "IHost": vbox.com.host,
    }
    for member in versions.MOVED[interface]:
        owner = versions.holder(vbox._api, objects[interface], member)
        spelled = versions.spelling(vbox._api, member)
        getter = f"get{spelled[:1].upper()}{spelled[1:]}"
        assert hasattr(owner, spelled) or hasattr(owner, getter), member


def test_the_platforms_limits(vbox: VirtualBox, machine: Machine) -> None:
    """`platform_properties` knows what a machine of this platform can have."""
    limits = versions.platform_properties(vbox._api, machine.com)
    assert limits.serialPortCount == 4
    assert limits.getMaxNetworkAdapters(vbox._api.value("ChipsetType", "PIIX3")) == 8


def test_3d_is_set_and_read_back(machine: Machine) -> None:
    """The two functions agree with each other on a real machine."""
    api = machine._api
    with machine._changing() as com:
        # Not every controller can.
        com.graphicsAdapter.graphicsControllerType = api.value("GraphicsControllerType", "VMSVGA")
        versions.set_accelerated_3d(api, com.graphicsAdapter, True)
    assert versions.accelerated_3d(api, machine.com.graphicsAdapter)
    with machine._changing() as com:
        versions.set_accelerated_3d(api, com.graphicsAdapter, False)
    assert not versions.accelerated_3d(api, machine.com.graphicsAdapter)


def test_what_may_be_empty_is_none(machine: Machine, committed: str) -> None:
    """No snapshot, no error, no group, no medium: `None`, as the types say."""
    assert "def currentSnapshot(self) -> ISnapshot | None" in committed
    com = machine.com
    assert com.currentSnapshot is None
    assert com.accessError is None
    assert com.getNetworkAdapter(0).bandwidthGroup is None


def test_results_come_first_then_the_out_parameters(machine: Machine, committed: str) -> None:
    """As `Api` promises: the return value, then the others, in one sequence."""
    assert "def takeSnapshot(" in committed
    assert machine.com.getGuestProperty("/none") == ("", 0, "")
    lists = machine.com.enumerateGuestProperties("/none*")
    assert [type(one) for one in lists] == [list] * 4
    limits = versions.platform_properties(machine._api, machine.com)
    vmsvga = machine._api.value("GraphicsControllerType", "VMSVGA")
    stride, least, most = limits.getSupportedVRAMRange(vmsvga, False)
    assert stride <= least < most

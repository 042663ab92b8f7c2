"""Type checkers know the raw objects: what is wrong is caught, what is right passes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent, indent

import pytest

import vboxkit
from vboxkit.com import interfaces

ROOT = Path(vboxkit.__file__).parents[1]

HEAD = """\
from vboxkit import Machine, Snapshot, VirtualBox
from vboxkit.com.api import Api
from vboxkit.com.interfaces import LockType, MachineStateName


def use(vbox: VirtualBox, machine: Machine, snapshot: Snapshot, api: Api) -> None:
"""

#: Each line alone is wrong: what mypy says of it.
WRONG = {
    "machine.com.saveSetings()": '"IMachine" has no attribute "saveSetings"',
    "machine.com.memorySizes": '"IMachine" has no attribute "memorySizes"',
    "machine.com.groups": '"IMachine" has no attribute "groups"',
    "machine.com.chipsetType": '"IMachine" has no attribute "chipsetType"',
    "machine.com.memorySize = '512'": 'expression has type "str", variable has type "int"',
    "machine.com.id = 'x'": 'Property "id" defined in "IMachine" is read-only',
    "machine.com.setExtraData('key')": 'Too few arguments for "setExtraData"',
    "machine.com.getNetworkAdapter('1')": 'incompatible type "str"; expected "int"',
    "machine.com.lockMachine(api.session(), 'Shared')": 'expected "LockType"',
    "machine.com.lockMachine(api.session(), machine.com.state)": 'expected "LockType"',
    "machine.com.lockMachine(machine.com, api.value('LockType', 'Shared'))": 'expected "ISession"',
    "machine.com.setGroups('/a')": 'incompatible type "str"; expected "list[str]',
    "machine.com.currentSnapshot.name": 'Item "None" of "ISnapshot | None" has no attribute "name"',
    "machine.com.saveSettings().waitForCompletion(1)": '"saveSettings" of "IMachine" does not',
    "one, two, three = machine.com.takeSnapshot('x', '', False)": "Need more than 2 values",
    "machine.network[0].com.MACAdress": '"INetworkAdapter" has no attribute "MACAdress"',
    "machine.serial.com.speed": '"ISerialPort" has no attribute "speed"',
    "snapshot.com.parents": '"ISnapshot" has no attribute "parents"',
    "vbox.com.getMachine('x')": '"IVirtualBox" has no attribute "getMachine"',
    "api.virtualbox.findMachine(1)": 'incompatible type "int"; expected "str"',
    "api.session().lock()": '"ISession" has no attribute "lock"',
    "name: MachineStateName = 'Runing'": "variable has type",
}

RIGHT = """\
machine.com.memorySize = 512
machine.com.setExtraData("key", "value")
machine.com.setGroups(["/a"])
machine.com.lockMachine(api.session(), api.value("LockType", "Shared"))
kind: LockType = api.value("LockType", "Write")
progress, uuid = machine.com.takeSnapshot("x", "", False)
progress.waitForCompletion(-1)
print(uuid.upper(), machine.com.platform.x86.HPETEnabled, machine.com.OSTypeId.upper())
for controller in machine.com.getUSBControllers():
    print(controller.name)
medium = machine.com.getMedium("IDE", 0, 0)
machine.com.mountMedium("IDE", 0, 0, None, False)
if medium is not None and medium.parent is not None:
    print(medium.parent.location)
print(machine.network[0].com.NATEngine.getRedirects(), machine.serial.com.IOAddress)
print(snapshot.com.machine.CPUCount, vbox.com.systemProperties.maxGuestRAM)
print(machine.com.nonVolatileStore.uefiVariableStore.secureBootEnabled)
state: MachineStateName = "Running"
print(api.name("MachineState", machine.com.state), state)
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """Run mypy once over all of it; return what it says, by line."""
    pytest.importorskip("mypy", reason="mypy is not installed here: tests/run.sh lint has it")
    folder = tmp_path_factory.mktemp("snippet")
    snippet = folder / "snippet.py"
    body = "\n".join([*WRONG, *dedent(RIGHT).splitlines()])
    snippet.write_text(HEAD + indent(body, "    ") + "\n", encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-version=3.11",
         "--follow-imports=silent", "--no-error-summary", "--hide-error-context",
         f"--cache-dir={folder / 'cache'}", str(snippet)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1, ended.stdout + ended.stderr
    found: dict[int, str] = {}
    for line in ended.stdout.splitlines():
        match = re.match(r".*snippet\.py:(\d+): error: (.*)", line)
        if match:
            number = int(match[1])
            found[number] = f"{found.get(number, '')}{match[2]}\n"
    return found


FIRST = len(HEAD.splitlines()) + 1


@pytest.mark.parametrize(("number", "line"), list(enumerate(WRONG, FIRST)))
def test_what_is_wrong_is_caught(said: dict[int, str], number: int, line: str) -> None:
    """A wrong name, a wrong argument, a wrong attribute: the checker says which."""
    assert WRONG[line] in said.get(number, "nothing")


def test_what_is_right_passes(said: dict[int, str]) -> None:
    """Nothing is said of the lines that are right."""
    assert {number: text for number, text in said.items() if number >= FIRST + len(WRONG)} == {}


def test_at_run_time_every_name_is_there() -> None:
    """An annotation can be evaluated; private names are attribute errors, as on any module."""
    assert interfaces.IMachine is not None
    with pytest.raises(AttributeError, match="_nothing"):
        getattr(interfaces, "_nothing")  # noqa: B009 - the checker knows that there is none

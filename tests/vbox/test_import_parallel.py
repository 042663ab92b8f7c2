"""Several processes import at once, into one home."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ovf.builder import ova
from tests.vbox.packages import descriptor, disk
from vboxkit.core.waiting import Deadline
from vboxkit.errors import AlreadyExistsError
from vboxkit.machines.names import home_lock, reserved

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import VirtualBox

pytestmark = pytest.mark.vbox

_TIMES = 10
_CHILD = """
import json, sys, vboxkit
vbox = vboxkit.connect(sys.argv[1])
home, times, name, *files = sys.argv[1:]
for number in range(int(times)):
    try:
        machine = vbox.appliances.import_(
            files[number % len(files)], **({"name": name} if name else {})
        )
        print(json.dumps(["ok", machine.name, machine.id, str(machine.folder)]), flush=True)
    except Exception as error:
        print(json.dumps([type(error).__name__, str(error), "", ""]), flush=True)
"""


def _run(
    vbox: VirtualBox, files: list[list[Path]], times: int, *, name: str = ""
) -> list[list[str]]:
    """Import in as many processes as there are lists of files; return what each has to say."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(vbox.home), str(times), name, *map(str, mine)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for mine in files
    ]
    try:
        out = [child.communicate(timeout=240)[0] for child in children]
    finally:
        for child in children:
            child.kill()
    return [json.loads(line) for text in out for line in text.splitlines()]


@pytest.fixture
def package(tmp_path: Path, label: Callable[[str], str]) -> Callable[[], Path]:
    """Write OVAs that suggest names of their own."""

    def make() -> Path:
        name = label("many")
        files = {"a.ovf": descriptor(name).encode(), "disk.vmdk": disk()}
        return ova(tmp_path / f"{name}.ova", files)

    return make


def _locks(vbox: VirtualBox) -> list[Path]:
    return list(home_lock(vbox._api).with_suffix("").glob("*"))


def test_forty_imports_by_four_processes(
    vbox: VirtualBox, package: Callable[[], Path], inventory: Callable[[], set[str]]
) -> None:
    """The same file and others, by turns: 40 machines, 0 failures, 0 leftovers."""
    shared = package()
    said = _run(vbox, [[shared, package()] for _ in range(4)], _TIMES)
    assert Counter(kind for kind, *_ in said) == {"ok": 4 * _TIMES}, said
    for column in (1, 2, 3):
        assert len({one[column] for one in said}) == 4 * _TIMES
    for _, name, identity, folder in said:
        machine = vbox.machines[identity]
        assert machine.name == Path(folder).name == name
        (one,) = machine.storage.attachments
        assert one.medium is not None
        assert one.medium.location == Path(folder) / "disk.vmdk"
        assert one.medium.location.stat().st_size > 0
    for _, _, identity, _ in said:
        vbox.machines[identity].destroy()
    assert inventory() == set()
    assert _locks(vbox) == []


def test_of_four_with_one_name_one_gets_it(
    vbox: VirtualBox,
    package: Callable[[], Path],
    label: Callable[[str], str],
    inventory: Callable[[], set[str]],
) -> None:
    """The others are told so, and take nothing of it away."""
    name = label("wanted")
    said = _run(vbox, [[package()] for _ in range(4)], 3, name=name)
    assert Counter(kind for kind, *_ in said) == {"ok": 1, "AlreadyExistsError": 11}, said
    machine = vbox.machines[name]
    machine.storage.attachments[0].medium.refresh()  # type: ignore[union-attr]  # it has one
    machine.destroy()
    assert inventory() == set()


def test_a_reserved_name_is_not_taken(
    vbox: VirtualBox, package: Callable[[], Path], label: Callable[[str], str]
) -> None:
    """Not by import, not by create; a suggestion passes it over. Afterwards it is free."""
    name = label("kept")
    ova_ = package()
    suggested = ova_.stem

    def place(name: str) -> Path:
        return vbox.home / "machines" / name / f"{name}.vbox"

    wanted = [(name, True, place), (suggested, False, place)]
    with reserved(vbox._api, wanted, deadline=Deadline(10)) as names:
        assert names == [name, suggested]
        with pytest.raises(AlreadyExistsError, match="being made already"):
            vbox.appliances.import_(ova_, name=name)
        with pytest.raises(AlreadyExistsError, match="being made already"):
            vbox.create(name, os_type="Debian_64", disk_mb=0)
        assert vbox.appliances.import_(ova_).name == f"{suggested} 1"
    assert _locks(vbox) == []
    assert vbox.create(name, os_type="Debian_64", disk_mb=0).name == name
    assert vbox.appliances.import_(ova_).name == suggested


def test_a_lock_of_a_dead_process_is_none(vbox: VirtualBox, package: Callable[[], Path]) -> None:
    """The kernel gives it back; its file is taken over, and removed."""
    path = package()
    code = (
        "import os, sys, vboxkit\n"
        "from pathlib import Path\n"
        "from vboxkit.core.waiting import Deadline\n"
        "from vboxkit.machines.names import reserved\n"
        "vbox = vboxkit.connect(sys.argv[1])\n"
        "place = lambda name: vbox.home / 'machines' / name / f'{name}.vbox'\n"
        "with reserved(vbox._api, [(sys.argv[2], True, place)], deadline=Deadline(10)):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(vbox.home), path.stem], check=False, timeout=60
    )
    assert done.returncode == -9
    assert len(_locks(vbox)) == 2
    assert vbox.appliances.import_(path).name == path.stem
    assert _locks(vbox) == []

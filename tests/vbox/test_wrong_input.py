"""Wrong input: each mistake has its error, and changes nothing; what only looks wrong works."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.vbox import mistakes
from tests.vbox.conftest import PREFIX, destroy_all, remains
from tests.vbox.disks import forget
from tests.wrong_input import Case, World, check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vboxkit import VirtualBox

pytestmark = pytest.mark.vbox

_numbers = count(1)


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Leave the machines to `worlds`: each case finds out by itself what it has left."""


@pytest.fixture(scope="module")
def worlds(
    vbox: VirtualBox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], World]]:
    """Give what mistakes are made with, in a folder whose name has spaces and umlauts."""
    made: list[World] = []

    def clean() -> None:
        destroy_all(vbox)
        for world in made:
            forget(vbox, world.folder)
        made.clear()

    def give() -> World:
        # A mistake that changes nothing leaves it as it was for the next one.
        if not made or made[0].used:
            clean()
            folder = tmp_path_factory.mktemp("wrong") / "a földer"
            folder.mkdir()
            made.append(World(vbox, folder, lambda kind: f"{PREFIX}w{next(_numbers)}-{kind}"))
        return made[0]

    yield give
    clean()
    assert remains(vbox) == set()


@pytest.mark.parametrize("case", mistakes.CASES, ids=lambda case: case.name)
def test_a_mistake_has_its_error_and_changes_nothing(
    worlds: Callable[[], World], case: Case
) -> None:
    """Its class, the object, the state and the remedy in its message, and nothing left behind."""
    check(worlds(), case)


def test_each_case_has_a_name_of_its_own() -> None:
    """So that one that fails is found."""
    names = [case.name for case in [*mistakes.CASES, *mistakes.FULL, *mistakes.READ_ONLY]]
    assert len(names) == len(set(names)) >= 60


_DISK = """
import itertools, traceback
from tests.vbox import mistakes
from tests.wrong_input import World, check
numbers = itertools.count()
folder = pathlib.Path(home) / "files"
folder.mkdir()
world = World(vbox, folder, lambda kind: f"{{kind}}-{{next(numbers)}}", target=pathlib.Path(small))
for case in mistakes.{cases}:
    case.given(world)
{prepare}()
for case in mistakes.{cases}:
    try:
        check(world, case, prepared=True)
        print("well:", case.name)
    except BaseException:
        print(case.name, traceback.format_exc())
"""


@pytest.mark.parametrize(("cases", "prepare"), [("FULL", "fill"), ("READ_ONLY", "make_read_only")])
def test_disks_that_take_nothing(
    on_small_disk: Callable[[str], list[str]], cases: str, prepare: str
) -> None:
    """The same, on a disk that is full, or read-only."""
    lines = on_small_disk(_DISK.format(cases=cases, prepare=prepare))
    assert lines == [f"well: {case.name}" for case in getattr(mistakes, cases)], "\n".join(lines)


# What looks wrong, and is right

UNUSUAL = {
    "unicode": "машина ünïcode 机",
    "spaces": "two  spaces and a dot .x",
    "quotes": "it's 50% $HOME & more; #1",
    "long": "ä" * 90,
}


@pytest.mark.parametrize("kind", UNUSUAL)
def test_names_that_are_unusual_and_right(
    vbox: VirtualBox, label: Callable[[str], str], tmp_path: Path, kind: str
) -> None:
    """Machines, disks, snapshots, clones and all else can have them, and can be found by them."""
    name = UNUSUAL[kind]
    full = label(name)
    folder = tmp_path / name
    # Of groups VirtualBox refuses most punctuation.
    group = "/quotes" if kind == "quotes" else f"/{name}"
    machine = vbox.create(full, os_type="Other", disk_mb=2, folder=folder, groups=[group])
    try:
        assert machine.name == full
        assert vbox.machines[full] == machine
        assert machine.settings_file.is_file()
        assert folder in machine.disks[0].location.parents
        assert machine.snapshots[machine.snapshots.take(name).path].name == name
        for mapping in (machine.guest_properties, machine.extra_data):
            mapping["/vt/key"] = name
            assert mapping["/vt/key"] == name
        machine.description = name
        machine.shared_folders["src"] = folder
        assert machine.shared_folders["src"].path == folder
        spare = vbox.media.create(folder / f"{name}.vdi", size_mb=2)
        machine.storage.attach(spare)
        machine.serial.to_file(folder / "serial")
        machine.network[0].trace(folder / "p.pcap").stop()
        copy = machine.clone(label(name), folder=folder)
        assert (copy.description, set(copy.groups)) == (name, {group})
        linked = machine.clone(label(name), linked=True)
        linked.name = label(f"{name} 2")
        assert vbox.machines[linked.id].name == linked.name
        linked.destroy()
        copy.destroy()
        machine.name = label(name)
        if kind != "quotes":
            # VirtualBox moves a folder along that is called as the machine is, and this is not:
            # it has made an underscore of each of these.
            assert machine.folder.name == machine.name
        file = machine.unregister()
        assert vbox.machines.register(file) == machine
    finally:
        destroy_all(vbox)
        forget(vbox, folder)
    assert remains(vbox) == set()


def test_an_import_can_have_an_unusual_name(
    vbox: VirtualBox, label: Callable[[str], str], package: Callable[..., Path]
) -> None:
    """As it is suggested, and as it is asked for."""
    name = label(UNUSUAL["unicode"])
    try:
        assert vbox.appliances.import_(package(name=name)).name == name
        asked = label(UNUSUAL["spaces"])
        assert vbox.appliances.import_(package(), name=asked).name == asked
    finally:
        destroy_all(vbox)
    assert remains(vbox) == set()

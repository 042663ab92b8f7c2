"""Importing good appliances."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

import pytest

from vboxkit.core.steps import Step, subscribe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


def test_name_memory_and_cpus_are_what_was_asked_for(
    vbox: VirtualBox, make: Callable[..., Machine], label: Callable[[str], str]
) -> None:
    """VirtualBox reports the values given, and the folder and disks bear the name."""
    name = label("sized")
    make(name=name, memory_mb=96, cpus=2)
    machine = vbox.machines[name]
    assert (machine.name, machine.memory_mb, machine.cpus) == (name, 96, 2)
    assert machine.folder == vbox.home / "machines" / name
    (disk,) = machine.folder.glob("*.vmdk")
    assert disk.stat().st_size > 0
    assert machine.state == "PoweredOff"


def test_without_a_name_the_appliance_suggests_one(
    vbox: VirtualBox, package: Callable[..., Path], label: Callable[[str], str]
) -> None:
    """The suggested name is taken; a second import gets a number behind it."""
    suggested = label("suggested")
    ova = package(name=suggested)
    first = vbox.appliances.import_(ova)
    second = vbox.appliances.import_(ova)
    assert first.name == suggested
    assert second.name != suggested
    assert second.name.startswith(suggested)
    assert first.folder != second.folder


def test_two_imports_share_neither_uuid_nor_mac(make: Callable[..., Machine]) -> None:
    """Every import is a machine of its own."""
    first, second = make(), make()
    assert first.id != second.id
    assert first.network[0].mac != second.network[0].mac


def test_keep_macs_keeps_the_appliances_address(make: Callable[..., Machine]) -> None:
    """With `keep_macs` two imports have one MAC address."""
    first, second = make(keep_macs=True), make(keep_macs=True)
    assert first.network[0].mac == second.network[0].mac
    assert first.network[0].mac.startswith("08:00:27:")


def test_progress_is_told_to_the_end(make: Callable[..., Machine]) -> None:
    """The steps of an import are seen by a listener, and end well."""
    seen: list[Step] = []
    with subscribe(seen.append):
        make()
    ended = {step.title.split(": ")[-1]: step for step in seen if step.duration is not None}
    assert ended["import"].status == "ok"
    assert ended["read"].status == "ok"


@pytest.mark.parametrize("folder", ["with spaces", "ünïcödé 漢字", "quo'te & $HOME"])
def test_the_path_may_hold_anything(
    vbox: VirtualBox, package: Callable[..., Path], tmp_path: Path, folder: str
) -> None:
    """Spaces, other scripts and shell characters in the path make no difference."""
    machine = vbox.appliances.import_(package(folder=tmp_path / folder))
    assert machine.id in vbox.machines


def test_a_relative_path_as_text_is_taken(
    vbox: VirtualBox,
    package: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """VBoxSVC has another current folder than we: the path is made absolute."""
    ova = package()
    monkeypatch.chdir(tmp_path)
    assert vbox.appliances.import_(ova.name).id in vbox.machines


@pytest.mark.parametrize("kind", ["ünï-cødé-漢字", "with spaces", "brackets[1]", "x" * 150])
def test_the_name_may_be_unusual(
    vbox: VirtualBox,
    make: Callable[..., Machine],
    label: Callable[[str], str],
    inventory: Callable[[], set[str]],
    kind: str,
) -> None:
    """A name in any script, with spaces or very long is kept; clone and destroy work with it."""
    machine = make(name=label(kind))
    assert vbox.machines[machine.name] == machine
    assert str(machine.com.name).endswith(kind)
    copy = machine.clone(f"{machine.name} 2")
    assert vbox.machines[f"{machine.name} 2"] == copy
    copy.destroy()
    machine.destroy()
    assert inventory() == set()


def test_an_unpacked_ovf_is_imported_like_an_ova(
    vbox: VirtualBox, package: Callable[..., Path], tmp_path: Path
) -> None:
    """The `.ovf` file beside its disk is an appliance, too."""
    with tarfile.open(package()) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            with file:
                (tmp_path / member.name).write_bytes(file.read())
    (ovf,) = tmp_path.glob("*.ovf")
    machine = vbox.appliances.import_(ovf)
    assert machine.memory_mb == 64
    assert list(machine.folder.glob("*.vmdk"))


def test_a_right_manifest_is_accepted(vbox: VirtualBox, package: Callable[..., Path]) -> None:
    """Digests that fit are checked by VirtualBox without complaint."""
    machine = vbox.appliances.import_(package(manifest=lambda text: text))
    assert machine.id in vbox.machines

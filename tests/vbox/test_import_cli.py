"""``vboxkit ovf plan`` and ``vboxkit ovf import``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.ovf.builder import nic, sata
from tests.vbox.packages import descriptor, folder_package
from vboxkit.cli.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import VirtualBox

pytestmark = pytest.mark.vbox


@pytest.fixture
def run(
    vbox: VirtualBox, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process, and return code, output and errors."""

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["--home", str(vbox.home), "ovf", *map(str, words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def package(tmp_path: Path, label: Callable[[str], str]) -> tuple[Path, str]:
    """Write a package that has a licence, and has to be mended; give it and its name."""
    name = label("shop")
    text = descriptor(
        name,
        controller=sata(subtype="SATA"),
        more=nic("backend", id=9),
        networks=("NAT", "backend"),
        before="<EulaSection><Info>i</Info><License>be good</License></EulaSection>",
    )
    return folder_package(tmp_path / "package", text), name


def test_plan_shows_items_licence_and_repairs(
    vbox: VirtualBox, run: Callable[..., tuple[int, str, str]], package: tuple[Path, str]
) -> None:
    """As a table, and as JSON; nothing is made."""
    path, name = package
    code, out, _ = run("plan", path, "--repair")
    assert code == 0
    assert f"machine {name}" in out
    assert "NetworkAdapter" in out
    assert "licence to agree to:\nbe good" in out
    assert "mended: a.ovf:" in out
    assert "warning: " in out
    code, out, _ = run("plan", path, "--repair", "--json")
    data = json.loads(out)
    assert code == 0
    assert [one["code"] for one in data["repairs"]] == ["controller-name"]
    assert data["licences"] == ["be good"]
    assert len(data["warnings"]) == 1
    items = {item["type"]: item["value"] for item in data["machines"][0]["items"]}
    assert items["HardDiskControllerSATA"] == "AHCI"
    assert name not in vbox.machines


def test_what_is_refused_says_how_it_is_not(
    run: Callable[..., tuple[int, str, str]],
    package: tuple[Path, str],
    inventory: Callable[[], set[str]],
) -> None:
    """The licence, the repair, and wrong words; nothing is made."""
    path, _ = package
    code, _, err = run("import", path)
    assert (code, "repair=True" in err) == (1, True)
    code, _, err = run("import", path, "--repair")
    assert (code, "licence" in err, "vboxkit ovf plan" in err) == (1, True, True)
    code, _, err = run("import", path, "--network", "nat")
    assert (code, "ADAPTER=KIND" in err) == (2, True)
    assert inventory() == set()


def test_import_with_all_options(
    vbox: VirtualBox,
    run: Callable[..., tuple[int, str, str]],
    package: tuple[Path, str],
    tmp_path: Path,
    label: Callable[[str], str],
) -> None:
    """The machine is as asked for; JSON has it, with repairs and warnings."""
    path, suggested = package
    name = label("named")
    code, out, _ = run(
        "import", path, "--repair", "--accept-eula", "--name", name, "--memory", 96, "--cpus", 2,
        "--network", "backend=internal:lab", "--network", "0=none", "--disks", "vdi",
        "--folder", tmp_path / "place", "--json",
    )  # fmt: skip
    data = json.loads(out)
    assert code == 0
    assert [one["code"] for one in data["repairs"]] == ["controller-name"]
    assert data["warnings"] == []
    machine = vbox.machines[data["machines"][0]["id"]]
    assert (machine.name, machine.memory_mb, machine.cpus) == (name, 96, 2)
    assert machine.folder == tmp_path / "place" / name
    assert list(machine.folder.glob("*.vdi"))
    assert machine.network[1].network == "lab"
    assert machine.network[0].attachment == "Null"
    code, out, _ = run("import", path, "--repair", "--accept-eula")
    assert code == 0
    assert out.startswith(f"{suggested}: 1 CPU, 64 MiB, ")
    assert "mended: a.ovf:" in out
    assert "no network 'backend'" in out

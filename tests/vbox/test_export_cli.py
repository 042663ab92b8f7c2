"""``vboxkit ovf export``: what it writes, says, and refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from vboxkit.cli import output
from vboxkit.cli.__main__ import main
from vboxkit.ovf import inspect, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


@pytest.fixture
def command(
    vbox: VirtualBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., int]]:
    """Run the command in a folder of its own, with the tests' home."""
    monkeypatch.chdir(tmp_path)
    for name in ("VBOXKIT_DEBUG", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    output._console.cache_clear()
    yield lambda *words: main(["--home", str(vbox.home), "ovf", "export", *map(str, words)])
    output._console.cache_clear()


def test_several_machines_with_words_about_them(
    command: Callable[..., int],
    make: Callable[..., Machine],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each option comes through; the answer names path and machines."""
    first, second = make(), make()
    (tmp_path / "licence.txt").write_text("agree")
    assert command(
        first.name, second.name, "-o", "two.ova", "--format", "ovf-2.0", "--product", "Shop",
        "--product-url", "https://example.com", "--vendor", "Example", "--product-version", "3",
        "--description", "two", "--license", "licence.txt", "--macs", "strip",
    ) == 0  # fmt: skip
    said = capsys.readouterr().out
    assert f"two.ova: {first.name}, {second.name}, " in said
    package = inspect(tmp_path / "two.ova")
    assert (package.version, package.problems, len(package.systems)) == ("2.0", (), 2)
    (product, _) = package.products
    assert (product.name, product.vendor, product.version) == ("Shop", "Example", "3")
    assert package.eulas[0].text == "agree"
    assert package.systems[1].annotation == "two"


def test_vmware_as_json(
    command: Callable[..., int],
    machine: Machine,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All that was written is in the answer, with what is not as it was."""
    words = ("--flavour", "vmware", "--hardware", "10", "--adapter", "VmxNet3")
    assert command(machine.name, "-o", "vm.ovf", *words, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["path"] == str(tmp_path / "vm.ovf")
    assert sorted(answer["files"]) == sorted(map(str, tmp_path.iterdir()))
    assert answer["warnings"] == [
        f"{machine.name}: a network adapter is VmxNet3, and was another one (virtio)"
    ]
    assert {one.algorithm for one in verify(tmp_path / "vm.ovf").files} == {"sha1"}
    assert inspect(tmp_path / "vm.ovf").systems[0].families == ("vmx-10",)


def test_what_is_wrong_is_said(
    command: Callable[..., int],
    machine: Machine,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Usage is exit code 2, the rest 1; what is there stays unless --force is given."""
    for words in (
        ["-o", "a.ova"],
        [machine.name],
        [machine.name, "-o", "a.ova", "--hardware", "13"],
        [machine.name, "-o", "a.ova", "--password", "x"],
        [machine.name, "-o", "a.ova", "--password", "x=no-such-file"],
        [machine.name, "-o", "a.ova", "--format", "ovf-3.0"],
    ):
        assert command(*words) == 2, words
    assert command(machine.name, "no-such-machine", "-o", "a.ova") == 1
    assert "no-such-machine" in capsys.readouterr().err
    (tmp_path / "a.ova").write_text("mine")
    assert command(machine.name, "-o", "a.ova") == 1
    assert "there is a.ova already" in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
    assert command(machine.name, "-o", "a.ova", "--force", "--no-manifest") == 0
    assert inspect(tmp_path / "a.ova").manifest == ""

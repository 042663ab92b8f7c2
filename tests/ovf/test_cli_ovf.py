"""``vboxkit ovf``: what people and programs are told, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ovf.builder import ova, put, simple, vmdk
from tests.ovf.corpus import CASES
from vboxkit.cli import output
from vboxkit.cli.__main__ import main
from vboxkit.core.resources import resource

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run each test in a folder of its own, with consoles of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("VBOXKIT_DEBUG", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    output._console.cache_clear()
    yield
    output._console.cache_clear()


def test_inspect_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Machines, disks and problems are shown; a sound appliance is exit code 0."""
    assert main(["ovf", "inspect", str(resource("tiny/tiny.ova"))]) == 0
    said = capsys.readouterr().out
    for word in ("tiny.ova: OVF 1.0, VirtualBox's", "vboxkit-tiny", "64 MiB", "vmdisk1",
                 "vmdk streamOptimized", "no problems"):  # fmt: skip
        assert word in said


@pytest.mark.parametrize("name", CASES)
def test_each_form_is_shown(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is in an appliance, it is shown, and as JSON, too."""
    path = CASES[name].write(tmp_path)
    assert main(["ovf", "inspect", str(path)]) == 0
    assert "OVF " in capsys.readouterr().out
    assert main(["ovf", "inspect", str(path), "--json"]) == 0
    assert {one["code"] for one in json.loads(capsys.readouterr().out)["problems"]} == (
        CASES[name].codes
    )


def test_what_is_broken_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A problem is shown with its place and remedy."""
    path = put(tmp_path, {"a.ovf": simple(href="gone.vmdk").encode()})
    assert main(["ovf", "inspect", str(path)]) == 1
    said = capsys.readouterr().out
    assert "error: a.ovf:" in said
    assert "Envelope/References/File: the file 'gone.vmdk' is missing" in said
    assert "  try: get the file again" in said


def test_an_attack_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be read is an error in words."""
    ova(tmp_path / "a.ova", {"../evil.ovf": b"x"})
    assert main(["ovf", "inspect", "a.ova"]) == 1
    assert "leads out of it" in capsys.readouterr().err
    assert main(["ovf", "inspect", "no.ova"]) == 1
    assert "No such file" in capsys.readouterr().err


def test_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What fits is listed; what does not is exit code 1."""
    assert main(["ovf", "verify", str(resource("tiny/tiny.ova"))]) == 0
    said = capsys.readouterr().out
    assert "tiny-disk001.vmdk" in said
    assert "all are as the manifest says; nobody has signed it" in said
    data = bytearray(resource("tiny/tiny.ova").read_bytes())
    data[3_000_000] ^= 1
    (tmp_path / "bad.ova").write_bytes(data)
    assert main(["ovf", "verify", "bad.ova", "--json"]) == 1
    assert "tiny-disk001.vmdk: its sha256 is" in capsys.readouterr().err


def test_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An appliance is made with the words given, and is found sound."""
    (tmp_path / "d.vmdk").write_bytes(vmdk())
    (tmp_path / "eula.txt").write_text("agree")
    words = ["ovf", "build", "d.vmdk", "--name", "box", "--memory", "256", "--cpus", "2"]
    more = ["--firmware", "efi", "--network", "lan", "--eula", "eula.txt", "--json"]
    assert main([*words, *more]) == 0
    made = json.loads(capsys.readouterr().out)
    assert Path(made["path"]) == tmp_path / "box.ova"
    assert made["bytes"] == (tmp_path / "box.ova").stat().st_size
    assert main(["ovf", "inspect", "box.ova", "--json"]) == 0
    package = json.loads(capsys.readouterr().out)
    (system,) = package["content"]
    assert (system["cpus"], system["firmware"], system["networks"]) == (2, "efi", ["lan"])
    assert system["eulas"][0]["text"] == "agree"
    assert main(words) == 1
    assert "there is such a file already" in capsys.readouterr().err
    assert main([*words, "--force"]) == 0


@pytest.mark.parametrize(
    "words",
    [["inspect"], ["verify"], ["build", "x"], ["build", "--name", "x"], ["export"],
     ["build", "x", "--name", "x", "--firmware", "uefi"]],
)  # fmt: skip
def test_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage is exit code 2."""
    assert main(["ovf", *words]) == 2
    assert "Usage: vboxkit ovf" in capsys.readouterr().err

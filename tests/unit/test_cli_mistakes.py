"""What users get wrong is wrong usage, with the reason: never a traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doc_stories import ROOT
from tests.unit.somebody_else import as_nobody
from tests.vbox.first_hour import reachable
from vboxkit.cli import failure, streams
from vboxkit.cli.__main__ import cli, main
from vboxkit.host.findings import Host
from vboxkit.lab.checkup import examine_home
from vboxkit.settings import cache_dir


def cache_dir_device() -> int:
    """Return the file system on which the cache is, or will be."""
    cache = cache_dir()
    return next(path for path in (cache, *cache.parents) if path.exists()).stat().st_dev


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in a folder and a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VBOXKIT_HOME", str(tmp_path / "home"))
    (tmp_path / "binary").write_bytes(b"\xb4\xff\x00")
    (tmp_path / "disk.raw").write_bytes(bytes(1024))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("audit show --since 99999999999999999w", "neither a span"),
        ("audit show --since 9999999999999w", "neither a span"),
        ("audit show --since 0001-01-01", "neither a span"),
        ("audit show --since yesterday", "neither a span"),
        ("ovf build disk.raw --name x --eula binary", "--eula: cannot read binary"),
        ("export web -o x.ova --license binary", "--license: cannot read binary"),
        ("export web -o x.ova --password disk=binary", "--password disk: cannot read binary"),
        ("export web -o x.ova --password disk=nothing", "--password disk: cannot read nothing"),
    ],
)
def test_wrong_usage(
    line: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Exit code 2 before anything is done."""
    assert main(line.split()) == 2
    told = capsys.readouterr()
    assert said in " ".join(told.err.split())
    assert told.out == ""
    assert not (tmp_path / "home").exists()


def test_many_are_all(capsys: pytest.CaptureFixture[str]) -> None:
    """--last takes any number."""
    assert main(["audit", "show", "--last", "9" * 30, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_the_doctor_sees_a_home_that_cannot_be(tmp_path: Path) -> None:
    """Below a file; a folder of one's own is fine, and so is one that has to be made."""
    (found,) = (it for it in examine_home(tmp_path / "binary" / "home") if it.name == "home")
    assert (found.status, "binary is no folder" in found.detail) == ("problem", True)
    assert "VBOXKIT_HOME=FOLDER" in (found.remedy or "")
    for home in (tmp_path, tmp_path / "new" / "home"):
        assert "home" not in {it.name for it in examine_home(home)}


@pytest.mark.skipif(
    not Path("/dev/shm").is_dir() or Path("/dev/shm").stat().st_dev == cache_dir_device(),
    reason="no second file system",
)
def test_the_doctor_looks_at_the_homes_own_disk() -> None:
    """A home on another disk than the cache has a finding of its own."""
    found = {it.name: it for it in examine_home("/dev/shm/no-such-home")}
    assert found["disk"].detail.endswith(" MB free for /dev/shm/no-such-home")
    assert "disk" not in {it.name for it in examine_home(cache_dir() / "home")}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="becomes somebody else")
def test_the_doctor_sees_a_home_of_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the right to write there."""
    (tmp_path / "roots").mkdir(mode=0o755)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    Host()  # loads what it needs
    with reachable(tmp_path):
        (detail,) = as_nobody(
            lambda: [it.detail for it in examine_home(tmp_path / "roots") if it.name == "home"]
        )
    assert f"{tmp_path / 'roots'} cannot be written to by" in detail


def test_exit_codes_are_documented() -> None:
    """Each that there is, on the page; those of every command in the help, too."""
    page = (ROOT / "docs" / "command.md").read_text(encoding="utf-8")
    table = page.split("## Exit codes")[1].split("## ")[0]
    listed = set(re.findall(r"^\| (\d+) \|", table, re.MULTILINE))
    codes = {0, failure.FAILED, failure.WRONG_USAGE, failure.NOT_READY, failure.INTERRUPTED}
    assert listed == {str(code) for code in codes}
    assert all(str(code) in table for code in (streams.UNKNOWN, streams.BROKEN_PIPE))
    told = (cli.epilog or "").partition("Exit codes:")[2]
    assert {int(code) for code in re.findall(r"\b\d+\b", told.split("VBOXKIT_")[0])} == codes


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("words", [("config", "show"), ("config", "show", "--json")], ids=" ".join)
def test_names_that_the_output_cannot_have(
    tmp_path: Path, encoding: str, words: tuple[str, ...]
) -> None:
    """Letters without a place in its encoding, and bytes that are no text: by their numbers."""
    home = os.fsencode(tmp_path) + "/hö€".encode() + b"\xff"
    env = {
        **os.environb,
        b"VBOXKIT_HOME": home,
        b"PYTHONIOENCODING": encoding.encode(),
        b"PYTHONUTF8": b"1",
    }
    command = [sys.executable, "-m", "vboxkit", *words]
    done = subprocess.run(command, env=env, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode(encoding)
    if "--json" in words:
        (value,) = (it["value"] for it in json.loads(text) if it["name"] == "home")
        assert os.fsencode(value) == home
    else:
        assert "\\udcff" in text
        assert ("hö€" in text) is (encoding == "utf-8")

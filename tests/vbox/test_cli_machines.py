"""The command's verbs for machines that need not run, on real VirtualBox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.cli import output
from vboxkit.cli.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vboxkit import Machine, VirtualBox


class Shell:
    """The command, in this process and the tests' home."""

    def __init__(self, vbox: VirtualBox, capsys: pytest.CaptureFixture[str]) -> None:
        self._home = str(vbox.home)
        self._capsys = capsys

    def __call__(self, *words: object, code: int = 0) -> str:
        """Run it, look at its exit code, and return what it said."""
        output._console.cache_clear()
        assert main(["--home", self._home, *map(str, words)]) == code
        said = self._capsys.readouterr()
        return said.err if code else said.out

    def json(self, *words: object) -> Any:
        """Run it, and return what it writes as JSON."""
        return json.loads(self(*words, "--json"))


@pytest.fixture
def run(vbox: VirtualBox, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Return the command."""
    return Shell(vbox, capsys)


def test_create_info_and_destroy(
    run: Shell, vbox: VirtualBox, label: Callable[[str], str], inventory: Callable[[], set[str]]
) -> None:
    """A machine as asked for; `info` shows it; nothing is left of it."""
    before = inventory()
    name = label("made")
    made = run.json("create", name, "--memory", 64, "--disk", 10, "--cpus", 2, "--nic", "NAT")
    assert made["name"] == name
    assert vbox.machines[name].id == made["id"]
    told = run.json("info", name)
    assert (told["memory_mb"], told["cpus"], told["state"]) == (64, 2, "PoweredOff")
    assert told["network"][0]["attachment"] == "NAT"
    shown = run("info", name)
    for word in (name, made["id"], "64 MiB", "NAT", ".vdi", made["folder"]):
        assert word in shown
    assert run("destroy", name) == f"removed {name}\n"
    assert inventory() == before


def test_clone(run: Shell, machine: Machine, vbox: VirtualBox) -> None:
    """Full and linked, with the snapshot that is named."""
    machine.snapshots.take("fresh")
    full, linked = f"{machine.name}-full", f"{machine.name}-linked"
    assert full in run("clone", machine.name, full)
    assert run.json("clone", machine.name, linked, "--linked", "--snapshot", "fresh")
    assert machine.linked_clones() == [linked]
    assert vbox.machines[full].memory_mb == machine.memory_mb


def test_snapshots(run: Shell, machine: Machine) -> None:
    """Take, tree, restore, rm."""
    memory = machine.memory_mb
    assert "no snapshots" in run("snapshot", "tree", machine.name)
    assert run("snapshot", "take", machine.name, "fresh", "--description", "as made")
    machine.memory_mb = memory + 4
    assert run("snapshot", "take", machine.name, "more")
    rows = run.json("snapshot", "tree", machine.name)
    assert [(row["path"], row["depth"], row["current"]) for row in rows] == [
        ("/fresh", 0, False),
        ("/fresh/more", 1, True),
    ]
    assert rows[0]["description"] == "as made"
    assert "more" in run("snapshot", "tree", machine.name)
    assert "fresh" in run("snapshot", "restore", machine.name, "fresh")
    assert machine.memory_mb == memory
    assert "/fresh/more" in run("snapshot", "rm", machine.name, "more")
    assert machine.snapshots.paths() == ["/fresh"]
    assert "frsh" in run("snapshot", "rm", machine.name, "frsh", code=1)


def test_resize(run: Shell, machine: Machine) -> None:
    """All or nothing, and a range that is told."""
    assert "96 MiB, 2 CPUs" in run("resize", machine.name, "--memory", 96, "--cpus", 2)
    said = run("resize", machine.name, "--memory", 128, "--cpus", 1000, code=1)
    assert "1 to" in said
    assert (machine.memory_mb, machine.cpus) == (96, 2)
    assert "nothing to change" in run("resize", machine.name, code=2)


def test_net(run: Shell, machine: Machine) -> None:
    """Forwards come and go; a policy is set and shown."""
    rule = run.json("net", "forward", machine.name, 80)
    assert rule["guest_port"] == 80
    assert rule["host_port"] > 1024
    told = run.json("net", "show", machine.name)
    assert rule in told["forwards"]
    assert f"127.0.0.1:{rule['host_port']}" in run("net", "show", machine.name)
    run("net", "unforward", machine.name, rule["name"])
    assert rule not in run.json("net", "show", machine.name)["forwards"]
    assert "not GUEST or HOST:GUEST" in run("net", "forward", machine.name, "http", code=2)
    assert "isolated" in run("net", "policy", machine.name, "isolated")
    assert run.json("net", "show", machine.name)["policy"] == "isolated"


def test_media(run: Shell, machine: Machine, place: Path) -> None:
    """Made, listed as an orphan, drawn and removed; a disk in use is refused."""
    disk = place / "data.vdi"
    assert "10 MiB" in run("media", "create", disk, "--size", 10)
    orphans = [row["location"] for row in run.json("media", "ls", "--orphans")]
    assert str(disk) in orphans
    assert str(disk) in run("media", "ls")
    assert str(disk) in run("media", "tree")
    used = machine.storage.disks[0].location
    assert machine.name in run("media", "rm", used, code=1)
    assert run("media", "rm", disk) == f"removed {disk}\n"
    assert not disk.exists()


def test_a_name_that_is_not_there(run: Shell, machine: Machine) -> None:
    """Each verb says so, with the near ones, and touches none of the others that were named."""
    for words in (["info"], ["start"], ["stop"], ["destroy"], ["resize", "--cpus", "1"]):
        said = run(words[0], f"{machine.name}x", *words[1:], code=1)
        assert repr(machine.name) in said
    run("destroy", machine.name, f"{machine.name}x", code=1)
    assert machine.registered


def test_stopping_what_does_not_run(run: Shell, machine: Machine) -> None:
    """The error has the state; two ways at once are a usage error."""
    assert "PoweredOff" in run("stop", machine.name, "--pause", code=1)
    assert "choose one" in run("stop", machine.name, "--force", "--save", code=2)

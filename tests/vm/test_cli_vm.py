"""The command with real VirtualBox and real guests, as a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.core.processes import ProcessId
from vboxkit.lab import leases
from vboxkit.lab.places import Places
from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.vm


class Command:
    """The command, with a home of its own; the image is built once for all tests."""

    def __init__(self, home: Path) -> None:
        self.places = Places(home)
        self._env = environment() | {"VBOXKIT_HOME": str(home)}

    def __call__(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run it, and return how it ended."""
        return subprocess.run(
            [sys.executable, "-m", "vboxkit", *words],
            input=stdin,
            capture_output=True,
            env=self._env,
            check=False,
            timeout=200,
        )

    def json(self, *words: str) -> Any:
        """Run it, see that it succeeds, and return what it writes as JSON."""
        done = self(*words, "--json")
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def keep(self) -> str:
        """Make a fork that lives on without an owner, and return its name."""
        done = self("run", "tiny", "--keep", "--", "true")
        found = re.search(rb"^kept: (\S+)", done.stderr, re.MULTILINE)
        assert found, done.stderr.decode()
        return found[1].decode()

    def names(self) -> set[str]:
        """Return the names of the machines that there are."""
        return {row["name"] for row in self.json("ls")}


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """Return the command with an image that was built; at the end nothing but it is there."""
    it = Command(tmp_path_factory.mktemp("cli") / "home")
    built = it.json("images", "build", "tiny")
    yield it
    assert it.names() == {built["machine_name"]}
    assert it("images", "rm", "tiny").returncode == 0
    assert it.json("ls") == []
    assert list(it.places.machines.iterdir()) == []


@pytest.fixture(scope="session")
def kept(command: Command) -> Iterator[str]:
    """Return the name of a fork that lives on without an owner; it is removed at the end."""
    yield command.keep()
    assert command("gc", "--kept").returncode == 0


def test_run_passes_streams_and_exit_code_on(command: Command) -> None:
    """Both streams come byte by byte and nothing else, and the guest's exit code."""
    before = command.names()
    done = command("run", "tiny", "--", "sh", "-c", r"printf 'out\0\377'; echo err >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\0\377", b"err\n")
    assert command.names() == before


def test_run_takes_input_and_variables(command: Command) -> None:
    """Standard input and ``--env`` reach the guest's command."""
    done = command("run", "tiny", "--env", "LEVEL=a b", "--", 'cat; echo "$LEVEL"', stdin=b"\0x\n")
    assert (done.returncode, done.stdout) == (0, b"\0x\na b\n")


def test_run_of_a_command_that_hangs(command: Command) -> None:
    """When the time is up: an error that says so, what it wrote till then, and no machine."""
    before = command.names()
    done = command("run", "tiny", "--timeout", "2", "--", "echo first; sleep 60")
    assert done.returncode == 1
    assert done.stdout == b"first\n"
    assert b"did not end within 2 s" in done.stderr
    assert b"Traceback" not in done.stderr
    assert command.names() == before


def test_forks_stop_and_start(command: Command) -> None:
    """Forks that stay: saved, paused and started again; a snapshot with memory; destroyed."""
    before = command.names()
    one, two = (each["name"] for each in command.json("fork", "tiny", "-n", "2"))
    try:
        assert command("ssh", one, "--", "touch /tmp/here").returncode == 0
        told = command("stop", one, "--save")
        assert told.stdout.decode() == f"{one}: Saved\n", told.stderr.decode()
        assert command("stop", two, "--pause").stdout.decode() == f"{two}: Paused\n"
        assert command.json("info", two)["state"] == "Paused"
        started = command("start", one, two)
        assert started.stdout.decode() == f"{one}: Running\n{two}: Running\n"
        assert command("ssh", one, "--", "test -e /tmp/here").returncode == 0
        (copy,) = command.json("fork", one)
        assert command("ssh", copy["name"], "--", "test -e /tmp/here").returncode == 0
        assert command("destroy", copy["name"]).returncode == 0
        assert command("snapshot", "take", one, "with-memory").returncode == 0
        assert command("ssh", one, "--", "rm /tmp/here").returncode == 0
        back = command("snapshot", "restore", one, "with-memory", "--start")
        assert b"Running" in back.stdout, back.stderr.decode()
        assert command("ssh", one, "--", "test -e /tmp/here").returncode == 0
        assert command("stop", one, "--force").stdout.decode() == f"{one}: PoweredOff\n"
    finally:
        done = command("destroy", one, two)
    assert done.returncode == 0, done.stderr.decode()
    assert command.names() == before


def test_run_of_an_unknown_image(command: Command) -> None:
    """An image that is none is an error with a hint."""
    done = command("run", "nope", "--", "true")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().splitlines() == [
        "error: there is no image 'nope'",
        "  try: 'tiny', 'debian', or the path of an .ova file",
    ]


def test_run_of_a_file_that_is_no_appliance(command: Command, tmp_path: Path) -> None:
    """A file that is no OVA, and one that is not there, are errors without a traceback."""
    (tmp_path / "no.ova").write_bytes(b"hello")
    for name in ("no.ova", "missing.ova"):
        done = command("run", str(tmp_path / name), "--", "true")
        assert done.returncode == 1
        assert done.stderr.startswith(b"error: ")
        assert name.encode() in done.stderr
        assert b"Traceback" not in done.stderr


def test_ls_shows_a_fork(command: Command, kept: str) -> None:
    """A fork is listed with its state, image, port and owner."""
    [row] = [row for row in command.json("ls") if row["name"] == kept]
    assert (row["kind"], row["state"], row["image"]) == ("fork", "Running", "tiny")
    assert (row["kept"], row["owner_alive"]) == (True, False)
    assert 1024 < row["ssh_port"] < 65536
    assert 0 < time.time() - row["created"] < 200
    assert kept.encode() in command("ls").stdout


def test_ssh_runs_a_command(command: Command, kept: str) -> None:
    """A command runs in the very fork, and its exit code and output are passed on."""
    assert command("ssh", kept, "--", "echo here > /tmp/mark").returncode == 0
    done = command("ssh", kept, "--", "cat /tmp/mark; exit 4")
    assert (done.returncode, done.stdout, done.stderr) == (4, b"here\n", b"")


def test_ssh_to_what_is_not_there(command: Command) -> None:
    """An unknown name is an error that says where the names are, for the image's machine too."""
    image = command.json("images", "ls")[0]["machine_name"]
    for name in ("nobody", image):
        done = command("ssh", name, "--", "true")
        assert done.returncode == 1
        assert f"there is no disposable machine {name!r}".encode() in done.stderr
        assert done.stderr.endswith(b"  try: vboxkit ls\n")


def test_images_tell_their_forks(command: Command, kept: str) -> None:
    """An image has a size and forks; one with forks is not removed, and nothing is broken."""
    [image] = command.json("images", "ls")
    assert image["forks"] == [kept]
    assert image["disk_bytes"] > 1_000_000
    done = command("images", "rm", "tiny")
    assert done.returncode == 1
    assert kept.encode() in done.stderr
    assert command.json("images", "prune", "--all")["removed"] == []
    assert command("ssh", kept, "--", "true").returncode == 0


def test_images_are_built_with_steps(command: Command, tmp_path: Path) -> None:
    """Steps are done in the order given; the image is run, listed, and removed by its name."""
    (tmp_path / "page").write_text("hello\n")
    built = command.json(
        "images", "build", "tiny", "--name", "web", "--run", "mkdir -p /srv/www",
        "--put", f"{tmp_path / 'page'}:/srv/www/", "--run", "cp /srv/www/page /srv/www/copy",
    )  # fmt: skip
    assert (built["name"], len(built["layers"])) == ("web", 4)
    assert built["build_seconds_with_layers"] > built["build_seconds"] > 0
    done = command("run", "web", "--", "cat /srv/www/page /srv/www/copy")
    assert (done.returncode, done.stdout) == (0, b"hello\nhello\n"), done.stderr
    rows = {row["name"]: row for row in command.json("images", "ls")}
    assert set(rows) == {"tiny", "web"}
    assert 1_000_000 < rows["web"]["disk_bytes"] < rows["web"]["disk_bytes_with_layers"]
    layers = command.json("images", "ls", "--layers")
    assert sorted(row["step"].partition(" ")[0] for row in layers) == ["", "put", "run", "run"]
    table = command("images", "ls", "--layers").stdout.decode()
    assert "run cp /srv/www/page /srv/www/copy" in table
    refused = command("images", "rm", "tiny")
    assert refused.returncode == 1
    assert b"image 'web'" in refused.stderr
    # An image of its own on top, by name; it goes by the beginning of its digest.
    more = command.json("images", "build", "web", "--run", "true")
    assert more["name"].startswith("web+")
    assert command("images", "rm", more["digest"][:12]).returncode == 0
    old = command.json("images", "prune", "--days", "0", "--dry-run")
    assert built["machine_name"] in old["removed"]
    assert old["reasons"][built["machine_name"]] == "not asked for in 0 days"
    assert old["disk_bytes"] > 4_000_000
    assert command("images", "prune").stdout == b"nothing to remove\n"
    assert command("images", "rm", "web").returncode == 0
    assert [row["name"] for row in command.json("images", "ls", "--layers")] == ["tiny"]


def test_a_build_whose_step_fails(command: Command) -> None:
    """The error has the step and what the command wrote; nothing is left."""
    before = command.names()
    done = command("images", "build", "--name", "bad", "--run", "echo reason >&2; exit 3")
    assert done.returncode == 1
    assert b"image 'bad': step 1 of 1" in done.stderr
    assert b"reason" in done.stderr
    assert b"Traceback" not in done.stderr
    assert command.names() == before


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--put", "no-colon"], b"is not SOURCE:TARGET"),
        (["--put", "missing-file:/srv/"], b"there is no file or folder 'missing-file'"),
        (["--memory", "1"], b"--memory"),
        (["--run", "true", "--name", "tiny"], b"cannot be named 'tiny'"),
    ],
)
def test_wrong_arguments_of_a_build(command: Command, words: list[str], text: bytes) -> None:
    """They are refused before anything is built."""
    before = command.names()
    done = command("images", "build", "tiny", *words)
    assert done.returncode in {1, 2}
    assert text in done.stderr
    assert command.names() == before


def test_gc_removes_what_a_dead_process_left(command: Command) -> None:
    """A machine whose owner is dead is named by ``--dry-run``, and removed without it."""
    name = command.keep()
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        dead = ProcessId.of(process.pid)
    lease = leases.Lease(name=name, pid=dead.pid, started=dead.started, created=time.time())
    leases.write(command.places.leases, lease)
    named = command("gc", "--dry-run")
    assert named.stdout.startswith(f"would remove {name} (fork".encode())
    assert name in command.names()
    assert command("gc").stdout.startswith(f"removed {name} (fork".encode())
    assert name not in command.names()
    assert not (command.places.machines / name).exists()
    assert command("gc").stdout == b"nothing to remove\n"


def test_demo(command: Command) -> None:
    """The demo succeeds; its JSON says what it did, and that nothing is left."""
    before = command.names()
    found = command.json("demo", "--forks", "2")
    assert found["ok"] is True
    assert found["error"] is None
    assert [step["ok"] for step in found["steps"]] == [True] * 6
    assert len({fork["ssh_port"] for fork in found["forks"]}) == 2
    assert all(fork["kernel"].startswith("Linux ") for fork in found["forks"])
    kinds = ("machines", "processes", "leases", "media", "folders")
    assert found["left"] == {kind: [] for kind in kinds}
    assert command.names() == before


def test_demo_tells_of_a_failure(command: Command) -> None:
    """A demo that fails ends with exit code 1, its summary, the error, and nothing left."""
    done = command("demo", "--image", "nope")
    assert done.returncode == 1
    assert b"error: there is no image 'nope'\n  try: " in done.stderr
    assert b"nothing left: 0 machines, 0 processes" in done.stdout

"""The doctor on machines laid out in a folder, and on this one."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vboxkit.cli.__main__ import main
from vboxkit.core import processes
from vboxkit.errors import SetupError
from vboxkit.host import doctor, doctor_software, remedies
from vboxkit.host.findings import Host
from vboxkit.lab import checkup, leases
from vboxkit.lab.checkup import examine_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vboxkit.host.findings import Finding

pytestmark = pytest.mark.usefixtures("sandbox")

_UBUNTU = 'NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n'


def by_name(findings: Iterable[Finding]) -> dict[str, Finding]:
    """Return the findings by their names."""
    return {finding.name: finding for finding in findings}


# The whole


def test_everything_is_examined() -> None:
    """On any machine each check gives a finding, and each that is not ok has a remedy."""
    found = doctor.examine()
    wanted = {"Python", "VirtualBox", "kernel driver", "memory", "disk", "ports", "sandbox"}
    assert wanted <= {finding.name for finding in found}
    assert [finding for finding in found if finding.status != "ok" and not finding.remedy] == []


def test_a_bare_machine_has_a_remedy_for_each_finding(lay: Callable[..., Host]) -> None:
    """Of a machine about which nothing can be read no check fails."""
    for system in ("linux", "darwin", "win32"):
        found = doctor.examine(
            dataclasses.replace(lay() if system == "linux" else Host(), platform=system)
        )
        assert not [it for it in found if "cannot be examined" in it.detail]
        assert all(it.remedy for it in found if it.status != "ok")


def test_a_failing_check_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that cannot look says so; the others go on."""

    def _odd_thing(_: Host) -> list[Finding]:
        raise SetupError("no eyes", hint="open them")

    monkeypatch.setattr(doctor, "_CHECKS", (_odd_thing, doctor_software.python))
    first, second = doctor.examine()
    assert (first.name, first.status, first.remedy) == ("odd thing", "warning", "open them")
    assert "no eyes" in first.detail
    assert second.name == "Python"


def _tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    return {
        str(path): (status.st_mode, status.st_size, status.st_mtime_ns)
        for path in folder.rglob("*")
        for status in [path.lstat()]
    }


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_it_changes_nothing(tmp_path: Path) -> None:
    """No file, no folder and no process is there afterwards that was not before."""
    home, cache = tmp_path / "home", tmp_path / "cache"
    leases.take(home / "leases", "mine")
    code = (
        "import os, sys; from pathlib import Path; from vboxkit.cli.__main__ import main\n"
        "def children():\n"
        "    me = str(os.getpid())\n"
        "    stats = [(p / 'stat') for p in Path('/proc').iterdir() if p.name.isdecimal()]\n"
        "    return [s for s in stats if s.exists()"
        " and s.read_text().rpartition(')')[2].split()[1] == me]\n"
        "main(['doctor', '--json']); sys.exit(len(children()))"
    )
    env = {
        **os.environ,
        "VBOXKIT_HOME": str(home),
        "VBOXKIT_CACHE_DIR": str(cache),
        "TMPDIR": str(tmp_path),
        "HOME": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for name in ("VBOX_USER_HOME", "VBOX_IPC_SOCKETID", "XDG_CONFIG_HOME"):
        env.pop(name, None)
    before = _tree(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert _tree(tmp_path) == before
    # VBoxSVC is nobody's child, but has the environment of who needed it first.
    mine = {"HOME": str(tmp_path)}
    assert list(processes.find(argument="--auto-shutdown", environment=mine)) == []
    assert {"name", "status", "detail", "remedy"} == set(json.loads(done.stdout)[0])


# What is installed


def test_no_virtualbox_is_a_problem(lay: Callable[..., Host], nowhere: None) -> None:
    """The remedy is this system's command."""
    host = lay({"etc/os-release": _UBUNTU})
    (found,) = doctor_software.virtualbox(host)
    assert (found.status, found.remedy) == ("problem", remedies.virtualbox(host))
    assert "sudo apt-get install virtualbox" in remedies.virtualbox(host)


def test_a_sandbox_is_a_virtualbox(
    sandbox: Callable[..., None], nowhere: None, lay: Callable[..., Host]
) -> None:
    """With a sandbox a machine without VirtualBox is fine."""
    sandbox(exists=True, virtualbox="7.2.22")
    (found,) = doctor_software.virtualbox(lay())
    assert found.status == "ok"
    assert "7.2.22" in found.detail


@pytest.mark.parametrize(
    ("version", "status"), [("7.2.22", "ok"), ("6.1.50", "problem"), (None, "warning")]
)
def test_version(
    installed: Callable[[str | None], Path],
    lay: Callable[..., Host],
    version: str | None,
    status: str,
) -> None:
    """VirtualBox 7 is wanted; one that cannot tell its version is doubtful."""
    installed(version)
    # The next finding is of vboxapi, which is not there: tests/vbox looks at a real one.
    found = next(iter(doctor_software.virtualbox(lay())))
    assert (found.name, found.status) == ("VirtualBox", status)


@pytest.mark.parametrize(("theirs", "status"), [("7.2.22", "ok"), ("7.1.4", "warning")])
def test_extension_packs(
    tmp_path: Path, lay: Callable[..., Host], theirs: str, status: str
) -> None:
    """A pack of another version is told with the command that replaces it."""
    folder = tmp_path / "ExtensionPacks/Oracle_VirtualBox_Extension_Pack"
    folder.mkdir(parents=True)
    (folder / "ExtPack.xml").write_text(
        '<VirtualBoxExtensionPack version="1.0"><Name>Oracle VirtualBox Extension Pack</Name>'
        f'<Version revision="1">{theirs}</Version></VirtualBoxExtensionPack>'
    )
    (found,) = doctor_software.extension_packs(lay(), tmp_path, "7.2.22")
    assert found.status == status
    assert f"Extension Pack {theirs}" in found.detail
    file = "Oracle_VirtualBox_Extension_Pack-7.2.22.vbox-extpack"
    assert (f"extpack install --replace {file}" in (found.remedy or "")) is (status == "warning")


@pytest.mark.parametrize(
    ("told", "system"),
    [
        (_UBUNTU, "ubuntu"),
        ("ID=debian\n", "debian"),
        ("ID=linuxmint\nID_LIKE=ubuntu\n", "ubuntu"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "fedora"),
        ("ID=manjaro\nID_LIKE=arch\n", "arch"),
        ('ID="opensuse-leap"\n', "suse"),
        ("ID=void\n", "linux"),
        ("", "linux"),
    ],
)
def test_systems(lay: Callable[..., Host], told: str, system: str) -> None:
    """os-release tells the system; what is like another has its commands."""
    assert lay({"etc/os-release": told}).system == system


def test_each_system_has_its_own_commands(lay: Callable[..., Host]) -> None:
    """Debian, Ubuntu, Fedora, Arch, macOS and Windows: the program that installs there."""
    host = lay()
    programs = {"ubuntu": "apt-get", "debian": "sandbox", "fedora": "dnf", "arch": "pacman"}
    for name, program in programs.items():
        (host.path("etc")).mkdir(exist_ok=True)
        host.path("etc/os-release").write_text(f"ID={name}\n")
        assert program in remedies.virtualbox(host)
        if name != "debian":
            assert program in remedies.driver(host, oracle=False)
    apple, windows = (dataclasses.replace(host, platform=it) for it in ("darwin", "win32"))
    assert "brew" in remedies.virtualbox(apple)
    assert "winget" in remedies.virtualbox(windows)
    for made, words in (
        (remedies.set_variable, ("V", "x")),
        (remedies.may_write, ("C:/tmp",)),
        (remedies.loopback, ()),
        (remedies.end, ([4, 711],)),
    ):
        told = [made(it, *words) for it in (host, windows)]
        assert len(set(told)) == 2
        assert not re.search(r"sudo|export|^kill", told[1])
    assert remedies.end(windows, [4, 711]) == "taskkill /F /PID 4 /PID 711"
    assert remedies.loopback(apple) == "sudo ifconfig lo0 up"


# Room


@pytest.mark.parametrize(("kilobytes", "status"), [(8_000_000, "ok"), (100_000, "warning")])
def test_memory(lay: Callable[..., Host], kilobytes: int, status: str) -> None:
    """Little free memory is a warning."""
    host = lay({"proc/meminfo": f"MemTotal: 1 kB\nMemAvailable:  {kilobytes} kB\n"})
    (found,) = doctor._memory(host)
    assert found.status == status
    assert f"{kilobytes // 1024} MB" in found.detail
    assert bool(found.remedy) is (status == "warning")


def test_unknown_memory_is_no_finding(lay: Callable[..., Host]) -> None:
    """Where the system does not tell, nothing is said."""
    assert not list(doctor._memory(lay()))


def test_ports(lay: Callable[..., Host]) -> None:
    """What listens in vboxkit's range is counted; too few free ones are a warning."""
    head = "  sl  local_address rem_address   st tx_queue\n"

    def line(port: int, state: str) -> str:
        return f"   0: 0100007F:{port:04X} 00000000:0000 {state} 0:0 0:0 0 0 0 1\n"

    table = head + line(20_022, "0A") + line(20_023, "01") + line(22, "0A")
    ranges = "proc/sys/net/ipv4/ip_local_port_range"
    host = lay({"proc/net/tcp": table, "proc/net/tcp6": table, ranges: "32768\t60999\n"})
    (found,) = doctor._ports(host)
    assert (found.status, "12767 of 20000 to 32767" in found.detail) == ("ok", True)
    every = head + "".join(line(port, "0A") for port in range(20_000, 32_700))
    host.path("proc/net/tcp").write_text(every)
    (found,) = doctor._ports(host)
    assert (found.status, "68 of" in found.detail) == ("warning", True)
    assert "ss -ltnp" in (found.remedy or "")


@pytest.mark.parametrize(("stale", "status"), [(False, "ok"), (True, "warning")])
def test_stale_sandbox(
    sandbox: Callable[..., None], lay: Callable[..., Host], *, stale: bool, status: str
) -> None:
    """An old recipe is a warning with the command that renews it."""
    sandbox(exists=True, stale=stale)
    (found,) = doctor._sandbox(lay())
    assert found.status == status
    assert (found.remedy == "vboxkit sandbox create") is stale


def test_a_sandbox_that_cannot_be_made(
    lay: Callable[..., Host], nowhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is neither VirtualBox nor a way to a sandbox, what opens that is told."""

    def refused() -> None:
        raise SetupError("no newuidmap", hint="sudo apt-get install uidmap")

    monkeypatch.setattr(doctor, "check_namespaces", refused)
    (found,) = doctor._sandbox(lay({"etc/os-release": _UBUNTU}))
    assert (found.status, found.remedy) == ("warning", "sudo apt-get install uidmap")
    lay_of_fedora = Host(root=Path("/none"), platform="linux")
    (found,) = doctor._sandbox(lay_of_fedora)
    assert (found.status, found.detail) == ("ok", "none")


def test_colours(tmp_path: Path) -> None:
    """Colours where they are wanted, and none with NO_COLOR; a list in a narrow terminal."""

    def run(**more: str) -> str:
        env = {**os.environ, "VBOXKIT_HOME": str(tmp_path), "TERM": "xterm", "FORCE_COLOR": "1"}
        env |= more
        words = [sys.executable, "-m", "vboxkit", "doctor"]
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
        assert done.returncode in {0, 1}
        return done.stdout

    colour = re.compile(r"\x1b\[(1;)?3[0-7]m")
    assert colour.search(run())
    assert not colour.search(run(NO_COLOR="1"))
    narrow = run(NO_COLOR="1", COLUMNS="40")
    assert "  status: ok" in narrow
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in narrow.splitlines()) <= 40


# The home


@pytest.fixture
def dead() -> int:
    """Return the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_leftovers(tmp_path: Path, dead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process that died had claimed is told with vboxkit gc; what is kept is no leftover."""
    # Other tests of this machine may leave some of their own.
    monkeypatch.setattr(checkup, "running_machines", list)
    folder = tmp_path / "leases"
    leases.take(folder, "living")
    found = by_name(examine_home(tmp_path))
    assert (found["leftovers"].status, found["leftovers"].detail) == ("ok", "none")
    for number in range(5):
        lease = leases.Lease(name=f"lost{number}", pid=dead, started=1.0, created=float(number))
        leases.write(folder, lease)
    found = by_name(examine_home(tmp_path))
    assert found["leftovers"].detail.endswith("lost0, lost1, lost2 and 2 more")
    assert found["leftovers"].remedy == "vboxkit gc"
    for number in range(5):
        leases.keep(folder, f"lost{number}")
    assert by_name(examine_home(tmp_path))["leftovers"].detail == "none; 5 kept on purpose"


def test_a_wrong_setting_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The doctor names it and goes on; other commands would end."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.vboxkit]\nboot-timeuot = 3\n")
    assert main(["doctor", "--json"]) == 1
    found = {it["name"]: it for it in json.loads(capsys.readouterr().out)}
    assert (found["settings"]["status"], found["settings"]["remedy"]) == (
        "problem",
        "there: 'boot_timeout'; then vboxkit config show",
    )
    assert "memory" in found

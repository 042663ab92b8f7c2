"""`vboxkit bench`: figures of a real guest, as a process of its own; nothing is left behind."""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit import MachineState
from vboxkit.lab.measurement import load
from vboxkit.settings import environment

if TYPE_CHECKING:
    from vboxkit import VM, Lab

pytestmark = [pytest.mark.vm, pytest.mark.slow, pytest.mark.timeout(600)]

#: Each row of the built-in guest, and its unit. It has one CPU: that of all CPUs is left out.
ROWS = {
    "fork: to SSH": "s",
    "fork: destroy": "s",
    "boot: to SSH": "s",
    "ssh: a command": "ms",
    "ssh: a new connection": "ms",
    "cpu: shell loop": "loops/s",
    "cpu: SHA-256": "MB/s",
    "cpu: process start": "starts/s",
    "memory: fill": "MB/s",
    "memory: write a file in RAM": "MB/s",
    "memory: read a file in RAM": "MB/s",
    "disk: write with fsync": "MB/s",
    "disk: read": "MB/s",
    "disk: 4 KiB with fsync": "writes/s",
    "network: SSH, from guest": "MB/s",
    "network: SSH, to guest": "MB/s",
    "network: forward, from guest": "MB/s",
}
#: In the guest: what the work would leave.
FOLDERS = "ls -A /tmp /var/tmp /run /root /dev/shm 2>/dev/null"


def bench(lab: Lab, *words: str, columns: int = 80) -> subprocess.CompletedProcess[str]:
    """Run the command in the lab's home, and return how it ended."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "vboxkit", "bench", *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment() | {"VBOXKIT_HOME": str(lab.places.home), "COLUMNS": str(columns)},
        timeout=500,
    )


def there(lab: Lab) -> dict[str, Any]:
    """Return what is in the home: machines with their states, leases, folders, images, media."""
    return {
        "machines": {machine.name: machine.state for machine in lab.vbox.machines},
        "leases": sorted(path.name for path in lab.places.leases.glob("*.json")),
        "folders": sorted(path.name for path in lab.places.machines.iterdir()),
        "images": sorted(image.digest for image in lab.images(layers=True)),
        "files": sorted(path.name for path in lab.places.home.glob(".vboxkit-bench-*")),
        "memory": sorted(path.name for path in Path("/dev/shm").glob(".vboxkit-bench-*")),
    }


def picture(path: Path) -> tuple[int, int]:
    """Return width and height of a PNG file of which every piece is whole."""
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    place, kinds = 8, []
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 8 + length
        assert zlib.crc32(data[place + 4 : end]) == struct.unpack_from(">I", data, end)[0]
        kinds.append(kind)
        place = end + 4
    assert (kinds[0], kinds[-1]) == (b"IHDR", b"IEND")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def test_all_of_an_image(vm_lab: Lab, tmp_path: Path) -> None:
    """All rows have units and positive figures; saved, drawn, and as JSON; nothing is left."""
    vm_lab.image("tiny")
    before = there(vm_lab)
    saved, drawn = tmp_path / "found.json", tmp_path / "found.png"
    done = bench(
        vm_lab, "tiny", "--runs", "1", "--json", "--save", str(saved), "--plot", str(drawn)
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {f"{row['group']}: {row['name']}": row["unit"] for row in found["rows"]} == ROWS
    for row in found["rows"]:
        assert row["median"], row
        assert row["median"] > 0, row
        assert len(row["values"]) >= 1
        if row["group"] in {"cpu", "memory", "disk"}:
            assert row["host"] > 0, row
            # Emulated or not: no guest is faster than its host by more than a cache is.
            assert 0 < row["of_host"] < 20, row
    assert found["where"] == "a fork of image tiny, destroyed afterwards"
    checks = {check["name"]: check for check in found["checks"]}
    assert checks["CPUs"]["verdict"] == "as configured"
    assert checks["RAM"]["seen"] == checks["RAM"]["configured"] == "64 MiB"
    assert checks["disk"]["seen"].endswith(", 512 MiB")
    assert checks["network cards"]["missing"] == []
    assert checks["USB devices"]["configured"] == "none attached"
    assert checks["execution"]["seen"] == "emulated" or checks["execution"]["ok"]
    assert found["emulated"] is (checks["execution"]["seen"] == "emulated")
    flags = set(Path("/proc/cpuinfo").read_text().split("flags", 1)[1].splitlines()[0].split())
    assert set(checks["CPU features"]["missing"]) < flags
    assert "sse2" not in checks["CPU features"]["missing"]
    assert [row.values for row in load(saved).rows] == [row["values"] for row in found["rows"]]
    width, height = picture(drawn)
    assert width >= 1000
    assert height >= 1000
    assert there(vm_lab) == before


def test_a_machine_that_runs_is_measured_itself(vm: VM, vm_lab: Lab, tmp_path: Path) -> None:
    """Only what was asked for, compared with before; the machine and its files are as before."""
    saved = tmp_path / "before.json"
    before, inside = there(vm_lab), vm.ssh.succeed(FOLDERS)
    process = vm.session_pid
    done = bench(vm_lab, vm.name, "--only", "cpu,memory", "--runs", "2", "--save", str(saved))
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert f"{vm.name}: measured on {vm.name} itself, as it runs" in told
    groups = {row.group for row in load(saved).rows}
    assert groups == {"cpu", "memory"}
    assert "hardware" not in done.stdout.replace("hardware-virtualised", "")
    again = bench(
        vm_lab, vm.name, "--only", "cpu, hardware", "--runs", "1", "--compare", str(saved)
    )
    assert again.returncode == 0, again.stderr
    found = [line.split() for line in again.stdout.splitlines() if line.startswith(" cpu: shell")]
    assert len(found) == 1
    then, now, unit, ratio, verdict = found[0][-5:]
    assert unit == "loops/s"
    assert verdict in {"same", "better", "worse"}
    made = float(now.replace(",", "")) / float(then.replace(",", ""))
    assert float(ratio) == pytest.approx(made, abs=0.02)
    assert "not measured" not in again.stdout
    assert max(map(len, [*done.stdout.splitlines(), *again.stdout.splitlines()])) <= 80
    assert vm.ssh.succeed(FOLDERS) == inside
    assert vm.session_pid == process
    assert there(vm_lab) == before


def test_a_machine_at_rest_is_copied(vm: VM, vm_lab: Lab) -> None:
    """A fork of a copy is measured; the machine stays saved, and the copy does not stay."""
    vm.ssh.succeed("echo here > /root/mark; sync")
    vm.save_state()
    before = there(vm_lab)
    assert before["machines"][vm.name] == MachineState.SAVED
    done = bench(vm_lab, vm.name, "--only", "ssh", "--runs", "1", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["where"] == f"a fork of a copy of {vm.name}, destroyed afterwards"
    assert [row["name"] for row in found["rows"]] == ["a command", "a new connection"]
    assert there(vm_lab) == before
    vm.start()
    assert vm.ssh.succeed("cat /root/mark") == "here\n"


def interrupted(lab: Lab, *words: str, when: tuple[str, ...]) -> tuple[str, str]:
    """Send Ctrl-C when standard error has one of these; return both streams, from then on."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "vboxkit", "bench", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment() | {"VBOXKIT_HOME": str(lab.places.home)},
    ) as process:
        try:
            assert process.stderr is not None
            said = []
            for line in process.stderr:
                said.append(line)
                if any(it in line for it in when):
                    break
            else:
                raise AssertionError("".join(said))
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
        except BaseException:
            process.kill()
            raise
    assert process.returncode == 130, err
    return out, err


def test_ctrl_c_in_the_middle(vm: VM, vm_lab: Lab) -> None:
    """It ends with 130; files in the guest, its processes, and forks are gone."""
    before, inside = there(vm_lab), vm.ssh.succeed(FOLDERS)
    # The fork was made and destroyed by then, and files are being written.
    words = (vm.name, "--only", "fork,memory,disk", "--runs", "1")
    out, err = interrupted(vm_lab, *words, when=("disk: write",))
    assert out == ""
    assert err.endswith("interrupted\n")
    assert "Traceback" not in err
    assert vm.ssh.succeed(FOLDERS) == inside
    assert "vbk-begin" not in vm.ssh.succeed("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '")
    assert there(vm_lab) == before


def test_ctrl_c_while_forks_are_measured(vm_lab: Lab) -> None:
    """The fork that is under way is destroyed."""
    vm_lab.image("tiny")
    before = there(vm_lab)
    interrupted(vm_lab, "tiny", "--only", "fork", when=("wait for SSH", "start"))
    assert there(vm_lab) == before


def test_what_is_not_there(vm_lab: Lab, tmp_path: Path) -> None:
    """An unknown name, a file that holds no measurement, and none: errors with a hint."""
    before = there(vm_lab)
    done = bench(vm_lab, "nobody")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no image 'nobody'" in done.stderr
    assert "Traceback" not in done.stderr
    other = tmp_path / "other.json"
    other.write_text('{"name": 3}')
    done = bench(vm_lab, "tiny", "--compare", str(other))
    assert done.returncode == 2
    assert f"{other} holds no measurement" in done.stderr
    done = bench(vm_lab, "tiny", "--compare", str(tmp_path / "missing.json"))
    assert done.returncode == 1
    assert "missing.json" in done.stderr
    assert there(vm_lab) == before


def test_a_paused_machine_is_refused(vm: VM, vm_lab: Lab) -> None:
    """It would hang: the error says what starts it; it stays paused."""
    vm.pause()
    done = bench(vm_lab, vm.name, "--only", "cpu")
    assert done.returncode == 1
    assert "is Paused" in done.stderr
    assert f"vboxkit start {vm.name}" in done.stderr
    assert vm.state == MachineState.PAUSED

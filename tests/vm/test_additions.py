"""Guest Additions: what they tell, and commands and files without a network."""

from __future__ import annotations

import os
import pickle
import signal
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest

from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import (
    AdditionsError,
    ApiError,
    CommandFailedError,
    CommandTimeoutError,
    ConnectionLostError,
    GuestAuthError,
    GuestError,
    GuestFileError,
    InvalidStateError,
)
from vboxkit.lab.clock import offset

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit import VM
    from vboxkit.machines.guest_control import GuestSession

pytestmark = pytest.mark.vm

#: Of the tiny guest; known to all.
USER, PASSWORD = "root", "vboxkit"
FAST = 30  # seconds: far from every timeout, also on a machine that is busy


def test_what_they_tell(vm: VM) -> None:
    """Run level, version, system and facilities of a guest where they run."""
    additions = vm.additions
    assert additions.run_level == "Userland"
    assert additions.running
    assert additions.version is not None
    assert additions.version.startswith("7.")
    assert additions.os_type == "Linux26_64"
    service = {f.kind: f for f in additions.facilities}["VBoxService"]
    assert service.active
    assert service.since.year >= 2026
    vm.power_off()
    off = vm.additions
    assert off.run_level == "None"
    assert off.version is None
    assert off.facilities == ()


def test_where_they_do_not_run(vm: VM) -> None:
    """Known at once, with what helps; not after a timeout."""
    vm.power_off()
    vm.start()  # boots: the service comes seconds later than the kernel
    before = time.monotonic()
    with pytest.raises(AdditionsError, match="Guest Additions") as caught:
        vm.guest_session(USER, PASSWORD, timeout=600)
    assert time.monotonic() - before < FAST
    assert caught.value.run_level in {"None", "System"}
    assert "VBoxService" in str(caught.value)
    assert not vm.additions.running
    assert pickle.loads(pickle.dumps(caught.value)).run_level  # noqa: S301 - our own bytes


def commands(session: GuestSession) -> None:
    """Try exit codes, both streams, arguments, folder, environment and input."""
    result = session.run("echo out; echo err >&2; exit 3")
    assert (result.exit_code, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert not result.ok
    assert session.run(["/bin/echo", "a  b", "$HOME", "it's"]).stdout == "a  b $HOME it's\n"
    assert session.run("pwd; echo $A", cwd="/etc", env={"A": "b c=1"}).stdout == "/etc\nb c=1\n"
    assert session.run("cat; echo .", input="grüße").stdout == "grüße.\n"
    assert session.run("cat; echo done").stdout == "done\n"
    data = os.urandom(150_000)
    assert session.run("cat", input=data).stdout_bytes == data
    assert session.run("exit 5", input=data).exit_code == 5
    assert session.run("kill -9 $$").exit_code == 137
    with pytest.raises(GuestError, match=r"cannot run '/bin/nope'"):
        session.run(["/bin/nope"])
    assert session.succeed(["/bin/echo", "yes"]) == "yes\n"
    with pytest.raises(CommandFailedError, match="exit code 4") as caught:
        session.succeed("echo because >&2; exit 4")
    assert "because" in str(caught.value)
    with pytest.raises(ValueError, match="not a command"):
        session.run(" ")
    with pytest.raises(ValueError, match="environment"):
        session.run("true", env={"a=b": "c"})


def late(session: GuestSession) -> None:
    """End what does not end in time, with what it started."""
    with pytest.raises(CommandTimeoutError, match="it was ended") as caught:
        session.run("echo before; sleep 54321; echo after", timeout=2)
    assert caught.value.result.stdout == "before\n"
    assert caught.value.result.exit_code is None
    assert "54321" not in session.run("ps | grep '[s]leep'").stdout


def files(session: GuestSession, folder: Path) -> None:
    """Copy files and folders there and back; what is wrong with one is told."""
    data = os.urandom(100_000)
    (folder / "up").write_bytes(data)
    session.mkdir("/root/a/b", parents=True)
    session.mkdir("/root/a/b", parents=True)
    session.put(folder / "up", "/root/a/one")
    session.write_bytes("/root/a/two", data, mode=0o600)
    session.write_text("/root/a/empty", "")
    assert session.read_bytes("/root/a/one") == session.read_bytes("/root/a/two") == data
    assert session.read_text("/root/a/empty") == ""
    assert session.get("/root/a/two", folder / "down").read_bytes() == data
    assert (session.exists("/root/a/one"), session.exists("/root/nope")) == (True, False)
    assert (session.is_dir("/root/a"), session.is_dir("/root/a/one")) == (True, False)
    for wrong in (
        lambda: session.mkdir("/root/a"),
        lambda: session.read_bytes("/root/nope"),
        lambda: session.write_bytes("/etc", b""),
        lambda: session.write_bytes("/nope/x", b""),
        lambda: session.remove("/root/a"),
        lambda: session.remove("/root/nope"),
        lambda: session.put(folder / "up", "/nope/x"),
        lambda: session.put(folder / "nope", "/root/x"),
        lambda: session.get("/root/nope", folder / "x"),
        lambda: session.get("/root/a/one", folder / "nope" / "x"),
    ):
        with pytest.raises(GuestFileError):
            wrong()
    assert not (folder / "x").exists()
    session.remove("/root/a/one")
    session.remove("/root/a", recursive=True)
    assert not session.exists("/root/a")


def test_a_session(vm: VM, tmp_path: Path) -> None:
    """Commands, files, a pause, the end; one session for all, as letting one in takes seconds."""
    with vm.guest_session(USER, PASSWORD) as session:
        assert PASSWORD not in repr(session)
        kept = [value for value in vars(session).values() if isinstance(value, str)]
        assert PASSWORD not in kept
        commands(session)
        late(session)
        files(session, tmp_path)
        vm.pause()
        before = time.monotonic()
        with pytest.raises(InvalidStateError, match="is Paused"):
            session.exists("/etc")
        with pytest.raises(InvalidStateError, match="is Paused"):
            session.run("true")
        with pytest.raises(InvalidStateError, match="is Paused"):
            vm.guest_session(USER, PASSWORD)
        assert time.monotonic() - before < FAST
        vm.resume()
        assert session.exists("/etc")
    assert session.closed
    session.close()
    with pytest.raises(InvalidStateError, match="closed"):
        session.run("true")


def test_a_wrong_password(vm: VM) -> None:
    """Refused by the guest, and nobody reads it in the error."""
    with pytest.raises(GuestAuthError) as caught:
        vm.guest_session(USER, "not-the-password")
    assert "not-the-password" not in str(caught.value)
    assert "root" in str(caught.value)
    with pytest.raises(TypeError) as wrong:
        vm.guest_session(USER, b"not-the-password")  # type: ignore[arg-type]
    assert "not-the-password" not in str(wrong.value)


def restart_service(vm: VM) -> None:
    """Kill VBoxService, and wait until the guest has started it again."""
    since = {f.kind: f.since for f in vm.additions.facilities}["VBoxService"]
    vm.ssh.succeed("killall -9 VBoxService")
    begun = time.monotonic()
    while {f.kind: f.since for f in vm.additions.facilities}["VBoxService"] == since:
        assert time.monotonic() - begun < 60
        vm.ssh.run("true")


def test_a_service_that_was_killed(vm: VM) -> None:
    """Its session is told to be gone, and closing it does not wait for nobody."""
    session = vm.guest_session(USER, PASSWORD)
    restart_service(vm)
    before = time.monotonic()
    with pytest.raises((AdditionsError, InvalidStateError)):  # it is just starting, or started
        session.run("true")
    session.close()
    assert time.monotonic() - before < FAST


def hog(loops: int) -> bytes:
    """Return a program that lets nothing else run, on one CPU: it says HOG, and counts down."""
    base = 0x400000
    data = struct.pack("<i", 50) + b"HOG\n"  # the priority, and what is said
    code = (
        bytes.fromhex("b890000000 31ff be01000000 ba") + struct.pack("<I", base + 120)
        # sched_setscheduler(0, SCHED_FIFO, &priority); write(1, "HOG\n", 4)
        + bytes.fromhex("0f05 b801000000 bf01000000 be") + struct.pack("<I", base + 124)
        + bytes.fromhex("ba04000000 0f05 48b9") + struct.pack("<Q", loops)
        + bytes.fromhex("48ffc9 75fb b83c000000 31ff 0f05")  # the loop; exit(0)
    )  # fmt: skip
    size = 120 + len(data + code)
    head = (2, 62, 1, base + 120 + len(data), 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = (1, 5, 0, base, base, size, size, 4096)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    headers = struct.pack("<HHIQQQIHHHHHH", *head) + struct.pack("<IIQQQQQQ", *segment)
    return ident + headers + data + code


def restore_hogged(vm: VM) -> None:
    """Save and restore the machine; it is some seconds before VBoxService can notice."""
    said = vm.console.mark()
    vm.ssh.succeed("(usleep 500000; exec /root/hog) > /dev/ttyS0 2>&1 < /dev/null &")
    vm.wait_for_console_text("HOG", start=said, timeout=60)
    vm.save_state()
    vm.start()


def test_right_after_a_restore(vm: VM) -> None:
    """
    A session is opened when VBoxService has noticed the restore, and no sooner.

    What happens otherwise is shown, too: it refuses all sessions, and this is told at once.
    """
    vm.ssh.write_bytes("/root/hog", hog(24_000_000), mode=0o755)
    vm.ssh.succeed("echo -1 > /proc/sys/kernel/sched_rt_runtime_us")
    restore_hogged(vm)
    guest = vm.additions.require()
    vm.pause()
    assert guest.createSession(USER, PASSWORD, "", "too soon").name == "too soon"
    vm.resume()
    with pytest.raises(AdditionsError, match="refuses all sessions") as caught:
        vm.guest_session(USER, PASSWORD, timeout=600)  # waits for the hog's end
    before = time.monotonic()
    with pytest.raises(AdditionsError, match="refuses all sessions"):
        vm.guest_session(USER, PASSWORD, timeout=600)
    assert time.monotonic() - before < FAST
    assert caught.value.run_level == "Userland"
    restart_service(vm)
    vm.ssh.write_bytes("/root/hog", hog(6_000_000), mode=0o755)
    restore_hogged(vm)
    with vm.guest_session(USER, PASSWORD) as session:
        assert session.run("echo in").stdout == "in\n"
    assert vm.shared_folders == {}  # nothing is left of what woke the guest


def test_what_keeps_the_clock_right(vm: VM) -> None:
    """The additions do, unless they are told not to; both is seen at the clock, and from here."""
    keeper = vm.additions.time_sync
    usual = (keeper.enabled, keeper.active, keeper.interval, keeper.threshold, keeper.on_restore)
    assert usual == (True, True, 10, 1200, True)
    keeper.interval = 1
    keeper.threshold = 600
    keeper.on_restore = False
    assert (keeper.interval, keeper.threshold, keeper.on_restore) == (1, 600, False)
    with pytest.raises(ApiError, match=r"interval cannot be 0\.001 s"):
        keeper.interval = 0.001
    with pytest.raises(TypeError, match="enabled is bool"):
        keeper.enabled = "no"  # type: ignore[assignment]
    restart_service(vm)

    def wrong() -> float:
        return abs(offset(vm.ssh, Deadline(60))[0])

    def mended() -> bool | None:
        return True if wrong() < 1 else None

    vm.ssh.succeed("date -u -s @1700000000")
    wait_until(mended, what="VBoxService to set the clock", timeout=60)
    vm.save_state()
    keeper.enabled = False
    vm.start()
    assert vm.additions.running
    assert (keeper.enabled, keeper.active) == (False, False)
    vm.ssh.succeed("date -u -s @1700000000")
    over = Deadline(5)
    assert wait_until(lambda: True if over.expired else mended(), what="it", timeout=60)
    assert wrong() > 1_000_000
    keeper.enabled = True
    assert (keeper.enabled, keeper.active) == (True, False)  # from the next start
    keeper.interval = keeper.threshold = None
    keeper.on_restore = True
    assert vm.guest_properties.matching("*--timesync*") == {}
    assert "VBoxInternal/Devices/VMMDev/0/Config/GetHostTimeDisabled" not in vm.extra_data
    vm.power_off()
    assert not keeper.active


def test_a_machine_that_is_killed(vm: VM) -> None:
    """In the middle of a command: a typed error at once, and nothing hangs afterwards."""
    session = vm.guest_session(USER, PASSWORD)
    pid = vm.session_pid
    assert pid is not None
    timer = threading.Timer(1, os.kill, (pid, signal.SIGKILL))
    timer.start()
    before = time.monotonic()
    with pytest.raises((ConnectionLostError, InvalidStateError)):
        session.run("sleep 600", timeout=600)
    timer.join()
    with pytest.raises((ConnectionLostError, InvalidStateError)):
        session.exists("/etc")
    session.close()
    assert time.monotonic() - before < FAST
    assert vm.additions.run_level == "None"

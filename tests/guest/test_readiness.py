"""Conditions, against an SSH server in this process: this machine is the guest."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.guest.surroundings import Place, later
from vboxkit.core.waiting import wait_until
from vboxkit.errors import (
    GuestAuthError,
    InvalidStateError,
    NotReadyError,
    VBoxKitError,
    WaitTimeoutError,
)
from vboxkit.guest.readiness import (
    GuestTest,
    all_of,
    any_of,
    boot,
    console_text,
    file,
    port,
    ssh,
    unit,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_file_is_seen_soon(place: Place) -> None:
    """The guest looks every 20 ms itself: the wait ends soon after it is there, not before."""
    target = place.folder / "it's here"
    made = []

    def make() -> None:
        made.append(time.monotonic())
        target.touch()

    with later(0.5, make):
        place.wait(file(str(target)))
        late = time.monotonic() - made[0]
    assert 0 <= late < 3  # 0.05 s on a machine with nothing else to do


def test_a_wait_is_one_command(place: Place, guest: Any) -> None:
    """However long it takes, nothing is sent to the guest for a look."""
    with later(1.0, (place.folder / "x").touch):
        place.wait(file(str(place.folder / "x")))
    assert len(guest.commands) == 1


def test_a_timeout_tells_what_was_there(place: Place) -> None:
    """What, how long, what is there instead, and the evidence; with the whole condition."""
    with pytest.raises(WaitTimeoutError) as caught:
        place.wait(all_of(file("/nowhere/at/all"), file(str(place.folder))), timeout=3)
    error = caught.value
    assert "the file /nowhere/at/all" in error.what
    assert "no such folder" in error.last_seen
    assert 2.9 < error.waited < 60
    assert "the evidence" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own bytes


def test_who_gives_up_leaves_nothing_behind(place: Place) -> None:
    """The loop in the guest ends with the wait."""
    name = f"/nowhere/{os.getpid()}-{time.time_ns()}"
    with pytest.raises(WaitTimeoutError):
        place.wait(file(name), timeout=0.5)

    def left() -> bool | None:
        found = []
        for process in psutil.process_iter(["cmdline"]):
            found += [p for p in process.info["cmdline"] or [] if name in p]
        return True if not found else None

    wait_until(left, what="the loop to end", timeout=20)


def test_a_loop_ends_by_itself(place: Place, guest: Any) -> None:
    """A waiter that is killed cannot end it: it has a limit of its own."""
    from vboxkit.guest.loops import script

    name = file("/nowhere/at/all")
    assert isinstance(name, GuestTest)
    done = subprocess.run(["/bin/sh", "-c", script([name], name, 1)], timeout=30, check=False)
    assert done.returncode == 75
    assert guest.commands == []


def test_a_port_that_listens(place: Place) -> None:
    """Found in the guest's own list, without a connection; one that does not listen is not."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        number = sock.getsockname()[1]
        assert port(number) in place.wait(port(number))
        with socket.create_connection(("127.0.0.1", number)) as client:
            mine = client.getsockname()[1]
            with pytest.raises(WaitTimeoutError) as caught:
                place.wait(port(mine), timeout=0.5)
    assert f"{number}" in caught.value.last_seen


def test_a_port_on_ipv6(place: Place) -> None:
    """A server may listen on IPv6 only."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as sock:
        place.wait(port(sock.getsockname()[1]))


def test_no_systemd_is_told_at_once(place: Place) -> None:
    """Nobody waits for a unit where there is no systemd, or no such unit."""
    before = time.monotonic()
    with pytest.raises(NotReadyError) as caught:
        place.wait(unit("no-such-unit-anywhere.service"), timeout=300)
    assert time.monotonic() - before < 60
    assert "cannot come any more" in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301


def test_what_cannot_come_ends_all(place: Place) -> None:
    """A part that is hopeless ends a wait, also one that runs beside others; with its evidence."""
    hopeless = GuestTest("the moon", "never 'it set' 'line one' 'line two'")
    for condition in (hopeless, any_of(console_text("never"), hopeless)):
        with pytest.raises(NotReadyError, match="it set") as caught:
            place.wait(condition, timeout=300)
        assert caught.value.evidence == "line one\nline two"


def test_systemctl_is_understood(place: Place, tmp_path: Path) -> None:
    """Active, starting, failed and unknown units, by what systemctl prints."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "systemctl").write_text(
        f'#!/bin/sh\ncase "$*" in status*) echo status of it; exit;; esac\ncat {tmp_path}/state\n'
    )
    (tools / "journalctl").write_text("#!/bin/sh\necho its journal\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    condition = unit("web.service")
    assert isinstance(condition, GuestTest)
    here = GuestTest(
        condition.text,
        f"PATH={tools}:$PATH; " + condition.test.replace("/run/systemd/system", str(tools)),
        condition.seen,
    )
    state = tmp_path / "state"
    state.write_text("LoadState=loaded\nActiveState=activating\n")
    with pytest.raises(WaitTimeoutError):
        place.wait(here, timeout=0.5)
    new = tmp_path / "new"
    new.write_text("LoadState=loaded\nActiveState=active\n")
    with later(0.3, lambda: new.replace(state)):
        place.wait(here)
    state.write_text("LoadState=loaded\nActiveState=failed\n")
    with pytest.raises(NotReadyError, match="the unit failed") as caught:
        place.wait(here)
    assert "status of it" in caught.value.evidence
    assert "its journal" in caught.value.evidence
    state.write_text("LoadState=not-found\nActiveState=inactive\n")
    with pytest.raises(NotReadyError, match="no such unit"):
        place.wait(here)


def test_a_broken_connection_is_made_anew(place: Place, guest: Any) -> None:
    """A guest that restarts is waited for; the wait goes on where it was."""
    path = place.folder / "x"
    with later(0.5, guest.disconnect), later(1.0, path.touch):
        place.wait(file(str(path)))
    assert guest.accepted > 1


def test_a_machine_that_stops_ends_the_wait(place: Place, guest: Any) -> None:
    """Nobody waits for what is off."""

    def stop() -> None:
        def dead() -> None:
            raise InvalidStateError("machine 'web' is PoweredOff")

        place.alive = dead
        guest.disconnect()

    with later(0.3, stop), pytest.raises(InvalidStateError):
        place.wait(any_of(file("/nowhere"), console_text("never")), timeout=60)
    with pytest.raises(InvalidStateError):
        place.wait(file("/nowhere"), timeout=60)


def test_a_guest_that_lets_nobody_in(place: Place, guest: Any, make_ssh: Any) -> None:
    """A wrong key passes at once, and is not waited for."""
    place.client = make_ssh(guest, key_file=None, password="wrong")
    with pytest.raises(GuestAuthError):
        place.wait(ssh(), timeout=60)


def test_boot_of_what_has_no_systemd(place: Place) -> None:
    """Where nothing tells that the boot is over, SSH does."""
    place.wait(boot())
    place.wait(ssh())


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: port(0), ValueError),
        (lambda: port(True), ValueError),
        (lambda: port(80, where="moon"), ValueError),  # type: ignore[arg-type]
        (lambda: file(""), ValueError),
        (lambda: file("a\0b"), ValueError),
        (lambda: unit("a b; reboot"), ValueError),
        (all_of, ValueError),
        (any_of, ValueError),
        (lambda: all_of("port"), TypeError),  # type: ignore[arg-type]
    ],
)
def test_nonsense_is_refused(make: Callable[[], object], error: type[Exception]) -> None:
    """Before anything is asked of a guest."""
    with pytest.raises(error):
        make()


def test_what_is_no_condition(place: Place) -> None:
    """A name instead of a condition is a mistake that is told."""
    with pytest.raises(TypeError, match="port"):
        place.wait("/run/x")


def test_a_shell_that_is_none(place: Place, guest: Any) -> None:
    """What the guest answers to the loop, if it makes no sense, is an error and no wait."""
    condition = GuestTest("x", "exit 3")
    with pytest.raises(VBoxKitError, match="exit code 3"):
        place.wait(condition)

"""Waiting for what happens in a guest."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from vboxkit.errors import InvalidStateError, NotFoundError, NotReadyError, WaitTimeoutError
from vboxkit.guest.readiness import GuestTest, all_of, any_of, console_text, file, ip, port
from vboxkit.machines.addresses import guest_address

if TYPE_CHECKING:
    from vboxkit import VM

pytestmark = pytest.mark.vm


def behind(vm: VM, line: str) -> None:
    """Let the guest do something a second later, by itself."""
    vm.ssh.succeed(f"(sleep 1; {line}) </dev/null >/dev/null 2>&1 &")


def test_a_service_that_comes_up(vm: VM) -> None:
    """Its port and its file, together, in one wait; through the forward it answers then."""
    forward = vm.network[0].forward(guest=8080)
    try:
        vm.ssh.succeed("echo hello > /tmp/index.html")
        behind(vm, "echo 1 > /run/web; httpd -p 8080 -h /tmp")
        met = vm.wait(all_of(port(8080), file("/run/web")), timeout=60)
        assert port(8080) in met
        ask = b"GET / HTTP/1.0\r\n\r\n"
        answer = port(8080, where="host", send=ask)
        assert b"200 OK" in vm.wait(answer, timeout=60)[answer]
        vm.wait_for_port(8080, where="host", timeout=60)
        vm.wait_for_port(22, where="host", timeout=60)
    finally:
        forward.release()


def test_seen_soon_after_it_is_true(vm: VM) -> None:
    """By the guest's own clock: from the moment that a file is made to that it is seen."""
    seen = GuestTest("it", "[ -e /run/it ] && cat /proc/uptime > /run/seen")
    late = []
    for _ in range(3):
        vm.ssh.succeed("rm -f /run/it")
        behind(vm, "cat /proc/uptime > /run/made; touch /run/it")
        vm.wait(seen, timeout=60)
        made, _, found, _ = vm.ssh.succeed("cat /run/made /run/seen").split()
        late.append(float(found) - float(made))
    assert min(late) < 2  # 0.05 s on a machine with nothing else to do


def test_who_gives_up_leaves_nothing_in_the_guest(vm: VM) -> None:
    """The loop in the guest ends, and the error says what was there instead, and the evidence."""
    with pytest.raises(WaitTimeoutError) as caught:
        vm.wait_for_port(81, timeout=1)
    assert caught.value.last_seen == "listening: 22"
    assert "VBox.log" in caught.value.evidence
    assert "port 81 in the guest of machine" in caught.value.what
    assert pickle.loads(pickle.dumps(caught.value)).evidence  # noqa: S301 - our own bytes
    # The brackets keep the search from finding itself.
    assert vm.ssh.run("grep -ls ':005[1] ' /proc/[0-9]*/cmdline").stdout == ""


def test_no_systemd_is_told_at_once(vm: VM) -> None:
    """The tiny guest has none: nobody waits for a unit."""
    with pytest.raises(NotReadyError, match="there is no systemd"):
        vm.wait_for_unit("nginx", timeout=600)
    vm.wait_for_boot(timeout=60)
    vm.wait_for_ssh(timeout=60)


def test_the_console(vm: VM) -> None:
    """Text on the serial port is waited for beside what the guest looks at itself."""
    behind(vm, "echo 'migrated 42 rows' > /dev/ttyS0")
    assert vm.wait_for_console_text(r"migrated (\d+)", timeout=60)[1] == "42"
    said = console_text("migrated")
    assert said in vm.wait(any_of(said, file("/nowhere")), timeout=60)


def test_the_address(vm: VM) -> None:
    """NAT knows it at once; the Guest Additions, where they run, some seconds later."""
    assert vm.wait_for_ip(timeout=60) == "10.0.2.15"
    found = guest_address(vm)
    assert found is not None
    assert found.source in {"NAT", "guest property"}
    vm.guest_properties.wait_for("/VirtualBox/GuestInfo/Net/0/V4/IP", timeout=120)
    again = guest_address(vm)
    assert again is not None
    assert (again.ip, again.source) == ("10.0.2.15", "guest property")


def test_a_port_that_is_not_forwarded(vm: VM) -> None:
    """Told before anything is waited for."""
    with pytest.raises(NotFoundError, match="forwards no port"):
        vm.wait_for_port(8099, where="host", timeout=600)


def test_a_guest_that_is_paused(vm: VM) -> None:
    """No answer is a timeout, in time, and no hang."""
    vm.ssh.run("true")
    vm.pause()
    before = time.monotonic()
    with pytest.raises(WaitTimeoutError):
        vm.wait_for_file("/nowhere", timeout=2)
    assert time.monotonic() - before < 60
    vm.resume()
    vm.wait_for_file("/etc/passwd", timeout=60)


def test_a_machine_that_dies_ends_the_wait(vm: VM) -> None:
    """Killed in the middle: told at once, whatever is awaited."""
    vm.ssh.run("true")
    pid = vm.session_pid
    assert pid is not None
    timer = threading.Timer(1, os.kill, (pid, signal.SIGKILL))
    timer.start()
    with pytest.raises(InvalidStateError, match="nothing to wait for"):
        vm.wait(any_of(file("/nowhere"), console_text("never")), timeout=600)
    timer.join()
    for condition in (file("/nowhere"), ip(), console_text("never"), port(22)):
        with pytest.raises(InvalidStateError, match="nothing to wait for"):
            vm.wait(condition, timeout=600)

"""Streams, processes, shells and users in a real guest, and faults under them."""

from __future__ import annotations

import hashlib
import os
import select
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.core import processes
from vboxkit.core.processes import ProcessId
from vboxkit.errors import (
    CommandFailedError,
    CommandTimeoutError,
    GuestConnectionError,
    GuestError,
    GuestUserError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vboxkit import VM, Image, Lab

pytestmark = pytest.mark.vm

#: Wordy on purpose: the guest has it on both streams at once, and ps shows it.
FOREVER = "echo begun; while :; do sleep 654; done"


@pytest.fixture(scope="module")
def shared(vm_lab: Lab, vm_image: Image) -> Iterator[VM]:
    """Make one fork for the tests that leave it as it was."""
    with vm_lab.fork(vm_image) as vm:
        vm.ssh.succeed("true")
        yield vm


def nothing_left(vm: VM) -> None:
    """See that nothing of `FOREVER` runs in the guest."""
    assert vm.ssh.run("ps | grep '[s]leep 654'").exit_code == 1


def test_lines_come_live_and_leaving_ends_it(shared: VM) -> None:
    """The first line comes while the command runs; after the loop was left it is gone."""
    for line in shared.ssh.stream(FOREVER):
        assert (line, line.stream) == ("begun", "stdout")
        assert shared.ssh.run("ps | grep '[s]leep 654'", timeout=60).ok
        break
    nothing_left(shared)


def test_two_megabytes_on_both_streams(shared: VM) -> None:
    """All of it comes, in order, through a cipher that is emulated."""
    got = {"stdout": hashlib.md5(usedforsecurity=False), "stderr": hashlib.md5()}  # noqa: S324
    sizes = {"stdout": 0, "stderr": 0}
    shared.ssh.succeed("head -c 1000000 /bin/busybox > /run/big")
    stream = shared.ssh.stream("cat /run/big & cat /run/big >&2; wait", timeout=200)
    for name, data in stream.chunks():
        got[name].update(data)
        sizes[name] += len(data)
    assert sizes == {"stdout": 1_000_000, "stderr": 1_000_000}
    digest = shared.ssh.succeed("md5sum /run/big; rm /run/big").split()[0]
    assert [it.hexdigest() for it in got.values()] == [digest, digest]


def test_a_failing_stream(shared: VM) -> None:
    """The exit code is judged at the end."""
    with pytest.raises(CommandFailedError, match="exit code 5"):
        list(shared.ssh.stream("echo a; exit 5"))


def test_a_process_is_really_gone(shared: VM) -> None:
    """Not only the shell but all that it started, after the block and after each verb."""
    with shared.ssh.start(f"sleep 654 & {FOREVER}") as process:
        assert process.read_line(timeout=60) == "begun"
        assert process.poll() is None
    nothing_left(shared)
    process = shared.ssh.start(FOREVER)
    assert process.read_line(timeout=60) == "begun"
    process.terminate()
    assert process.wait(timeout=60).exit_code == 143
    nothing_left(shared)


def test_a_service_and_its_client(shared: VM) -> None:
    """A background process serves what other commands ask for."""
    with shared.ssh.start("mkdir -p /run/www; echo page > /run/www/index.html; "
                          "httpd -f -p 8099 -h /run/www") as server:  # fmt: skip
        out = shared.ssh.wait_until_succeeds("wget -qO- http://127.0.0.1:8099/", timeout=60)
        assert out == "page\n"
        assert server.poll() is None
    assert not shared.ssh.run("wget -qO- http://127.0.0.1:8099/", timeout=60).ok


def test_wait_until_succeeds_says_what_was_last(shared: VM) -> None:
    """The last result is in the error."""
    with pytest.raises(WaitTimeoutError, match="no such luck"):
        shared.ssh.wait_until_succeeds("echo no such luck; false", timeout=2)


def test_another_user(shared: VM) -> None:
    """Root runs a command as somebody else by su; a timeout ends it as well."""
    got = shared.ssh.run("id -un; id -u; pwd; echo $A; exit 3", user="nobody", env={"A": "x 'y"})
    assert got.exit_code == 3
    assert got.stdout == "nobody\n65534\n/\nx 'y\n"
    assert not shared.ssh.run("echo > /root/x", user="nobody").ok
    assert list(shared.ssh.stream("id -un", user="nobody")) == ["nobody"]
    with pytest.raises(CommandTimeoutError, match="it was ended"):
        shared.ssh.run(FOREVER, user="nobody", timeout=4)
    nothing_left(shared)
    with pytest.raises(GuestUserError, match="no such user"):
        shared.ssh.run("true", user="nosuch")


def test_a_shell(shared: VM) -> None:
    """It has a terminal of the size asked for, and ends with its own exit code."""
    with shared.ssh.shell(columns=99) as shell:
        shell.expect("# ", timeout=60)
        shell.send("stty size\n")
        shell.expect("24 99", timeout=60)
        shell.resize(120, 50)
        shell.send("stty size\n")
        shell.expect("50 120", timeout=60)
        shell.send("exit 6\n")
        while shell.read(timeout=60):
            pass
        assert shell.exit_code == 6
    with shared.ssh.shell() as shell:
        shell.send("sleep 654\n")
        shell.expect("sleep 654", timeout=60)
    nothing_left(shared)


def test_the_command_in_a_terminal(shared: VM, vm_lab: Lab) -> None:
    """``vboxkit ssh NAME`` is a shell in this terminal, and ends with the shell's exit code."""
    master, slave = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "vboxkit", "--home", str(vm_lab.places.home), "ssh", shared.name],
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    try:
        seen = b""
        typed = False
        end = time.monotonic() + 100
        while b"is 42" not in seen:
            assert select.select([master], [], [], end - time.monotonic())[0], seen
            seen += os.read(master, 4096)
            if not typed and b"# " in seen:
                os.write(master, b"echo is $((6*7)); exit 11\r")
                typed = True
        assert process.wait(60) == 11
    finally:
        process.kill()
        process.wait(30)
        os.close(master)
        os.close(slave)


WAYS: dict[str, Callable[[VM], object]] = {
    "run": lambda vm: vm.ssh.run(FOREVER, timeout=100),
    "stream": lambda vm: list(vm.ssh.stream(FOREVER, timeout=100)),
    "process": lambda vm: vm.ssh.start(FOREVER).wait(timeout=100),
    "shell": lambda vm: vm.ssh.shell(FOREVER).expect("never", timeout=100),
}


def test_the_vm_is_killed_in_the_middle(vm: VM) -> None:
    """Each verb raises when the connection breaks, long before its timeout."""
    vm.ssh.succeed("true")
    with ThreadPoolExecutor(len(WAYS)) as pool:
        pending = {name: pool.submit(way, vm) for name, way in WAYS.items()}
        vm.ssh.wait_until_succeeds(
            f"[ $(ps | grep -c '[s]leep 654$') -ge {len(WAYS)} ]", timeout=80
        )
        assert vm.session_pid is not None
        assert processes.kill(ProcessId.of(vm.session_pid))
        begin = time.monotonic()
        for name, future in pending.items():
            with pytest.raises(GuestConnectionError) as caught:
                future.result(timeout=60)
            assert vm.name in str(caught.value), name
    assert time.monotonic() - begin < 60


def test_the_vm_is_paused_and_restored_in_the_middle(vm: VM) -> None:
    """Paused, each verb ends by its timeout; restored, the old connection is an error at once."""
    snapshot = vm.snapshots.take("before")
    stream = vm.ssh.stream(FOREVER, timeout=8)
    assert next(stream) == "begun"
    process = vm.ssh.start(FOREVER)
    assert process.read_line(timeout=60) == "begun"
    vm.pause()
    begin = time.monotonic()
    with pytest.raises(CommandTimeoutError):
        vm.ssh.run("true", timeout=1)
    with pytest.raises(CommandTimeoutError, match="may still run"):
        next(stream)
    with pytest.raises(CommandTimeoutError):
        process.wait(timeout=1)
    with pytest.raises((CommandTimeoutError, GuestConnectionError)):
        process.stop()
    assert time.monotonic() - begin < 60
    vm.resume()
    after = vm.ssh.start(FOREVER)
    assert after.read_line(timeout=60) == "begun"
    vm.power_off()
    snapshot.restore()
    vm.start()
    with pytest.raises(GuestError) as caught:
        after.wait(timeout=60)
    assert isinstance(caught.value, GuestConnectionError)
    assert vm.ssh.succeed("echo on") == "on\n"
    nothing_left(vm)


def _answers(ssh: Any, name: str, who: int, count: int) -> list[str]:
    wrong = []
    for turn in range(count):
        want = f"{name} {who}-{turn}\n"
        got = ssh.succeed(f"read me < /root/me; echo $me {who}-{turn}", timeout=120)
        if got != want:
            wrong.append(got)
    return [str(count), *wrong]


def test_eight_vms_with_two_clients_each(vm_lab: Lab, vm_image: Image) -> None:
    """Of 512 commands at once none is lost, and each guest answers for itself alone."""
    from vboxkit.guest import SSH

    each = 32
    vms = vm_lab.fork(vm_image, n=8, name=f"eight-{time.monotonic_ns()}")
    try:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda vm: vm.ssh.succeed(f"echo {vm.name} > /root/me"), vms))
            seconds = [SSH(vm.ssh.address, vm.credentials, name=vm.name) for vm in vms]
            clients = [(vm.ssh, vm.name) for vm in vms]
            clients += [(ssh, vm.name) for ssh, vm in zip(seconds, vms, strict=True)]
            pending = [
                pool.submit(_answers, ssh, name, who, each)
                for who, (ssh, name) in enumerate(clients)
            ]
            assert [future.result(timeout=600) for future in pending] == [[str(each)]] * 16
            for ssh in seconds:
                ssh.close()
    finally:
        for vm in vms:
            vm.destroy()

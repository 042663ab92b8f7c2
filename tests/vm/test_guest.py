"""Commands and files in a real guest."""

from __future__ import annotations

import hashlib
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from vboxkit.errors import (
    CommandFailedError,
    CommandTimeoutError,
    GuestFileError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit import VM

pytestmark = pytest.mark.vm


@pytest.mark.smoke
def test_run_gives_code_and_both_streams(vm: VM) -> None:
    """A command that fails is a result, not an exception."""
    result = vm.ssh.run("echo out; echo err >&2; exit 3")
    assert (result.exit_code, result.ok) == (3, False)
    assert (result.stdout, result.stderr) == ("out\n", "err\n")


def test_succeed_and_fail_raise_with_the_output(vm: VM) -> None:
    """succeed() raises for a failure, fail() for a success; both tell what was printed."""
    with pytest.raises(CommandFailedError, match="no such thing"):
        vm.ssh.succeed("echo no such thing >&2; false")
    with pytest.raises(CommandFailedError):
        vm.ssh.fail("true")


def test_a_list_is_quoted(vm: VM) -> None:
    """A list of arguments reaches the program as it is."""
    words = ["printf", "%s|", "a b", "c'd", 'e"f', "$HOME", "g\nh"]
    assert vm.ssh.succeed(words) == "a b|c'd|e\"f|$HOME|g\nh|"


def test_environment_folder_and_input(vm: VM) -> None:
    """env, cwd and input reach the command."""
    result = vm.ssh.run("cat; echo $WHO; pwd", env={"WHO": "you & me"}, cwd="/tmp", input="in\n")
    assert result.stdout == "in\nyou & me\n/tmp\n"


def test_a_timeout_ends_the_remote_process(vm: VM) -> None:
    """After a timeout the command does not run on in the guest."""
    with pytest.raises(CommandTimeoutError) as caught:
        vm.ssh.run("echo begun; sleep 987", timeout=3)
    assert caught.value.result.stdout == "begun\n"
    assert vm.ssh.run("ps | grep '[s]leep 987'").exit_code == 1


@pytest.mark.smoke
def test_files_come_back_as_they_went(vm: VM, tmp_path: Path) -> None:
    """A binary file is the same in the guest, and after the way back."""
    source = tmp_path / "a file"
    source.write_bytes(os.urandom(50_000))
    digest = hashlib.md5(source.read_bytes(), usedforsecurity=False).hexdigest()
    vm.ssh.put(source, "/tmp/a file")
    assert vm.ssh.succeed(["md5sum", "/tmp/a file"]).split()[0] == digest
    vm.ssh.get("/tmp/a file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


def test_file_errors_name_path_and_side(vm: VM, tmp_path: Path) -> None:
    """Missing files are named, on whichever side they are missing."""
    with pytest.raises(GuestFileError, match="/nowhere/at/all"):
        vm.ssh.get("/nowhere/at/all", tmp_path / "x")
    assert not (tmp_path / "x").exists()
    with pytest.raises(GuestFileError, match="missing"):
        vm.ssh.put(tmp_path / "missing", "/tmp/x")
    assert vm.ssh.run("test -e /tmp/x").exit_code == 1


def test_a_full_disk_in_the_guest_leaves_no_half_file(vm: VM, tmp_path: Path) -> None:
    """A copy that does not fit is an error, and nothing stands under the final name."""
    vm.ssh.succeed("mkdir -p /run/s && mount -t tmpfs -o size=40k none /run/s")
    (tmp_path / "big").write_bytes(bytes(100_000))
    with pytest.raises(GuestFileError):
        vm.ssh.put(tmp_path / "big", "/run/s/big")
    assert vm.ssh.run("test -e /run/s/big").exit_code == 1


def test_text_files(vm: VM) -> None:
    """Text is written and read as UTF-8."""
    vm.ssh.write_text("/tmp/text", "grüß\n")
    assert vm.ssh.read_text("/tmp/text") == "grüß\n"
    assert vm.ssh.succeed("wc -c < /tmp/text").strip() == "7"


def test_two_threads_on_one_connection(vm: VM) -> None:
    """Commands at once over one connection get their own answers."""
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda n: vm.ssh.succeed(f"echo {n}").strip(), range(10)))
    assert answers == [str(n) for n in range(10)]


def test_output_larger_than_a_window(vm: VM) -> None:
    """Both streams come through complete, also when they are larger than SSH's buffers."""
    result = vm.ssh.run("head -c 150000 /dev/zero; head -c 100000 /dev/zero >&2")
    assert result.stdout == 150_000 * "\0"
    assert result.stderr == 100_000 * "\0"


def test_the_console_shows_what_the_guest_writes(vm: VM) -> None:
    """The serial port is followed from a mark on."""
    mark = vm.console.mark()
    vm.ssh.succeed("echo hello-from-$((20+3)) > /dev/ttyS0")
    assert vm.console.wait_for(r"hello-from-(\d+)", timeout=20, start=mark)[1] == "23"


def test_a_guest_that_never_answers_gives_evidence(vm: VM) -> None:
    """With the SSH server gone the wait ends in time, with the state and the console's end."""
    vm.ssh.succeed("echo last-words > /dev/ttyS0")
    vm.pause()
    vm.ssh.close()
    with pytest.raises(WaitTimeoutError) as caught:
        vm.wait_ready(timeout=2)
    assert caught.value.waited < 60
    assert "Paused" in str(caught.value)
    assert "last-words" in str(caught.value)
    vm.resume()


def test_openssh_gets_in_with_the_same_key(vm: VM, tmp_path: Path) -> None:
    """The key and the pinned host key work for OpenSSH's client, where it is installed."""
    import shutil

    if shutil.which("ssh") is None:
        pytest.skip("OpenSSH's client is not installed (apt-get install openssh-client)")
    hosts = tmp_path / "known_hosts"
    hosts.write_text(f"[127.0.0.1]:{vm.ssh_port} {vm.credentials.host_key}\n")
    done = subprocess.run(
        [
            *("ssh", "-p", str(vm.ssh_port), "-i", str(vm.credentials.key_file)),
            *("-o", f"UserKnownHostsFile={hosts}", "-o", "StrictHostKeyChecking=yes"),
            *("-o", "BatchMode=yes", "root@127.0.0.1", "id -un"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.returncode) == ("root\n", 0), done.stderr

"""Machines that tests share, several at once, markers, limits, and what failures leave behind."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from dpkt import pcap

if TYPE_CHECKING:
    from tests.plugin.conftest import Runs


def test_a_module_shares_a_machine(vm_run: Runs) -> None:
    """One machine for a module; with `rewind` each test finds it as the image is."""
    vm_run.pytester.makepyfile(
        test_plain="""
        def test_first(vm_module):
            vm_module.ssh.succeed("touch /etc/here")

        def test_second(vm_module):
            assert vm_module.ssh.run("test -e /etc/here").ok
        """,
        test_rewound="""
        import pytest

        pytestmark = pytest.mark.vm(rewind=True)
        names = set()

        @pytest.mark.parametrize("number", range(2))
        def test_each(vm_module, number):
            names.add(vm_module.name)
            assert len(names) == 1
            assert not vm_module.ssh.run("test -e /etc/here").ok
            vm_module.ssh.succeed("touch /etc/here")

        @pytest.mark.vm(rewind=False)
        def test_as_it_was_left(vm_module):
            assert vm_module.ssh.run("test -e /etc/here").ok
        """,
    )
    vm_run("-n0").assert_outcomes(passed=5)


def test_class_and_session(vm_run: Runs) -> None:
    """A class's machine is gone with the class; the session's stays; a function has its own."""
    vm_run.pytester.makepyfile(
        """
        import pytest

        seen = []
        lone = []

        class TestOne:
            def test_a(self, vm_class, vm_session):
                seen.append((vm_class.name, vm_session.name))

            def test_b(self, vm_class):
                assert vm_class.name == seen[0][0]

        def test_gone(vbox, vm_session):
            assert seen[0][0] not in vbox.machines.names()
            assert vm_session.name == seen[0][1]
            assert vm_session.ssh.run("true").ok

        @pytest.mark.parametrize("number", range(2))
        def test_lone(vm_class, number):
            lone.append(vm_class.name)
            assert len(set(lone)) == len(lone)
        """
    )
    vm_run().assert_outcomes(passed=5)


def test_several_at_once(vm_run: Runs) -> None:
    """`count` machines, each of its own; a factory's `many` likewise."""
    vm_run.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.vm(count=2)
        def test_two(vms, vm_factory):
            for number, vm in enumerate(vms):
                vm.ssh.succeed(f"echo {number} > /etc/number")
            assert [vm.ssh.succeed("cat /etc/number") for vm in vms] == ["0\\n", "1\\n"]
        """
    )
    vm_run().assert_outcomes(passed=1)


def test_hardware_and_network(vm_run: Runs) -> None:
    """Memory and CPUs of an image of its own; an isolated machine's cables are cut."""
    vm_run.pytester.makepyfile(
        """
        import pytest
        from vboxkit.errors import GuestError

        @pytest.mark.vm(memory_mb=96)
        def test_memory(vm):
            assert vm.memory_mb == 96
            kib = int(vm.ssh.succeed("awk '/MemTotal/ { print $2 }' /proc/meminfo"))
            assert 64 << 10 < kib <= 96 << 10

        @pytest.mark.vm(network="isolated")
        def test_isolated(vm):
            assert vm.network.policy().name == "isolated"
            assert [it.cable_connected for it in vm.network if it.enabled] == [False]
            with pytest.raises(GuestError):
                vm.ssh.run("true", timeout=3)

        @pytest.mark.vm(network="nat")
        def test_as_it_is(vm):
            vm.ssh.succeed("true")
        """
    )
    vm_run().assert_outcomes(passed=3)


def test_each_of_several_images(vm_run: Runs) -> None:
    """The test runs once with each, and its name says with which."""
    vm_run.pytester.makepyfile(
        """
        import pytest
        from vboxkit import ImageSource

        marked = ImageSource("marked", base="tiny", steps=["touch /etc/marked"])

        @pytest.mark.vm(image=["tiny", marked])
        def test_it(vm, request):
            there = vm.ssh.run("test -e /etc/marked").ok
            assert there == ("marked" in request.node.name)
        """
    )
    result = vm_run("-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*test_it?tiny?*", "*test_it?marked?*"])


def test_a_shared_machine_that_is_not_ready(vm_run: Runs) -> None:
    """The report has it; it and its room are given back with its module, not with the run."""
    vm_run.pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def vm_ready(request):
            def check(vm):
                if vm.name.startswith("test-bad"):
                    vm.ssh.succeed("echo not yet; exit 3")
            return check
        """
    )
    vm_run.pytester.makepyfile(
        test_bad="""
        def test_one(vm_module): pass
        def test_two(vm_module): pass
        """,
        test_good="""
        def test_gone(vm_lab):
            assert [vm.name for vm in vm_lab.vms()] == []

        def test_room(vm): pass
        """,
    )
    result = vm_run("--vm-max=1", "--vm-timeout=20", "-n0")
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(["*- vm test-bad*", "last command: *exit 3*", "*is Running"])


def test_the_marker_chooses_a_snapshot(vm_run: Runs) -> None:
    """The tests' machines go on where that machine stood, also when it is gone."""
    vm_run.pytester.makepyfile(
        test_make="""
        def test_make(vm_lab):
            vm = vm_lab.fork("tiny", name="base")
            vm.ssh.succeed("mkdir -p /run/m && mount -t tmpfs none /run/m && echo x > /run/m/x")
            vm.snapshots.take("x")
            vm.ssh.succeed("echo y > /run/m/x")
            vm.keep()
            vm_lab.forget(vm)
        """,
        test_use="""
        import pytest
        from vboxkit import ImageSource

        @pytest.mark.vm(image="base", snapshot="x")
        @pytest.mark.parametrize("number", range(2))
        def test_text(vm, number):
            assert vm.ssh.succeed("cat /run/m/x") == "x\\n"
            vm.ssh.succeed("echo z > /run/m/x")

        def test_source(vm_lab, request):
            ours = vm_lab.vm("base").credentials
            source = ImageSource("own", machine="base", credentials=ours)
            request.node.add_marker(pytest.mark.vm(image=source, snapshot="x"))
            vm = request.getfixturevalue("vm")
            assert vm.ssh.succeed("cat /run/m/x") == "x\\n"

        @pytest.mark.vm(image="base", snapshot="z")
        def test_none(vm): pass
        """,
    )
    vm_run("test_make.py").assert_outcomes(passed=1)
    result = vm_run("test_use.py")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*NotFoundError: *'z'*"])
    vm_run.look("gc-kept")


def test_ready_and_provision(vm_run: Runs) -> None:
    """Users override how an image is made, and when a machine is ready."""
    vm_run.pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def vm_provision():
            return ["echo made > /etc/provisioned"]

        @pytest.fixture(scope="session")
        def vm_ready():
            return lambda vm: vm.ssh.succeed("echo yes > /etc/ready")
        """
    )
    vm_run.pytester.makepyfile(
        """
        def test_it(vm):
            assert vm.ssh.succeed("cat /etc/provisioned /etc/ready") == "made\\nyes\\n"
        """
    )
    vm_run().assert_outcomes(passed=1)


def test_pool(vm_run: Runs) -> None:
    """`vm_pool` gives connected machines, and leaves nothing."""
    vm_run.pytester.makepyfile(
        """
        def test_it(vm_pool):
            one, two = vm_pool.take(), vm_pool.take()
            one.ssh.succeed("touch /etc/here")
            assert not two.ssh.run("test -e /etc/here").ok
            vm_pool.give_back(one)
            vm_pool.give_back(two)
        """
    )
    vm_run().assert_outcomes(passed=1)


def test_no_fork_boots(vm_run: Runs) -> None:
    """With ``--vm-no-fork`` the guest has just booted."""
    vm_run.pytester.makepyfile(
        """
        def test_it(vm):
            log = (vm.log_folder / "VBox.log").read_text(errors="replace")
            assert "to 'POWERING_ON'" in log
        """
    )
    vm_run("--vm-no-fork").assert_outcomes(passed=1)
    vm_run().assert_outcomes(failed=1)


@pytest.mark.parametrize("option", ["--vm-max=1", "--vm-memory-budget=100"])
def test_room(vm_run: Runs, option: str) -> None:
    """One machine at a time; a test that wants two at once can never have them, and is told."""
    vm_run.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(2))
        def test_one(vm, number):
            pass

        def test_two(vm_factory):
            vm_factory.many(2)

        def test_one_after_the_other(vm_factory):
            vm_factory()
            vm_factory()
        """
    )
    result = vm_run(option, "--vm-timeout=20")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        ["*SettingsError: 2 machines*allowed*", "*WaitTimeoutError: *room for*", f"*{option[:8]}*"]
    )


def test_a_machine_that_takes_too_long(vm_run: Runs) -> None:
    """``--vm-timeout`` is that of getting ready, too; it says what was waited for."""
    vm_run.pytester.makepyfile("def test_it(vm): pass")
    vm_run().assert_outcomes(passed=1)  # so that the image is there
    result = vm_run("--vm-timeout=0.2")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*WaitTimeoutError: *"])


def test_packets_of_a_trace(vm_run: Runs) -> None:
    """A trace is among a failure's files, with all of its frames: one that runs, one that ended."""
    vm_run.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("runs", [True, False])
        def test_bad(vm, tmp_path, runs):
            trace = vm.network[0].trace(tmp_path / "eth.pcap")
            if runs:
                vm.ssh.succeed("true")
                assert False
            with trace:
                vm.ssh.succeed("true")
                assert False
        """
    )
    vm_run("--vm-artifacts=kept").assert_outcomes(failed=2)
    saved = list((vm_run.pytester.path / "kept").rglob("eth.pcap"))
    assert len(saved) == 2
    for path in saved:
        with path.open("rb") as file:
            assert any(b"SSH-2.0-" in data for _, data in pcap.Reader(file))


def test_artifacts(vm_run: Runs) -> None:
    """A failed test's machines leave their files; one that passed leaves none."""
    vm_run.pytester.makepyfile(
        """
        import pytest

        def test_good(vm):
            pass

        @pytest.mark.parametrize("word", ["a/b c"])
        def test_bad(vm, word):
            vm.ssh.run("echo out; echo err >&2; exit 3")
            assert word == "other"
        """
    )
    result = vm_run("--vm-artifacts=kept")
    result.assert_outcomes(passed=1, failed=1)
    (test,) = (vm_run.pytester.path / "kept").iterdir()
    assert test.name == "test_artifacts.py-test_bad[a-b_c]"
    (machine,) = test.iterdir()
    assert {file.name for file in machine.iterdir()} >= {
        "screenshot.png",
        "serial.log",
        "VBox.log",
        "describe.json",
        "transcript.jsonl",
    }
    assert json.loads((machine / "describe.json").read_text())["name"] == machine.name
    (*_, last) = (machine / "transcript.jsonl").read_text().splitlines()
    entry = json.loads(last)
    assert entry["command"] == "echo out; echo err >&2; exit 3"
    assert (entry["exit_code"], entry["stdout"], entry["stderr"]) == (3, "out\n", "err\n")
    began, ended = (datetime.fromisoformat(entry[name]) for name in ("began", "ended"))
    assert 0 < (ended - began).total_seconds() < 60
    assert (machine / "screenshot.png").read_bytes().startswith(b"\x89PNG")
    result.stdout.fnmatch_lines(["*vm files*", "*screenshot.png*"])


def test_a_shared_machine_of_a_failure(vm_run: Runs) -> None:
    """The report has it, and ``--vm-keep=failed`` keeps it."""
    vm_run.pytester.makepyfile(
        """
        def test_bad(vm_module):
            vm_module.ssh.run("echo what was seen last")
            assert False

        def test_good(vm_module):
            assert vm_module.ssh.run("true").ok
        """
    )
    result = vm_run("--vm-keep=failed")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*what was seen last*", "*kept*", "*get in: *ssh *"])
    assert len(vm_run.look()["leases"]) == 1
    vm_run.look("gc-kept")

"""The plugin beside others, and beside unittest: nothing is lost, and nothing is left."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING

import pytest

from vboxkit.core.waiting import wait_until

if TYPE_CHECKING:
    from tests.plugin.conftest import Runs

pytestmark = pytest.mark.vm


def test_html(vm_run: Runs) -> None:
    """pytest-html: the report of a failure has the machine's state, command, console and log."""
    pytest.importorskip("pytest_html")
    vm_run.pytester.makepyfile(
        """
        def test_bad(vm):
            vm.ssh.run("echo seen by the guest; exit 3")
            assert False

        def test_good(vm): pass
        """
    )
    result = vm_run("--html=report.html", "--self-contained-html", "--vm-artifacts=files")
    result.assert_outcomes(passed=1, failed=1)
    page = (vm_run.pytester.path / "report.html").read_text()
    found = re.search(r'data-jsonblob="([^"]*)"', page)
    assert found
    tests = json.loads(html.unescape(found[1]))["tests"]
    logs = {name: html.unescape(run[0]["log"]) for name, run in tests.items()}
    (bad,) = (log for name, log in logs.items() if "test_bad" in name)
    (good,) = (log for name, log in logs.items() if "test_good" in name)
    assert re.search(r"- vm test-bad-\w+ -", bad)
    assert "seen by the guest" in bad
    assert "exit code 3" in bad
    assert "VBox.log" in bad
    assert "screenshot.png" in bad
    assert "test-good" not in good


@pytest.mark.parametrize("shared", [False, True])
def test_rerunfailures(vm_run: Runs, shared: bool) -> None:  # noqa: FBT001 - a parameter
    """pytest-rerunfailures: each run has a fresh machine; a shared one is rewound if asked for."""
    pytest.importorskip("pytest_rerunfailures")
    vm_run.pytester.makepyfile(
        f"""
        import pytest

        names = []

        @pytest.mark.vm(rewind=True)
        @pytest.mark.flaky(reruns=2)
        def test_flaky({"vm_module" if shared else "vm"}):
            vm = {"vm_module" if shared else "vm"}
            names.append(vm.name)
            assert not vm.ssh.exists("/root/here")
            vm.ssh.succeed("touch /root/here")
            assert len(names) == 3

        def test_names(vbox):
            assert len(set(names)) == {1 if shared else 3}
            there = {{name for name in names if name in vbox.machines}}
            assert len(there) == {1 if shared else 0}
        """
    )
    result = vm_run("-n0")
    assert result.parseoutcomes() == {"passed": 2, "rerun": 2}


def test_rerun_and_keep(vm_run: Runs) -> None:
    """The machine of a run that failed is kept, that of the run that passed is not."""
    pytest.importorskip("pytest_rerunfailures")
    vm_run.pytester.makepyfile(
        """
        import pytest

        names = []

        @pytest.mark.flaky(reruns=1)
        def test_flaky(vm):
            names.append(vm.name)
            print("machine:", vm.name)
            assert len(names) == 2
        """
    )
    result = vm_run("--vm-keep=failed", "-s")
    assert result.parseoutcomes() == {"passed": 1, "rerun": 1}
    names = re.findall(r"machine: (\S+)", result.stdout.str())
    kept = re.findall(r"get in: .* ssh (\S+)", result.stdout.str())
    assert kept == names[:1]
    assert [name for name in names if name in vm_run.look()["machines"]] == kept
    vm_run.look("gc-kept")


def test_timeout_by_signal(vm_run: Runs) -> None:
    """pytest-timeout by a signal: the command in the guest is given up, the next test runs."""
    pytest.importorskip("pytest_timeout")
    vm_run.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.timeout(3, method="signal", func_only=True)
        def test_hangs(vm):
            vm.ssh.run("sleep 300")

        def test_next(vm):
            vm.ssh.succeed("true")
        """
    )
    result = vm_run("-n0", "-v")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*Timeout*", "*- vm test-hangs-*"])


@pytest.mark.parametrize("seconds", [0.1, 0.2, 0.3, 0.6, 1.0])
def test_timeout_while_a_machine_is_made(vm_run: Runs, seconds: float) -> None:
    """Whatever fork, start or log in it hits: nothing is left, and the next test runs."""
    pytest.importorskip("pytest_timeout")
    vm_run.pytester.makepyfile(
        f"""
        import pytest

        def test_so_that_the_image_is_there(vm): pass

        @pytest.mark.timeout({seconds}, method="signal")
        def test_hit(vm):
            while True:
                pass

        def test_next(vm):
            vm.ssh.succeed("true")
        """
    )
    # Where the signal was lost, the test would last for ever.
    process = vm_run.start("-n0")
    output, _ = process.communicate(timeout=90)
    outcomes = pytest.RunResult.parse_summary_nouns(output.splitlines())
    assert outcomes.pop("passed") == 2
    assert sum(outcomes.get(name, 0) for name in ("failed", "error", "errors")) >= 1


def test_timeout_by_a_thread(vm_run: Runs) -> None:
    """pytest-timeout by a thread ends the process on the spot: the watcher cleans up in 30 s."""
    pytest.importorskip("pytest_timeout")
    vm_run.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.timeout(3, method="thread", func_only=True)
        def test_hangs(vm, vm_module):
            vm.ssh.run("sleep 300")
        """
    )
    result = vm_run("-n0")
    assert result.ret == 1
    assert "Timeout" in result.stdout.str() + result.stderr.str()
    wait_until(
        lambda: True if vm_run.look()["leases"] == [] else None,
        what="the machines to be removed",
        timeout=30,
        poll=1,
    )


def test_asyncio(vm_run: Runs) -> None:
    """pytest-asyncio: commands beside each other, and one that is cancelled is ended."""
    pytest.importorskip("pytest_asyncio")
    vm_run.pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    vm_run.pytester.makepyfile(
        """
        import asyncio
        import pytest
        import pytest_asyncio

        @pytest_asyncio.fixture
        async def server(vm):
            assert (await vm.ssh.run_async("echo up > /root/state")).ok
            yield vm
            assert (await vm.ssh.run_async("rm /root/state")).ok

        @pytest.mark.asyncio
        async def test_beside_each_other(server):
            first, second = await asyncio.gather(
                server.ssh.run_async("until [ -e /tmp/b ]; do sleep 0.1; done; touch /tmp/a"),
                server.ssh.run_async("touch /tmp/b; until [ -e /tmp/a ]; do sleep 0.1; done"),
            )
            assert first.ok and second.ok

        @pytest.mark.asyncio
        async def test_cancelled(vm):
            assert (await vm.ssh.run_async("true")).ok
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(vm.ssh.run_async("exec sleep 4711"), 1)
            seen = await vm.ssh.run_async("grep -l 471[1] /proc/[0-9]*/cmdline")
            assert seen.stdout == ""

        @pytest.mark.asyncio
        async def test_bad(vm):
            await vm.ssh.run_async("echo seen last; exit 3")
            assert False
        """
    )
    result = vm_run()
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*- vm test-bad-*", "last command: *echo seen last*"])


def test_unittest(vm_run: Runs) -> None:
    """Classes of unittest: `vm_self`, markers, `subTest`, setUp, and a machine of the class."""
    vm_run.pytester.makepyfile(
        """
        import unittest
        import pytest

        seen = []

        @pytest.mark.vm(memory_mb=96)
        @pytest.mark.usefixtures("vm_self")
        class TestOwn(unittest.TestCase):
            def setUp(self):
                self.assertFalse(self.vm.ssh.exists("/root/here"))
                self.vm.ssh.succeed("touch /root/here")
                seen.append(self.vm.name)

            def test_one(self):
                self.assertEqual(self.vm.memory_mb, 96)

            def test_two(self):
                self.assertEqual(len(set(seen)), len(seen))

            def test_bad(self):
                self.fail("on purpose")

        class TestShared(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def machine(self, vm_class):
                self.vm = vm_class

            def test_a(self):
                self.vm.ssh.succeed("touch /root/shared")

            def test_b(self):
                self.assertTrue(self.vm.ssh.exists("/root/shared"))
        """
    )
    result = vm_run("-n0", "--vm-keep=failed")
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*- vm test-bad-*", "test-bad-* of *TestOwn::test_bad"])
    assert len(vm_run.look()["leases"]) == 1
    vm_run.look("gc-kept")

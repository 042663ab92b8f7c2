"""What a failed test's report shows, and what is kept of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Runs

pytestmark = pytest.mark.vm

_PASS_AND_FAIL = """
    def test_good(vm): pass
    def test_bad(vm): assert vm.ssh.run("exit 3").ok
"""


def test_the_report_shows_the_machine(vm_run: Runs) -> None:
    """A failure's report has a section with state, serial console and VBox.log."""
    vm_run.pytester.makepyfile(
        """
        def test_good(vm): pass

        def test_bad(vm):
            vm.ssh.succeed("echo out of order > /dev/ttyS0")
            # The serial port is emulated: what is written is in the log a little later.
            vm.console.wait_for("out of order", timeout=20)
            assert False
        """
    )
    result = vm_run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*- vm test-bad-* -*", "*is Running"])
    result.stdout.fnmatch_lines(["--- serial console", "*out of order*", "--- */VBox.log"])
    assert "vm test-good" not in result.stdout.str()


@pytest.mark.parametrize("arguments", [(), ("--vm-artifacts=kept",)])
def test_the_report_has_screenshot_and_timings(vm_run: Runs, arguments: tuple[str, ...]) -> None:
    """A picture's path, in ``--vm-artifacts`` or pytest's own folder; how long things took."""
    vm_run.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("off", [False, True])
        def test_bad(vm, off):
            vm.ssh.succeed("true")
            assert vm.ssh.run("true").ok
            if off:
                vm.power_off()
            assert False
        """
    )
    result = vm_run(*arguments)
    result.assert_outcomes(failed=2)
    text = result.stdout.str()
    (there, none) = re.findall(r"^screenshot: (.+)$", text, re.MULTILINE)
    assert Path(there).read_bytes().startswith(b"\x89PNG")
    assert there.startswith(f"{vm_run.pytester.path}/kept/") == bool(arguments)
    assert none.startswith("none: InvalidStateError: ")
    lines = re.findall(r"^timings: (.+)$", text, re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        took = {name: float(seconds) for name, seconds in re.findall(r"(\w+) ([\d.]+) s\b", line)}
        assert set(took) >= {"clone", "start", "ssh", "commands"}
        assert all(took[name] > 0.01 for name in ("start", "ssh", "commands")), line


def test_the_report_shows_the_last_command(vm_run: Runs) -> None:
    """A failure's report has the last command with its exit code and output."""
    vm_run.pytester.makepyfile(
        """
        def test_bad(vm):
            vm.ssh.run("echo from the guest; exit 3")
            assert False
        """
    )
    result = vm_run()
    result.stdout.fnmatch_lines(["last command: *exit 3*exit code 3*", "*from the guest"])


def test_setup_error(vm_run: Runs) -> None:
    """A fixture that fails after the machine was made: evidence, and nothing left."""
    vm_run.pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def server(vm):
            vm.ssh.succeed("echo no such server; exit 7")

        def test_x(server): pass
        """
    )
    result = vm_run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*CommandFailedError*", "*- vm test-x-* -*", "*is Running"])


def test_teardown_error(vm_run: Runs) -> None:
    """A fixture whose teardown fails does not keep the machine from being destroyed."""
    vm_run.pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def server(vm):
            yield
            raise RuntimeError("cannot stop")

        def test_x(server): pass
        """
    )
    result = vm_run()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*RuntimeError: cannot stop"])


def test_each_machine_is_destroyed_even_if_one_resists(vm_run: Runs) -> None:
    """One machine that cannot be destroyed does not leave the others behind."""
    vm_run.pytester.makepyfile(
        """
        from vboxkit.errors import StorageError

        class Stuck(Exception): pass

        def test_x(vm_factory):
            for vm in (vm_factory(), vm_factory(), vm_factory()):
                last = vm
            def stuck():
                raise StorageError("no space")
            last.destroy = stuck
        """
    )
    result = vm_run()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*CleanupError: not all machines could be removed:*"])
    result.stdout.fnmatch_lines(["*StorageError: no space*", "*try: *vboxkit gc"])
    assert result.stdout.str().count("StorageError: no space") < 10


@pytest.mark.parametrize(
    ("keep", "kept"), [("never", []), ("failed", ["bad"]), ("always", ["good", "bad"])]
)
def test_keep(vm_run: Runs, keep: str, kept: list[str]) -> None:
    """What is kept goes on running, survives the next run, and the summary says how to get in."""
    vm_run.pytester.makepyfile(_PASS_AND_FAIL)
    result = vm_run(f"--vm-keep={keep}")
    result.assert_outcomes(passed=1, failed=1)
    # The environment of the run says which home is meant: the command, which may be typed
    # elsewhere, says so itself.
    names = re.findall(r"get in: .*vboxkit --home \S+ ssh test-(\w+)-", result.stdout.str())
    assert names == kept
    vm_run("-k", "good").assert_outcomes(passed=1, deselected=1)
    machines = {name: state for name, state in vm_run.look()["machines"].items() if "test" in name}
    assert sorted(name.split("-")[1] for name in machines) == sorted(kept)
    assert set(machines.values()) <= {"Running"}
    if kept:
        result.stdout.fnmatch_lines(["remove them: *vboxkit* gc --kept"])
    vm_run.look("gc-kept")


def test_setup_error_keeps_the_machine(vm_run: Runs) -> None:
    """A failed setup is a failed test."""
    vm_run.pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def server(vm):
            assert 0

        def test_x(server): pass
        """
    )
    result = vm_run("--vm-keep=failed")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*virtual machines that were kept*", "test-x-*"])
    assert len(vm_run.look("gc-kept")["processes"]) == 0


def test_vm_process_killed(vm_run: Runs) -> None:
    """A machine whose process dies in the middle of a test: a typed error, and nothing left."""
    vm_run.pytester.makepyfile(
        """
        import os, signal
        from vboxkit.core import processes

        def test_x(vm):
            vm.ssh.succeed("true")
            pid = vm.session_pid
            os.kill(pid, signal.SIGKILL)
            processes.wait_gone(pid, timeout=10)
            vm.ssh.succeed("true")

        def test_next(vm):
            vm.ssh.succeed("true")
        """
    )
    result = vm_run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*GuestConnectionError: machine 'test-x-*", "*- vm test-x-* -*"])


def test_vboxsvc_killed(vm_run: Runs) -> None:
    """VBoxSVC dies in the middle of a test: a typed error, and the next run cleans up."""
    vm_run.pytester.makepyfile(
        test_a="""
        from vboxkit.core import processes

        def test_x(vm, vbox):
            api = vbox._api
            [(server, _)] = processes.find(
                argument="--auto-shutdown", environment=api.environment
            )
            assert processes.kill(server)
            vm.pause()
        """,
        test_b="def test_y(vm): pass",
    )
    result = vm_run("test_a.py")
    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines(["*ConnectionLostError: machine 'test-x-*"])
    vm_run("test_b.py").assert_outcomes(passed=1)

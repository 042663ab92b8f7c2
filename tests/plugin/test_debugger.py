"""Machines while somebody looks at a failure in the debugger."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from vboxkit.core.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugin.conftest import Runs

pytestmark = pytest.mark.vm

#: Seconds: far more than the watcher takes between two looks, and as long as --vm-timeout below.
_LONG = 20


class Debugger:
    """A run under ``--pdb``, which reads its orders from standard input."""

    def __init__(self, run: Runs, *arguments: str) -> None:
        self.output = ""
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=run.pytester.path,
        )

    def until(self, word: str) -> str:
        """Read until a line has this word, and return it."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output += line
            if word in line:
                return line
        pytest.fail(f"the run ended without {word!r}:\n{self.output}")

    def order(self, line: str) -> None:
        """Give the debugger an order."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def end(self, order: str) -> str:
        """Give a last order, and return all that the run has written."""
        rest, _ = self._process.communicate(f"{order}\n", timeout=90)
        return self.output + rest

    def kill(self) -> None:
        """End it, if it still runs."""
        with self._process:
            self._process.kill()


@pytest.fixture
def debugged(vm_run: Runs) -> Iterator[Debugger]:
    """Start a test that fails, and one after it."""
    vm_run.pytester.makepyfile(
        """
        def test_bad(vm):
            vm.ssh.succeed("echo seen > /root/state")
            assert vm.ssh.succeed("cat /root/state") == "other"

        def test_next(vm):
            assert not vm.ssh.exists("/root/state")
        """
    )
    made = Debugger(vm_run, "--pdb", f"--vm-timeout={_LONG}")
    yield made
    made.kill()


def test_the_machine_stays(vm_run: Runs, debugged: Debugger) -> None:
    """It runs while one looks, longer than any limit; no clean-up takes it; then it is gone."""
    debugged.until("entering PDB")
    # What the watcher, and every other run, does with what nobody owns.
    assert vm_run.look("gc")["processes"] != []
    debugged.order(f"print('slept:', vm.ssh.run('sleep {_LONG}; cat /root/state').stdout)")
    debugged.until("slept: seen")
    machines = vm_run.look()["machines"]
    states = {name: state for name, state in machines.items() if name.startswith("test-bad")}
    assert list(states.values()) == ["Running"]
    assert "1 failed, 1 passed" in debugged.end("c")


def test_quitting_leaves_nothing(vm_run: Runs, debugged: Debugger) -> None:
    """``q`` ends the run with all its machines."""
    debugged.until("entering PDB")
    assert "Quitting debugger" in debugged.end("q")
    vm_run.assert_nothing_left()


def test_killed_in_the_debugger(vm_run: Runs, debugged: Debugger) -> None:
    """Of a run that is killed there, the watcher removes the machine within 30 s."""
    debugged.until("entering PDB")
    assert vm_run.look()["processes"] != []
    debugged.kill()
    wait_until(
        lambda: True if vm_run.look()["leases"] == [] else None,
        what="the machine to be removed",
        timeout=30,
        poll=1,
    )

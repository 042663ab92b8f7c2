"""Runs that are interrupted, asked to end, or killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from contextlib import suppress
from types import FunctionType
from typing import TYPE_CHECKING

import pytest

from vboxkit.core.signals import Terminated, ending
from vboxkit.core.waiting import wait_until

if TYPE_CHECKING:
    from tests.plugin.conftest import Runs

pytestmark = pytest.mark.vm

#: Two machines at once, again and again.
_BUSY = """
    import pathlib, pytest

    @pytest.mark.parametrize("number", range({count}))
    def test_busy(vm_factory, number):
        for _ in range(2):
            vm = vm_factory()
        for _ in range({commands}):
            vm.ssh.succeed("true")
            pathlib.Path("busy").touch()
"""


def _ended(process: subprocess.Popen[str]) -> str:
    try:
        return process.communicate(timeout=60)[0]
    finally:
        process.kill()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_asked_to_end(vm_run: Runs, name: str) -> None:
    """Ctrl-C, and being asked to end, in the middle of a test: fixtures are torn down."""
    vm_run.pytester.makepyfile(_BUSY.format(count=1, commands=10_000))
    process = vm_run.start()
    vm_run.wait_for("busy", process)
    # As a terminal does: to all processes of the group.
    os.killpg(process.pid, signal.Signals[name])
    output = _ended(process)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert "no tests ran" in output
    assert "Exception ignored" not in output


@pytest.mark.parametrize("seed", range(4))
def test_interrupted_at_any_moment(vm_run: Runs, seed: int) -> None:
    """Ctrl-C while machines are made or removed leaves nothing after the next run."""
    vm_run.pytester.makepyfile(_BUSY.format(count=50, commands=1))
    process = vm_run.start()
    moment = random.Random(seed).uniform(0.5, 5)  # noqa: S311 - no secret, a moment
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(moment)
    process.send_signal(signal.SIGINT)
    output = _ended(process)
    assert "INTERNALERROR" not in output
    assert process.returncode != 0, output
    _next_run(vm_run)


def _next_run(vm_run: Runs) -> None:
    file = vm_run.pytester.makepyfile(test_next="def test_next(vm): vm.ssh.succeed('true')")
    vm_run(str(file)).assert_outcomes(passed=1)


def _kill_after(process: subprocess.Popen[str], moment: float) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(moment)
    process.kill()
    process.communicate()


def test_killed(vm_run: Runs) -> None:
    """``kill -9`` in the middle of a test: the next run removes what was left."""
    vm_run.pytester.makepyfile(_BUSY.format(count=1, commands=10_000))
    process = vm_run.start()
    vm_run.wait_for("busy", process)
    process.kill()
    process.communicate()
    assert len(vm_run.look()["processes"]) == 2
    _next_run(vm_run)


@pytest.mark.slow
def test_killed_ten_times(vm_run: Runs) -> None:
    """``kill -9`` ten times at random moments: after the next run nothing is left."""
    vm_run.pytester.makepyfile(_BUSY.format(count=50, commands=2))
    _next_run(vm_run)  # so that the image is there
    moments = random.Random(2)  # noqa: S311 - no secret, moments
    for _ in range(10):
        _kill_after(vm_run.start("test_killed_ten_times.py"), moments.uniform(0.2, 5))
    _next_run(vm_run)
    assert vm_run.ports.exists()


@pytest.mark.slow
@pytest.mark.parametrize("sign", ["*.vbox", "serial.log", "*.sav"])
def test_killed_while_building(own_home: Runs, sign: str) -> None:
    """``kill -9`` while the image is built: the next run builds it, and nothing else is left."""
    own_home.pytester.makepyfile("def test_x(vm_image): pass")
    process = own_home.start()
    wait_until(
        lambda: process.poll() is not None or any(own_home.home.rglob(sign)) or None,
        what=f"a file {sign} in {own_home.home}",
        timeout=120,
        poll=0.02,
    )
    assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate()
    _next_run(own_home)
    assert len(own_home.look()["images"]) == 1


def _swallow(after: list[str]) -> None:
    with suppress(BaseException):
        signal.raise_signal(signal.SIGINT)
    after.append("it goes on")


def test_ctrl_c_waits_for_foreign_code() -> None:
    """What VirtualBox's modules would swallow comes when they are left."""
    foreign = FunctionType(_swallow.__code__, {**globals(), "__name__": "xpcom.vboxxpcom"})
    after: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), ending(lambda _: Terminated()):
        foreign(after)
        wait_until(lambda: None, what="Ctrl-C to come", timeout=5)
    assert after
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_elsewhere_comes_at_once() -> None:
    """A test may catch Ctrl-C that it sends itself."""
    after: list[str] = []
    with ending(lambda _: Terminated()):
        _swallow(after)
    assert after

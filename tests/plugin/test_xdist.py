"""Several workers at once."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from vboxkit.core import processes
from vboxkit.core.locks import try_lock
from vboxkit.core.waiting import wait_until
from vboxkit.settings import cache_dir

if TYPE_CHECKING:
    from tests.plugin.conftest import Runs

pytest.importorskip("xdist")
pytestmark = pytest.mark.vm


def test_workers_share_the_image(own_home: Runs) -> None:
    """The image is built by whoever comes first, once; the summary is the controller's."""
    own_home.pytester.makepyfile(
        """
        import pathlib, pytest

        @pytest.mark.parametrize("number", range(4))
        def test_x(vm, worker_id, number):
            with open("images.txt", "a") as images:
                print(worker_id, vm.image.created, file=images)
            assert number != 3
        """
    )
    result = own_home("-n2", "--vm-keep=failed")
    result.assert_outcomes(passed=3, failed=1)
    lines = (own_home.pytester.path / "images.txt").read_text().split("\n")[:-1]
    assert {line.split()[0] for line in lines} == {"gw0", "gw1"}
    assert len({line.split()[1] for line in lines}) == 1
    result.stdout.fnmatch_lines(["*- vm test-x-3-* -*", "*virtual machines that were kept*"])
    assert result.stdout.str().count("get in:") == 1
    assert own_home.look("gc-kept")["leases"] == []


def test_a_worker_is_killed(vm_run: Runs) -> None:
    """A worker that is killed costs one test; what it left is gone within 30 s."""
    vm_run.pytester.makepyfile(
        """
        import os, signal
        import pytest

        def test_bad(vm, vm_session):
            os.kill(os.getpid(), signal.SIGKILL)

        @pytest.mark.parametrize("number", range(3))
        def test_good(vm, number):
            vm.ssh.succeed("true")
        """
    )
    result = vm_run("-n2", "test_a_worker_is_killed.py")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*worker 'gw?' crashed while running*test_bad*"])
    wait_until(
        lambda: True if vm_run.look()["leases"] == [] else None,
        what="the machines to be removed",
        timeout=30,
        poll=1,
    )


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_the_controller_ends(vm_run: Runs, name: str) -> None:
    """Asked to or killed, it takes its workers and their machines along, within 30 s."""
    vm_run.pytester.makepyfile(
        """
        import pathlib, pytest

        @pytest.mark.parametrize("number", range(2))
        def test_busy(vm, number):
            pathlib.Path(f"busy-{number}").touch()
            vm.ssh.run("sleep 600")
        """
    )
    process = vm_run.start("-n2")
    for number in range(2):
        vm_run.wait_for(f"busy-{number}", process)
    assert len(vm_run.look()["processes"]) == 2
    mine = {"VBK_PORTS": str(vm_run.ports)}
    # As execnet starts them.
    assert len(list(processes.find(argument="-c", environment=mine))) == 2
    process.send_signal(signal.Signals[name])
    process.communicate(timeout=60)
    wait_until(
        lambda: None if any(processes.find(argument="-c", environment=mine)) else True,
        what="the workers to end",
        timeout=30,
        poll=0.5,
    )
    wait_until(
        lambda: True if vm_run.look()["leases"] == [] else None,
        what="the machines to be removed",
        timeout=30,
        poll=1,
    )


_SHARED = """
    import pytest

    @pytest.fixture(autouse=True)
    def note(request, worker_id):
        yield
        for name in ("vm_class", "vm_module"):
            if name in request.fixturenames:
                where = request.node.nodeid.rpartition("::")[0] if name == "vm_class" else __name__
                with open("shared.txt", "a") as file:
                    print(name, where, worker_id, request.getfixturevalue(name).name, file=file)

    @pytest.mark.parametrize("number", range(3))
    def test_it(vm_module, number): pass
"""
_CLASS = """
    class TestClass:
        @pytest.mark.parametrize("number", range(2))
        def test_it(self, vm_class, number): pass
"""


@pytest.mark.parametrize("dist", ["loadscope", "loadfile", "loadgroup"])
def test_shared_machines_stay_on_one_worker(vm_run: Runs, dist: str) -> None:
    """One machine for a module and for a class, whoever is free; and no other worker has it."""
    vm_run.pytester.makepyfile(test_a=_SHARED, test_b=_SHARED + _CLASS)
    result = vm_run("-n2", f"--dist={dist}")
    result.assert_outcomes(passed=8)
    lines = (vm_run.pytester.path / "shared.txt").read_text().splitlines()
    assert len(lines) == 8
    found = {tuple(line.split()) for line in lines}
    assert len({(name, where) for name, where, _, _ in found}) == len(found) == 3


def test_a_group_of_ones_own(vm_run: Runs) -> None:
    """Under loadgroup, a group that a test has already is left to it."""
    vm_run.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.xdist_group("mine")
        def test_a(vm_module): pass

        def test_b(vm_module): pass

        def test_c(vm): pass
        """
    )
    result = vm_run("-n1", "--dist=loadgroup", "-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines_random(
        ["*::test_a@mine*", "*::test_b@test_a_group_of_ones_own.py*", "*::test_c *"]
    )


@pytest.mark.parametrize("option", ["--vm-max=1", "--vm-memory-budget=100"])
def test_workers_share_the_budget(vm_run: Runs, option: str) -> None:
    """With room for one machine, two workers never have one each."""
    vm_run.pytester.makepyfile(
        """
        import os, pytest

        def note(word):
            file = os.open("there.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(file, f"{word} {os.environ['PYTEST_XDIST_WORKER']}\\n".encode())
            os.close(file)

        @pytest.mark.parametrize("number", range(4))
        def test_it(vm, number):
            note("in")
            vm.ssh.succeed("true")
            note("out")
        """
    )
    result = vm_run("-n2", option)
    result.assert_outcomes(passed=4)
    lines = (vm_run.pytester.path / "there.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["in", "out"] * 4
    assert {line.split()[1] for line in lines} == {"gw0", "gw1"}


def test_workers_share_the_cpus(vm_run: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many machines start at once as this host has CPUs for, whoever starts them."""
    vm_run.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(2))
        def test_it(vm, number): pass
        """
    )
    vm_run().assert_outcomes(passed=2)  # so that the image is there
    monkeypatch.setenv("VBOXKIT_PARALLEL_STARTS", "1")
    place = wait_until(
        lambda: try_lock(cache_dir() / "starts" / "0.lock"), what="the only place", timeout=60
    )
    try:
        result = vm_run("-n2", "--vm-timeout=4")
    finally:
        place.release()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*WaitTimeoutError*CPU: 1 machines are starting already*"])
    vm_run("-n2").assert_outcomes(passed=2)

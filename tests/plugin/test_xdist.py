"""Several workers at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
    """A worker that is killed costs one test; the next run removes what it left."""
    vm_run.pytester.makepyfile(
        """
        import os, signal

        def test_bad(vm):
            os.kill(os.getpid(), signal.SIGKILL)

        def test_good(vm):
            vm.ssh.succeed("true")
        """,
        test_next="def test_next(vm): vm.ssh.succeed('true')",
    )
    result = vm_run("-n2", "test_a_worker_is_killed.py")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*worker 'gw?' crashed while running*test_bad*"])
    vm_run("test_next.py").assert_outcomes(passed=1)

"""Images of layers that several processes build and remove at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from tests.vm.image_layers import machines, remains
from vboxkit.core.processes import ProcessId
from vboxkit.core.waiting import wait_until
from vboxkit.errors import WaitTimeoutError
from vboxkit.lab import catalogue, leases
from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vboxkit import VM, Lab

pytestmark = [pytest.mark.vm, pytest.mark.usefixtures("no_layers_left")]


@pytest.fixture
def other(vm_lab: Lab, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """
    Build an image in other processes, killed after the test; its function stands in a module.

    The function writes a line to ``calls``, and hangs while there is a file ``hang``.
    """
    (tmp_path / "recipe.py").write_text(
        textwrap.dedent("""
        import os, time
        from pathlib import Path
        HERE = Path(__file__).parent
        def provision(vm):
            vm.ssh.succeed("echo done > /root/done")
            with (HERE / "calls").open("a") as file:
                file.write(f"{os.getpid()}\\n")
            while (HERE / "hang").exists():
                time.sleep(0.05)
        def build(lab):
            steps = ["echo below > /root/below", provision]
            return lab.image("tiny", steps=steps, name="shared")
        """)
    )
    code = (
        "import recipe; from pathlib import Path; from vboxkit import Lab, Settings;"
        f" lab = Lab(Settings.load(home=Path({str(vm_lab.settings.home)!r})));"
        " image = recipe.build(lab); print(*[it.machine for it in image.layers])"
    )
    paths = [str(tmp_path), *sys.path]
    env = environment() | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_four_processes_build_it_once(
    vm_lab: Lab, tmp_path: Path, other: Callable[[], subprocess.Popen[str]]
) -> None:
    """All get the same layers, each of which was built by one of them."""
    processes = [other() for _ in range(4)]
    outs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, outs
    [line] = {out for out, _ in outs}
    assert len((tmp_path / "calls").read_text().splitlines()) == 1
    assert machines(vm_lab.image("shared")) == line.split()


def test_a_builder_that_is_killed(
    vm_lab: Lab,
    tmp_path: Path,
    other: Callable[[], subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed in the middle of a step, it holds nobody up: the next build removes what it left."""
    monkeypatch.syspath_prepend(tmp_path)
    import recipe  # type: ignore[import-not-found]  # the fixture wrote it

    def hanging() -> tuple[subprocess.Popen[str], str, ProcessId]:
        (tmp_path / "hang").touch()
        (tmp_path / "calls").unlink(missing_ok=True)
        process = other()
        wait_until(
            lambda: (tmp_path / "calls").exists() or None,
            what="the step to hang",
            timeout=60,
        )
        [lease] = [it for it in leases.all_leases(vm_lab.places.leases) if it.pid == process.pid]
        assert lease.purpose == "image"
        pid = vm_lab.vbox.machines[lease.name].session_pid
        assert pid is not None
        return process, lease.name, ProcessId.of(pid)

    # By the reaper, which must leave it alone as long as its builder lives.
    process, name, emulator = hanging()
    vm_lab.gc()
    assert name in vm_lab.vbox.machines
    process.kill()
    process.wait()
    vm_lab.gc()
    assert name not in remains(vm_lab)
    assert not emulator.alive

    # By the next build, which may meet the watcher in doing so.
    process, name, emulator = hanging()
    process.kill()
    process.wait()
    (tmp_path / "hang").unlink()
    image = recipe.build(vm_lab)
    assert image.machine_name == name
    assert not emulator.alive
    with image.fork() as vm:
        assert vm.ssh.succeed("cat /root/below /root/done") == "below\ndone\n"
    assert [it.name for it in leases.all_leases(vm_lab.places.leases) if it.name == name] == []


def test_a_layer_whose_base_is_removed_by_another_process(
    vm_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The build begins anew, from what is there then."""
    from vboxkit.lab import layers

    below = vm_lab.image("tiny", steps=["echo 1 > /root/1"], name="below")
    fork = layers._fork
    tries: list[int] = []

    def removed_first(*arguments: Any) -> VM:
        if not tries:
            vm_lab.remove_image(below)
        tries.append(1)
        return fork(*arguments)

    monkeypatch.setattr(layers, "_fork", removed_first)
    image = vm_lab.image("tiny", steps=["echo 1 > /root/1", "echo 2 > /root/2"], name="app")
    assert len(tries) == 3
    with image.fork() as vm:
        assert vm.ssh.succeed("cat /root/1 /root/2") == "1\n2\n"


def test_an_image_that_somebody_builds_is_not_removed(vm_lab: Lab) -> None:
    """Who removes waits for who builds, and gives up with an error that says so."""
    from dataclasses import replace

    from vboxkit.core.locks import lock_file

    image = vm_lab.image("tiny", steps=["true"], name="busy")
    settings = vm_lab.vbox.settings
    vm_lab.vbox.settings = replace(settings, lock_timeout=0.2)
    try:
        with (
            lock_file(vm_lab.places.image_lock(image.digest), what="the test", timeout=1),
            pytest.raises(WaitTimeoutError, match="'busy'"),
        ):
            vm_lab.remove_image(image)
    finally:
        vm_lab.vbox.settings = settings
    assert catalogue.names(vm_lab.places, image)

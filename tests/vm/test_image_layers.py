"""Images of layers: what is built, what is not built again, what goes and what stays."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from vboxkit import Call, ImageSource, Put, Run
from vboxkit.core.processes import ProcessId
from vboxkit.core.waiting import wait_until
from vboxkit.errors import (
    InvalidStateError,
    NotFoundError,
    ProvisioningError,
    SettingsError,
    WaitTimeoutError,
)
from vboxkit.lab import catalogue, images, leases
from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vboxkit import VM, Image, Lab
    from vboxkit.lab.provisioning import AnyStep

pytestmark = pytest.mark.vm

#: How often `count` was called, by any test.
CALLS: list[str] = []


def count(vm: VM) -> None:
    """Write a number that no second call would write."""
    CALLS.append(vm.name)
    vm.ssh.write_text("/root/count", str(len(CALLS)))


@pytest.fixture(autouse=True)
def nothing_left(vm_lab: Lab, vm_image: Image) -> Iterator[None]:
    """Remove the images and layers of a test; nothing else of it may be there."""
    before = {it.machine_name for it in vm_lab.images(layers=True)}
    yield
    mine = [it for it in vm_lab.images(layers=True) if it.machine_name not in before]
    for image in sorted(mine, key=lambda it: -len(it.layers)):
        if images.read(vm_lab.places, image.digest) is not None:
            vm_lab.remove_image(image)
    assert {it.machine_name for it in vm_lab.images(layers=True)} == before
    assert remains(vm_lab) - before == set()
    assert vm_lab.image(vm_image.name) == vm_image


def remains(lab: Lab) -> set[str]:
    """Return the names of all image machines, their folders and leases."""
    found = [*lab.vbox.machines.names(), *(it.name for it in lab.places.machines.iterdir())]
    found += [it.name for it in leases.all_leases(lab.places.leases)]
    return {name for name in found if name.startswith("image-")}


def machines(image: Image) -> list[str]:
    """Return the machines of an image's layers."""
    return [layer.machine for layer in image.layers]


@pytest.mark.smoke
def test_an_image_with_steps(vm_lab: Lab, vm_image: Image, tmp_path: Path) -> None:
    """Commands, a file, a folder and a function are in each fork; nothing is done twice."""
    (tmp_path / "site/sub").mkdir(parents=True)
    (tmp_path / "site/index").write_text("welcome")
    (tmp_path / "site/sub/run").write_text("#!/bin/sh\necho ran")
    (tmp_path / "site/sub/run").chmod(0o755)
    (tmp_path / "site/link").symlink_to("index")
    command = ["sh", "-c", 'cat > "$1"; echo "$WHO $PWD" >> "$1"', "-", "/root/a b"]
    steps: list[AnyStep] = [
        Run(command, input="in\n", env={"WHO": "me"}, cwd="/srv"),
        Put(tmp_path / "site", "/srv/www/htdocs", owner="1:2"),
        Put(tmp_path / "site/index", "/opt/deep/", mode=0o600),
        count,
    ]
    vm_lab.image("tiny", steps=["mkdir -p /srv"], name="srv")
    web = vm_lab.image("srv", steps=steps, name="web")
    calls = len(CALLS)
    title = f"run {shlex.join(command)}"
    assert [layer.step for layer in web.layers] == [
        "",
        "run mkdir -p /srv",
        f"{title[:57]}...",
        "put site to /srv/www/htdocs",
        "put index to /opt/deep/",
        "call count",
    ]
    assert web.layers[0] == vm_image
    assert vm_lab.image("srv", steps=steps, name="web") == web
    assert vm_lab.image("web") == web
    assert len(CALLS) == calls
    assert [it.name for it in vm_lab.images() if it.machine in machines(web)[1:]] == ["srv", "web"]
    with web.fork() as vm:
        assert vm.name.startswith("web-")
        assert web.forks == [vm.name]
        assert vm_image.of_lab(vm_lab).forks == []
        assert vm.ssh.read_text("/root/a b") == "in\nme /srv\n"
        assert vm.ssh.succeed("/srv/www/htdocs/sub/run; cat /srv/www/htdocs/link") == "ran\nwelcome"
        owners = "stat -c %u:%g:%a /srv/www/htdocs/sub/run /opt/deep/index"
        assert vm.ssh.succeed(owners).split() == ["1:2:755", "0:0:600"]
        assert vm.ssh.read_text("/root/count") == str(calls)
    assert 1_000_000 < web.disk_use < 50_000_000


def test_an_added_step_starts_from_the_layer_below(vm_lab: Lab) -> None:
    """Only the new step is done, and what the others left is there, in memory, too."""
    memory = "mkdir -p /run/m && mount -t tmpfs none /run/m && echo kept > /run/m/x"
    first = vm_lab.image("tiny", steps=[count, memory], name="app")
    calls = len(CALLS)
    second = vm_lab.image("tiny", steps=[count, memory, "echo 3 > /root/third"], name="app")
    assert len(CALLS) == calls
    assert machines(second)[:-1] == machines(first)
    with vm_lab.fork("app") as vm:
        assert vm.image == second
        assert vm.ssh.succeed("cat /root/count /run/m/x /root/third") == f"{calls}kept\n3\n"
    # The name leads to what was asked for last.
    assert vm_lab.image("tiny", steps=[count, memory], name="app") == first
    assert vm_lab.image("app") == first


def test_a_change_in_the_middle_builds_from_there(vm_lab: Lab, tmp_path: Path) -> None:
    """Layers before a changed file stay, those after it are built anew."""
    file = tmp_path / "version"
    file.write_text("1")
    steps: list[AnyStep] = ["echo first > /root/first", Put(file, "/root/version"), count]
    one = vm_lab.image("tiny", steps=steps, name="app")
    calls = len(CALLS)
    file.write_text("2")
    two = vm_lab.image("tiny", steps=steps, name="app")
    assert [a == b for a, b in zip(machines(one), machines(two), strict=True)] == [
        True,
        True,
        False,
        False,
    ]
    assert len(CALLS) == calls + 1
    with two.fork() as vm:
        assert vm.ssh.succeed("cat /root/first /root/version /root/count") == f"first\n2{calls + 1}"


def test_the_same_steps_are_the_same_image_under_any_name(vm_lab: Lab) -> None:
    """Two names share all layers; without one it is the base's with a part of the digest."""
    one = vm_lab.image("tiny", steps=["true"], name="one")
    two = vm_lab.image("tiny", steps=["true"], name="two")
    nameless = vm_lab.image("tiny", steps=["true"])
    assert one.machine == two.machine == nameless.machine
    assert nameless.name == f"tiny+{one.digest[:6]}"
    vm_lab.remove_image(one)
    with pytest.raises(NotFoundError, match="'one'") as caught:
        vm_lab.image("one")
    assert "two" in caught.value.available
    assert vm_lab.image("two") == two
    vm_lab.remove_image(nameless)


def fails(vm: VM) -> None:
    """Do something, and raise."""
    vm.fork("left-by-a-function")
    raise LookupError("nothing there")


def switches_off(vm: VM) -> None:
    """Leave no running guest."""
    vm.power_off()


def locks_out(vm: VM) -> None:
    """Leave a guest that nobody gets in to."""
    vm.ssh.succeed("echo nobody > /root/.ssh/authorized_keys")


def interrupts(vm: VM) -> None:
    """End as if by Ctrl-C."""
    vm.ssh.succeed("true")
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Run("echo out; echo err >&2; exit 7"), ["exit code 7", "out", "err"]),
        (Run("sleep 60", timeout=1), ["CommandTimeoutError", "did not end within 1 s"]),
        (Run("kill -9 -1; sleep 9"), ["failed"]),
        (Put(__file__, "/proc/nope/x"), ["mkdir", "/proc/nope"]),
        (Call(fails), ["LookupError: nothing there"]),
        (Call(switches_off), ["PoweredOff", "vm.start()"]),
        (Call(locks_out), ["does not let us in", "authorized_keys"]),
    ],
    ids=["exit code", "timeout", "lost", "put", "raises", "off", "locked out"],
)
def test_a_step_that_fails_leaves_nothing(vm_lab: Lab, step: Any, words: list[str]) -> None:
    """The error names image, step and what was seen."""
    before = remains(vm_lab)
    with pytest.raises(ProvisioningError) as caught:
        vm_lab.image("tiny", steps=[step], name="bad")
    error = caught.value
    text = str(error)
    assert "image 'bad': step 1 of 1" in text
    assert [word for word in words if word not in text] == []
    assert (error.image, error.step) == ("bad", step.title)
    assert remains(vm_lab) == before
    assert "left-by-a-function" not in vm_lab.vbox.machines


def test_the_steps_before_one_that_fails_stay(vm_lab: Lab, vm_image: Image) -> None:
    """They are not done again; until then they are layers without a name, which pruning removes."""
    others = vm_lab.images(layers=True)
    with pytest.raises(ProvisioningError, match="step 2 of 2") as caught:
        vm_lab.image("tiny", steps=[count, "exit 7"], name="bad")
    assert caught.value.result.exit_code == 7
    calls = len(CALLS)
    [below] = [it for it in vm_lab.images(layers=True) if it not in others]
    assert below.parent == vm_image.digest
    assert below.machine in pruned(vm_lab)
    assert vm_lab.image("tiny", steps=[count], name="good").machine == below.machine
    assert len(CALLS) == calls
    assert below.machine not in pruned(vm_lab)


def test_a_step_that_is_interrupted_leaves_nothing(vm_lab: Lab) -> None:
    """Ctrl-C passes, and takes the machine with it."""
    before = remains(vm_lab)
    with pytest.raises(KeyboardInterrupt):
        vm_lab.image("tiny", steps=[interrupts], name="bad")
    assert remains(vm_lab) == before


def test_a_file_that_changes_while_it_is_put(vm_lab: Lab, tmp_path: Path) -> None:
    """What is in the guest must be what the digest says: the build fails, nothing stays."""
    file = tmp_path / "log"
    file.write_text("x")

    class Touchy(Put):
        """Changes its source once it was put."""

        def apply(self, vm: VM) -> None:
            """Do it."""
            super().apply(vm)
            file.write_text("y")

    with pytest.raises(ProvisioningError, match="changed while it was done"):
        vm_lab.image("tiny", steps=[Touchy(file, "/root/log")], name="bad")


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


def test_removing_layers(vm_lab: Lab, vm_image: Image) -> None:
    """What others stand on stays, and the error names them; what nobody needs goes along."""
    app = vm_lab.image("tiny", steps=["echo 1 > /root/1", "echo 2 > /root/2"], name="app")
    web = vm_lab.image("app", steps=["echo 3 > /root/3"], name="web")
    layers = machines(web)
    with pytest.raises(InvalidStateError, match="image 'web'") as caught:
        vm_lab.remove_image(app)
    assert "remove those first" in str(caught.value)
    with web.fork() as vm:
        for image in (web, app, vm_image):
            with pytest.raises(InvalidStateError, match=vm.name):
                vm_lab.remove_image(image)
        assert vm.ssh.succeed("cat /root/1 /root/2 /root/3").split() == ["1", "2", "3"]
    assert machines(vm_lab.image("web")) == layers
    vm_lab.remove_image(web)
    assert layers[3] not in vm_lab.vbox.machines
    assert machines(vm_lab.image("app")) == layers[:3]
    vm_lab.remove_image(app)
    assert [it for it in layers[1:] if it in vm_lab.vbox.machines] == []
    with pytest.raises(NotFoundError, match=r"image 'web' .* was removed"):
        web.fork()
    with pytest.raises(NotFoundError, match="not there any more"):
        vm_lab.image(app.with_steps("true"))


def pruned(lab: Lab, **options: Any) -> dict[str, str]:
    """Return what would be pruned, by machine, with the reasons."""
    found = lab.prune_images(dry_run=True, **options)
    assert all(one.disk_bytes > 1_000_000 for one in found)
    return {one.image.machine: one.reason for one in found}


def test_pruning(vm_lab: Lab, vm_image: Image) -> None:
    """Replaced, forgotten and foreign images go, layers that nobody needs, and nothing else."""
    old = vm_lab.image("tiny", steps=["echo 1 > /root/1", "echo 2 > /root/2"], name="app")
    assert vm_image.machine not in pruned(vm_lab)
    assert old.machine not in pruned(vm_lab)
    new = vm_lab.image("tiny", steps=["echo 1 > /root/1", "echo 3 > /root/3"], name="app")
    assert pruned(vm_lab)[old.machine] == "replaced by a newer one"
    shared = old.layers[1].machine
    assert not {new.machine, shared, vm_image.machine} & set(pruned(vm_lab))
    with vm_lab.fork(old):
        assert old.machine not in pruned(vm_lab)
    assert old.machine in [one.image.machine for one in vm_lab.prune_images()]
    assert old.machine not in vm_lab.vbox.machines
    assert machines(vm_lab.image("app")) == machines(new)

    # Not asked for in a long time.
    file = images.folder_of(vm_lab.places, new.digest) / "names/app"
    os.utime(file, (time.time() - 10 * 86_400,) * 2)
    assert new.machine not in pruned(vm_lab)
    assert pruned(vm_lab, days=9)[new.machine] == "not asked for in 9 days"
    assert pruned(vm_lab, days=9)[shared] == "no image stands on it"
    vm_lab.image("app")
    assert new.machine not in pruned(vm_lab, days=9)

    # Of another VirtualBox.
    images.write(vm_lab.places, msgspec.structs.replace(new, version="7.0.0"))
    assert pruned(vm_lab)[new.machine] == "of VirtualBox 7.0.0"
    with pytest.raises(NotFoundError, match=r"built for VirtualBox 7\.0\.0"):
        vm_lab.image("app")
    found = vm_lab.prune_images()
    order = [one.image.machine for one in found]
    assert order.index(new.machine) < order.index(shared)
    assert shared not in vm_lab.vbox.machines
    assert vm_image.machine in vm_lab.vbox.machines


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


def test_an_image_of_a_snapshot(vm_lab: Lab, vm: VM) -> None:
    """A copy of a fork's online snapshot goes on where it stood, and does not need the fork."""
    vm.ssh.succeed("mkdir -p /run/m && mount -t tmpfs none /run/m && echo alive > /run/m/x")
    vm.snapshots.take("ready")
    vm.ssh.succeed("echo later > /run/m/x")
    source = ImageSource(
        "copy", machine=vm.name, snapshot="ready", credentials=vm.credentials, steps=["echo > /s"]
    )
    with pytest.raises(InvalidStateError, match="Running"):
        vm_lab.image(ImageSource("copy", machine=vm.name, credentials=vm.credentials))
    with pytest.raises(SettingsError, match="memory_mb cannot be changed"):
        vm_lab.image(source, memory_mb=96)
    with pytest.raises(NotFoundError, match="'unready'"):
        vm_lab.image(ImageSource("copy", machine=vm.name, snapshot="unready"))
    image = vm_lab.image(source)
    assert vm_lab.image(source) == image
    vm.destroy()
    with vm_lab.fork("copy") as other:
        assert other.ssh.succeed("cat /run/m/x; ls /s") == "alive\n/s\n"
        assert other.ssh_port != vm.image.created
    assert len(vm_lab.image("copy").layers) == 2


def test_an_image_of_a_machine_at_rest(vm_lab: Lab) -> None:
    """It boots, with other hardware if asked for; a changed machine is another image."""
    tiny = images.source_of("tiny")
    assert tiny.appliance is not None
    machine = vm_lab.vbox.appliances.import_(tiny.appliance, name="a box")
    try:
        source = ImageSource(machine="a box", credentials=tiny.credentials, memory_mb=96, cpus=1)
        image = vm_lab.image(source)
        assert image.name == "a box"
        assert vm_lab.image(source) == image
        assert vm_lab.vbox.machines[image.machine].memory_mb == 96
        from vboxkit.lab.copies import content_digest

        before = content_digest(vm_lab.vbox, source)
        machine.memory_mb = 80
        assert content_digest(vm_lab.vbox, source) != before
    finally:
        machine.destroy()
    with vm_lab.fork("a box") as vm:
        assert int(vm.ssh.succeed("awk '/^MemTotal/ {print $2}' /proc/meminfo")) > 70_000
    with pytest.raises(SettingsError, match="cannot be given other hardware"):
        vm_lab.image("a box", memory_mb=128)


def test_a_step_that_makes_a_new_host_key(vm_lab: Lab) -> None:
    """Forks pin the key that the guest has after the step."""

    def renew(vm: VM) -> None:
        vm.refresh("ssh-host-key")

    image = vm_lab.image("tiny", steps=[renew], name="renewed")
    assert image.host_key != image.layers[0].host_key
    with image.fork() as vm:
        assert vm.ssh.succeed("echo in") == "in\n"
        assert vm.ssh.host_key == image.host_key


def test_names_that_are_taken(vm_lab: Lab) -> None:
    """An image of one's own is not named like a built-in one, or like no file can be."""
    for name in ("tiny", "x.ova", "a/b"):
        with pytest.raises(SettingsError, match="cannot be named"):
            vm_lab.image("tiny", steps=["true"], name=name)


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

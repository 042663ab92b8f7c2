"""Images of layers: what is built, from what, and what is not built again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from tests.vm.image_layers import CALLS, count, machines
from vboxkit import ImageSource, Put, Run
from vboxkit.errors import InvalidStateError, NotFoundError, SettingsError
from vboxkit.lab import images

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit import VM, Image, Lab
    from vboxkit.lab.provisioning import AnyStep

pytestmark = [pytest.mark.vm, pytest.mark.usefixtures("no_layers_left")]


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

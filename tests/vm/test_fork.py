"""Forks of running guests."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from vboxkit import Machine, MachineState
from vboxkit.errors import AlreadyExistsError, ApiError, InvalidStateError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import VM, Image, Lab

pytestmark = pytest.mark.vm


def test_a_fork_resumes_and_does_not_boot(vm_factory: Callable[..., VM]) -> None:
    """Two forks of an image are in the same boot: they resumed the same guest."""
    one, two = vm_factory(), vm_factory()
    # When init and the SSH server, which was started anew while the image was built, were started,
    # in ticks of their boot.
    read = "awk '{print $1, $2, $22}' /proc/1/stat /proc/$(cat /run/dropbear.pid)/stat"
    assert "(dropbear)" in one.ssh.succeed(read)
    assert one.ssh.succeed(read) == two.ssh.succeed(read)


def test_forks_do_not_see_each_other(vm_factory: Callable[..., VM]) -> None:
    """What one fork writes is not on the other, and not in the image."""
    one, two = vm_factory(), vm_factory()
    one.ssh.succeed("echo one > /root/who && sync")
    assert two.ssh.run("cat /root/who").exit_code == 1
    assert vm_factory().ssh.run("cat /root/who").exit_code == 1


def test_each_fork_has_ports_and_macs_of_its_own(vm_factory: Callable[..., VM]) -> None:
    """SSH port, MAC address, serial log and process differ."""
    one, two = vm_factory(), vm_factory()
    assert one.ssh_port != two.ssh_port
    assert one.network[0].mac != two.network[0].mac
    assert one.serial.file != two.serial.file
    assert one.session_pid != two.session_pid


def test_a_fork_costs_little_disk(vm: VM) -> None:
    """A fork's disk is a difference to the image's, a few MB at most."""
    size = sum(f.stat().st_size for f in vm.folder.rglob("*") if f.suffix in {".vdi", ".vmdk"})
    assert 0 < size < 8_000_000


def test_the_cable_is_plugged_in_at_once(vm: VM) -> None:
    """VirtualBox's five seconds without a cable after a restore are switched off."""
    log = (vm.log_folder / "VBox.log").read_text(errors="replace")
    assert "LinkUpDelay" in log
    assert vm.get_extra_data("VBoxInternal/Devices/virtio-net/0/Config/LinkUpDelay") == "0"


def test_a_running_fork_can_be_forked(vm: VM, vm_lab: Lab) -> None:
    """machine.fork() copies what the guest holds in memory now, and is gone after the block."""
    vm.ssh.succeed("mkdir -p /run/m && mount -t tmpfs none /run/m && echo deep > /run/m/x")
    with vm.fork() as child:
        assert child.state == MachineState.RUNNING
        assert vm.state == MachineState.RUNNING
        assert 22 in child.forwards
        assert child.forwards[22].host_port != vm.ssh_port
        assert vm.linked_clones() == [child.name]
        name = child.name
    assert name not in vm_lab.vbox.machines
    assert len(vm.snapshots) == 0
    assert vm.ssh.succeed("cat /run/m/x").strip() == "deep"


def test_a_fork_of_a_fork_shows_what_was_in_memory(vm: VM, vm_lab: Lab) -> None:
    """A fork made of a running VM has the VM's memory: asked through its own SSH port."""
    from vboxkit.guest import SSH, Address

    vm.ssh.succeed("mkdir -p /run/m && mount -t tmpfs none /run/m && echo deep > /run/m/x")
    with vm.fork() as child:
        address = Address("127.0.0.1", child.forwards[22].host_port)
        with SSH(address, vm.credentials, settings=vm_lab.settings, name=child.name) as ssh:
            ssh.wait_ready(60)
            assert ssh.succeed("cat /run/m/x").strip() == "deep"


def test_a_fork_needs_a_running_guest(vm: VM) -> None:
    """A machine at rest without an online snapshot cannot be forked: the error says what to do."""
    vm.power_off()
    with pytest.raises(InvalidStateError) as caught:
        vm.fork()
    assert caught.value.needed == ("Running", "Paused")
    assert "clone(linked=True)" in str(caught.value)
    assert len(vm.snapshots) == 0


def test_a_fork_needs_an_online_snapshot(vm: VM) -> None:
    """An offline snapshot holds no running guest."""
    vm.power_off()
    snapshot = vm.snapshots.take("off")
    with pytest.raises(InvalidStateError, match="no running guest"):
        vm.fork(snapshot=snapshot)
    snapshot.delete()


def test_a_fork_can_wait_saved(vm: VM) -> None:
    """start=False leaves the fork Saved; it can be started later."""
    with vm.fork(start=False) as child:
        assert child.state == MachineState.SAVED
        child.start()
        assert child.state == MachineState.RUNNING


def test_a_taken_name_is_refused(vm: VM, vm_lab: Lab, vm_image: Image) -> None:
    """A fork under a name that exists is refused, and the machine that has it is untouched."""
    with pytest.raises(AlreadyExistsError, match=vm.name):
        vm_lab.fork(vm_image, name=vm.name)
    assert vm.ssh.run("true").ok
    assert vm_lab.vm(vm.name) == vm


def test_four_forks_at_once(vm_lab: Lab, vm_image: Image) -> None:
    """Forks made by several threads at once are all different and all answer."""
    with ThreadPoolExecutor(4) as pool:
        vms = list(pool.map(lambda _: vm_lab.fork(vm_image), range(4)))
    try:
        assert len({vm.ssh_port for vm in vms}) == 4
        for number, vm in enumerate(vms):
            vm.ssh.succeed(f"echo {number} > /tmp/number")
        answers = [vm.ssh.succeed("cat /tmp/number").strip() for vm in vms]
        assert answers == ["0", "1", "2", "3"]
    finally:
        vm_lab.destroy_all()
    names = {vm.name for vm in vm_lab.vms()}
    assert names.isdisjoint(vm._name for vm in vms)


def test_destroy_leaves_nothing(vm_lab: Lab, vm_image: Image) -> None:
    """Machine, disk, folder, lease, process and port are gone after destroy()."""
    from vboxkit.core.ports import is_free
    from vboxkit.core.processes import ProcessId

    vm = vm_lab.fork(vm_image)
    folder, port, name = vm.folder, vm.ssh_port, vm.name
    assert vm.session_pid is not None
    process = ProcessId.of(vm.session_pid)
    vm.destroy()
    assert name not in vm_lab.vbox.machines
    assert not folder.exists()
    assert not process.alive
    assert is_free(port)
    assert not (vm_lab.places.leases / f"{name}.json").exists()
    vm.destroy()  # a second time does no harm


def test_the_image_is_at_rest_and_protected(vm: VM, vm_lab: Lab, vm_image: Image) -> None:
    """The image's machine does not run, and cannot be removed while forks stand on it."""
    machine = vm_lab.vbox.machines[vm_image.machine]
    assert not machine.running
    with pytest.raises(InvalidStateError, match=vm.name):
        vm_lab.remove_image(vm_image)
    assert vm_image.machine in vm_lab.vbox.machines


def test_an_unknown_fork_names_the_known(vm: VM, vm_lab: Lab) -> None:
    """vm() of an unknown name lists those there are."""
    with pytest.raises(NotFoundError) as caught:
        vm_lab.vm("nobody")
    assert vm.name in caught.value.available


def test_keys_are_the_users_own(vm: VM, vm_image: Image) -> None:
    """The well-known key does not let anybody into a fork, and the host key is a new one."""
    from vboxkit.core.resources import resource
    from vboxkit.errors import GuestAuthError
    from vboxkit.guest import SSH, Address, Credentials

    well_known = resource("tiny/insecure_host_key.pub").read_text().split()
    assert vm_image.host_key.split()[:2] != well_known[:2]
    known = Credentials(user="root", key_file=resource("tiny/insecure_key"))
    with SSH(Address("127.0.0.1", vm.ssh_port), known, settings=vm.settings) as stranger:
        with pytest.raises(GuestAuthError):
            stranger.connect(timeout=30)


def test_a_fork_takes_its_forks_along(vm_lab: Lab, vm_image: Image) -> None:
    """destroy() of a fork that was forked itself removes all of them, leases too."""
    vm = vm_lab.fork(vm_image)
    child = vm.fork()
    assert child.ssh.succeed("echo here").strip() == "here"
    grandchild = child.fork(start=False)
    names = [machine._name for machine in (vm, child, grandchild)]
    assert all((vm_lab.places.leases / f"{name}.json").exists() for name in names)
    vm.destroy()
    for name in names:
        assert name not in vm_lab.vbox.machines
        assert not (vm_lab.places.machines / name).exists()
        assert not (vm_lab.places.leases / f"{name}.json").exists()


def test_forks_of_one_machine_go_in_any_order(vm: VM) -> None:
    """Each fork takes the snapshot along that was made for it, whichever goes first."""
    first, second = vm.fork(), vm.fork()
    assert len(vm.snapshots) == 2
    # VirtualBox does not delete the older snapshot while the younger one's disk is in use.
    first.destroy()
    assert first._name not in vm.linked_clones()
    assert vm.linked_clones() == [second.name]
    second.destroy()
    assert vm.linked_clones() == []
    assert len(vm.snapshots) == 0
    assert vm.ssh.run("true").ok


def test_a_plain_machine_is_forked_several_times(vm: VM, vm_lab: Lab) -> None:
    """Not only the lab's machines: of one snapshot, all running, and it goes with the last."""
    machine = vm_lab.vbox.machines[vm.name]
    assert type(machine) is Machine
    before = [snapshot.name for snapshot in machine.snapshots]
    forks = machine.fork(n=2)
    try:
        assert [fork.name for fork in forks] == sorted({fork.name for fork in forks})
        assert {fork.state for fork in forks} == {MachineState.RUNNING}
        assert len({fork.parent_snapshot for fork in forks}) == 1
        assert len({fork.forwards[22].host_port for fork in forks} | {vm.ssh_port}) == 3
    finally:
        for fork in forks:
            fork.destroy()
    assert [snapshot.name for snapshot in machine.snapshots] == before


@pytest.mark.parametrize("count", [0, -1, True, 1.5])
def test_no_such_number_of_forks(vm: VM, count: int) -> None:
    """It is refused, and the snapshot that was taken for it is gone."""
    with pytest.raises(ApiError, match="forks of"):
        vm.fork(n=count)
    assert len(vm.snapshots) == 0


def test_the_guest_takes_its_own_address(vm: VM) -> None:
    """A fork's card has that of its image, until it is refreshed; the connection goes on."""
    own = vm.network[0].mac.lower()
    read = "cat /sys/class/net/eth0/address"
    assert vm.ssh.succeed(read).strip() != own
    vm.refresh("mac-address")
    assert vm.ssh.succeed(read).strip() == own
    vm.ssh.close()
    assert vm.ssh.succeed(read).strip() == own

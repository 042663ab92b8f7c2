"""How fast a virtual machine is on this host, and whether it has the hardware that it should."""

from __future__ import annotations

import os
import platform
import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass
from shutil import disk_usage
from typing import TYPE_CHECKING

from vboxkit.core import processes
from vboxkit.core.signals import held
from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline
from vboxkit.errors import InvalidStateError, NotFoundError, SettingsError
from vboxkit.lab import measuring_hardware as hardware
from vboxkit.lab import measuring_network as network
from vboxkit.lab.images import ImageSource
from vboxkit.lab.measurement import Measurement, Row, check_groups
from vboxkit.lab.measuring_work import WORKS, GuestPlace, WorkFailedError, host_place, rows
from vboxkit.machines.states import MachineState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from vboxkit.guest.ssh import SSH
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.measuring_hardware import Sight
    from vboxkit.lab.records import Image
    from vboxkit.lab.vm import VM

__all__ = ["measure"]

_TEST = "vboxkit bench"
#: Seconds: a boot that takes longer is measured once, and is given so many.
_LONG_BOOT, _BOOT_TIMEOUT = 30.0, 900.0
#: Blocks of 64 KiB that are written at most: 256 MiB.
_MOST = 4096
_BLOCK_KB = 64
_IN_MEMORY = {"tmpfs", "ramfs", "devtmpfs", "rootfs"}


@dataclass
class _Subject:
    """
    What is measured.

    Attributes:
        vm: A machine that runs.
        where: As of `Measurement`.
        image: What it is a fork of.
        ours: Whether it is a fork that was made for this.
        forked: Seconds that forks took, and those that it took to destroy them.
    """

    vm: VM
    where: str
    image: Image
    ours: bool
    forked: tuple[list[float], list[float]]


def measure(lab: Lab, name: str, *, runs: int = 5, only: Collection[str] = ()) -> Measurement:
    """
    Measure an image or a machine; takes a minute or two, emulated, and minutes if it boots slowly.

    Of an image, and of a machine at rest, forks are measured, and destroyed. A fork that runs is
    measured itself, without a change: in folders of their own, which are removed. How long a boot
    and a fork take is then measured on forks of its image.

    Args:
        lab: Where.
        name: An image, or a fork.
        runs: How often each row is measured; the median of them counts.
        only: Some of `vboxkit.lab.measurement.GROUPS`; all, if left out.

    Raises:
        SettingsError: There is no such group, or fewer than one run.
        NotFoundError: There is no such image or machine.
        InvalidStateError: The machine is paused, or busy.
        VBoxKitError: What else can go wrong with a machine.

    Example:
        ``found = measure(lab, "tiny", only=["cpu"])``
    """
    if runs < 1:
        raise SettingsError(f"{runs} runs measure nothing", hint="1 or more")
    groups = check_groups(only)
    found: list[Row] = []
    before = _load()
    with _subject(lab, name, groups, runs) as it:
        if "fork" in groups:
            forked, destroyed = it.forked
            how = "clone, start, SSH"
            found.append(Row(group="fork", name="to SSH", unit="s", values=forked, how=how))
            found.append(Row(group="fork", name="destroy", unit="s", values=destroyed))
        with step(f"look at {it.vm.name}"):
            sight = hardware.look(it.vm.ssh)
            interpreted = hardware.emulated(it.vm)
        # The boots come last, though their row does not: a guest is warm then, as forks are.
        if "ssh" in groups:
            found += network.latencies(it.vm.ssh, runs)
        wanted = [work for work in WORKS if work.group in groups]
        if wanted:
            with _guest_place(it.vm.ssh, sight, ours=it.ours) as guest:
                try:
                    with host_place(lab.places.home, _host_limits(lab), guest) as host:
                        found += rows(wanted, guest, host, runs=runs)
                except WorkFailedError:
                    found += rows(wanted, guest, None, runs=runs)
        if "network" in groups:
            found += network.throughput(it.vm, runs, ours=it.ours)
        checks = []
        if "hardware" in groups:
            with step("compare the hardware"):
                checks = hardware.checks(it.vm, sight, hardware.of_host(), interpreted=interpreted)
        if "boot" in groups:
            # In its place in the order.
            place = sum(row.group == "fork" for row in found)
            found.insert(place, _boot(lab, it, runs))
        return Measurement(
            name=name,
            where=it.where,
            taken=time.time(),
            runs=runs,
            emulated=interpreted,
            virtualbox=lab.vbox.version_text,
            host=_about(before),
            rows=found,
            checks=checks,
        )


@contextmanager
def _subject(lab: Lab, name: str, groups: Collection[str], runs: int) -> Iterator[_Subject]:
    machine = next((vm for vm in lab.vms() if name in {vm.name, vm.id}), None)
    if machine is None:
        other = lab.vbox.machines.find(name)
        if other is not None and other.id not in {it.machine for it in lab.images(layers=True)}:
            raise NotFoundError(
                f"there is no known way into machine {name!r}: it is no fork of an image",
                kind="disposable machine",
                wanted=name,
                hint=f"lab.image(ImageSource({name!r}, machine={name!r}, credentials=...))",
            )
        image = next(
            (it for it in lab.images() if other is not None and it.machine == other.id), None
        )
        with _forks(lab, image or lab.image(name), groups, runs, "image {}") as it:
            yield it
    elif machine.state == MachineState.RUNNING:
        yield from _in_place(lab, machine, groups, runs)
    elif machine.state in {MachineState.SAVED, MachineState.POWERED_OFF, MachineState.ABORTED}:
        known = {it.digest for it in lab.images(layers=True)}
        label = f"bench-{secrets.token_hex(3)}"
        source = ImageSource(label, machine=machine.id, credentials=machine.credentials)
        image = None
        try:
            image = lab.image(source)
            with _forks(lab, image, groups, runs, f"a copy of {name}") as it:
                yield it
        finally:
            with held():
                if image is not None and image.digest not in known:
                    lab.remove_image(image)
    else:
        raise InvalidStateError(
            f"machine {name!r} is {machine.state}",
            state=str(machine.state),
            needed=["Running", "Saved", "PoweredOff"],
            operation="measure",
            hint=f"vboxkit start {name}",
        )


def _in_place(lab: Lab, vm: VM, groups: Collection[str], runs: int) -> Iterator[_Subject]:
    forked: tuple[list[float], list[float]] = ([], [])
    where = f"{vm.name} itself, as it runs"
    if "fork" in groups:
        with _forks(lab, vm.image, groups, runs, "image {}") as other:
            forked = other.forked
    if "fork" in groups or "boot" in groups:
        where += f" (fork and boot: forks of image {vm.image.name})"
    try:
        yield _Subject(vm, where, vm.image, ours=False, forked=forked)
    finally:
        vm.ssh.close()


@contextmanager
def _forks(
    lab: Lab, image: Image, groups: Collection[str], runs: int, what: str
) -> Iterator[_Subject]:
    """Fork so many times, and keep the last one for the block."""
    forked: list[float] = []
    destroyed: list[float] = []
    times = runs if "fork" in groups else 1
    where = f"a fork of {what.format(image.name)}, destroyed afterwards"
    for number in range(times):
        begin = time.perf_counter()
        vm = lab.fork(image, test=_TEST)
        try:
            forked.append(time.perf_counter() - begin)
            if number == times - 1:
                vm.ssh.run(":")
                yield _Subject(vm, where, image, ours=True, forked=(forked, destroyed))
        finally:
            begin = time.perf_counter()
            with held():
                vm.destroy()
            destroyed.append(time.perf_counter() - begin)


def _boot(lab: Lab, it: _Subject, runs: int) -> Row:
    """Boot a fork, again and again; once, if it takes long."""
    values: list[float] = []
    vm = it.vm if it.ours else lab.fork(it.image, test=_TEST)
    try:
        with step("boot"):
            for _ in range(runs):
                vm.ssh.run("sync")
                vm.power_off()
                begin = time.perf_counter()
                deadline = Deadline(max(_BOOT_TIMEOUT, lab.settings.boot_timeout))
                vm.start(timeout=deadline)
                vm.wait_ready(timeout=deadline)
                values.append(time.perf_counter() - begin)
                if values[0] > _LONG_BOOT:
                    break
    finally:
        if not it.ours:
            with held():
                vm.destroy()
    note = "" if len(values) == runs else "measured once, as it takes long"
    how = "start, firmware, guest, SSH"
    return Row(group="boot", name="to SSH", unit="s", values=values, how=how, note=note)


@contextmanager
def _guest_place(ssh: SSH, sight: Sight, *, ours: bool) -> Iterator[GuestPlace]:
    """Choose folders in the guest; they are made by the work, and removed at the end."""
    token = f".vboxkit-bench-{secrets.token_hex(4)}"
    kinds = {line.split()[1]: line.split()[2] for line in sight.lines("mounts")}
    rooms = [line.split() for line in sight.lines("room") if line.startswith("/")]
    places = [(room[0], int(room[-3]), kinds.get(room[-1], "")) for room in rooms if len(room) > 6]
    on_disk = next((it for it in places if it[2] not in _IN_MEMORY), places[0] if places else None)
    folder = f"{on_disk[0]}/{token}" if on_disk else f"/tmp/{token}"  # noqa: S108 - a new name
    memory = next(
        (at for at in ("/dev/shm", "/run", "/tmp") if kinds.get(at) in _IN_MEMORY),  # noqa: S108
        None,
    )
    root = sight.one("user") == "0"
    drop = "sync; echo 1 >/proc/sys/vm/drop_caches" if root and sight.one("drop") else ""
    shell = sight.one("shell").rpartition("/")[2] or "sh"
    variables = {
        "dir": folder,
        # Without a tmpfs: what is not synced stays in the page cache, in the RAM as well.
        "mem": f"{memory}/{token}" if memory else f"{folder}/cached",
        "cpus": str(sight.cpus or 1),
        "drop": drop or "dd if=$dir/disk iflag=nocache count=0",
    }
    in_ram = sight.memory_kb("MemAvailable") // 8
    # A tmpfs may be far smaller than the RAM.
    in_ram = min([in_ram, *(left // 2 for at, left, _ in places if at == memory)])
    limits = {
        "disk": min((on_disk[1] if on_disk else 0) // 4 // _BLOCK_KB, _MOST),
        "ram": min(in_ram // _BLOCK_KB, _MOST),
    }
    try:
        yield GuestPlace(ssh, variables, limits, shell)
    finally:
        # A fork of ours goes with all that is in it.
        if not ours:
            with held():
                ssh.run(["rm", "-rf", folder, variables["mem"]], timeout=60)


def _host_limits(lab: Lab) -> dict[str, int]:
    home: Path = lab.places.home
    return {
        "disk": min(disk_usage(home).free // 1024 // 4 // _BLOCK_KB, _MOST),
        "ram": min(processes.available_memory_mb() * 1024 // 8 // _BLOCK_KB, _MOST),
    }


def _load() -> str:
    return f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else ""


def _about(load: str) -> dict[str, str]:
    sight = hardware.of_host()
    return {
        "system": f"{platform.system()} {platform.release()}",
        "cpu": sight.cpu_model or platform.processor() or platform.machine(),
        "cpus": str(os.cpu_count() or 1),
        "load_before": load,
    }

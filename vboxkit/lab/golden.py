"""
Building an image's first layer: from an appliance or a machine to a snapshot of a running guest.

Import or copy, boot, bring a key of the user's own in, wait until all is up, take the snapshot.
Built once per home, by whichever process comes first; the others wait for it. Only the record that
is written last makes it count: a build that died is found by its lease and removed.
"""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.core.locks import lock_file
from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline, wait_until
from vboxkit.errors import StartError, VBoxKitError, WaitTimeoutError
from vboxkit.guest.console import SerialLog
from vboxkit.guest.credentials import Credentials, generate_key
from vboxkit.lab import copies, images, leases, reaper, watcher
from vboxkit.lab.evidence import evidence_of
from vboxkit.lab.network_cards import give_adapters
from vboxkit.lab.places import TAG_HOST_KEY, TAG_IMAGE, TAG_LEASE
from vboxkit.lab.records import Image
from vboxkit.lab.refresh import clock_line
from vboxkit.machines.fork import plug_in_at_once
from vboxkit.machines.states import MachineState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vboxkit.core.waiting import Timeout
    from vboxkit.guest.ssh import SSH
    from vboxkit.lab.images import ImageSource
    from vboxkit.lab.places import Places
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.virtualbox import VirtualBox

__all__ = [
    "SNAPSHOT",
    "Build",
    "build_first",
    "building",
    "content_of",
    "remove_forwards",
    "valid",
    "warm_up",
]

#: The name of the snapshot that forks stand on.
SNAPSHOT = "golden"


def valid(vbox: VirtualBox, places: Places, digest: str) -> Image | None:
    """Return an image that was built and is still all there, or `None`."""
    image = images.read(places, digest)
    if image is None:
        return None
    machine = vbox.machines.find(image.machine)
    if machine is None or machine.snapshots.by_id(image.snapshot) is None:
        return None
    if not Path(image.key_file).exists():
        return None
    return image


def content_of(vbox: VirtualBox, source: ImageSource) -> str:
    """Return a digest of what a first layer is made from."""
    if source.machine:
        return copies.content_digest(vbox, source)
    return source.content_digest()


@dataclass
class Build:
    """
    A layer that is being built.

    Attributes:
        vbox: The VirtualBox.
        places: The lab's folders.
        name: The name of its machine, and of the lease.
        digest: The layer's digest.
        lease: The lease, as text.
        machine: What was made so far; it is destroyed if the build fails.
    """

    vbox: VirtualBox
    places: Places
    name: str
    digest: str
    lease: str
    machine: Machine | None = None
    _begin: float = field(default_factory=time.monotonic)

    @property
    def tags(self) -> dict[str, str]:
        """The extra data of its machine."""
        return {TAG_LEASE: self.lease, TAG_IMAGE: self.digest}

    def finish(
        self, machine: Machine, credentials: Credentials, *, name: str, content: str, **more: str
    ) -> Image:
        """Take the snapshot of the running guest, power off, and return the record."""
        snapshot = machine.snapshots.take(SNAPSHOT)
        machine.power_off()
        with machine.edit():
            remove_forwards(machine)
            plug_in_at_once(machine)
            machine.set_extra_data(TAG_LEASE, None)
        return Image(
            name=name,
            digest=self.digest,
            content=content,
            machine=machine.id,
            machine_name=self.name,
            snapshot=snapshot.id,
            user=credentials.user,
            key_file=str(credentials.key_file),
            host_key=credentials.host_key or "",
            created=time.time(),
            build_seconds=round(time.monotonic() - self._begin, 3),
            version=".".join(map(str, self.vbox.version)),
            **more,
        )


@contextmanager
def building(vbox: VirtualBox, places: Places, *, name: str, digest: str) -> Iterator[Build]:
    """
    Build a layer in the block, under a lease; what is there of it goes away if the block raises.

    The caller holds the layer's lock.

    Args:
        vbox: The VirtualBox.
        places: The lab's folders.
        name: The image's name; the machine is named after it.
        digest: The layer's digest.
    """
    label = f"image-{name}-{digest[:8]}"
    _remove_remains(vbox, places, label, digest)
    lease = leases.take(places.leases, label, purpose="image")
    watcher.ensure(places)
    build = Build(vbox, places, label, digest, lease.encoded())
    done = False
    try:
        yield build
        done = True
    except StartError as error:
        error.hint = None  # it names log files, which go with the machine
        raise
    finally:
        if not done:
            if build.machine is not None:
                build.machine.destroy()
            shutil.rmtree(images.folder_of(places, digest), ignore_errors=True)
        leases.release(places.leases, label)


def build_first(
    vbox: VirtualBox, places: Places, source: ImageSource, *, digest: str, content: str
) -> Image:
    """
    Return the first layer of an image, building it if there is none.

    Raises:
        WaitTimeoutError: The guest did not come up, or another process builds it and does not end.
    """
    with lock_file(
        places.image_lock(digest),
        what=f"image {source.name!r}, which another process builds",
        timeout=vbox.settings.image_timeout,
    ):
        image = valid(vbox, places, digest)
        if image is not None:
            return image
        if source.make is not None:
            made = source.make([it.content for it in images.all_images(places)])
            source = replace(source, appliance=made.appliance, credentials=made.credentials)
        with building(vbox, places, name=source.name, digest=digest) as build:
            build.machine = machine = _make(build, source)
            credentials = _boot(machine, places, source, digest)
            # Only of an appliance as it comes: it is found again without its credentials.
            plain = source.appliance is not None and not source.hardware
            image = build.finish(
                machine, credentials, name=source.name, content=content if plain else ""
            )
            images.write(places, image)
        return image


def _make(build: Build, source: ImageSource) -> Machine:
    if source.appliance is not None:
        machine = build.vbox.appliances.import_(
            source.appliance, name=build.name, folder=build.places.machine_folder
        )
        build.machine = machine
        with machine.edit():
            for key, value in build.tags.items():
                machine.set_extra_data(key, value)
    else:
        with lock_file(
            build.places.clone_lock,
            what="another process's fork",
            timeout=build.vbox.settings.progress_timeout,
        ):
            machine = copies.copy(
                build.vbox,
                source,
                build.name,
                folder=build.places.machine_folder,
                extra_data=build.tags,
            )
        build.machine = machine
    if source.hardware:
        with machine.edit():
            for setting, number in source.hardware.items():
                if setting == "adapters":
                    give_adapters(machine, number)
                else:
                    setattr(machine, setting, number)
    if machine.get_extra_data(TAG_HOST_KEY) is not None:
        machine.set_extra_data(TAG_HOST_KEY, None)  # of the fork that was copied
    return machine


def _remove_remains(vbox: VirtualBox, places: Places, name: str, digest: str) -> None:
    """Remove what a build that died left: we hold the image's lock, so nobody else works on it."""
    for lease in leases.all_leases(places.leases):
        # The same layer may have been built for an image of another name.
        if lease.purpose == "image" and lease.name.endswith(f"-{digest[:8]}"):
            reaper.reclaim(vbox, places, lease, timeout=vbox.settings.image_timeout)
    record = images.read(places, digest)
    for known in {name, record.machine if record is not None else name}:
        machine = vbox.machines.find(known)
        if machine is not None:
            reaper.destroy_with_clones(vbox, machine)
    shutil.rmtree(places.machines / name, ignore_errors=True)
    shutil.rmtree(images.folder_of(places, digest), ignore_errors=True)


def _boot(machine: Machine, places: Places, source: ImageSource, digest: str) -> Credentials:
    settings = machine.settings
    deadline = Deadline(max(settings.boot_timeout, source.boot_timeout))
    resumes = machine.state is MachineState.SAVED
    if resumes:
        console = copies.prepare_saved(machine)
    else:
        console = SerialLog(machine.serial.to_file(machine.folder / "serial.log"))
    with machine.edit():
        remove_forwards(machine)
    forward = machine.network[0].forward(guest=22, name="ssh")
    here = images.address(forward.host_port)

    def seen() -> str:
        return evidence_of(machine, console)

    def guest(credentials: Credentials) -> SSH:
        from vboxkit.guest.ssh import SSH  # paramiko takes 0.15 s to load, and few builds happen

        return SSH(
            here, credentials, settings=settings, name=f"machine {machine.name!r}", evidence=seen
        )

    try:
        machine.start(timeout=deadline)
        with step("wait for the guest"):
            # What it said while it booted is in the log of the machine that was copied.
            if source.ready_text and console is not None and not resumes:
                console.wait_for(source.ready_text, timeout=deadline)
            with guest(source.credentials) as ssh:
                ssh.wait_ready(deadline)
                with step("bring in a key of this user's own"):
                    credentials = _rekey(
                        ssh, guest, places, source, digest=digest, deadline=deadline
                    )
            if source.settled_text and console is not None and not resumes:
                console.wait_for(source.settled_text, timeout=deadline)
            with step("log in as a fork will"):
                warm_up(guest(credentials), deadline)
            return credentials
    except WaitTimeoutError as error:
        if not error.evidence:
            error.evidence = seen()
        raise
    finally:
        forward.release()


def warm_up(ssh: SSH, timeout: Timeout) -> str | None:
    """
    Do what each fork does first: log in, set the clock, run a command; wait until that is over.

    What a guest does for the first time it reads from its disk, and it makes room for it: its forks
    find that done. A login leaves work as well, processes that end: that takes less time than the
    login took, so this waits for as long again before somebody takes a snapshot.

    Args:
        ssh: The guest; closed at the end.
        timeout: Seconds, `timedelta` or `Deadline` for the login and the command.

    Returns:
        The guest's host key.
    """
    deadline = Deadline(timeout)
    begin = time.monotonic()
    with ssh:
        ssh.wait_ready(deadline)
        key = ssh.host_key
        ssh.run(f"{clock_line()}true", timeout=deadline)
    rest = Deadline(time.monotonic() - begin)
    wait_until(
        lambda: True if rest.expired else None,
        what=f"{ssh.name} to be at rest after a login",
        timeout=rest.remaining + 60,
        poll=0.05,
    )
    return key


def remove_forwards(machine: Machine) -> None:
    """Remove the appliance's own forwards, or ours: each fork gets ports of its own."""
    for adapter in machine.network:
        if adapter.attachment == "NAT":
            for forward in adapter.forwards:
                adapter.remove(forward)


def _rekey(
    ssh: SSH,
    guest: Callable[[Credentials], SSH],
    places: Places,
    source: ImageSource,
    *,
    digest: str,
    deadline: Deadline,
) -> Credentials:
    """Replace the well-known keys, which everybody has, by new ones."""
    key = generate_key(
        images.folder_of(places, digest) / f"id_{source.key_kind}",
        comment="vboxkit",
        kind=source.key_kind,
    )
    public = key.with_name(key.name + ".pub").read_text()
    ssh.succeed(source.rekey, input=public)
    if source.restart_sshd:
        ssh.run(source.restart_sshd)
    with guest(Credentials(user=source.credentials.user, key_file=key)) as again:
        again.wait_ready(deadline)
        if source.new_host_key and again.host_key == ssh.host_key:
            raise VBoxKitError(f"image {source.name!r}: the guest kept its well-known host key")
        return Credentials(user=source.credentials.user, key_file=key, host_key=again.host_key)

"""
Building an image: import, boot, bring a key of the user's own in, snapshot the running guest.

Built once per home, by whichever process comes first; the others wait for it. Only the record that
is written last makes it count: a build that died is found by its lease and removed.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.core.locks import lock_file
from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline
from vboxkit.errors import CleanupError, StartError, VBoxKitError, WaitTimeoutError
from vboxkit.guest.console import SerialLog
from vboxkit.guest.credentials import Credentials, generate_key
from vboxkit.lab import images, leases
from vboxkit.lab.evidence import evidence_of
from vboxkit.lab.images import Image, ImageSource
from vboxkit.lab.places import TAG_IMAGE, TAG_LEASE

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit.guest.ssh import SSH
    from vboxkit.lab.places import Places
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.virtualbox import VirtualBox

__all__ = ["ensure", "remove"]

_SNAPSHOT = "golden"


def ensure(vbox: VirtualBox, places: Places, source: ImageSource) -> Image:
    """
    Return the image, building it first if there is none.

    Raises:
        WaitTimeoutError: The guest did not come up, or another process builds it and does not end.
    """
    digest = source.digest(vbox.version)
    image = _valid(vbox, places, digest)
    if image is not None:
        return image
    with lock_file(
        places.locks / f"image-{digest[:16]}.lock",
        what=f"image {source.name!r}, which another process builds",
        timeout=vbox.settings.image_timeout,
    ):
        image = _valid(vbox, places, digest)
        if image is None:
            image = _build(vbox, places, source, digest)
        return image


def _valid(vbox: VirtualBox, places: Places, digest: str) -> Image | None:
    image = images.read(places, digest)
    if image is None:
        return None
    machine = vbox.machines.find(image.machine)
    if machine is None or image.snapshot not in machine.snapshots:
        return None
    if not Path(image.key_file).exists():
        return None
    return image


def _build(vbox: VirtualBox, places: Places, source: ImageSource, digest: str) -> Image:
    name = f"image-{source.name}-{digest[:8]}"
    begin = time.monotonic()
    with step(f"build image {source.name}"):
        _remove_remains(vbox, places, name, digest)
        lease = leases.take(places.leases, name, purpose="image")
        machine: Machine | None = None
        done = False
        try:
            machine = vbox.appliances.import_(source.appliance, name=name)
            with machine.edit():
                machine.set_extra_data(TAG_LEASE, lease.encoded())
                machine.set_extra_data(TAG_IMAGE, digest)
            credentials = _boot(machine, places, source, digest)
            snapshot = machine.snapshots.take(_SNAPSHOT)
            machine.power_off()
            _remove_forwards(machine)
            image = Image(
                name=source.name,
                digest=digest,
                content=source.content_digest(),
                machine=machine.id,
                machine_name=name,
                snapshot=snapshot.id,
                user=credentials.user,
                key_file=str(credentials.key_file),
                host_key=credentials.host_key or "",
                created=time.time(),
                build_seconds=round(time.monotonic() - begin, 3),
            )
            machine.set_extra_data(TAG_LEASE, None)
            images.write(places, image)
            leases.release(places.leases, name)
            done = True
        except StartError as error:
            error.hint = None  # it names log files, which go with the machine
            raise
        finally:
            if not done:
                if machine is not None:
                    machine.destroy()
                shutil.rmtree(images.folder_of(places, digest), ignore_errors=True)
                leases.release(places.leases, name)
        return image


def _remove_remains(vbox: VirtualBox, places: Places, name: str, digest: str) -> None:
    """Remove what a build that died left: we hold the image's lock, so nobody else works on it."""
    machine = vbox.machines.find(name)
    if machine is not None:
        for clone in machine.linked_clones():
            vbox.machines[clone].destroy()
        machine.destroy()
    shutil.rmtree(places.machines / name, ignore_errors=True)
    shutil.rmtree(images.folder_of(places, digest), ignore_errors=True)


def _boot(machine: Machine, places: Places, source: ImageSource, digest: str) -> Credentials:
    settings = machine.settings
    deadline = Deadline(settings.boot_timeout)
    with machine.edit():
        _remove_forwards(machine)
    forward = machine.network[0].forward(guest=22, name="ssh")
    console = SerialLog(machine.serial.to_file(machine.folder / "serial.log"))
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
            if source.ready_text:
                console.wait_for(source.ready_text, timeout=deadline)
            with guest(source.credentials) as ssh:
                ssh.wait_ready(deadline)
                with step("bring in a key of this user's own"):
                    credentials = _rekey(
                        ssh, guest, places, source, digest=digest, deadline=deadline
                    )
            if source.settled_text:
                console.wait_for(source.settled_text, timeout=deadline)
            return credentials
    except WaitTimeoutError as error:
        if not error.evidence:
            error.evidence = seen()
        raise
    finally:
        forward.release()


def _remove_forwards(machine: Machine) -> None:
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
    key = generate_key(images.folder_of(places, digest) / "id_ed25519", comment="vboxkit")
    public = key.with_name(key.name + ".pub").read_text()
    ssh.succeed(source.rekey, input=public)
    if source.restart_sshd:
        ssh.run(source.restart_sshd)
    with guest(Credentials(user=source.credentials.user, key_file=key)) as again:
        again.wait_ready(deadline)
        if source.new_host_key and again.host_key == ssh.host_key:
            raise VBoxKitError(f"image {source.name!r}: the guest kept its well-known host key")
        return Credentials(user=source.credentials.user, key_file=key, host_key=again.host_key)


def remove(vbox: VirtualBox, places: Places, image: Image) -> None:
    """
    Remove a built image.

    Raises:
        InvalidStateError: Forks of it exist; nothing was done.
        CleanupError: Part of it could not be removed.
    """
    with lock_file(
        places.locks / f"image-{image.digest[:16]}.lock",
        what=f"image {image.name!r}, which another process builds",
        timeout=vbox.settings.lock_timeout,
    ):
        machine = vbox.machines.find(image.machine)
        if machine is not None:
            machine.destroy()
        folder = images.folder_of(places, image.digest)
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise CleanupError(
                f"image {image.name!r} is not fully removed:", left=[f"{folder}: {error}"]
            ) from error

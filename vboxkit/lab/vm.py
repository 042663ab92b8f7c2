"""A disposable virtual machine with a guest that one can talk to."""

from __future__ import annotations

import secrets
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.errors import AlreadyExistsError, NotFoundError
from vboxkit.guest.console import SerialLog
from vboxkit.lab import leases
from vboxkit.lab.evidence import evidence_of, save_evidence
from vboxkit.lab.images import Image, address
from vboxkit.lab.places import TAG_IMAGE, TAG_LEASE
from vboxkit.machines.clones import require_free_name
from vboxkit.machines.fork import Fork, fork

if TYPE_CHECKING:
    from vboxkit.com.api import Api
    from vboxkit.core.waiting import Timeout
    from vboxkit.guest.credentials import Credentials
    from vboxkit.guest.ssh import SSH
    from vboxkit.lab.places import Places
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.snapshots import Snapshot
    from vboxkit.settings import Settings, StartMode

__all__ = ["VM"]


class VM(Fork):
    """
    A fork of an image: a machine, and what is inside of it.

    Attributes:
        image: The image it is a fork of.
    """

    def __init__(
        self, api: Api, com: Any, settings: Settings, *, image: Image, places: Places
    ) -> None:
        super().__init__(api, com, settings)
        self.image = image
        self._places = places
        self._ssh: SSH | None = None
        self._forks: list[VM] = []

    @property
    def credentials(self) -> Credentials:
        """The way in."""
        return self.image.credentials

    @property
    def ssh(self) -> SSH:
        """The guest over SSH: connected at first use, and again when the machine came back."""
        if self._ssh is None:
            from vboxkit.guest.ssh import SSH  # paramiko takes 0.15 s to load

            self._ssh = SSH(
                address(self.ssh_port),
                self.credentials,
                settings=self.settings,
                name=self._subject(),
                evidence=self.evidence,
            )
        return self._ssh

    @property
    def ssh_port(self) -> int:
        """The port of this host, on 127.0.0.1, that leads to the guest's SSH server."""
        for rule in self.forwards.values() or self.network.forwards():
            if rule.guest_port == 22:
                return rule.host_port
        raise NotFoundError(
            f"{self._subject()} forwards no port to its SSH server",
            kind="forward",
            wanted="22",
            hint="vm.network[0].forward(guest=22)",
        )

    @cached_property
    def console(self) -> SerialLog:
        """The serial port of the guest, as a log."""
        return SerialLog(self.serial.file or self.folder / "serial.log")

    def start(self, *, mode: StartMode | None = None, timeout: Timeout | None = None) -> None:
        """Start the machine, see `Machine.start`; an old connection is dropped."""
        self._hang_up()
        super().start(mode=mode, timeout=timeout)

    def wait_ready(self, *, timeout: Timeout | None = None) -> VM:
        """
        Wait until the guest lets us in over SSH.

        Args:
            timeout: Seconds; `Settings.ssh_timeout` if left out.

        Raises:
            WaitTimeoutError: It did not; the error holds serial log and VBox.log.
        """
        self.ssh.wait_ready(timeout)
        return self

    def evidence(self) -> str:
        """Return what helps to see why something failed: state, serial log, VBox.log."""
        return evidence_of(self, self.console)

    def save_evidence(self, folder: Path | str) -> list[Path]:
        """Write screenshot, serial log and VBox.log into a folder; return the files."""
        return save_evidence(self, self.console, Path(folder))

    def fork(
        self,
        name: str | None = None,
        *,
        snapshot: Snapshot | str | None = None,
        start: bool = True,
        timeout: Timeout | None = None,
    ) -> VM:
        """
        Make a running copy of this machine as it stands now, see `Machine.fork`.

        It is a `VM` as well, with SSH of its own, and is cleaned up like every other one.
        """
        mine = leases.find(self._places.leases, self._name)
        forked = leased_fork(
            self,
            name or f"{self._name}-fork-{secrets.token_hex(3)}",
            image=self.image,
            places=self._places,
            snapshot=self.snapshots.own(snapshot),
            start=start,
            timeout=timeout if timeout is not None else self.settings.progress_timeout,
            test=mine.test if mine else "",
        )
        self._forks.append(forked)
        return forked

    def keep(self) -> None:
        """Let this machine live on when its owner is gone; ``vboxkit gc --kept`` removes it."""
        leases.keep(self._places.leases, self._name)

    def destroy(self) -> None:
        """
        Remove the machine with all that was made for it; doing it twice does no harm.

        Its own forks, of which there can be none without it, are destroyed first.
        """
        while self._forks:
            self._forks.pop().destroy()
        self._hang_up()
        super().destroy()
        leases.release(self._places.leases, self._name)

    def _hang_up(self) -> None:
        if self._ssh is not None:
            self._ssh.close()


def leased_fork(
    machine: Machine,
    name: str,
    *,
    image: Image,
    places: Places,
    snapshot: Snapshot | None,
    start: bool,
    timeout: Timeout,
    test: str = "",
) -> VM:
    """
    Fork a machine under a lease, which is there before anything of the fork is.

    Args:
        machine: An image's machine, or a fork of it.
        name: The fork's name.
        image: The image.
        places: The lab's folders.
        snapshot: An online snapshot; one is taken now if `None`.
        start: Whether to start it.
        timeout: For the whole.
        test: What it is for.

    Raises:
        AlreadyExistsError: A machine has this name, or another process is just making one.
    """
    require_free_name(machine._api, name)  # noqa: SLF001 - before anything is written
    known = leases.find(places.leases, name)
    if known is not None:
        raise AlreadyExistsError(
            f"process {known.pid} is making a machine {name!r}, or left one half made",
            kind="machine",
            wanted=name,
            hint="choose another name, or: vboxkit gc",
        )
    lease = leases.take(places.leases, name, test=test)
    done = False
    try:
        forked = fork(
            machine,
            name,
            snapshot=snapshot,
            start=start,
            timeout=timeout,
            kind=partial(VM, image=image, places=places),
            extra_data={TAG_LEASE: lease.encoded(), TAG_IMAGE: image.digest},
        )
        done = True
    finally:
        if not done:
            # What fork() could not take back itself keeps its lease, for the reaper.
            left = [str(com.name) for com in _machines(machine) if com.accessible]
            if name not in left and not (places.machines / name).exists():
                leases.release(places.leases, name)
    return forked


def _machines(machine: Machine) -> list[Any]:
    api = machine._api  # noqa: SLF001 - the lab has no other way to it from here
    return api.array(api.virtualbox, "machines")

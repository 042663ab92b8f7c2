"""A disposable virtual machine with a guest that one can talk to."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.errors import NotFoundError
from vboxkit.guest.console import SerialLog
from vboxkit.lab import leases
from vboxkit.lab.evidence import evidence_of, save_evidence
from vboxkit.lab.images import Image, address
from vboxkit.machines.fork import Fork

if TYPE_CHECKING:
    from vboxkit.core.waiting import Timeout
    from vboxkit.guest.credentials import Credentials
    from vboxkit.guest.ssh import SSH
    from vboxkit.lab.places import Places
    from vboxkit.settings import StartMode

__all__ = ["VM"]


class VM(Fork):
    """
    A fork of an image: a machine, and what is inside of it.

    Attributes:
        image: The image it is a fork of.
    """

    image: Image
    _places: Places
    _ssh: SSH | None = None

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

    def keep(self) -> None:
        """Let this machine live on when its owner is gone; ``vboxkit gc --kept`` removes it."""
        leases.keep(self._places.leases, self._name)

    def destroy(self) -> None:
        """Remove the machine with all that was made for it; doing it twice does no harm."""
        self._hang_up()
        super().destroy()
        leases.release(self._places.leases, self._name)

    def _hang_up(self) -> None:
        if self._ssh is not None:
            self._ssh.close()

    def __exit__(self, *exc: object) -> None:
        self.destroy()

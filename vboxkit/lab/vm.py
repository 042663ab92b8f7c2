"""A disposable virtual machine with a guest that one can talk to."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from vboxkit.core.locks import lock_file
from vboxkit.core.waiting import Deadline
from vboxkit.errors import InvalidStateError, NotFoundError
from vboxkit.guest.serial_console import SerialConsole
from vboxkit.host import budget
from vboxkit.lab import leases
from vboxkit.lab import refresh as refreshing
from vboxkit.lab import rewind as rewinding
from vboxkit.lab.checkpoint import Checkpoint
from vboxkit.lab.evidence import evidence_of, save_evidence
from vboxkit.lab.faults import GuestClock, GuestDisk
from vboxkit.lab.forking import leased_fork
from vboxkit.lab.handover import HandOver
from vboxkit.lab.images import Image, address
from vboxkit.lab.places import TAG_HOST_KEY
from vboxkit.lab.waits import Waits
from vboxkit.machines.fork import Fork
from vboxkit.machines.many import fork_together
from vboxkit.machines.progress import progress_hook
from vboxkit.machines.serial_line import SerialLine
from vboxkit.machines.states import MachineState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vboxkit.com.api import Api
    from vboxkit.core.waiting import Timeout
    from vboxkit.guest.credentials import Credentials
    from vboxkit.guest.ssh import SSH
    from vboxkit.lab.places import Places
    from vboxkit.lab.refresh import Refresh
    from vboxkit.machines.progress import ProgressHook
    from vboxkit.machines.snapshots import Snapshot
    from vboxkit.settings import Settings, StartMode

__all__ = ["VM"]


class VM(Fork, HandOver, Waits):
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
        own = self.get_extra_data(TAG_HOST_KEY)
        return replace(self.image.credentials, host_key=own) if own else self.image.credentials

    @property
    def ssh(self) -> SSH:
        """The guest over SSH: connected at first use, and again when the machine came back."""
        if self._ssh is None:
            from vboxkit.guest.ssh import SSH  # paramiko takes 0.15 s to load
            from vboxkit.guest.ssh_config import alias_of

            self._ssh = SSH(
                address(self.ssh_port),
                self.credentials,
                settings=self.settings,
                name=self._subject(),
                evidence=self.evidence,
            )
            # What other programs are told of this machine goes with its folder.
            self._ssh.alias, self._ssh.files = alias_of(self.name), self.folder
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
    def disk(self) -> GuestDisk:
        """The space in the guest's file systems: ``fill``, ``free``."""
        return GuestDisk(self)

    @cached_property
    def clock(self) -> GuestClock:
        """The guest's clock: ``jump``, ``back``."""
        return GuestClock(self)

    @cached_property
    def _line(self) -> SerialLine:
        file = self.serial.file or self.folder / "serial.log"
        return SerialLine(self, file, self.log_folder / "serial-earlier.log")

    @cached_property
    def console(self) -> SerialConsole:
        """The serial port of the guest: what it says, and typing on it."""
        line = self._line
        return SerialConsole(line.file, line, earlier=line.earlier)

    def start(self, *, mode: StartMode | None = None, timeout: Timeout | None = None) -> None:
        """
        Start the machine, see `Machine.start`; an old connection is dropped.

        If it goes on from a saved state, the guest's clock is set with the first command.
        """
        self._hang_up()
        if not self.running:
            self._line.begin_anew()
        resumed = self.state in {MachineState.SAVED, MachineState.ABORTED_SAVED}
        super().start(mode=mode, timeout=timeout)
        if resumed:
            self.ssh.before_next = self.clock.line
        else:
            self.clock.forget()

    def resume(self) -> None:
        """Let a paused guest go on; its clock is set with the first command."""
        super().resume()
        self.ssh.before_next = self.clock.line

    def refresh(self, *names: Refresh) -> None:
        """
        Make what the guest shares with the moment of its snapshot its own.

        Args:
            *names: ``clock``; ``entropy`` (the kernel's random state, which forks of one image
                otherwise share); ``hostname`` (this machine's name); ``machine-id``;
                ``mac-address`` (that of VirtualBox's adapter, where forks share a network);
                ``ssh-host-key`` (the new key is pinned).

        Raises:
            SettingsError: There is no such thing to refresh.
            CommandFailedError: The guest could not do it.

        Example:
            ``vm.refresh("entropy", "hostname", "ssh-host-key")``
        """
        macs = [adapter.mac for adapter in self.network if adapter.enabled]
        key = refreshing.refresh(self.ssh, names, hostname=self.name, macs=macs)
        if key is not None:
            self.set_extra_data(TAG_HOST_KEY, key)
            self._forget_ssh()
            self.wait_ready()  # the server is starting anew, OpenSSH for seconds

    def evidence(self) -> str:
        """Return what helps to see why something failed: state, serial log, VBox.log."""
        return evidence_of(self, self.console)

    def save_evidence(self, folder: Path | str) -> list[Path]:
        """
        Write what helps to see why something failed into a folder, and return the files.

        Screenshot, serial log, VBox.log, the settings (``describe.json``), the commands that were
        run (``transcript.jsonl``), and the packets of traces; one that runs is stopped. What cannot
        be had is left out.
        """
        saved = save_evidence(self, self.console, Path(folder))
        if self._ssh is not None and self._ssh.transcript.entries():
            saved.append(self._ssh.transcript.save(Path(folder) / "transcript.jsonl"))
        return saved

    @overload
    def fork(
        self,
        name: str | None = ...,
        *,
        snapshot: Snapshot | str | None = ...,
        start: bool = ...,
        timeout: Timeout | None = ...,
        on_update: ProgressHook | None = ...,
        refresh: Sequence[Refresh] = ...,
        n: None = ...,
    ) -> VM: ...
    @overload
    def fork(
        self,
        name: str | None = ...,
        *,
        snapshot: Snapshot | str | None = ...,
        start: bool = ...,
        timeout: Timeout | None = ...,
        on_update: ProgressHook | None = ...,
        refresh: Sequence[Refresh] = ...,
        n: int,
    ) -> list[VM]: ...
    def fork(
        self,
        name: str | None = None,
        *,
        snapshot: Snapshot | str | None = None,
        start: bool = True,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
        refresh: Sequence[Refresh] = (),
        n: int | None = None,
    ) -> VM | list[VM]:
        """
        Make a running copy of this machine as it stands now, see `Machine.fork`.

        It is a `VM` as well, with SSH of its own, and is cleaned up like every other one.

        Args:
            name: Its name; derived from this machine's if left out. Of several, the beginning.
            snapshot: An online snapshot, or a checkpoint's; one is taken now if left out.
            start: Whether to start it; otherwise it is left Saved.
            timeout: Seconds for the whole; `Settings.progress_timeout` if left out.
            on_update: Called with each progress; see `progress_hook`.
            refresh: What else to make its own, see `refresh`; waits until SSH is ready.
            n: Make so many, from one snapshot, and return them in a list: all or none. As many
                start at once as CPUs and RAM allow; why others wait is told to those who listen
                to steps.

        Raises:
            SettingsError: There is nothing of that name to refresh, or it is not started.
        """
        refreshing.check(refresh, running=start)
        deadline = Deadline(timeout if timeout is not None else self.settings.progress_timeout)
        label = name or f"{self._name}-fork-{secrets.token_hex(3)}"
        origin = self.snapshots.own(snapshot)
        mine = leases.find(self._places.leases, self._name)

        def make(name: str, snapshot: Snapshot | None, deadline: Timeout) -> VM:
            return leased_fork(
                self,
                name,
                image=self.image,
                places=self._places,
                snapshot=snapshot,
                start=False,
                timeout=deadline,
                test=mine.test if mine else "",
                session=mine.session if mine else "",
                kind=partial(VM, image=self.image, places=self._places),
            )

        made: list[VM]
        with progress_hook(on_update):
            if n is None:
                with ExitStack() as turn:
                    if origin is not None:
                        # VBoxSVC refuses to clone one snapshot twice at once.
                        lock = self._places.clone_lock
                        turn.enter_context(
                            lock_file(lock, what="another process's fork", timeout=deadline)
                        )
                    made = [make(label, origin, deadline)]
                if start:
                    made[0].start_in_turn(deadline)
            else:
                made = fork_together(
                    self,
                    make,
                    n,
                    label=label,
                    snapshot=origin,
                    start=start,
                    timeout=deadline,
                    lock=self._places.clone_lock,
                )
        refreshing.refresh_all(made, refresh, timeout=deadline)
        # Those that are gone need not be remembered.
        self._forks = [fork for fork in self._forks if not fork.gone] + made
        return made[0] if n is None else made

    def checkpoint(self, name: str, *, timeout: Timeout | None = None) -> Checkpoint:
        """
        Keep the state in which the running machine is now, to fork it later.

        The machine goes on running.

        Args:
            name: The checkpoint's name.
            timeout: Seconds; `Settings.progress_timeout` if left out.

        Raises:
            InvalidStateError: The machine does not run: there is no guest to keep.

        Example:
            ``with vm.checkpoint("after-install").fork() as other: other.ssh.run("reboot")``
        """
        if self.state not in {MachineState.RUNNING, MachineState.PAUSED}:
            raise InvalidStateError(
                f"{self._subject()} is {self.state}: there is no running guest to keep",
                state=str(self.state),
                needed=["Running", "Paused"],
                operation="make a checkpoint",
                hint="start() it first; snapshots.take() keeps a machine at rest",
            )
        return Checkpoint(self, self.snapshots.take(name, timeout=timeout))

    def rewind(self, *, timeout: Timeout | None = None) -> VM:
        """
        Put the machine back to the state of its image, with its own name, ports and MAC address.

        What was done in it is lost, disks that were attached to it aside. Waits until SSH is ready.

        Args:
            timeout: Seconds; `Settings.boot_timeout` if left out.

        Raises:
            InvalidStateError: Checkpoints or forks of it stand on its disks, or it is a fork of
                another fork; nothing was done.
            NotFoundError: The image is gone; nothing was done.
            StartError: Its hardware is not that of the image any more.
        """
        deadline = Deadline(timeout if timeout is not None else self.settings.boot_timeout)
        rewinding.rewind(self, self.image)
        self._line.forget()
        self._forget_ssh()
        self.clock.forget()
        with budget.may_start(self.memory_mb, what=self._subject(), timeout=deadline):
            self.start(timeout=deadline)
        return self.wait_ready(timeout=deadline)

    def branch(self, name: str | None = None, *, timeout: Timeout | None = None) -> VM:
        """
        Fork this machine as it stands, to explore and throw away; waits until SSH is ready.

        Example:
            ``with vm.branch() as other: other.ssh.run("rm -rf /srv")``
        """
        forked = self.fork(name, timeout=timeout)
        done = False
        try:
            forked.wait_ready(timeout=timeout)
            done = True
        finally:
            if not done:
                forked.destroy()
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
        if self._ssh is not None:
            self._ssh.close()
        if "_line" in self.__dict__:
            self._line.hang_up()
        super().destroy()
        leases.release(self._places.leases, self._name)

    def _hang_up(self) -> None:
        if self._ssh is not None:
            self._ssh.disconnect()

    def _forget_ssh(self) -> None:
        """Close SSH with its tunnels; the next one may have another port and host key."""
        ssh, self._ssh = self._ssh, None
        if ssh is not None:
            ssh.close()

"""The lab: a VirtualBox home of vboxkit's own, its images, and their forks."""

from __future__ import annotations

import re
import secrets
from functools import partial
from typing import TYPE_CHECKING, overload

from vboxkit.core.locks import lock_file
from vboxkit.core.processes import ProcessId
from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline
from vboxkit.errors import CleanupError, NotFoundError, VBoxKitError
from vboxkit.guest import preload
from vboxkit.lab import images, leases, reaper
from vboxkit.lab import refresh as refreshing
from vboxkit.lab.forking import leased_fork
from vboxkit.lab.places import TAG_IMAGE, Places
from vboxkit.lab.pool import Pool
from vboxkit.lab.shelf import Shelf
from vboxkit.lab.upkeep import keep_small
from vboxkit.lab.vm import VM
from vboxkit.machines.many import fork_many
from vboxkit.machines.virtualbox import VirtualBox, connect
from vboxkit.settings import Settings, in_user_home

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from typing_extensions import Self

    from vboxkit.core.waiting import Timeout
    from vboxkit.lab.images import Image
    from vboxkit.lab.network import Kind, PrivateNetwork
    from vboxkit.lab.refresh import Refresh

__all__ = ["Lab"]


class Lab(Shelf):
    """
    Disposable machines, apart from the user's own; a context manager that destroys its forks.

    Args:
        settings: Home, timeouts, start mode; loaded from all sources if left out.
        session: The run that its machines belong to, as ``pytest 4711``; kept with each.

    Attributes:
        vbox: The VirtualBox of its home.
        settings: What was given.
        session: What was given.

    Raises:
        VirtualBoxNotFoundError: There is no VirtualBox here.

    Example:
        ``with Lab() as lab, lab.fork("tiny") as vm: print(vm.ssh.succeed("uname -a"))``
    """

    def __init__(self, settings: Settings | None = None, *, session: str = "") -> None:
        self.settings = settings or Settings.load()
        home = None if in_user_home(self.settings.home) else self.settings.home
        self.vbox: VirtualBox = connect(home, settings=self.settings)
        self.places = Places(self.settings.home)
        self.session = session
        self._forks: dict[str, VM] = {}
        self._pools: list[Pool] = []
        self._networks: list[PrivateNetwork] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy_all()

    def __repr__(self) -> str:
        return f"<Lab {self.places.home}>"

    # Forks

    @overload
    def fork(
        self,
        image: Image | str | None = ...,
        *,
        name: str | None = ...,
        test: str = ...,
        wait: bool = ...,
        refresh: Sequence[Refresh] = ...,
        ttl: float | None = ...,
        timeout: Timeout | None = ...,
        n: None = ...,
    ) -> VM: ...
    @overload
    def fork(
        self,
        image: Image | str | None = ...,
        *,
        name: str | None = ...,
        test: str = ...,
        wait: bool = ...,
        refresh: Sequence[Refresh] = ...,
        ttl: float | None = ...,
        timeout: Timeout | None = ...,
        n: int,
    ) -> list[VM]: ...
    def fork(
        self,
        image: Image | str | None = None,
        *,
        name: str | None = None,
        test: str = "",
        wait: bool = True,
        refresh: Sequence[Refresh] = (),
        ttl: float | None = None,
        timeout: Timeout | None = None,
        n: int | None = None,
    ) -> VM | list[VM]:
        """
        Fork an image: a machine of its own, running, with SSH ready and the clock right.

        Args:
            image: An image, or what `image` takes.
            name: The machine's name; derived from the image's (and the test's) if left out. Of
                several, the beginning.
            test: What it is for, kept with the machine.
            wait: Whether to wait until SSH lets us in; otherwise the first command does.
            refresh: What else to make its own, see `VM.refresh`.
            ttl: Seconds after which it may be removed even if this process lives; never if left
                out.
            timeout: Seconds for starting and waiting; `Settings.boot_timeout` if left out.
            n: Make so many, and return them in a list: all or none. As many start at once as CPUs
                and RAM allow; why others wait is told to those who listen to steps.

        Raises:
            SettingsError: There is nothing of that name to refresh.
            AlreadyExistsError: There is a machine of that name.
            StartError: VirtualBox could not start it.
            WaitTimeoutError: The guest did not answer.
        """
        if image is None or isinstance(image, str):
            image = self.image(image)
        refreshing.check(refresh)
        label = name or f"{_slug(test or image.name)}-{secrets.token_hex(3)}"
        deadline = Deadline(timeout if timeout is not None else self.settings.boot_timeout)
        origin = image

        def make(label: str) -> VM:
            with step(f"fork {origin.name}"):
                vm = self._clone(origin, label, test, deadline, ttl)
                if wait:
                    preload.meanwhile()
                vm.start_in_turn(deadline)
                done = False
                try:
                    if wait:
                        with step("wait for SSH"):
                            vm.wait_ready(timeout=deadline)
                    if refresh:
                        vm.refresh(*refresh)
                    done = True
                finally:
                    if not done:
                        vm.destroy()
            return self._remember(vm)

        if n is None:
            return make(label)
        return fork_many(lambda number: make(f"{label}-{number}"), n, what=image.name)

    def _clone(
        self, image: Image, label: str, test: str, deadline: Deadline, ttl: float | None = None
    ) -> VM:
        keep_small(self.vbox)
        # VBoxSVC refuses to clone one snapshot twice at once ("locked for writing").
        with lock_file(self.places.clone_lock, what="another process's fork", timeout=deadline):
            # Who removes images holds the lock as well.
            machine = self.vbox.machines.find(image.machine)
            if machine is None:
                raise NotFoundError(
                    f"image {image.name!r} ({image.machine_name}) was removed",
                    kind="image",
                    wanted=image.name,
                    available=[it.name for it in self.images()],
                    hint="lab.image(...) builds it again",
                )
            return leased_fork(
                machine,
                label,
                image=image,
                places=self.places,
                snapshot=machine.snapshots[image.snapshot],
                start=False,
                timeout=deadline,
                test=test,
                session=self.session,
                kind=partial(VM, image=image, places=self.places),
                ttl=ttl,
            )

    def pool(
        self,
        image: Image | str | None = None,
        *,
        size: int,
        paused: bool = True,
        most: int | None = None,
        memory_mb: int = 1024,
        load: float | None = None,
        idle: float | None = 300.0,
        ttl: float | None = None,
    ) -> Pool:
        """
        Return a `Pool`: forks of an image that are made in the background and wait.

        See `Pool` for the arguments; `image` is an image, or what `image` takes.
        """
        if image is None or isinstance(image, str):
            image = self.image(image)
        made = Pool(
            self,
            image,
            size=size,
            paused=paused,
            most=most,
            memory_mb=memory_mb,
            load=load,
            idle=idle,
            ttl=ttl,
        )
        self._pools.append(made)
        return made

    def network(
        self,
        name: str = "",
        *,
        subnet: str = "10.77.0.0/24",
        kind: Kind = "tunnel",
        seed: int = 0,
        pcap: Path | str | None = None,
    ) -> PrivateNetwork:
        """
        Make a private network for machines of this lab; it needs no rights and no driver.

        Args:
            name: Its name; a new one if left out.
            subnet: Its addresses, /16 to /29; the first one is the switch's own, for DHCP and DNS.
            kind: ``tunnel``, a switch of ours that injects faults; or ``internal``, VirtualBox's
                own network, which needs its kernel driver.
            seed: Of the faults: the same seed gives the same decisions about the same frames.
            pcap: Record all frames into this file, see `PrivateNetwork.record`.

        Raises:
            SettingsError: The subnet or kind cannot be.

        Example:
            ``with lab.network() as net: a, b = net.fork("a", "b"); net.drop(30)``
        """
        from vboxkit.lab.network import PrivateNetwork  # few need it

        made = PrivateNetwork(self, name, subnet=subnet, kind=kind, seed=seed, pcap=pcap)
        self._networks = [*(it for it in self._networks if not it.closed), made]
        return made

    def vm(self, name: str) -> VM:
        """
        Return a fork that exists already, made by this process or another.

        Raises:
            NotFoundError: There is none of this name; the error lists those there are.
        """
        machine = self.vbox.machines.find(name)
        digest = machine.get_extra_data(TAG_IMAGE) if machine is not None else None
        image = images.read(self.places, digest) if digest else None
        if machine is None or image is None or machine.id == image.machine:
            names = [vm.name for vm in self.vms()]
            raise NotFoundError(
                f"there is no disposable machine {name!r}, only {names}",
                kind="disposable machine",
                wanted=name,
                available=names,
                hint="vboxkit ls",
            )
        return self._attach(machine.com, image.of_lab(self))

    def vms(self) -> list[VM]:
        """Return the forks that exist, of all processes."""
        found = []
        for machine in self.vbox.machines:
            digest = machine.get_extra_data(TAG_IMAGE)
            image = images.read(self.places, digest) if digest else None
            if image is not None and machine.id != image.machine:
                found.append(self._attach(machine.com, image.of_lab(self)))
        return found

    def _remember(self, vm: VM) -> VM:
        """Count a machine to those that `destroy_all` destroys; return it."""
        # One by one: other threads do the same.
        for key, known in list(self._forks.items()):
            if known._destroyed:  # noqa: SLF001 - VBoxSVC keeps what we hold on to
                self._forks.pop(key, None)
        self._forks[vm.id] = vm
        return vm

    def _attach(self, com: object, image: Image) -> VM:
        vm = VM(self.vbox._api, com, self.settings, image=image, places=self.places)  # noqa: SLF001 - it is a machine already
        vm.forwards = {rule.guest_port: rule for rule in vm.network.forwards()}
        return vm

    def destroy_all(self) -> None:
        """
        Destroy all forks of this lab object; all are tried, whatever goes wrong with one.

        Raises:
            CleanupError: Some could not be removed.
        """
        left = []
        while self._networks:
            try:
                self._networks.pop().close()
            except VBoxKitError as error:
                left.append(str(error))
        while self._pools:
            try:
                self._pools.pop().close()
            except VBoxKitError as error:
                left.append(f"pool: {error}")
        while self._forks:
            _, vm = self._forks.popitem()
            lease = leases.find(self.places.leases, vm._name)  # noqa: SLF001 - it may be gone
            if lease is not None and lease.owner_alive and lease.pid != ProcessId.current().pid:
                continue  # it waited in a pool, and another process has adopted it
            try:
                vm.destroy()
            except VBoxKitError as error:
                left.append(f"{vm!r}: {error}")
        if left:
            raise CleanupError("not all machines could be removed:", left=left, hint="vboxkit gc")

    def forget(self, vm: VM) -> None:
        """Leave a fork to the caller: `destroy_all` does not touch it any more."""
        self._forks.pop(vm.id, None)

    def gc(self, *, kept: bool = False, dry_run: bool = False) -> list[str]:
        """
        Remove what processes that died left behind.

        Args:
            kept: Also what was kept on purpose.
            dry_run: Only say what would be removed.

        Returns:
            A line for each machine.

        Raises:
            CleanupError: Something could not be removed.
        """
        return reaper.collect(self.vbox, self.places, kept=kept, dry_run=dry_run)


def _slug(text: str) -> str:
    """Make a short machine name of a test's node id."""
    last = text.rsplit("::", 1)[-1]
    return re.sub(r"[^A-Za-z0-9]+", "-", last).strip("-")[:40] or "vm"

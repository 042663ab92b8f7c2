"""The lab: a VirtualBox home of vboxkit's own, its images, and their forks."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from vboxkit.core.locks import lock_file
from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline
from vboxkit.errors import CleanupError, NotFoundError, VBoxKitError
from vboxkit.lab import golden, images, reaper
from vboxkit.lab.places import TAG_IMAGE, Places
from vboxkit.lab.vm import VM, leased_fork
from vboxkit.machines.virtualbox import VirtualBox, connect
from vboxkit.settings import Settings

if TYPE_CHECKING:
    from typing_extensions import Self

    from vboxkit.core.waiting import Timeout
    from vboxkit.guest.credentials import Credentials
    from vboxkit.lab.images import Image, ImageSource

__all__ = ["Lab"]


class Lab:
    """
    Disposable machines, apart from the user's own; a context manager that destroys its forks.

    Args:
        settings: Home, timeouts, start mode; loaded from all sources if left out.

    Attributes:
        vbox: The VirtualBox of its home.
        settings: What was given.

    Raises:
        VirtualBoxNotFoundError: There is no VirtualBox here.

    Example:
        ``with Lab() as lab, lab.fork("tiny") as vm: print(vm.ssh.succeed("uname -a"))``
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.load()
        self.vbox: VirtualBox = connect(self.settings.home, settings=self.settings)
        self.places = Places(self.settings.home)
        self._forks: list[VM] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy_all()

    def __repr__(self) -> str:
        return f"<Lab {self.places.home}>"

    # Images

    def image(
        self, source: str | ImageSource | None = None, *, credentials: Credentials | None = None
    ) -> Image:
        """
        Return an image, building it first if there is none (some seconds, once per home).

        Args:
            source: ``tiny``, the path of an OVA, or an `ImageSource`; `Settings.image` if left out.
            credentials: The way into an OVA of your own.

        Raises:
            NotFoundError: There is no such image.
            WaitTimeoutError: The guest did not come up in `Settings.boot_timeout` seconds.
        """
        if source is None or isinstance(source, str):
            name = source or self.settings.image
            source = images.source_of(name, credentials=credentials)
            if credentials is None and name != "tiny":
                # Built before, with credentials that need not be given again: forks have a key.
                content = source.content_digest()
                for image in reversed(self.images()):
                    if image.content == content and image.machine in self.vbox.machines:
                        return image
        return golden.ensure(self.vbox, self.places, source)

    def images(self) -> list[Image]:
        """Return the images that were built."""
        return images.all_images(self.places)

    def remove_image(self, image: Image) -> None:
        """
        Remove an image from the disk.

        Raises:
            InvalidStateError: Forks of it exist.
        """
        golden.remove(self.vbox, self.places, image)

    # Forks

    def fork(
        self,
        image: Image | str | None = None,
        *,
        name: str | None = None,
        test: str = "",
        wait: bool = True,
        timeout: Timeout | None = None,
    ) -> VM:
        """
        Fork an image: a machine of its own, running, with SSH ready.

        Args:
            image: An image, or what `image` takes.
            name: The machine's name; derived from the image's (and the test's) if left out.
            test: What it is for, kept with the machine.
            wait: Whether to wait until SSH lets us in; otherwise the first command does.
            timeout: Seconds for starting and waiting; `Settings.boot_timeout` if left out.

        Raises:
            AlreadyExistsError: There is a machine of that name.
            StartError: VirtualBox could not start it.
            WaitTimeoutError: The guest did not answer.
        """
        if image is None or isinstance(image, str):
            image = self.image(image)
        label = name or f"{_slug(test or image.name)}-{secrets.token_hex(3)}"
        deadline = Deadline(timeout if timeout is not None else self.settings.boot_timeout)
        with step(f"fork {image.name}"):
            vm = self._clone(image, label, test, deadline)
            done = False
            try:
                vm.start(timeout=deadline)
                if wait:
                    with step("wait for SSH"):
                        vm.wait_ready(timeout=deadline)
                done = True
            finally:
                if not done:
                    vm.destroy()
        self._forks.append(vm)
        return vm

    def _clone(self, image: Image, label: str, test: str, deadline: Deadline) -> VM:
        machine = self.vbox.machines[image.machine]
        # VBoxSVC refuses to clone one snapshot twice at once ("locked for writing").
        with lock_file(
            self.places.locks / "clone.lock", what="another process's fork", timeout=deadline
        ):
            return leased_fork(
                machine,
                label,
                image=image,
                places=self.places,
                snapshot=machine.snapshots[image.snapshot],
                start=False,
                timeout=deadline,
                test=test,
            )

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
        return self._attach(machine.com, image)

    def vms(self) -> list[VM]:
        """Return the forks that exist, of all processes."""
        found = []
        for machine in self.vbox.machines:
            digest = machine.get_extra_data(TAG_IMAGE)
            image = images.read(self.places, digest) if digest else None
            if image is not None and machine.id != image.machine:
                found.append(self._attach(machine.com, image))
        return found

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
        while self._forks:
            vm = self._forks.pop()
            try:
                vm.destroy()
            except VBoxKitError as error:
                left.append(f"{vm!r}: {error}")
        if left:
            raise CleanupError("not all machines could be removed:", left=left, hint="vboxkit gc")

    def forget(self, vm: VM) -> None:
        """Leave a fork to the caller: `destroy_all` does not touch it any more."""
        self._forks = [mine for mine in self._forks if mine != vm]

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

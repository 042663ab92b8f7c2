"""Making a test's machines, and removing all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.errors import CleanupError
from vboxkit.pytest_plugin import artifacts, markers, replay, report
from vboxkit.pytest_plugin.limits import limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from vboxkit.core.locks import HeldLock
    from vboxkit.lab.images import Image, ImageSource
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.vm import VM

__all__ = ["VMFactory"]


class VMFactory:
    """
    Makes machines for one test (or class, module, session); what the fixture `vm_factory` gives.

    Example:
        ``def test_two(vm_factory: VMFactory): server, client = vm_factory(), vm_factory()``
    """

    def __init__(self, request: pytest.FixtureRequest, lab: Lab) -> None:
        self._request = request
        self._lab = lab
        self._node: pytest.Item | pytest.Collector = request.node
        self._made: list[VM] = []
        self._places: dict[str, HeldLock] = {}
        self._node.stash[report.VMS] = self._made
        temporary: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
        request.config.stash[artifacts.TEMPORARY] = temporary

    def __call__(
        self, image: str | Image | ImageSource | None = None, *, name: str | None = None
    ) -> VM:
        """
        Fork an image: a machine of its own, running, with SSH ready.

        Args:
            image: A name, the path of an OVA, an image, or a source of one; the test's marker's
                or else the fixture `vm_image` if left out.
            name: The machine's name; derived from the test's if left out.

        Raises:
            AlreadyExistsError: There is a machine of that name.
            StartError: VirtualBox could not start it.
            WaitTimeoutError: The guest did not answer, or there was no room (``--vm-max``,
                ``--vm-memory-budget``).
        """
        (vm,) = self.many(1, image, name=name)
        return vm

    def many(
        self,
        count: int,
        image: str | Image | ImageSource | None = None,
        *,
        name: str | None = None,
    ) -> Sequence[VM]:
        """
        Fork an image several times at once: all of them, or none; see `__call__`.

        Args:
            count: How many.
            image: As of `__call__`.
            name: The beginning of their names, of several.

        Example:
            ``servers = vm_factory.many(3)``
        """
        return self.make(count, self._image(image), name=name)

    def make(
        self, count: int, built: Image, *, name: str | None = None, connected: bool = False
    ) -> Sequence[VM]:
        """
        Fork an image that was built, whatever the marker says of the image; see `many`.

        Args:
            count: How many.
            built: The image.
            name: The beginning of their names.
            connected: Leave the cables in, whatever the marker says.
        """
        wanted = markers.wanted(self._node)
        options = limits(self._request.config)
        timeout = options.timeout
        label = name or f"{self._node.name}-{len(self._made)}"
        names = [f"{label}-{number}" for number in range(count)]
        memory = self._lab.vbox.machines[built.machine].memory_mb if options.bounded else 0
        quota = options.quota(self._lab.places.home)
        places = quota.take(names, memory, timeout=timeout or self._lab.settings.image_timeout)
        made: list[VM] = []
        try:
            made += self._fork(built, count, name=name, timeout=timeout)
            self._made += made
            for vm in made:
                if options.no_fork:
                    # Emulated guests do not survive a reset after they were resumed.
                    vm.power_off()
                    vm.start()
                    vm.wait_ready(timeout=timeout)
                self._ready(vm)
                if wanted.network is not None and not connected:
                    vm.network.policy(wanted.network)
        finally:
            # Of machines that were not made.
            for place in places[len(made) :]:
                place.release()
            self._places |= {vm.id: place for vm, place in zip(made, places, strict=False)}
        return made

    def _image(self, image: str | Image | ImageSource | None) -> Image:
        from vboxkit.lab.images import Image

        wanted = markers.wanted(self._node)
        if image is None:
            image = wanted.source(self._lab)
        if image is None:
            image = self._request.getfixturevalue("vm_image")
        if wanted.memory_mb is wanted.cpus is None:
            return image if isinstance(image, Image) else self._lab.image(image)
        if isinstance(image, Image):
            steps = self._request.getfixturevalue("vm_provision")
            if image.digest == self._lab.image(steps=steps).digest:
                # What runs cannot be given other hardware: from where it came from.
                return self._lab.image(steps=steps, memory_mb=wanted.memory_mb, cpus=wanted.cpus)
        return self._lab.image(image, memory_mb=wanted.memory_mb, cpus=wanted.cpus)

    def _fork(
        self, image: Image, count: int, *, name: str | None, timeout: float | None
    ) -> list[VM]:
        test = self._node.nodeid or "session"
        if count == 1:
            return [self._lab.fork(image, name=name, test=test, timeout=timeout)]
        return self._lab.fork(image, name=name, test=test, timeout=timeout, n=count)

    def _ready(self, vm: VM) -> None:
        check = self._request.getfixturevalue("vm_ready")
        if check is not None:
            check(vm)

    def close(self) -> None:
        """
        Remove all machines, or keep them if that is wanted; each is tried.

        Raises:
            CleanupError: Some could not be removed.
        """
        when = self._lab.settings.keep
        keep = when == "always" or (when == "failed" and self._node.stash.get(report.FAILED, False))
        stuck: list[tuple[VM, Exception]] = []
        # The list is the report's as well: a machine stays in it as long as it exists.
        for vm in reversed(self._made[:]):
            try:
                if keep:
                    self._keep(vm)
                else:
                    vm.destroy()
            except Exception as error:  # one that fails must not leave the others behind
                stuck.append((vm, error))
            else:
                self._lab.forget(vm)
                self._made.remove(vm)
            if vm.id in self._places:
                self._places.pop(vm.id).release()
        if stuck:
            raise CleanupError(
                "not all machines could be removed:",
                left=[f"{vm!r}: {type(error).__name__}: {error}" for vm, error in stuck],
                hint="the next run removes them, or: vboxkit gc",
            ) from stuck[0][1]

    def _keep(self, vm: VM) -> None:
        if self._lab.vbox.machines.find(vm.id) is None:
            return  # the test destroyed it
        vm.keep()
        config = self._request.config
        test = replay.label(config, vm, self._node.nodeid)
        config.stash[report.NOTES].kept.append(
            [vm.name, self._node.nodeid, replay.command(config, vm), test]
        )

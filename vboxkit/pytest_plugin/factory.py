"""Making a test's machines, and removing all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.errors import CleanupError
from vboxkit.pytest_plugin import markers, report

if TYPE_CHECKING:
    import pytest

    from vboxkit.lab.images import Image, ImageSource
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.vm import VM

__all__ = ["VMFactory"]


class VMFactory:
    """
    Makes machines for one test; what the fixture `vm_factory` gives.

    Example:
        ``def test_two(vm_factory: VMFactory): server, client = vm_factory(), vm_factory()``
    """

    def __init__(self, request: pytest.FixtureRequest, lab: Lab) -> None:
        self._request = request
        self._lab = lab
        self._item: pytest.Item = request.node
        self._made: list[VM] = []
        self._item.stash[report.VMS] = self._made

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
            WaitTimeoutError: The guest did not answer.
        """
        from vboxkit.lab.images import Image

        if image is None:
            image = markers.image_of(self._item)
        if image is None:
            image = self._request.getfixturevalue("vm_image")
        built = image if isinstance(image, Image) else self._lab.image(image)
        vm = self._lab.fork(built, name=name, test=self._item.nodeid)
        self._made.append(vm)
        return vm

    def close(self) -> None:
        """
        Remove all machines, or keep them if that is wanted; each is tried.

        Raises:
            CleanupError: Some could not be removed.
        """
        when = self._lab.settings.keep
        keep = when == "always" or (when == "failed" and self._item.stash.get(report.FAILED, False))
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
        notes = self._request.config.stash[report.NOTES]
        notes.kept.append([vm.name, self._item.nodeid, self._command()])

    def _command(self) -> str:
        """Return how to call vboxkit for the home of these machines."""
        import shlex

        from vboxkit.settings import Settings

        home = self._lab.settings.home
        if Settings.load().home == home:
            return "vboxkit"
        return f"VBOXKIT_HOME={shlex.quote(str(home))} vboxkit"

"""What the subcommands share: settings, the lab, and the way into the sandbox."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from vboxkit.errors import VirtualBoxNotFoundError

if TYPE_CHECKING:
    from vboxkit.lab.lab import Lab
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.virtualbox import VirtualBox
    from vboxkit.settings import Settings

__all__ = ["InSandbox", "State"]


class InSandbox(Exception):  # noqa: N818 - no error: a change of place
    """The command shall start again inside the sandbox; `main` catches it."""

    def __init__(self, argv: list[str], binds: list[Path]) -> None:
        super().__init__("this command goes on in the sandbox")
        self.argv = argv
        self.binds = binds

    def enter(self) -> NoReturn:
        """Become the same command inside."""
        from vboxkit.host.sandbox import Sandbox

        Sandbox().replace_process(["python", "-m", "vboxkit", *self.argv], binds=self.binds)


class State:
    """
    The object that click hands to each command.

    Args:
        argv: The arguments of this process.

    Attributes:
        home: The value of ``--home``.
    """

    def __init__(self, argv: list[str]) -> None:
        self.argv = argv
        self.home: str | None = None

    @cached_property
    def settings(self) -> Settings:
        """The settings, with ``--home`` as the strongest source."""
        from vboxkit.settings import Settings

        return Settings.load(home=self.home)

    def lab(self, *, make_sandbox: bool = False) -> Lab:
        """
        Open the lab.

        Args:
            make_sandbox: Make a sandbox if there is neither VirtualBox nor a sandbox.

        Raises:
            InSandbox: There is no VirtualBox here, but there is one in the sandbox.
            VirtualBoxNotFoundError: There is neither.
        """
        from vboxkit.core.steps import step
        from vboxkit.lab.lab import Lab

        settings = self.settings
        with step("connect to VirtualBox") as this:
            try:
                return Lab(settings)
            except VirtualBoxNotFoundError as error:
                # Not a step that failed yet: the sandbox may have one.
                missing = error
                this.update(note="there is none outside of a sandbox")
        return self._go_inside(missing, make_sandbox=make_sandbox)

    def vbox(self, *, of_user: bool = False) -> VirtualBox:
        """
        Connect to VirtualBox without a look at what the lab keeps.

        Args:
            of_user: The user's own VirtualBox, where ``--user`` leads to, not the home for
                disposable machines.

        Raises:
            InSandbox: as of `lab`; the user's own is never in the sandbox.
        """
        if not of_user:
            return self.lab().vbox
        from vboxkit.machines.virtualbox import connect

        return connect(settings=self.settings)

    def machine(self, name: str, *, of_user: bool = False) -> Machine:
        """
        Find a machine by its name or UUID; a fork with its way in.

        Raises:
            NotFoundError: There is none; the error has the near ones.
        """
        if of_user:
            return self.vbox(of_user=True).machines[name]
        lab = self.lab()
        machine = lab.vbox.machines[name]
        return next((vm for vm in lab.vms() if vm.id == machine.id), machine)

    def _go_inside(self, error: VirtualBoxNotFoundError, *, make_sandbox: bool) -> NoReturn:
        from vboxkit.host.sandbox import Sandbox, inside_sandbox

        if inside_sandbox():
            raise error
        sandbox = Sandbox()
        status = sandbox.status()
        if make_sandbox and (status.stale or not status.exists):
            status = sandbox.create()
        if not status.exists:
            raise VirtualBoxNotFoundError(
                f"{error.message}, and there is no sandbox", hint="vboxkit sandbox create"
            ) from error
        if status.stale:
            raise VirtualBoxNotFoundError(
                f"{error.message}, and the sandbox is of another version of vboxkit",
                hint="vboxkit sandbox create",
            ) from error
        home = self.settings.home
        # What is not there cannot be shown inside.
        home.mkdir(parents=True, exist_ok=True)
        # --put has SOURCE:TARGET.
        words = [part for word in self.argv for part in (word, word.rpartition(":")[0])]
        named = [Path(word) for word in words if "/" in word or word.endswith((".ova", ".ovf"))]
        # A file that is to be written is not there yet, but its folder is.
        ends = {".ova", ".ovf", ".json", ".png", ".svg"}
        named = [
            path if path.exists() or path.suffix.lower() not in ends else path.parent
            for path in named
        ]
        raise InSandbox(self.argv, [home, *(path for path in named if path.exists())])

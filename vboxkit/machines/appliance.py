"""An appliance: an OVF package or OVA file that machines can be made of."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vboxkit.core.steps import moving, step
from vboxkit.core.waiting import Deadline
from vboxkit.errors import (
    EulaError,
    OvfError,
    ProgressCanceledError,
    ProgressFailedError,
    WaitTimeoutError,
)
from vboxkit.machines.appliance_copies import link, private_folder
from vboxkit.machines.appliance_items import Draft
from vboxkit.machines.appliance_plan import Plan
from vboxkit.machines.importing import Options, import_plan
from vboxkit.machines.parts import invalid
from vboxkit.machines.progress import Progress, progress_hook

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.appliance_networks import Networks
    from vboxkit.machines.importing import Disks
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.progress import ProgressHook
    from vboxkit.machines.virtualbox import VirtualBox
    from vboxkit.ovf.mending import Repair
    from vboxkit.ovf.model import Package

__all__ = ["Appliance", "WarningCall"]

_log = logging.getLogger("vboxkit.machines")
_LOOK = "vboxkit ovf inspect shows what is in it"

#: Called with each warning.
WarningCall = Callable[[str], object]


class Appliance:
    """
    An appliance that was read; a context manager, which removes the private copy of a mended one.

    Attributes:
        path: The file.
        package: What `vboxkit.ovf.inspect` reads of it, mended if it was.
        repairs: What was mended.
        warnings: What is doubtful in it, besides what a `Plan` warns of.

    Example:
        ``with vbox.appliances.open("web.ova") as appliance: print(appliance.plan())``
    """

    path: Path
    package: Package
    repairs: tuple[Repair, ...]

    def __init__(
        self, vbox: VirtualBox, path: Path | str, *, repair: bool, timeout: Timeout | None
    ) -> None:
        # Offline reading is much that who only starts machines does not need.
        from vboxkit.ovf.screening import screen

        self._vbox = vbox
        self.path = Path(path).expanduser().absolute()
        self._draft = Draft(vbox, f"appliance {self.path.name}")
        self._source = self.path
        self._close: Callable[[], object] = _nothing
        self.repairs = ()
        if repair:
            self._mend(self._deadline(timeout))
        else:
            self.package = _checked(vbox, self.path)
        try:
            screen(self.package)
        except OvfError as error:
            self.close()
            if not repair:
                error.hint = f"{error.hint}; or repair=True, if it is a file's name"
            raise
        if "%" in str(self._source):
            folder, close = private_folder(vbox, self._deadline(timeout))
            self._close = weakref.finalize(self, close)
            self._source = link(self._source, self.package, folder)
        self.warnings = tuple(
            str(problem) for problem in self.package.problems if problem.severity == "warning"
        )

    def _mend(self, deadline: Deadline) -> None:
        from vboxkit.ovf.repair import repair

        folder, close = private_folder(self._vbox, deadline)
        self._close = weakref.finalize(self, close)
        try:
            with step(f"{self._draft._subject()}: mend") as this:

                def tell(done: int, total: int, name: str) -> None:
                    this.moves = total
                    this.update(percent=done * 100 // max(1, total), note=name)
                    if deadline.remaining <= 0:
                        raise WaitTimeoutError(
                            f"{self._draft._subject()} to be unpacked",
                            waited=deadline.elapsed,
                            last_seen=f"{done >> 20} of {total >> 20} MiB",
                        )

                done = repair(
                    self.path, folder, os_types=tuple(self._vbox.os_types), on_progress=tell
                )
        except BaseException:
            self.close()
            raise
        self.package, self.repairs, self._source = done.package, done.repairs, done.path
        if self._source == self.path:
            self.close()

    def plan(self, *, timeout: Timeout | None = None) -> Plan:
        """
        Return what an import would make; nothing is made.

        Each call reads the appliance anew, and the plan can be changed and imported once.

        Args:
            timeout: Seconds; `Settings.progress_timeout` if left out. It takes milliseconds.

        Raises:
            OvfError: VirtualBox refuses the package.
        """
        vbox, api = self._vbox, self._vbox._api
        with vbox._translated(f"read {self.path}"):
            com: Any = api.virtualbox.createAppliance()
            try:
                Progress(
                    api, com.read(str(self._source)), what="read", subject=self._draft._subject()
                ).wait(timeout=self._deadline(timeout))
                com.interpret()
            except ProgressCanceledError:
                raise
            except ProgressFailedError as error:
                raise OvfError(self.path, error.text, hint=self._remedy() or _LOOK) from error
            machines = [one for one in self.package.extensions if one.name == "vbox:Machine"]
            own = len(machines) == len(self.package.systems)
            return Plan(self._draft, com, str(self.path), own=own)

    def import_(
        self,
        plan: Plan | None = None,
        *,
        name: str | None = None,
        memory_mb: int | None = None,
        cpus: int | None = None,
        networks: Networks | None = None,
        disks: Disks = "as-is",
        keep_macs: bool = False,
        folder: Path | str | None = None,
        eula: Literal["accept"] | None = None,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
        on_warning: WarningCall | None = None,
    ) -> Machine:
        """
        Import the one machine of the appliance; see `Appliances.import_`.

        Args:
            plan: A plan of this appliance that was changed; a fresh one if left out.
            name: See `Appliances.import_`, as all that follow.
            memory_mb: MiB.
            cpus: A number.
            networks: By slot, or the package's name of the network.
            disks: ``vdi`` or ``as-is``.
            keep_macs: Keep the MAC addresses.
            folder: Where its own folder is made.
            eula: ``accept``.
            timeout: Seconds.
            on_update: Called with each progress.
            on_warning: Called with each warning.

        Raises:
            OvfError: It holds several machines (`import_all`); it is damaged.
            EulaError: It has a licence, and ``eula="accept"`` is missing.
        """
        deadline = self._deadline(timeout)
        with progress_hook(on_update):
            plan = self._own(plan, deadline)
            machine = plan.machine
            if memory_mb is not None:
                machine.memory_mb = memory_mb
            if cpus is not None:
                machine.cpus = cpus
            if name is not None:
                machine.name = name
            options = Options(
                networks=networks or {},
                disks=disks,
                keep_macs=keep_macs,
                folder=folder,
                eula=eula,
            )
            return self._import(plan, options, deadline, on_warning)[0]

    def import_all(
        self,
        plan: Plan | None = None,
        *,
        names: Mapping[str, str] | None = None,
        networks: Networks | None = None,
        disks: Disks = "as-is",
        keep_macs: bool = False,
        folder: Path | str | None = None,
        eula: Literal["accept"] | None = None,
        timeout: Timeout | None = None,
        on_update: ProgressHook | None = None,
        on_warning: WarningCall | None = None,
    ) -> list[Machine]:
        """
        Import all machines of the appliance, in its order; if one fails, none of them stays.

        Args:
            plan: A plan of this appliance that was changed; a fresh one if left out.
            names: New names, by the machines' names in the package.
            networks: By the package's name of the network; by slot, of all machines.
            disks: See `Appliances.import_`, as all that follow.
            keep_macs: Keep the MAC addresses.
            folder: Where their folders are made.
            eula: ``accept``.
            timeout: Seconds, for all of them.
            on_update: Called with each progress.
            on_warning: Called with each warning.

        Raises:
            AlreadyExistsError: There is a machine of a name asked for.
            EulaError: It has a licence, and ``eula="accept"`` is missing.

        Example:
            ``appliance.import_all(names={"web": "web-2"})``
        """
        deadline = self._deadline(timeout)
        with progress_hook(on_update):
            plan = self._own(plan, deadline)
            options = Options(
                names=names or {},
                networks=networks or {},
                disks=disks,
                keep_macs=keep_macs,
                folder=folder,
                eula=eula,
            )
            return self._import(plan, options, deadline, on_warning)

    def close(self) -> None:
        """Remove the private copy, if there is one; doing it twice does no harm."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Appliance {self.path}>"

    def _deadline(self, timeout: Timeout | None) -> Deadline:
        return Deadline(timeout if timeout is not None else self._vbox.settings.progress_timeout)

    def _own(self, plan: Plan | None, deadline: Deadline) -> Plan:
        if plan is None:
            return self.plan(timeout=deadline)
        if plan._draft is not self._draft:
            raise invalid(
                self._draft,
                f"{plan!r} is of another appliance",
                hint="appliance.plan() of this one",
                operation="import",
            )
        return plan

    def _import(
        self,
        plan: Plan,
        options: Options,
        deadline: Deadline,
        on_warning: WarningCall | None,
    ) -> list[Machine]:
        self._require_accepted(plan, options.eula)
        for text in (*self.warnings, *_unanswered(plan, options)):
            if on_warning is None:
                _log.warning("%s: %s", self._draft._subject(), text)
            else:
                on_warning(text)
        try:
            with self._vbox._translated(f"import {self.path}"):
                with moving(self.package.bytes):
                    return import_plan(plan, options, path=self.path, deadline=deadline)
        except ProgressCanceledError:
            raise
        except ProgressFailedError as error:
            error.hint = self._remedy() or error.hint
            raise

    def _require_accepted(self, plan: Plan, eula: str | None) -> None:
        if eula not in {None, "accept"}:
            raise invalid(
                self._draft,
                f"eula cannot be {eula!r}",
                hint='eula="accept", or leave it out',
                operation="import",
            )
        texts = [item.ovf for machine in plan.machines for item in machine.all("License")]
        if texts and eula is None:
            raise EulaError(
                f"{self._draft._subject()} has a licence that has to be agreed to",
                file=str(self.path),
                licences=texts,
                hint=f'read it: vboxkit ovf plan {self.path}; then eula="accept"',
            )

    def _remedy(self) -> str:
        """Return what can be mended, as a hint; an empty text if nothing, or it was."""
        from vboxkit.ovf.repair import repairs

        found: tuple[Repair, ...] = ()
        if not self.repairs:
            with suppress(OvfError):
                found = repairs(self.path, os_types=tuple(self._vbox.os_types))
        if found:
            return f"repair=True mends it: {'; '.join(map(str, found[:3]))}"
        return ""


def _unanswered(plan: Plan, options: Options) -> list[str]:
    """Return the warnings of a plan but for those that networks= has answered."""
    chosen = set(options.networks)
    return [text for text in plan.warnings if not plan._about.get(text, set()) & chosen]


def _nothing() -> None:
    return


def _checked(vbox: VirtualBox, path: Path) -> Package:
    """Find out early what VirtualBox finds late, not at all, or dies of."""
    from vboxkit.ovf.inspecting import inspect
    from vboxkit.ovf.repair import repairs

    package = inspect(path)
    try:
        return package.check()
    except OvfError as error:
        with suppress(OvfError):
            found = repairs(path, os_types=tuple(vbox.os_types))
            error.hint = f"repair=True mends it: {'; '.join(map(str, found[:3]))}"
        raise

"""VirtualBox's Guest Additions, as the running guest tells of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

from vboxkit.errors import AdditionsError, InvalidStateError
from vboxkit.machines.base import api_call
from vboxkit.machines.locks import locked
from vboxkit.machines.parts import MachinePart
from vboxkit.machines.states import ONLINE, MachineState
from vboxkit.machines.time_sync import TimeSync

if TYPE_CHECKING:
    from vboxkit.com.interfaces import IGuest
    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.guest_control import GuestSession

__all__ = ["Additions", "Facility", "RunLevel"]

#: How far they have come: the kernel's driver, services, a desktop.
RunLevel = Literal["None", "System", "Userland", "Desktop"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
#: Where the service says its own version; the kernel's driver may be of another.
_VERSION = "/VirtualBox/GuestAdd/Version"
_HINT = "install the Guest Additions and start VBoxService; machine.ssh needs neither"


@dataclass(frozen=True)
class Facility:
    """
    A part of the Guest Additions.

    Attributes:
        kind: VirtualBox's name of it, as ``VBoxService``.
        name: The same for people.
        status: ``Inactive``, ``Active``, ``Failed``, ``Terminated``, ``Paused``, ...
        since: When it was last said to be so, in UTC.
    """

    kind: str
    name: str
    status: str
    since: datetime

    @property
    def active(self) -> bool:
        """Whether it works."""
        return self.status == "Active"


class Additions(MachinePart):
    """
    The Guest Additions of a machine: whether they run, and what can be done by them.

    VirtualBox knows what the guest has said last. A service that was killed outright has said
    nothing, and still counts as running.

    Example:
        ``if machine.additions.running: print(machine.additions.version)``
    """

    noun = "Guest Additions"

    def _locate(self, machine: Any) -> Any:
        return machine

    @property
    def time_sync(self) -> TimeSync:
        """Whether and how they keep the guest's clock right."""
        return TimeSync(self._machine)

    def _guest(self) -> IGuest:
        # The lock is only needed to get at the guest; what comes from it lives as long as the VM.
        with locked(self._machine, timeout=self._machine.settings.lock_timeout, needs_vm=True) as s:
            return s.console.guest

    @property
    @api_call("read the run level")
    def run_level(self) -> RunLevel:
        """How far they have come; ``None`` if there are none, or no running VM."""
        if self._machine.state not in ONLINE:
            return "None"
        return self._level(self._guest())

    def _level(self, guest: IGuest) -> RunLevel:
        return self._api.name("AdditionsRunLevelType", guest.additionsRunLevel)  # type: ignore[return-value]  # its own names

    @property
    def running(self) -> bool:
        """Whether the guest's service runs, which guest control and its statistics need."""
        return self.run_level in {"Userland", "Desktop"}

    @property
    @api_call("read the version")
    def version(self) -> str | None:
        """The version of the service, or else of the kernel's driver; `None` if there are none."""
        if self.run_level == "None":
            return None
        own = self._machine.com.getGuestPropertyValue(_VERSION)
        return str(own or self._guest().additionsVersion) or None

    @property
    @api_call("read the guest's system")
    def os_type(self) -> str | None:
        """VirtualBox's id of the system which the guest says that it is, as ``Linux26_64``."""
        return str(self._guest().OSTypeId) or None if self.run_level != "None" else None

    @property
    @api_call("list the facilities")
    def facilities(self) -> tuple[Facility, ...]:
        """All parts that the guest has told of, also those that do not work now."""
        if self._machine.state not in ONLINE:
            return ()
        api = self._api
        return tuple(
            Facility(
                kind=api.name("AdditionsFacilityType", each.type),
                name=str(each.name),
                status=api.name("AdditionsFacilityStatus", each.status),
                since=_EPOCH + timedelta(milliseconds=int(each.lastUpdated)),
            )
            for each in api.array(self._guest(), "facilities")
        )

    @api_call("use the Guest Additions")
    def require(self, operation: str = "use them") -> IGuest:
        """
        Return the raw guest, whose service runs.

        Args:
            operation: What is to be done, for the error.

        Raises:
            AdditionsError: They do not run; known at once.
            InvalidStateError: There is no running VM, or it is paused.
        """
        machine = self._machine
        guest = self._guest()
        if machine.state is MachineState.PAUSED:
            raise InvalidStateError(
                f"{machine._subject()} is Paused: cannot {operation}, its guest cannot answer",
                state="Paused",
                needed=["Running"],
                operation=operation,
                hint="resume() it first",
            )
        level = self._level(guest)
        if level in {"Userland", "Desktop"}:
            return guest
        said = {
            "None": "no Guest Additions run in the guest",
            "System": "of the Guest Additions only the kernel's driver runs in the guest",
        }[level]
        raise AdditionsError(
            f"{machine._subject()} ({machine.state}): cannot {operation}: {said}",
            run_level=level,
            hint=_HINT,
        )

    @api_call("open a guest session")
    def session(
        self, user: str, password: str, *, domain: str = "", timeout: Timeout | None = None
    ) -> GuestSession:
        """See `Machine.guest_session`."""
        from vboxkit.machines import guest_control

        return guest_control.open_session(
            self._machine,
            self.require("open a guest session"),
            user,
            password,
            domain=domain,
            timeout=self._machine.settings.boot_timeout if timeout is None else timeout,
        )

"""
Guest control after a saved state was restored: VBoxService has to have noticed first.

VirtualBox ends VBoxService's wait for messages when a state is restored. In one start of ten the
guest is not told so: the interrupt falls into the moment in which the VM is suspended (VBox.log:
"VMMDevNotifyGuest: fAddEvents=0x2 ignored"), and the guest sees it with the next answer that
VirtualBox gives it, up to 10 s later. A session that is asked for until then does harm:
VBoxService, which finds a message where it expects none, takes VirtualBox for one older than 6.0,
and all sessions are refused until it is started anew.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vboxkit.core.signals import held
from vboxkit.core.waiting import wait_until
from vboxkit.errors import AdditionsError, WaitTimeoutError
from vboxkit.machines.locks import locked

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit.core.waiting import Deadline
    from vboxkit.machines.properties import MachineProperties

__all__ = ["require_sane", "settle"]

#: Lines of VBox.log, which begins anew with each VM process.
_RESTORED = "HGCM: Restoring [VBoxGuestControlSvc]"
_NOTICED = "Guest Control: GUEST_MSG_REPORT_FEATURES"
#: What the service's thread of that name found out; those of its sessions say ``main``.
_FOUND = " control  vbglR3GuestCtrlDetectPeekGetCancelSupport: "
#: Seconds in which a guest that was told has noticed.
_SOON = 0.5
_LOOK = 0.02
#: Where the service says its own version.
_VERSION = "/VirtualBox/GuestAdd/Version"
#: The name of the folder that is shared for a moment.
_FOLDER = "vboxkit-wakes-the-guest"


def _read(machine: MachineProperties) -> tuple[bool, bool]:
    """Return whether VBoxService has still to notice, and whether it takes us for an old one."""
    try:
        log = (Path(machine.com.logFolder) / "VBox.log").read_text("utf-8", "replace")
    except OSError:  # no log is written, or this is another host's
        return False, False
    waits = misled = finds_old = False
    for line in log.splitlines():
        if _RESTORED in line:
            waits = True
        elif _FOUND in line:
            finds_old = "Not supported" in line.partition(_FOUND)[2]
        elif _NOTICED in line:
            waits, misled, finds_old = False, finds_old, False
    return waits, misled


def settle(machine: MachineProperties, deadline: Deadline, alive: Callable[[], None]) -> None:
    """
    Wait until VBoxService has noticed that its machine goes on from a saved state.

    Mostly it has; otherwise it is woken.

    Args:
        machine: The machine.
        deadline: For all of it.
        alive: Raises if there is nothing to wait for.

    Raises:
        AdditionsError: It refuses all sessions; see `require_sane`.
        WaitTimeoutError: It has not noticed in time.
    """

    def noticed() -> bool | None:
        alive()
        return None if _read(machine)[0] else True

    if noticed() is None and not _never_says(machine):
        what = f"VBoxService of {machine._subject()} to notice that the machine was restored"
        try:
            wait_until(noticed, what=what, timeout=min(_SOON, deadline.remaining), poll=_LOOK)
        except WaitTimeoutError:
            _wake(machine)
            wait_until(
                noticed,
                what=what,
                timeout=deadline,
                poll=0.1,
                hint="is the guest very busy? If it is not, start VBoxService anew in it",
            )
    require_sane(machine)


def _never_says(machine: MachineProperties) -> bool:
    """Whether the Guest Additions are so old that they do not tell."""
    major = str(machine.com.getGuestPropertyValue(_VERSION)).partition(".")[0]
    return major.isdigit() and int(major) < 6


def require_sane(machine: MachineProperties) -> None:
    """
    Refuse at once what would end in a timeout.

    Raises:
        AdditionsError: The guest's service refuses all sessions.
    """
    if _read(machine)[1]:
        raise AdditionsError(
            f"{machine._subject()} ({machine.state}): VBoxService in the guest refuses all"
            " sessions: one was opened before it had noticed that the machine goes on from a saved"
            " state, and it takes VirtualBox for one older than 6.0",
            run_level="Userland",
            hint="start VBoxService anew in the guest; other programs should open no session in the"
            " first seconds after a start",
        )


def _wake(machine: MachineProperties) -> None:
    """Have VirtualBox answer a call of the guest: it then sees all answers that there are."""
    # VBoxService waits for changes of the shared folders, too.
    with (
        tempfile.TemporaryDirectory(prefix="vboxkit-") as folder,
        locked(machine, timeout=machine.settings.lock_timeout, needs_vm=True) as session,
        held(),
    ):
        console: Any = session.console
        try:
            console.createSharedFolder(_FOLDER, folder, False, False, "")
        except Exception as error:
            # Somebody else is just doing the same; or it cannot be, and the guest notices later.
            if machine._api.foreign(error) is None:
                raise
            return
        console.removeSharedFolder(_FOLDER)

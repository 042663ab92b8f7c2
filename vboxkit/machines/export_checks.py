"""What is wrong with an export before it begins."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, get_args

from vboxkit.errors import AlreadyExistsError, ApiError, InvalidStateError
from vboxkit.machines.parts import invalid, require_text
from vboxkit.machines.states import ONLINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vboxkit.com.api import Api
    from vboxkit.machines.machine import Machine

__all__ = ["MAC_OPTIONS", "ExportFormat", "MacPolicy", "require_choice", "require_machines"]

#: VirtualBox's names of the formats.
ExportFormat = Literal["ovf-0.9", "ovf-1.0", "ovf-2.0"]
#: What becomes of MAC addresses: all are kept, none, or only those behind NAT.
MacPolicy = Literal["keep", "strip", "strip-non-nat"]
MAC_OPTIONS: dict[MacPolicy, str] = {
    "keep": "",
    "strip": "StripAllMACs",
    "strip-non-nat": "StripAllNonNATMACs",
}
_OPERATION = "export"
#: With ``-disk001.vmdk`` behind it, under the 100 bytes that VirtualBox allows.
_LONGEST_NAME = 86


def require_choice(what: str, value: object, known: object) -> None:
    """Refuse a word that is none of those of a `Literal`."""
    words = get_args(known)
    if value not in words:
        raise ApiError(
            f"cannot export: there is no {what} {value!r}",
            symbol="E_INVALIDARG",
            operation=_OPERATION,
            hint=f"one of {', '.join(map(repr, words))}",
        )


def require_machines(
    api: Api, machines: Sequence[Machine], words: Mapping[str, str | None]
) -> None:
    """
    Refuse machines that VirtualBox cannot export, and texts that would not come back.

    Args:
        api: The connection.
        machines: The machines.
        words: What is said of them, by keyword.
    """
    if not machines:
        raise ApiError(
            "there is no machine to export",
            symbol="E_INVALIDARG",
            operation=_OPERATION,
            hint="give one or several",
        )
    for machine in machines:
        _require_ready(api, machine)
        for what, value in words.items():
            if value is not None:
                require_text(machine, what, value)
    name, count = Counter(machine.name for machine in machines).most_common(1)[0]
    if count > 1:
        # VirtualBox writes two machines of one id, and one disk over the other.
        raise AlreadyExistsError(
            f"cannot export: there are {count} machines {name!r} in one appliance",
            kind="machine",
            wanted=name,
            operation=_OPERATION,
            hint="give each machine once, and each another name",
        )


def _require_ready(api: Api, machine: Machine) -> None:
    machine._require_registered(_OPERATION)
    if machine._api.home != api.home or machine.unchangeable:
        raise invalid(
            machine,
            machine.unchangeable or f"it is of another VirtualBox home, {machine._api.home}",
            hint="export machines of one home, as they are now",
            operation=_OPERATION,
        )
    if machine.state in ONLINE:
        raise InvalidStateError(
            f"{machine._subject()} is {machine.state}: an export needs it at rest",
            state=str(machine.state),
            needed=["PoweredOff", "Saved", "Aborted"],
            operation=_OPERATION,
            hint="shutdown() or power_off() first, or export a clone of a snapshot of it",
        )
    if len(machine.name.encode()) > _LONGEST_NAME:
        raise invalid(
            machine,
            f"its name has over {_LONGEST_NAME} bytes, for which an appliance's disks have no room",
            hint="export a clone of a shorter name",
            operation=_OPERATION,
        )
    for each in machine.storage.attachments:
        # VirtualBox says only "Cannot handle medium attachment: storageBus is 6".
        if each.controller.bus == "USB":
            raise invalid(
                machine,
                f"OVF has no word for what is on its USB controller {each.controller._name!r}",
                hint="attach the medium to SATA, or detach it",
                operation=_OPERATION,
            )

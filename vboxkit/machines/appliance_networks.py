"""What the adapters of an imported machine are to be attached to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from vboxkit.errors import NotFoundError
from vboxkit.machines import attachments
from vboxkit.machines.appliance_plan import adapters
from vboxkit.machines.nics import Nic, NicLike, read_nics, target_of
from vboxkit.machines.parts import invalid, near

if TYPE_CHECKING:
    from vboxkit.machines.appliance_items import Draft, PlannedMachine

__all__ = ["Networks", "chosen_nics"]

#: An adapter's slot, or the name of a network of the package, and the attachment: ``"nat"``,
#: ``("bridged", "eth0")``, ``None`` for nothing, or what `NicLike` is.
Networks: TypeAlias = Mapping[int | str, NicLike | tuple[str, str] | None]


def chosen_nics(draft: Draft, machine: PlannedMachine, networks: Networks) -> dict[int, Nic]:
    """
    Return what is asked for, by slot; nothing is changed.

    Raises:
        NotFoundError: There is no such adapter, network of the package, interface or network.
        ApiError: There is no such attachment; the hint has the near ones.
    """
    found: dict[int, Nic] = {}
    there = list(adapters(machine))
    for key, value in networks.items():
        slots = [slot for slot, item in there if key in (slot, item.ovf)]
        if not slots:
            known = dict.fromkeys(str(slot) for slot, _ in there)
            known |= dict.fromkeys(item.ovf for _, item in there)
            if any(key == name for name in known):
                continue
            close = near(str(key), known)
            raise NotFoundError(
                f"{draft._subject()}: machine {machine.original_name!r} has no adapter {key!r},"
                f" only {', '.join(map(repr, known)) or 'none at all'}",
                kind="network adapter",
                wanted=str(key),
                available=list(known),
                hint=f"did you mean {' or '.join(map(repr, close))}?"
                if close
                else "a slot, as 0, or the name of a network of the package",
            )
        nic = _nic(draft, value)
        found |= dict.fromkeys(slots, nic)
    return found


def _nic(draft: Draft, value: NicLike | tuple[str, str] | None) -> Nic:
    if value is None:
        return Nic("Null")
    if isinstance(value, tuple):
        if len(value) != 2:
            raise invalid(
                draft,
                f"an attachment cannot be {value!r}",
                hint='as "nat", or ("bridged", "eth0")',
                operation="import",
            )
        kind = _kind(draft, value[0])
        argument, _ = attachments._TARGETS.get(kind, ("", ""))
        if not argument:
            raise invalid(
                draft,
                f"{kind} leads to nothing that has a name, as {value[1]!r}",
                hint=f'"{kind.lower()}"',
                operation="import",
            )
        value = {"attachment": kind, argument: value[1]}
    elif isinstance(value, str):
        value = _kind(draft, value)
    (nic,) = read_nics(draft, [value])
    for argument, name in target_of(nic).items():
        attachments.require_target(draft, nic.attachment, argument, name)
    return nic


def _kind(draft: Draft, word: str) -> str:
    """Return VirtualBox's name of an attachment, whatever its capitals; "none" leads nowhere."""
    names = {name.casefold(): name for name in draft._api.names("NetworkAttachmentType")}
    names |= {"none": "Null"}
    return names.get(str(word).casefold(), str(word))

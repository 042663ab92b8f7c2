"""The machine's side of a private network: which adapter, and what it is attached to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.errors import InvalidStateError
from vboxkit.machines.states import MachineState

if TYPE_CHECKING:
    from vboxkit.machines.machine import Machine
    from vboxkit.machines.network import NetworkAdapter

__all__ = ["free_adapter", "give_adapters", "unplug"]


def give_adapters(machine: Machine, count: int) -> None:
    """
    Let a machine that is off have so many adapters; those that are new lead nowhere.

    They are attached to the NAT engine with the cable out: a virtio card that is attached to
    nothing makes VirtualBox hang for a minute at the first pause.
    """
    first = machine.network[0]
    for slot in range(count):
        adapter = machine.network[slot]
        if not adapter.enabled:
            adapter.enabled = True
            adapter.kind = first.kind
            adapter.attach("NAT")
            adapter.cable_connected = False


def free_adapter(machine: Machine, slot: int | None) -> NetworkAdapter:
    """
    Return the adapter by which a machine can join a network; a machine that is off gets one.

    Args:
        machine: The machine.
        slot: Of the adapter; the first one behind 0 whose cable is out if left out.

    Raises:
        InvalidStateError: It has none, and is not off; or the adapter asked for is in use; or it
            is saved or paused.
    """
    state = machine.state
    at_rest = state in {MachineState.POWERED_OFF, MachineState.ABORTED}
    if not at_rest and state is not MachineState.RUNNING:
        raise InvalidStateError(
            f"{machine!r} is {state}: its guest cannot be told its address, and VirtualBox does not"
            " heed a cable that is plugged in now",
            state=str(state),
            needed=["Running", "PoweredOff"],
            operation="join a network",
            hint="start() or resume() it first",
        )
    adapters = [machine.network[slot]] if slot is not None else list(machine.network)[1:]
    for adapter in adapters:
        if adapter.enabled:
            if not adapter.cable_connected:
                return adapter
        elif at_rest:
            with machine.edit():
                adapter.enabled = True
                adapter.kind = machine.network[0].kind
                adapter.cable_connected = False
            return adapter
    which = "no network adapter" if slot is None else f"network adapter {slot} not"
    raise InvalidStateError(
        f"{machine!r} ({state}) has {which} free for a private network: a running guest cannot"
        " get one, and one whose cable is plugged in is in use",
        state=str(state),
        needed=["PoweredOff"],
        operation="join a network",
        hint="fork an image that has one: ImageSource(base='tiny', adapters=2), or net.fork('a')",
    )


def unplug(adapter: NetworkAdapter) -> None:
    """Let an adapter lead nowhere again."""
    if adapter._machine.state in {MachineState.SAVED, MachineState.ABORTED_SAVED}:  # noqa: SLF001
        adapter.attach("NAT")  # VirtualBox does not heed a cable now
        return
    adapter.cable_connected = False
    adapter.attach("NAT")

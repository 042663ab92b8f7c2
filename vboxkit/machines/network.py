"""The network of a machine: its adapters, and the posture that they make together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from vboxkit.core.fault import Fault
from vboxkit.errors import NotFoundError
from vboxkit.machines import forwards, network_policy
from vboxkit.machines.forwards import Forward, read_forwards, write_forward
from vboxkit.machines.network_adapter import NetworkAdapter
from vboxkit.machines.network_policy import NetworkPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.machines.network_policy import PolicyName
    from vboxkit.machines.properties import MachineProperties

__all__ = [
    "Forward",
    "Network",
    "NetworkAdapter",
    "NetworkPolicy",
    "read_forwards",
    "write_forward",
]


class Network:
    """
    The network adapters of a machine: ``machine.network[0]``, iteration, ``len``.

    Example:
        ``machine.network[0].forward(guest=22).host_port``
    """

    def __init__(self, machine: MachineProperties) -> None:
        self._machine = machine

    def __repr__(self) -> str:
        return f"<Network of {self._machine!r}>"

    def __len__(self) -> int:
        with self._machine._translated("count the network adapters"):
            return forwards.slots(self._machine._api, self._machine.com)

    def __getitem__(self, slot: int) -> NetworkAdapter:
        if type(slot) is not int:
            msg = f"{self._machine._subject()}: a network adapter is a number from 0, not {slot!r}"
            raise TypeError(msg)
        if not 0 <= slot < len(self):
            raise NotFoundError(
                f"{self._machine._subject()} has no network adapter {slot}",
                kind="network adapter",
                wanted=str(slot),
                available=[str(n) for n in range(len(self))],
                hint=f"0 to {len(self) - 1}",
            )
        return self._adapter(slot)

    def _adapter(self, slot: int) -> NetworkAdapter:
        with self._machine._translated("read a network adapter"):
            return NetworkAdapter(self._machine, slot)

    def __iter__(self) -> Iterator[NetworkAdapter]:
        return map(self._adapter, range(len(self)))

    def unplug(self, slot: int = 0) -> Fault:
        """
        Pull the cable of an adapter; works on a running machine too.

        The guest sees that its link is down. Over SSH by this adapter a command then raises
        `CommandTimeoutError` or `GuestConnectionError` when its time is up; after `plug` the next
        one works again, if need be by a new connection.

        Args:
            slot: Of the adapter.

        Returns:
            What plugs it in again: ``with vm.network.unplug(): ...``, or ``.mend()``.

        Raises:
            NotFoundError: There is no such adapter.
            InvalidStateError: The machine is saved: VirtualBox would not heed it.

        Example:
            ``with vm.network.unplug(): ...``
        """
        adapter = self[slot]
        was = adapter.cable_connected
        adapter.cable_connected = False

        def mend() -> None:
            # A machine that was destroyed has no cable, and one that had it out keeps it so.
            if was and self._machine.registered:
                adapter.cable_connected = True

        return Fault(f"the cable of {adapter._subject()} is out", mend)

    def plug(self, slot: int = 0) -> None:
        """
        Plug the cable of an adapter in; doing it twice does no harm. Errors as of `unplug`.

        Example:
            ``vm.network.unplug(); vm.network.plug()``
        """
        adapter = self[slot]
        if not adapter.cable_connected:  # plugged in anew, a guest would lose its connections
            adapter.cable_connected = True

    def forwards(self) -> list[Forward]:
        """Return the port forwards of all enabled NAT adapters."""
        return [
            rule
            for adapter in self
            if adapter.enabled and adapter.attachment == "NAT"
            for rule in adapter.forwards
        ]

    @overload
    def policy(self, name: Literal["isolated", "nat"] | None = None) -> NetworkPolicy: ...
    @overload
    def policy(self, name: Literal["internal"], *, network: str) -> NetworkPolicy: ...
    @overload
    def policy(self, name: Literal["open"], *, interface: str | None = None) -> NetworkPolicy: ...
    def policy(
        self,
        name: PolicyName | None = None,
        *,
        network: str | None = None,
        interface: str | None = None,
    ) -> NetworkPolicy:
        """
        Set all enabled adapters to one posture, or tell which one holds; returns it and why.

        Settings change together or not at all. A running guest sees the cables of adapters that
        change being pulled and put back, and loses its connections.

        - ``isolated``: their cables are pulled. Nothing comes in, either: VirtualBox's NAT engine
          cannot let a forward in without letting the guest out.
        - ``nat``: to the host's NAT engine. The guest gets out; only port forwards lead in.
          Forwards from before are in force again.
        - ``internal``: to one internal network, where the machines that are on it see each other
          and nobody else.
        - ``open``: to the host's network, as a computer of its own.

        Args:
            name: The posture; left out, nothing is changed.
            network: The internal network's name.
            interface: The host's interface for ``open``; the first that is up and has an address
                if left out.

        Raises:
            ApiError: There is no such policy; the hint has the near ones.
            NotFoundError: There is no such interface.
            DriverNeededError: The machine runs, and this needs the kernel driver.
            InvalidStateError: No adapter is enabled, and a running machine cannot get one; or it
                is saved, and a cable would have to be pulled or plugged in, which VirtualBox would
                not heed.

        Example:
            ``machine.network.policy("isolated").why``
        """
        if name is not None:
            given = {"network": network, "interface": interface}
            network_policy.apply(
                self._machine, name, {k: v for k, v in given.items() if v is not None}
            )
        return network_policy.read(self._machine)

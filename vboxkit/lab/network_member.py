"""The members of a private network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.lab import network_cards, network_guest

if TYPE_CHECKING:
    from vboxkit.core.ports import PortLease
    from vboxkit.core.waiting import Timeout
    from vboxkit.guest.ssh import SSH
    from vboxkit.lab.network import PrivateNetwork
    from vboxkit.lab.vm import VM

__all__ = ["Member"]


class Member:
    """
    A machine in a private network.

    Attributes:
        name: Its name there: other members reach it as ``name`` and ``name.internal``.
        vm: The machine.
        ip: Its address there.
        slot: Of the adapter by which it is in.
    """

    def __init__(
        self,
        network: PrivateNetwork,
        name: str,
        vm: VM,
        ip: str,
        *,
        slot: int,
        dhcp: bool,
        lease: PortLease,
        owned: bool,
    ) -> None:
        self.name = name
        self.vm = vm
        self.ip = ip
        self.slot = slot
        self._network = network
        self._dhcp = dhcp
        self._lease = lease
        self._owned = owned

    def __repr__(self) -> str:
        return f"<Member {self.name!r} {self.ip} of {self._network!r}>"

    @property
    def ssh(self) -> SSH:
        """The guest over SSH, by the machine's first adapter, and not by this network."""
        return self.vm.ssh

    @property
    def mac(self) -> str:
        """The MAC address of its card."""
        return self.vm.network[self.slot].mac

    def configure(self, *, timeout: Timeout | None = None) -> None:
        """
        Give the running guest its address and name server again: after a boot, or `VM.rewind`.

        Args:
            timeout: Seconds for the command in the guest.

        Raises:
            CommandFailedError: The guest has no such card, or cannot do it; its words tell.
        """
        adapter = self.vm.network[self.slot]
        # Pulled and put back: the state that the guest went on from may have had it out.
        adapter.cable_connected = True
        network = self._network
        network_guest.configure(
            self.vm.ssh,
            slot=self.slot,
            mac=adapter.mac,
            ip=self.ip,
            prefix=network.subnet.prefixlen,
            server=str(network.subnet[1]) if network.kind == "tunnel" else None,
            domain=network.domain,
            dhcp=self._dhcp,
            timeout=timeout,
        )

    def _detach(self) -> None:
        """Take the machine out of the network, as far as it is still there."""
        try:
            if self.vm.gone:
                return
            if self._owned:
                self.vm.destroy()
            elif self.vm.registered:
                network_cards.unplug(self.vm.network[self.slot])
        finally:
            self._lease.release()

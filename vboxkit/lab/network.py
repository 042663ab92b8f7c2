"""Private networks of disposable machines: no rights, no driver, and faults on request."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Literal, get_args

from vboxkit.core.ports import lease_port
from vboxkit.core.steps import step
from vboxkit.errors import (
    AlreadyExistsError,
    CleanupError,
    NotFoundError,
    SettingsError,
    VBoxKitError,
)
from vboxkit.lab import network_cards, network_guest
from vboxkit.lab.images import ImageSource
from vboxkit.lab.network_faults import Faulty
from vboxkit.lab.network_internal import Internal
from vboxkit.lab.network_member import Member
from vboxkit.lab.network_seen import Seen
from vboxkit.machines.many import fork_many
from vboxkit.machines.states import ONLINE
from vboxkit.net.process import SwitchProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from typing_extensions import Self

    from vboxkit.core.waiting import Timeout
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.records import Image
    from vboxkit.lab.vm import VM

__all__ = ["Kind", "PrivateNetwork"]

#: ``tunnel``: a switch of ours; ``internal``: VirtualBox's, which needs the kernel driver.
Kind = Literal["tunnel", "internal"]

#: A switch is in no member's way: each network may have the same addresses.
_SUBNET = "10.77.0.0/24"
_DOMAIN = "internal"


class PrivateNetwork(Faulty, Seen):
    """
    A network of some machines, apart from all else; a context manager that ends it.

    Each machine is in it by an adapter of its own, and keeps its first one. A switch in a process
    of its own joins them on loopback: no rights and no driver are needed, and it ends with this
    process whatever happens. Made by `Lab.network`.

    Attributes:
        name: Its name.
        kind: ``tunnel`` or ``internal``.
        subnet: Its addresses.
        domain: Of its members' names.
        seed: Of its faults.

    Example:
        ``with lab.network() as net: a, b = net.fork("a", "b"); a.vm.ssh.succeed("ping -c 1 b")``
    """

    def __init__(
        self,
        lab: Lab,
        name: str = "",
        *,
        subnet: str = _SUBNET,
        kind: Kind = "tunnel",
        seed: int = 0,
        pcap: Path | str | None = None,
    ) -> None:
        if kind not in get_args(Kind):
            raise SettingsError(
                f"there is no private network of kind {kind!r}",
                hint=f"one of {', '.join(get_args(Kind))}",
            )
        super().__init__()
        self.name = name or f"net-{secrets.token_hex(3)}"
        self.kind: Kind = kind
        self.domain = _DOMAIN
        self.seed = seed
        self._lab = lab
        self._members: dict[str, Member] = {}
        self._closed = False
        self._switch: SwitchProcess | Internal
        with ExitStack() as undo:
            if kind == "internal":
                self._switch = Internal(self.name, subnet=subnet, domain=_DOMAIN)
            else:
                with step(f"start the switch of network {self.name}"):
                    self._switch = SwitchProcess(
                        self.name, subnet=subnet, domain=_DOMAIN, seed=seed
                    )
            undo.callback(self._switch.close)
            self.subnet = IPv4Network(subnet)
            if pcap is not None:
                self.record(pcap)
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<PrivateNetwork {self.name!r} {self.subnet}, seed {self.seed}>"

    # Members

    @property
    def closed(self) -> bool:
        """Whether it was ended."""
        return self._closed

    def __getitem__(self, name: str) -> Member:
        if name not in self._members:
            raise NotFoundError(
                f"network {self.name!r} has no member {name!r}, only {sorted(self._members)}",
                kind="member",
                wanted=name,
                available=sorted(self._members),
                hint="net.add(vm, name=...)",
            )
        return self._members[name]

    def _require(self, name: str) -> None:
        self[name]

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._members.values()))

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def fork(
        self,
        *names: str,
        image: Image | ImageSource | str | None = None,
        timeout: Timeout | None = None,
    ) -> list[Member]:
        """
        Fork an image for each name, and add the forks; they go when the network does.

        Args:
            *names: The members' names.
            image: What the machines are; `Settings.image` if left out. Of a name, a path or a
                source an image with a second adapter is built at first use; an `Image` must have
                been built with ``adapters=2``.
            timeout: Seconds for starting and waiting; `Settings.boot_timeout` if left out.

        Returns:
            The members, in the order of the names.

        Example:
            ``a, b = net.fork("a", "b")``
        """
        from vboxkit.lab.records import Image

        for name in names:
            self._require_new(name)
        if not isinstance(image, Image):
            base = image if image is not None else self._lab.settings.image
            image = self._lab.image(ImageSource(base=base, adapters=2))
        made = image

        def fork(number: int) -> VM:
            label = f"{self.name}-{names[number]}-{secrets.token_hex(2)}"
            return self._lab.fork(made, name=label, timeout=timeout)

        vms = fork_many(fork, len(names), what=f"network {self.name}")
        with ExitStack() as undo:
            for vm in vms:
                undo.callback(vm.destroy)
            members = self._join(
                dict(zip(names, vms, strict=True)), {}, owned=True, timeout=timeout
            )
            undo.pop_all()
        return members

    def add_all(
        self,
        vms: Mapping[str, VM],
        *,
        ips: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
    ) -> list[Member]:
        """
        Let several running machines take part at once: all, or none; see `add`.

        Args:
            vms: The machines, by their names there.
            ips: The addresses of some of them, by name.
            timeout: Seconds for the command in each guest.

        Returns:
            The members, in that order.

        Example:
            ``web, db = net.add_all({"web": one, "db": two}, ips={"db": "10.77.0.50"})``
        """
        return self._join(vms, ips or {}, owned=False, timeout=timeout)

    def _join(
        self,
        vms: Mapping[str, VM],
        ips: Mapping[str, str],
        *,
        owned: bool,
        timeout: Timeout | None,
    ) -> list[Member]:
        if not vms:
            return []
        with ExitStack() as undo:
            members = []
            # Those who ask for an address get it before others are given the lowest that is free.
            for name in sorted(vms, key=lambda name: name not in ips):
                members.append(self._plug_in(vms[name], name, ip=ips.get(name), owned=owned))
                undo.callback(self._drop, name)
            with ThreadPoolExecutor(len(members), thread_name_prefix="join") as pool:
                tasks = [pool.submit(member.configure, timeout=timeout) for member in members]
                for task in tasks:
                    task.result()
            self._tell_names()
            undo.pop_all()
        return [self[name] for name in vms]

    def add(
        self,
        vm: VM,
        *,
        name: str | None = None,
        ip: str | None = None,
        dhcp: bool = False,
        slot: int | None = None,
    ) -> Member:
        """
        Let a machine take part; its guest has address and name server when this returns.

        A machine that is off gets an adapter for it; once its guest is up, call
        `Member.configure`. One that runs must have one whose cable is out, as forks of an image
        with ``ImageSource(..., adapters=2)`` do.

        Args:
            vm: The machine. It is not destroyed with the network.
            name: Its name there; the machine's if left out.
            ip: Its address; the lowest that is free if left out.
            dhcp: Let the guest's own DHCP client fetch the address (the same one), instead of
                setting it.
            slot: Of the adapter; the first one behind 0 whose cable is out if left out.

        Raises:
            InvalidStateError: It runs and has no adapter for it.
            AlreadyExistsError: There is a member of this name or address.
            SettingsError: The name or address cannot be.
            CommandFailedError: The guest cannot set the address.
        """
        member = self._plug_in(vm, name or vm.name, ip=ip, dhcp=dhcp, slot=slot, owned=False)
        done = False
        try:
            if vm.state in ONLINE:
                member.configure()
            self._tell_names()
            done = True
        finally:
            if not done:
                self._drop(member.name)
        return member

    def _require_new(self, name: str) -> None:
        if name in self._members:
            raise AlreadyExistsError(
                f"network {self.name!r} has a member {name!r} already",
                kind="member",
                wanted=name,
                hint="choose another name",
            )

    def _plug_in(
        self,
        vm: VM,
        name: str,
        *,
        owned: bool,
        ip: str | None = None,
        dhcp: bool = False,
        slot: int | None = None,
    ) -> Member:
        self._require_new(name)
        with step(f"add {vm.name} to network {self.name}"), ExitStack() as undo:
            adapter = network_cards.free_adapter(vm, slot)
            lease = lease_port(protocol="udp")
            undo.callback(lease.release)
            joined = self._switch.join(name, mac=adapter.mac, peer=lease.port, ip=ip)
            undo.callback(self._switch.leave, name)
            if isinstance(self._switch, Internal):
                adapter.attach("Internal", network=self._switch.network)
            else:
                adapter.attach(
                    "Generic",
                    driver="UDPTunnel",
                    properties={"sport": lease.port, "dest": "127.0.0.1", "dport": joined.port},
                )
            undo.callback(network_cards.unplug, adapter)
            member = Member(
                self,
                name,
                vm,
                joined.ip,
                slot=adapter.slot,
                dhcp=dhcp,
                lease=lease,
                owned=owned,
            )
            adapter.cable_connected = True
            self._members[name] = member
            undo.pop_all()
        return member

    def _tell_names(self) -> None:
        """Without a name server of ours, write the names into each guest."""
        if self.kind == "internal":
            hosts = {member.name: member.ip for member in self}
            for member in self:
                if member.vm.state in ONLINE:
                    network_guest.write_hosts(member.vm.ssh, hosts, domain=self.domain)

    def remove(self, name: str) -> None:
        """
        Take a member out: its cable is pulled; one that `fork` made is destroyed.

        Raises:
            NotFoundError: There is none of this name.
        """
        self[name]
        self._drop(name)

    def _drop(self, name: str) -> None:
        member = self._members.pop(name)
        try:
            member._detach()  # noqa: SLF001 - of the same package
        finally:
            self._switch.leave(name)

    # The end

    def close(self) -> None:
        """
        End the network: members' cables are pulled, those that `fork` made are destroyed.

        Doing it twice does no harm.

        Raises:
            CleanupError: Part of it could not be undone; the error lists what is left.
        """
        left = []
        while self._members:
            name, member = self._members.popitem()
            try:
                member._detach()  # noqa: SLF001 - of the same package
            except VBoxKitError as error:
                left.append(f"member {name!r}: {error}")
        self._recording = None
        self._switch.close()
        self._closed = True
        if left:
            raise CleanupError(
                f"network {self.name!r} could not be ended whole:", left=left, hint="vboxkit gc"
            )

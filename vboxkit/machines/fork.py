"""Forks: running copies that resume instead of booting."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from vboxkit.core.ports import lease_port
from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline
from vboxkit.errors import ApiError, CleanupError, InvalidStateError
from vboxkit.host import budget
from vboxkit.machines.clones import copy_registered
from vboxkit.machines.machine import Machine
from vboxkit.machines.many import fork_together, require_running
from vboxkit.machines.network import read_forwards, write_forward
from vboxkit.machines.progress import unhooked
from vboxkit.settings import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from typing_extensions import Self

    from vboxkit.com.api import Api
    from vboxkit.core.waiting import Timeout
    from vboxkit.machines.network import Forward
    from vboxkit.machines.snapshots import Snapshot
    from vboxkit.settings import Settings

__all__ = ["Fork", "fork", "fork_of", "plug_in_at_once"]

F = TypeVar("F", bound="Fork")

#: Extra data of a machine: its snapshots whose fork is gone, but which could not be deleted yet.
_WAITING = "vboxkit/snapshots-to-delete"

#: The name of each adapter's device in VirtualBox's configuration tree.
_DEVICES = {
    "Virtio": "virtio-net",
    "I82540EM": "e1000",
    "I82543GC": "e1000",
    "I82545EM": "e1000",
    "Am79C970A": "pcnet",
    "Am79C973": "pcnet",
}


class Fork(Machine):
    """
    A disposable machine: used as a context manager, it is destroyed when the block ends.

    Attributes:
        forwards: Its port forwards, by guest port.
        parent_snapshot: A snapshot that was taken for this fork alone and goes with it.
    """

    #: Each fork gets one of its own; here only so that `ComObject` knows the name.
    forwards: dict[int, Forward] = {}  # noqa: RUF012
    parent_snapshot: Snapshot | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()

    def start_in_turn(self, timeout: Timeout) -> None:
        """Start when CPU and RAM of this host allow; destroys the machine if that fails."""
        deadline = Deadline(timeout)
        done = False
        try:
            with budget.may_start(self.memory_mb, what=self._subject(), timeout=deadline):
                self.start(timeout=deadline)
            done = True
        finally:
            if not done:
                with unhooked():
                    self.destroy()

    def destroy(self) -> None:
        """
        Remove the fork with all that was made for it; doing it twice does no harm.

        Raises:
            CleanupError: Part of it could not be removed; the error lists what is left.
        """
        if self._destroyed:
            return
        super().destroy()
        for forward in self.forwards.values():
            forward.release()
        if self.parent_snapshot is not None:
            _drop(self.parent_snapshot)
        self._destroyed = True

    _destroyed = False

    @property
    def gone(self) -> bool:
        """Whether it was destroyed by way of this object."""
        return self._destroyed


def _drop(snapshot: Snapshot) -> None:
    """
    Delete a snapshot that was taken for a fork that is gone, and those that had to wait.

    VirtualBox refuses while a younger snapshot's disk is in use by another fork ("locked for
    writing by another task"): such a snapshot is noted with the machine, and goes with a later
    fork, at the latest with the last one.

    Raises:
        CleanupError: It could not be deleted although no fork is left.
    """
    machine = snapshot.machine
    waiting = (machine.get_extra_data(_WAITING) or "").split()
    failed = {}
    for uuid in [snapshot.id, *waiting]:
        found = machine.snapshots.find(uuid)
        if found is None:
            continue
        try:
            found.delete()
        except ApiError as error:
            failed[uuid] = error
    machine.set_extra_data(_WAITING, " ".join(failed) or None)
    if failed and not machine.linked_clones():
        raise CleanupError(
            f"{machine._subject()}: snapshots that were taken for forks could not be deleted:",
            left=[f"snapshot {uuid}: {error}" for uuid, error in failed.items()],
            hint="machine.snapshots[...].delete()",
        )


def fork(
    machine: Machine,
    name: str | None,
    *,
    snapshot: Snapshot | None,
    start: bool,
    timeout: Timeout,
    kind: Callable[[Api, Any, Settings], F],
    folder: Path | None = None,
    extra_data: Mapping[str, str] | None = None,
) -> F:
    """
    See `Machine.fork`.

    Args:
        machine: The machine to copy.
        name: The fork's name.
        snapshot: An online snapshot of it.
        start: Whether to start it.
        timeout: For the whole.
        kind: Makes the result, called like the class `Machine`.
        folder: Where its folder is made (absolute), instead of the default machine folder.
        extra_data: Written before the fork is registered.
    """
    deadline = Deadline(timeout)
    own: Snapshot | None = None
    if snapshot is None:
        require_running(machine)
        snapshot = own = machine.snapshots.take("vboxkit fork", timeout=deadline)
    elif not snapshot.online:
        raise InvalidStateError(
            f"{snapshot._subject()} holds no running guest, only disks",
            state="offline snapshot",
            needed=["online snapshot"],
            operation="fork",
            hint="take it while the machine runs, or use clone(linked=True, snapshot=...)",
        )
    label = name or f"{machine.name}-fork-{secrets.token_hex(3)}"
    forked: F | None = None
    done = False
    try:
        with step(f"fork {machine._name} to {label}"):
            com = copy_registered(
                machine,
                label,
                source=snapshot.com.machine,
                options=["Link"],
                deadline=deadline,
                folder=folder,
                extra_data=extra_data,
            )
            forked = kind(machine._api, com, machine.settings)
            forked.forwards = {}
            _prepare(forked)
            if start:
                forked.start(timeout=deadline)
        done = True
    finally:
        if not done:
            with unhooked():
                if forked is not None:
                    forked.destroy()
                if own is not None:
                    own.delete()
    assert forked is not None  # noqa: S101 - done
    forked.parent_snapshot = own
    return forked


def plug_in_at_once(machine: Machine) -> None:
    """Let copies of a machine find their network cable plugged in when they go on."""
    for slot in range(len(machine.network)):
        adapter = machine.com.getNetworkAdapter(slot)
        key = _cable_key(machine._api, adapter, slot) if adapter.enabled else None
        if key is not None:
            machine.set_extra_data(key, "0")


def _cable_key(api: Api, adapter: Any, slot: int) -> str | None:
    device = _DEVICES.get(api.name("NetworkAdapterType", adapter.adapterType))
    return f"VBoxInternal/Devices/{device}/{slot}/Config/LinkUpDelay" if device else None


def fork_of(
    machine: Machine,
    name: str | None,
    count: int | None,
    *,
    snapshot: Snapshot | None,
    start: bool,
    timeout: Timeout,
) -> Fork | list[Fork]:
    """See `Machine.fork`: one of a plain machine, or several."""
    if count is None:
        return fork(machine, name, snapshot=snapshot, start=start, timeout=timeout, kind=Fork)

    def make(label: str, origin: Snapshot, deadline: Deadline) -> Fork:
        return fork(machine, label, snapshot=origin, start=False, timeout=deadline, kind=Fork)

    return fork_together(
        machine,
        make,
        count,
        label=name or f"{machine.name}-fork-{secrets.token_hex(3)}",
        snapshot=snapshot,
        start=start,
        timeout=timeout,
        lock=cache_dir() / "starts" / "clone.lock",
    )


def _prepare(fork: Fork) -> None:
    """
    Give a saved copy ports and a console of its own, and its network cable at once.

    One lock and one save for all. The serial port of the original would be written to by both.
    After a state restore VirtualBox holds the virtual cable out for 5 s (LinkUpDelay).
    """
    api = fork._api
    console = str(fork.folder / "serial.log")
    with fork._changing() as com:
        for slot in range(len(fork.network)):
            adapter = com.getNetworkAdapter(slot)
            if not adapter.enabled:
                continue
            key = _cable_key(api, adapter, slot)
            # Writing costs 5 to 10 ms, for it saves all settings; copies of an image have it.
            if key is not None and com.getExtraData(key) != "0":
                com.setExtraData(key, "0")
            attachment = api.name("NetworkAttachmentType", adapter.attachmentType)
            if attachment == "Generic" and adapter.genericDriver == "UDPTunnel":
                # Both would have the same port, and one of them get the other's frames.
                adapter.attachmentType = api.value("NetworkAttachmentType", "NAT")
                adapter.cableConnected = False  # free to join a network, see lab/network_cards.py
            if attachment != "NAT":
                continue
            engine = adapter.NATEngine
            for rule in read_forwards(api, engine):
                engine.removeRedirect(rule.name)
                lease = lease_port(host_ip=rule.host_ip or "127.0.0.1", protocol=rule.protocol)
                own = replace(rule, host_ip=lease.host_ip, host_port=lease.port, _lease=lease)
                fork.forwards[rule.guest_port] = own
                write_forward(api, engine, own)
        # It would write into the video of the original.
        com.recordingSettings.enabled = False
        port = com.getSerialPort(0)
        if port.enabled:
            port.path = console
            port.hostMode = api.value("PortMode", "RawFile")

"""Who tells a guest's address, in turn: the guest, VirtualBox's leases, this host's neighbours."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from vboxkit import MachineState
from vboxkit.machines import addresses, attachments
from vboxkit.machines.addresses import GuestAddress, guest_address, neighbours

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vm

NETWORK = "vt-leases"

#: A file of leases as VirtualBox's DHCP server writes it; VirtualBox itself reads it.
_LEASES = """<?xml version="1.0"?>
<Leases version="1.0">
  <Lease mac="{other}" id="01{other_id}" network="0.0.0.0" state="acked">
    <Address value="10.9.0.100"/>
    <Time issued="{now}" expiration="600"/>
  </Lease>
  <Lease mac="{mac}" id="01{mac_id}" network="0.0.0.0" state="acked">
    <Address value="10.9.0.101"/>
    <Time issued="{now}" expiration="600"/>
  </Lease>
</Leases>
"""

#: Two network stacks of Linux, joined by a cable; one asks who has the other's address, and the
#: other one, with the adapter's MAC address, answers.
_NEIGHBOURS = """
set -e
ip link add vbk0 type veth peer name vbk1
ip link set vbk1 address "$1"
unshare --net sleep 60 &
other=$!
trap 'kill $other' EXIT
until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do :; done
ip link set vbk1 netns $other
ip addr add 10.9.1.1/24 dev vbk0
ip link set vbk0 up
nsenter --net=/proc/$other/ns/net sh -c \
    'ip addr add 10.9.1.15/24 dev vbk1 && ip link set vbk1 up && ip link set lo up'
python3 -c '
import socket
try:
    socket.create_connection(("10.9.1.15", 9), timeout=30)
except ConnectionRefusedError:
    pass
'
cat /proc/net/arp
"""


@pytest.fixture(scope="module")
def running(vbox: VirtualBox) -> Iterator[Machine]:
    """Make a machine from nothing, and start it: nobody in it tells anything."""
    machine = vbox.create(
        f"vt{os.getpid()}-address", os_type="Linux_64", memory_mb=64, cpus=1, disk_mb=10
    )
    try:
        machine.network[0].kind = "I82540EM"  # it is attached anew while no guest drives it
        machine.start()
        yield machine
    finally:
        machine.destroy()


@pytest.fixture
def elsewhere(
    vbox: VirtualBox, running: Machine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machine]:
    """
    Let the machine be attached to networks that need the kernel driver.

    VirtualBox takes that of a machine that runs, and no frame comes through.
    """
    monkeypatch.setattr(attachments, "driver_available", lambda: True)
    yield running
    running.network[0].attach("NAT")
    server = vbox.networks.dhcp.find(NETWORK)
    if server is not None:
        server.delete()


def test_a_lease_of_virtualbox(vbox: VirtualBox, elsewhere: Machine) -> None:
    """It is found by the adapter's MAC address in the file of its network's server."""
    adapter = elsewhere.network[0]
    adapter.attach("Internal", network=NETWORK)
    assert guest_address(elsewhere) is None  # there is no server
    server = vbox.networks.dhcp.create(
        NETWORK, ip_address="10.9.0.1", lower_ip="10.9.0.100", upper_ip="10.9.0.200"
    )
    assert guest_address(elsewhere) is None  # it has given nothing out
    now, other = int(time.time()), "08:00:27:00:00:01"
    file = vbox.home / f"{NETWORK}-Dhcpd.leases"
    file.write_text(
        _LEASES.format(
            now=now,
            mac=adapter.mac.lower(),
            mac_id=adapter.mac.replace(":", "").lower(),
            other=other,
            other_id=other.replace(":", ""),
        )
    )
    try:
        assert guest_address(elsewhere) == GuestAddress("10.9.0.101", "DHCP lease")
        lease = server.lease(adapter.mac)
        assert lease is not None
        assert (lease.state, lease.issued.timestamp()) == ("acked", now)
        assert (lease.expires - lease.issued).total_seconds() == 600
        # What the guest says of itself comes before that.
        said = "/VirtualBox/GuestInfo/Net/0/V4/IP"
        elsewhere.guest_properties[said] = "10.9.0.7"
        assert guest_address(elsewhere) == GuestAddress("10.9.0.7", "guest property")
        del elsewhere.guest_properties[said]
        assert guest_address(elsewhere, slot=1) is None
    finally:
        file.unlink()


def test_a_neighbour_of_this_host(
    elsewhere: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux's own table, after a real answer to its question, tells the address."""
    adapter = elsewhere.network[0]
    adapter.attach("Bridged", interface="lo", missing_ok=True)
    table = subprocess.run(
        ["unshare", "--net", "sh", "-c", _NEIGHBOURS, "sh", adapter.mac],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert neighbours(table) == {adapter.mac.lower(): "10.9.1.15"}
    (tmp_path / "arp").write_text(table)
    assert guest_address(elsewhere) is None  # this host's own stack knows nobody of that address
    monkeypatch.setattr(addresses, "_HOST_ARP", tmp_path / "arp")
    assert guest_address(elsewhere) == GuestAddress("10.9.1.15", "ARP")
    (tmp_path / "arp").write_text(table.replace(adapter.mac.lower(), "08:00:27:00:00:01"))
    assert guest_address(elsewhere) is None  # somebody else's


def test_nobody_knows_where_a_machine_that_is_off_is(vbox: VirtualBox, running: Machine) -> None:
    """What was told of its last run does not count."""
    machine = vbox.create(
        f"vt{os.getpid()}-off", os_type="Linux_64", memory_mb=64, cpus=1, disk_mb=0
    )
    try:
        assert running.state == MachineState.RUNNING
        machine.guest_properties["/VirtualBox/GuestInfo/Net/0/V4/IP"] = "10.9.0.7"
        assert guest_address(machine) is None
    finally:
        machine.destroy()

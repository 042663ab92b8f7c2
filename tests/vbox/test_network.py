"""Network adapters and port forwards of machines at rest."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.core.ports import is_free
from vboxkit.errors import (
    AlreadyExistsError,
    ApiError,
    InvalidStateError,
    LockedError,
    NotFoundError,
    PortInUseError,
    VBoxKitError,
)
from vboxkit.machines.machine import Machine

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from vboxkit import VirtualBox

pytestmark = pytest.mark.vbox

_LEASE = """
import sys
from vboxkit.core.ports import lease_port
from vboxkit.errors import PortInUseError
try:
    lease_port(int(sys.argv[1]), protocol=(sys.argv[2:] or ["tcp"])[0])
except PortInUseError as error:
    print(error.holder)
else:
    print("leased")
"""

_HOLD = """
import sys, vboxkit
machine = vboxkit.connect(sys.argv[1]).machines[sys.argv[2]]
with machine.edit():
    print("locked", flush=True)
    sys.stdin.readline()
"""


def rules(vbox: VirtualBox, machine: Machine) -> list[str]:
    """Return the raw rules of the first adapter as VirtualBox keeps them."""
    engine = vbox.machines[machine.id].com.getNetworkAdapter(0).NATEngine
    return [str(line) for line in vbox._api.array(engine, "redirects")]


def test_adapters_are_those_of_the_machine(machine: Machine) -> None:
    """Eight slots; the first is NAT, the others are off."""
    adapters = list(machine.network)
    assert len(machine.network) == len(adapters) == 8
    assert [adapter.slot for adapter in adapters] == list(range(8))
    assert [adapter.enabled for adapter in adapters] == [True] + [False] * 7
    assert adapters[0].attachment == "NAT"
    assert adapters[0].kind == "Virtio"
    assert adapters[0].mac.replace(":", "").upper() == str(adapters[0].com.MACAddress)


@pytest.mark.parametrize("slot", [8, 99, -1])
def test_a_slot_that_is_not_there(machine: Machine, slot: int) -> None:
    """`NotFoundError` names the slots that there are."""
    with pytest.raises(NotFoundError) as caught:
        machine.network[slot]
    assert caught.value.available == tuple("01234567")
    assert machine.name in str(caught.value)


def test_a_rule_that_somebody_else_made_is_read(vbox: VirtualBox, machine: Machine) -> None:
    """All parts of a rule are read, those that are left empty too."""
    tcp = vbox._api.value("NATProtocol", "TCP")
    with machine._changing() as com:
        com.getNetworkAdapter(0).NATEngine.addRedirect("theirs", tcp, "", 2222, "10.0.2.15", 22)
    rule = next(rule for rule in machine.network[0].forwards if rule.name == "theirs")
    assert rule in machine.network.forwards()
    assert (rule.protocol, rule.host_ip, rule.host_port) == ("tcp", "", 2222)
    assert (rule.guest_ip, rule.guest_port) == ("10.0.2.15", 22)


def test_forward_picks_a_free_port(vbox: VirtualBox, machine: Machine) -> None:
    """The rule is saved, with a host port on which nothing listens."""
    rule = machine.network[0].forward(guest=8080)
    assert rules(vbox, machine)[-1] == f"tcp-8080,1,127.0.0.1,{rule.host_port},,8080"
    assert rule in machine.network.forwards()
    assert is_free(rule.host_port)
    rule.release()


def test_forward_as_asked_for(vbox: VirtualBox, machine: Machine) -> None:
    """Host port, name and protocol are the given ones."""
    adapter = machine.network[0]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    web = adapter.forward(guest=80, host=port, name="web")
    dns = adapter.forward(guest=53, protocol="udp")
    assert f"web,1,127.0.0.1,{port},,80" in rules(vbox, machine)
    assert f"udp-53,0,127.0.0.1,{dns.host_port},,53" in rules(vbox, machine)
    assert [rule.protocol for rule in adapter.forwards if rule.guest_port == 53] == ["udp"]
    web.release()
    dns.release()


def test_no_other_process_gets_the_port(machine: Machine, answer: Callable[..., str]) -> None:
    """The port is leased from forward() until remove()."""
    rule = machine.network[0].forward(guest=8080)
    assert answer(_LEASE, rule.host_port).strip() == "another vboxkit process"
    machine.network[0].remove(rule)
    assert answer(_LEASE, rule.host_port).strip() == "leased"


@pytest.mark.parametrize("by_name", [True, False])
def test_remove(vbox: VirtualBox, machine: Machine, *, by_name: bool) -> None:
    """A rule is removed by itself or by its name; the others stay."""
    adapter = machine.network[0]
    before = rules(vbox, machine)
    rule = adapter.forward(guest=80)
    adapter.remove(rule.name if by_name else rule)
    rule.release()
    assert rules(vbox, machine) == before


def test_remove_what_is_not_there(machine: Machine) -> None:
    """`NotFoundError` with the names of the rules there are."""
    machine.network[0].forward(guest=80).release()
    known = tuple(rule.name for rule in machine.network.forwards())
    with pytest.raises(NotFoundError) as caught:
        machine.network[0].remove("nothing")
    assert (caught.value.wanted, caught.value.available) == ("nothing", known)


def test_name_taken(vbox: VirtualBox, machine: Machine) -> None:
    """`AlreadyExistsError`; the first rule is untouched."""
    rule = machine.network[0].forward(guest=80, name="web")
    before = rules(vbox, machine)
    with pytest.raises(AlreadyExistsError) as caught:
        machine.network[0].forward(guest=81, name="web")
    assert (caught.value.kind, caught.value.wanted) == ("forward", "web")
    assert rules(vbox, machine) == before
    rule.release()


def test_port_taken_by_a_program(vbox: VirtualBox, machine: Machine) -> None:
    """A port on which a program listens is refused, and no rule is made."""
    before = rules(vbox, machine)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(PortInUseError) as caught:
            machine.network[0].forward(guest=80, host=port)
    assert (caught.value.port, caught.value.holder) == (port, "a program")
    assert caught.value.hint
    assert rules(vbox, machine) == before


def test_port_taken_by_another_machine(
    vbox: VirtualBox, machine: Machine, make: Callable[..., Machine]
) -> None:
    """VirtualBox would accept a second rule that silently does not work; we name the machine."""
    other = make()
    rule = other.network[0].forward(guest=80)
    rule.release()
    before = rules(vbox, machine)
    with pytest.raises(PortInUseError) as caught:
        machine.network[0].forward(guest=80, host=rule.host_port)
    assert other.name in caught.value.holder
    assert other.name in str(caught.value)
    assert rules(vbox, machine) == before


def test_port_leased_by_another_process(
    vbox: VirtualBox, machine: Machine, child: Callable[..., subprocess.Popen[str]]
) -> None:
    """A port that another vboxkit process has chosen is refused, also before it is used."""
    other = child("""
        from vboxkit.core.ports import lease_port
        lease = lease_port()
        print(lease.port, flush=True)
        input()
        """)
    assert other.stdout is not None
    port = int(other.stdout.readline())
    with pytest.raises(PortInUseError, match=str(port)) as caught:
        machine.network[0].forward(guest=80, host=port)
    assert caught.value.holder == "another vboxkit process"
    assert not any(f",{port}," in line for line in rules(vbox, machine))


@pytest.mark.parametrize(
    "wrong",
    [
        {"guest": 0},
        {"guest": 70_000},
        {"guest": 80, "host": 70_000},
        {"guest": 80, "host": 0},
        {"guest": 80, "name": "a,b"},
        {"guest": 80, "protocol": "icmp"},
        {"guest": 80, "host_ip": "999.1.1.1"},
        {"guest": 80, "host_ip": "192.0.2.7"},
    ],
)
def test_impossible_rules(vbox: VirtualBox, machine: Machine, wrong: dict[str, Any]) -> None:
    """Ports, names, protocols and addresses that cannot be: a typed error, and no rule."""
    before = rules(vbox, machine)
    with pytest.raises(VBoxKitError):
        machine.network[0].forward(**wrong)
    assert rules(vbox, machine) == before
    assert machine.session_state == "Unlocked"


def test_only_nat_forwards(machine: Machine) -> None:
    """An adapter that is not attached to NAT has no forwards: the error says what it is."""
    with pytest.raises(InvalidStateError) as caught:
        machine.network[1].forward(guest=80)
    assert (caught.value.state, caught.value.needed) == ("Null", ("NAT",))
    assert isinstance(caught.value, ApiError)


# Leases


def test_removing_by_name_gives_the_port_back(machine: Machine, answer: Callable[..., str]) -> None:
    """Also while the record of the rule is still at hand."""
    rule = machine.network[0].forward(guest=8080)
    machine.network[0].remove(rule.name)
    assert answer(_LEASE, rule.host_port).strip() == "leased"


def test_destroying_gives_the_ports_back(machine: Machine, answer: Callable[..., str]) -> None:
    """The ports of a machine that is gone are free, whoever holds their records."""
    rules = [machine.network[0].forward(guest=8080, protocol=p) for p in ("tcp", "udp")]
    machine.destroy()
    for rule in rules:
        assert answer(_LEASE, rule.host_port, rule.protocol).strip() == "leased"


def test_a_forward_in_an_edit_that_fails(
    vbox: VirtualBox, machine: Machine, answer: Callable[..., str]
) -> None:
    """Rule and lease are undone with the rest."""
    before = rules(vbox, machine)
    with pytest.raises(RuntimeError), machine.edit():
        rule = machine.network[0].forward(guest=8080)
        assert rule in machine.network[0].forwards
        raise RuntimeError
    assert rules(vbox, machine) == before
    assert answer(_LEASE, rule.host_port).strip() == "leased"


def test_a_udp_port_that_a_program_has(vbox: VirtualBox, machine: Machine) -> None:
    """UDP ports are looked at as such: taken for UDP is free for TCP."""
    before = rules(vbox, machine)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        with pytest.raises(PortInUseError) as caught:
            machine.network[0].forward(guest=53, host=port, protocol="udp")
        assert caught.value.holder == "a program"
        assert rules(vbox, machine) == before
        machine.network[0].forward(guest=53, host=port).release()


def test_one_port_for_tcp_and_udp(machine: Machine) -> None:
    """A name server has the same port for both."""
    adapter = machine.network[0]
    tcp = adapter.forward(guest=53)
    udp = adapter.forward(guest=53, host=tcp.host_port, protocol="udp")
    assert {rule.name for rule in adapter.forwards} >= {"tcp-53", "udp-53"}
    tcp.release()
    udp.release()


def test_forwards_of_a_machine_that_is_another_class(
    vbox: VirtualBox, machine: Machine, make: Callable[..., Machine]
) -> None:
    """A given port is looked for in all machines, whatever class this one has."""

    class Odd(Machine):
        def __init__(self, api: Any, com: Any, settings: Any, *, more: int) -> None:
            super().__init__(api, com, settings)
            self.more = more

    odd = Odd(vbox._api, machine.com, vbox.settings, more=1)
    rule = make().network[0].forward(guest=80)
    rule.release()
    with pytest.raises(PortInUseError, match=str(rule.host_port)):
        odd.network[0].forward(guest=80, host=rule.host_port)


def test_one_port_on_two_addresses(machine: Machine, make: Callable[..., Machine]) -> None:
    """Rules that listen on different addresses are not in each other's way."""
    rule = machine.network[0].forward(guest=80)
    rule.release()
    other = make().network[0].forward(guest=80, host=rule.host_port, host_ip="127.0.0.9")
    assert (other.host_ip, other.host_port) == ("127.0.0.9", rule.host_port)
    other.release()


def test_forward_to_a_guests_address(machine: Machine) -> None:
    """The address is kept; one that cannot be is refused before anything is made."""
    rule = machine.network[0].forward(guest=80, guest_ip="10.0.2.77")
    rule.release()
    assert machine.network[0].forwards[-1].guest_ip == "10.0.2.77"
    with pytest.raises(ApiError, match=r"'10\.0\.2' is no IP address"):
        machine.network[0].forward(guest=81, guest_ip="10.0.2")
    assert machine.network[0].forwards[-1] == rule


# Machines that cannot be changed


CHANGES: dict[str, Callable[[Machine], object]] = {
    "cable": lambda m: setattr(m.network[0], "cable_connected", False),
    "attach": lambda m: m.network[0].attach("Null"),
    "mac": lambda m: m.network[0].regenerate_mac(),
    "forward": lambda m: m.network[0].forward(guest=80),
    "nat": lambda m: setattr(m.network[0].nat, "dns_proxy", True),
    "policy": lambda m: m.network.policy("isolated"),
    "bandwidth": lambda m: m.bandwidth_groups.add("x", kind="Network"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_locked_machine(
    vbox: VirtualBox,
    machine: Machine,
    child: Callable[..., subprocess.Popen[str]],
    change: Callable[[Machine], object],
) -> None:
    """`LockedError` names the holder; nothing is changed."""
    holder = child(_HOLD, vbox.settings.home, machine.id)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    hasty = Machine(vbox._api, machine.com, replace(vbox.settings, lock_timeout=0.05))
    with pytest.raises(LockedError, match=str(holder.pid)):
        change(hasty)
    assert rules(vbox, machine) == rules(vbox, hasty)
    assert (hasty.network[0].attachment, hasty.network[0].cable_connected) == ("NAT", True)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_destroyed_machine(machine: Machine, change: Callable[[Machine], object]) -> None:
    """A typed error, not a change of something else."""
    machine.destroy()
    with pytest.raises(ApiError, match=machine._name):
        change(machine)

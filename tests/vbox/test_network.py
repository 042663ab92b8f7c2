"""Network adapters and port forwards of machines at rest."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.core.ports import is_free
from vboxkit.errors import (
    AlreadyExistsError,
    ApiError,
    InvalidStateError,
    NotFoundError,
    PortInUseError,
    VBoxKitError,
)

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox

_LEASE = """
import sys
from vboxkit.core.ports import lease_port
from vboxkit.errors import PortInUseError
try:
    lease_port(int(sys.argv[1]))
except PortInUseError as error:
    print(error.holder)
else:
    print("leased")
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

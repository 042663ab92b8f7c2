"""Postures of machines towards the network: set as a whole, and read with the reasons."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.errors import ApiError, NotFoundError

if TYPE_CHECKING:
    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


@pytest.fixture
def two(machine: Machine) -> Machine:
    """Return a machine with two adapters."""
    with machine.edit():
        machine.network[1].enabled = True
        machine.network[1].attach("Internal", network="somewhere")
    return machine


def attachments(vbox: VirtualBox, machine: Machine) -> list[str]:
    """Return what the enabled adapters are attached to, as VirtualBox has saved it."""
    adapters = vbox.machines[machine.id].network
    return [adapter.attachment for adapter in adapters if adapter.enabled]


def test_nat_is_where_a_machine_begins(machine: Machine) -> None:
    """The reason tells how many forwards lead in."""
    policy = machine.network.policy()
    assert (policy.name, policy.network) == ("nat", None)
    count = len(machine.network.forwards())
    assert policy.why[0].startswith("adapter 0: attached as NAT: the guest gets out")
    assert f"in only by {count} port forward" in policy.why[0]
    machine.network[0].forward(guest=80).release()
    assert f"in only by {count + 1} port forward" in machine.network.policy().why[0]


def test_each_policy_is_for_all_adapters(vbox: VirtualBox, two: Machine) -> None:
    """Every enabled adapter follows, and it reads back from the settings."""
    isolated = two.network.policy("isolated")
    adapters = list(vbox.machines[two.id].network)[:2]
    assert [adapter.cable_connected for adapter in adapters] == [False, False]
    assert (isolated.name, isolated.why) == (
        "isolated",
        (
            "adapter 0: its cable is not connected (it is attached as NAT)",
            "adapter 1: its cable is not connected (it is attached as Internal)",
        ),
    )
    internal = two.network.policy("internal", network="lab")
    assert attachments(vbox, two) == ["Internal", "Internal"]
    assert (internal.name, internal.network) == ("internal", "lab")
    assert "'lab'" in internal.why[1]
    nat = two.network.policy("nat")
    assert attachments(vbox, two) == ["NAT", "NAT"]
    assert vbox.machines[two.id].network.policy() == nat
    assert str(nat).splitlines()[0] == "nat"
    assert len({nat, dataclasses.replace(nat)}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        nat.name = "open"  # type: ignore[misc]


def test_forwards_outlive_isolation(vbox: VirtualBox, machine: Machine) -> None:
    """They are there again when the machine is."""
    rule = machine.network[0].forward(guest=80)
    rule.release()
    machine.network.policy("isolated")
    assert machine.network.policy("isolated").name == "isolated"
    machine.network.policy("nat")
    assert rule in vbox.machines[machine.id].network.forwards()


def test_open(vbox: VirtualBox, two: Machine) -> None:
    """To the host's interface: the one given, or the first that is up and has an address."""
    up = [each for each in vbox.networks.bridged if each.status == "Up"]
    up = [each for each in up if any(ch in each.ip_address for ch in "123456789")]
    if not up:
        with pytest.raises(NotFoundError, match="no interface of this host is up"):
            two.network.policy("open")
        return
    policy = two.network.policy("open")
    assert (policy.name, policy.network) == ("open", up[0].name)
    assert two.network[1].interface == up[0].name
    two.network[1].attach("NAT")
    mixed = two.network.policy()
    assert mixed.name == "open"
    assert "NAT" in mixed.why[1]
    other = list(vbox.networks.bridged)[-1].name
    assert two.network.policy("open", interface=other).network == other


def test_an_adapter_is_enabled_if_there_is_none(vbox: VirtualBox, machine: Machine) -> None:
    """A machine without one is isolated, and gets its first one for everything else."""
    machine.network[0].enabled = False
    assert machine.network.policy() == machine.network.policy("isolated")
    assert machine.network.policy().why == ("no adapter is enabled",)
    assert machine.network.policy("nat").name == "nat"
    assert attachments(vbox, machine) == ["NAT"]


def test_a_cable_that_is_out_leads_nowhere(machine: Machine) -> None:
    """It counts as isolated, and says why; a policy plugs it in."""
    machine.network[0].cable_connected = False
    policy = machine.network.policy()
    assert policy.name == "isolated"
    assert policy.why == ("adapter 0: its cable is not connected (it is attached as NAT)",)
    assert machine.network.policy("nat").name == "nat"
    assert machine.network[0].cable_connected


@pytest.mark.parametrize(
    ("kind", "where", "text"),
    [
        ("Internal", {"network": "lab"}, "internal network 'lab'"),
        ("Generic", {"driver": "UDPTunnel"}, "driver 'UDPTunnel'"),
        ("NATNetwork", {"network": "n", "missing_ok": True}, "NAT network 'n'"),
        ("HostOnly", {"interface": "vboxnet0", "missing_ok": True}, "'vboxnet0'"),
        ("Cloud", {"network": "c", "missing_ok": True}, "cloud network 'c'"),
    ],
)
def test_mixtures_say_why(machine: Machine, kind: Any, where: Any, text: str) -> None:
    """What is none of the four is `mixed`, with a reason for each adapter."""
    with machine.edit():
        machine.network[1].enabled = True
        machine.network[1].attach(kind, **where)
    policy = machine.network.policy()
    assert policy.name == "mixed"
    assert policy.why[0].startswith("adapter 0: attached as NAT")
    assert text in policy.why[1]


def test_two_internal_networks_are_no_internal_policy(two: Machine) -> None:
    """The machine would join them."""
    two.network[0].attach("Internal", network="elsewhere")
    assert two.network.policy().name == "mixed"
    two.network[0].attach("Internal", network="somewhere")
    assert (two.network.policy().name, two.network.policy().network) == ("internal", "somewhere")


def test_an_adapter_that_is_attached_to_nothing(machine: Machine) -> None:
    """It leads nowhere, and says so."""
    machine.network[0].attach("Null")
    policy = machine.network.policy()
    assert (policy.name, policy.why) == ("isolated", ("adapter 0: it is attached to nothing",))
    assert machine.network.policy("isolated") == policy
    assert machine.network[0].cable_connected


def test_policies_in_an_edit_that_fails(vbox: VirtualBox, two: Machine) -> None:
    """All adapters stay as they were."""
    with pytest.raises(KeyError), two.edit():
        assert two.network.policy("isolated").name == "isolated"
        raise KeyError
    assert attachments(vbox, two) == ["NAT", "Internal"]
    assert vbox.machines[two.id].network[0].cable_connected


@pytest.mark.parametrize(
    ("policy", "error", "text"),
    [
        (("isolatd", {}), ApiError, "did you mean 'isolated'"),
        (("closed", {}), ApiError, "one of 'isolated', 'nat', 'internal', 'open'|did you mean"),
        (("internal", {}), TypeError, r"policy\('internal'\) takes network="),
        (("nat", {"network": "lab"}), TypeError, "takes nothing else"),
        (("internal", {"network": "x", "interface": "y"}), TypeError, "takes network="),
        (("internal", {"network": ""}), ApiError, "needs the name"),
        (("open", {"interface": "nowhere0"}), NotFoundError, "no Bridged interface 'nowhere0'"),
    ],
)
def test_policies_that_cannot_be(
    vbox: VirtualBox, two: Machine, policy: Any, error: type[Exception], text: str
) -> None:
    """The error names the machine; no adapter is changed."""
    with pytest.raises(error, match=text) as caught:
        two.network.policy(policy[0], **policy[1])
    assert two.name in str(caught.value)
    assert attachments(vbox, two) == ["NAT", "Internal"]
    assert two.session_state == "Unlocked"

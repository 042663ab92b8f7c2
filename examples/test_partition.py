"""Three nodes whose network is cut in two: both parts go on, and agree once it is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vboxkit.pytest_plugin.networks import VMNetworks

NODES = ["a", "b", "c"]

#: Each node shows the colours that it knows, and asks the others for theirs, for ever.
NODE = """
mkdir -p /srv && touch /srv/mine /srv/colours && httpd -h /srv
while :; do
    for node in a b c; do
        timeout 5 wget -q -O /tmp/theirs http://$node/colours || continue
        sort -u /srv/mine /srv/colours /tmp/theirs > /tmp/all && mv /tmp/all /srv/colours
    done
    sleep 1
done > /dev/null 2>&1 &
"""


def test_both_halves_go_on_and_agree_in_the_end(vm_network: VMNetworks) -> None:
    """What is told one half the other does not know, until the network is whole again."""
    net = vm_network(NODES)
    for node in net:
        node.ssh.succeed(NODE)
    with net.partition({"a"}, {"b", "c"}):
        net["a"].ssh.succeed("echo red >> /srv/mine")
        net["b"].ssh.succeed("echo blue >> /srv/mine")
        net["c"].ssh.wait_until_succeeds("grep blue /srv/colours", timeout=60)
        net["c"].ssh.fail("grep red /srv/colours")
        net["a"].ssh.fail("grep blue /srv/colours")
    for node in net:
        node.ssh.wait_until_succeeds("grep red /srv/colours && grep blue /srv/colours", timeout=60)


def test_a_bad_line_slows_them_down_and_no_more(vm_network: VMNetworks) -> None:
    """With a third of all frames lost they agree as well; which ones is the same in each run."""
    net = vm_network(NODES, seed=1)
    for node in net:
        node.ssh.succeed(NODE)
    with net.drop(33):
        net["a"].ssh.succeed("echo green >> /srv/mine")
        for node in net:
            node.ssh.wait_until_succeeds("grep green /srv/colours", timeout=120)

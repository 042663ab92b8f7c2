"""A web service and its database, each in a machine of its own; and one without the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vboxkit.lab import PrivateNetwork
    from vboxkit.pytest_plugin.networks import VMNetworks

#: Counts what it is asked to count, and answers with the number.
DATABASE = """#!/bin/sh
read -r word
echo "$word" >> /srv/words
grep -cx "$word" /srv/words
"""

#: A page that asks the database; without an answer in 2 s it says so.
PAGE = """#!/bin/sh
visits=$(echo visit | nc -w 2 db 5432)
[ -n "$visits" ] || printf 'Status: 503 Service Unavailable\\r\\n'
printf 'Content-Type: text/plain\\r\\n\\r\\n'
echo "visits: ${visits:-unknown}"
"""


@pytest.fixture
def site(vm_network: VMNetworks) -> PrivateNetwork:
    """Set both up, on a network where they know each other by name."""
    net = vm_network(["web", "db"])
    net["db"].ssh.succeed("mkdir -p /srv; cat > /srv/count; chmod +x /srv/count", input=DATABASE)
    net["db"].ssh.succeed("nc -ll -p 5432 -e /srv/count > /dev/null 2>&1 &")
    net["web"].ssh.succeed(
        "mkdir -p /srv/cgi-bin; cat > /srv/cgi-bin/visit; chmod +x /srv/cgi-bin/visit", input=PAGE
    )
    net["web"].ssh.succeed("httpd -h /srv")
    net["db"].vm.wait_for_port(5432)
    net["web"].vm.wait_for_port(80)
    return net


def test_visits_are_kept_in_the_database(site: PrivateNetwork) -> None:
    """Asked by another machine of the network, the page counts on."""
    for number in (1, 2):
        said = site["db"].ssh.succeed("wget -qO- http://web/cgi-bin/visit")
        assert said == f"visits: {number}\n"


def test_without_its_database_the_page_says_so(site: PrivateNetwork) -> None:
    """An error in time while they are cut off from each other, and the count once they are not."""
    web = site["web"].ssh
    with site.partition({"web"}, {"db"}):
        assert "503" in web.fail("wget -O- http://localhost/cgi-bin/visit").stderr
    assert web.succeed("wget -qO- http://localhost/cgi-bin/visit") == "visits: 1\n"

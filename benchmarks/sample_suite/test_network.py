"""The network of the built-in guest, from within and from here."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vboxkit import VM

_SERVE = "mkdir -p /srv/www; echo hello >/srv/www/index.html; httpd -h /srv/www -p {}"


def test_the_address_is_that_of_nat(vm: VM) -> None:
    """VirtualBox gives each guest behind NAT the same."""
    assert "inet 10.0.2.15" in vm.ssh.succeed("ip -4 addr show eth0")


def test_the_way_out_is_the_router(vm: VM) -> None:
    """The default route."""
    assert "default via 10.0.2.2" in vm.ssh.succeed("ip route")


@pytest.mark.parametrize("port", [80, 8080])
def test_a_page_is_served(vm: VM, port: int) -> None:
    """Within the guest, on whichever port."""
    vm.ssh.succeed(_SERVE.format(port))
    assert vm.ssh.succeed(f"wget -qO- http://127.0.0.1:{port}/") == "hello\n"


def test_a_page_that_is_missing(vm: VM) -> None:
    """404, and wget fails."""
    vm.ssh.succeed(_SERVE.format(80))
    assert "404" in vm.ssh.fail("wget -qO- http://127.0.0.1/nothing").stderr


def test_a_port_has_one_server(vm: VM) -> None:
    """The second one is refused."""
    vm.ssh.succeed(_SERVE.format(80))
    assert "in use" in vm.ssh.fail("httpd -h /srv/www -p 80").stderr


def test_a_server_is_reached_from_here(vm: VM) -> None:
    """By a tunnel."""
    vm.ssh.succeed(_SERVE.format(80))
    with vm.ssh.forward_local(80) as tunnel:
        with socket.create_connection(("127.0.0.1", tunnel.port), timeout=20) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with connection.makefile("rb") as reply:
                assert reply.read().endswith(b"hello\n")


def test_names_come_from_the_file(vm: VM) -> None:
    """What /etc/hosts says is what `ping` asks."""
    vm.ssh.succeed("echo 127.0.0.9 nine >>/etc/hosts")
    assert "127.0.0.9" in vm.ssh.succeed("ping -c1 nine")


def test_a_route_can_be_a_hole(vm: VM) -> None:
    """What is sent there is refused at once."""
    vm.ssh.succeed("ip route add unreachable 192.0.2.0/24")
    vm.ssh.fail("ping -c1 -W1 192.0.2.1")


def test_text_goes_through_a_socket(vm: VM) -> None:
    """One end listens, the other one sends."""
    said = vm.ssh.succeed(
        "nc -l -p 7000 >/tmp/got & for n in 1 2 3 4 5 6 7 8 9; do"
        " echo over | nc 127.0.0.1 7000 && break; done; wait; cat /tmp/got"
    )
    assert said == "over\n"


def test_the_loop_can_be_cut(vm: VM) -> None:
    """With `lo` down nothing of it answers; SSH goes on."""
    vm.ssh.succeed("ip link set lo down")
    assert not vm.ssh.run("ping -c1 -W1 127.0.0.1").ok
    vm.ssh.succeed("ip link set lo up; ping -c1 -W1 127.0.0.1")

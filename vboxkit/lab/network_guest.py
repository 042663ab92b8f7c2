"""The guest's side of a private network, by nothing but a shell: address, link, name server."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from vboxkit.core.steps import step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vboxkit.core.waiting import Timeout
    from vboxkit.guest.ssh import SSH

__all__ = ["configure", "write_hosts"]

#: Who is not root asks for it.
_AS_ROOT = """set -- sh -c {script}
if [ "$(id -u)" = 0 ]; then exec "$@"; else exec sudo -n "$@"; fi"""

#: Cards are in the order of their PCI slots, as VirtualBox's adapters are. All forks of an image
#: have the card's MAC address of the moment of the snapshot: each gets that of its adapter. And
#: VirtualBox's virtio-net keeps the receive filter of the saved state, which knows the old address
#: only, until the card is told to take all. (Emulated, each process costs the guest 20 to 100 ms:
#: what the shell can do itself, it does.)
_CARD = """
set -e
cards=
for it in /sys/class/net/*; do
    if [ -e "$it/device" ]; then
        cd -P "$it/device"
        cards="$cards $PWD=${it##*/}"
    fi
done
cd /
card=
for it in $cards; do
    before=1
    for other in $cards; do
        [ ! "$other" \\< "$it" ] || before=$((before + 1))
    done
    [ $before != "$number" ] || card=${it##*=}
done
if [ -z "$card" ]; then
    echo "there is no network card $number, only: $cards" >&2
    exit 1
fi
ip link set dev "$card" address "$mac" promisc on up 2>/dev/null || {
    ip link set dev "$card" down
    ip link set dev "$card" address "$mac" promisc on up
}
ip addr flush dev "$card"
"""

_STATIC = """
ip addr add "$ip/$prefix" broadcast + dev "$card"
"""

#: The client ends once it has the address, which is good for a day.
_DHCP = """
if command -v udhcpc >/dev/null; then
    script=$(mktemp)
    trap 'rm -f "$script"' EXIT
    cat > "$script" <<'END'
#!/bin/sh
case $1 in
bound|renew) ip addr flush dev "$interface"
    ip addr add "$ip/$mask" broadcast + dev "$interface" ;;
esac
END
    chmod 700 "$script"
    udhcpc -i "$card" -n -q -t 10 -T 2 -s "$script" >&2
elif command -v dhclient >/dev/null; then
    dhclient -1 "$card" >&2
elif command -v dhcpcd >/dev/null; then
    dhcpcd -1 -4 "$card" >&2
else
    echo "no DHCP client: neither udhcpc, nor dhclient, nor dhcpcd" >&2
    exit 1
fi
case $(ip -4 addr show dev "$card") in *"inet $ip/"*) ;;
*) echo "not the address $ip:" >&2; ip -4 addr show dev "$card" >&2; exit 1 ;;
esac
"""

#: The server refuses what it does not know, so that the next one of the list is asked.
_RESOLVER = """
if command -v resolvectl >/dev/null && resolvectl status >/dev/null 2>&1; then
    resolvectl dns "$card" "$server"
    resolvectl domain "$card" "$domain"
else
    new= search="search $domain
"
    if [ -e /etc/resolv.conf ]; then
        while read -r line; do
            case $line in
            "nameserver $server") continue ;;
            search*) search= ;;
            esac
            new="$new$line
"
        done < /etc/resolv.conf
    fi
    printf 'nameserver %s\\n%s%s' "$server" "$search" "$new" > /etc/resolv.conf
fi
"""

_HOSTS = """
set -e
new=$(grep -v ' # vboxkit network$' /etc/hosts || true; cat <<'END'
{lines}
END
)
echo "$new" > /etc/hosts
"""


def configure(
    ssh: SSH,
    *,
    slot: int,
    mac: str,
    ip: str,
    prefix: int,
    server: str | None,
    domain: str,
    dhcp: bool,
    timeout: Timeout | None = None,
) -> None:
    """
    Give a guest's card its address, and tell the guest of the network's name server.

    Args:
        ssh: The guest; its user is root, or may become it by `sudo` without a password.
        slot: Of its adapter.
        mac: Of its adapter.
        ip: Its address.
        prefix: The length of the network's prefix.
        server: The network's name server, if it has one.
        domain: The members' domain.
        dhcp: Whether the guest is to ask for the address itself.
        timeout: Seconds; that of `SSH.succeed` if left out.

    Raises:
        CommandFailedError: The guest has no such card, or cannot do it; its words tell.
    """
    values = {
        "number": str(slot + 1),
        "mac": mac.lower(),
        "ip": ip,
        "prefix": str(prefix),
        "server": server or "",
        "domain": domain,
    }
    parts = [_CARD, _DHCP if dhcp else _STATIC, _RESOLVER if server else ""]
    with step("join the guest to the network"):
        _run(ssh, _assigned(values) + "".join(parts), timeout)


def write_hosts(ssh: SSH, hosts: Mapping[str, str], *, domain: str) -> None:
    """Let a guest know names by its ``/etc/hosts``, instead of those it was told before."""
    lines = [f"{ip} {name} {name}.{domain} # vboxkit network" for name, ip in hosts.items()]
    _run(ssh, _HOSTS.format(lines="\n".join(lines)), None)


def _assigned(values: Mapping[str, str]) -> str:
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def _run(ssh: SSH, script: str, timeout: Timeout | None) -> None:
    command = _AS_ROOT.format(script=shlex.quote(script))
    if timeout is None:
        ssh.succeed(command)
    else:
        ssh.succeed(command, timeout=timeout)

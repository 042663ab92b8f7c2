"""
What a fork shares with the moment of its snapshot, made its own: clock, random state, identity.

Shell lines for any POSIX shell; what a guest has not (no `perl`, no systemd) is passed over only
where the rest still does what the name promises, and is an error otherwise.
"""

from __future__ import annotations

import difflib
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, get_args

from vboxkit.core.steps import step
from vboxkit.core.waiting import Deadline
from vboxkit.errors import SettingsError, VBoxKitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vboxkit.core.waiting import Timeout
    from vboxkit.guest.ssh import SSH
    from vboxkit.lab.vm import VM

__all__ = ["Refresh", "check", "clock_line", "refresh", "refresh_all"]

#: What can be refreshed, in the order in which it is done.
Refresh = Literal["clock", "entropy", "hostname", "machine-id", "mac-address", "ssh-host-key"]

#: Busybox's date and GNU's both know ``@``, and set what they are given.
_CLOCK = "date -u -s @{now:.0f} >/dev/null"
#: Seconds that a command takes to be started in an emulated guest; whole seconds are set.
_WAY = 0.1

#: The kernel takes what is written to its random device, but uses it at once only when told to
#: (RNDRESEEDCRNG, 0x5207): `vbk-reseed` of the built-in guest does both, perl is in every Debian.
_ENTROPY = """
seed=$(mktemp) || exit 1
trap 'rm -f "$seed"' EXIT
cat > "$seed"
if command -v vbk-reseed >/dev/null; then vbk-reseed < "$seed"; exit; fi
cat "$seed" > /dev/urandom || exit 1
if command -v perl >/dev/null; then
    exec perl -e 'open R, ">", "/dev/urandom" or die $!; ioctl(R, 0x5207, 0) or die $!'
fi
echo "neither vbk-reseed nor perl: the random state cannot be renewed at once" >&2
exit 1
"""

_HOSTNAME = """
name=$(cat)
echo "$name" > /etc/hostname || exit 1
[ ! -e /etc/hosts ] || sed -i "s/^127\\.0\\.1\\.1[[:space:]].*/127.0.1.1 $name/" /etc/hosts
hostname "$name"
"""

_MACHINE_ID = """
id=$(cat)
umask 022
echo "$id" > /etc/machine-id || exit 1
[ ! -e /var/lib/dbus/machine-id ] || [ -L /var/lib/dbus/machine-id ] ||
    echo "$id" > /var/lib/dbus/machine-id
"""

#: Cards are in the order of their PCI slots, as VirtualBox's adapters are. Its virtio-net keeps the
#: receive filter of the saved state, which knows the old address only, until the card is told to
#: take all; and its NAT learns a new address from the guest's next ARP request.
_MAC_ADDRESS = """
cards=$(for card in /sys/class/net/*; do
    [ ! -e "$card/device" ] || echo "$(readlink -f "$card/device") ${card##*/}"
done | sort | sed 's/.* //')
for card in $cards; do
    read -r mac || { echo "more cards than adapters: $cards" >&2; exit 1; }
    ip link set dev "$card" promisc on && ip link set dev "$card" address "$mac" || exit 1
    ip neigh flush dev "$card" >/dev/null 2>&1
done
if read -r mac; then echo "no card for the adapter $mac: $cards" >&2; exit 1; fi
exit 0
"""

#: Prints the new public key. The running connection goes on with the old one.
_HOST_KEY = """
umask 077
if command -v dropbearkey >/dev/null; then
    key=/etc/dropbear/dropbear_ed25519_host_key
    rm -f "$key.new"
    dropbearkey -t ed25519 -f "$key.new" >/dev/null 2>&1 && mv "$key.new" "$key" || exit 1
    kill "$(cat /run/dropbear.pid)"
    dropbearkey -y -f "$key" | grep ^ssh-
else
    # of the kinds that there are: those that are not may be missing on purpose
    kinds=$(cd /etc/ssh && ls ssh_host_*_key | sed 's/^ssh_host_//; s/_key$//')
    rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
    for kind in ${kinds:-ed25519}; do
        ssh-keygen -q -t "$kind" -N '' -f "/etc/ssh/ssh_host_${kind}_key" || exit 1
    done
    if [ -s /run/sshd.pid ]
    then kill -HUP "$(cat /run/sshd.pid)"
    else systemctl try-restart ssh sshd 2>/dev/null
    fi
    for kind in ed25519 ecdsa rsa; do
        if [ -e "/etc/ssh/ssh_host_${kind}_key.pub" ]; then
            exec cat "/etc/ssh/ssh_host_${kind}_key.pub"
        fi
    done
fi
"""


def check(names: Sequence[str], *, running: bool = True) -> None:
    """
    Refuse names that are none, before anything is made.

    Args:
        names: Of `Refresh`.
        running: Whether the guest will run: in one that does not nothing can be renewed.

    Raises:
        SettingsError: The message has the near ones.
    """
    for name in names:
        if name not in get_args(Refresh):
            near = difflib.get_close_matches(name, get_args(Refresh), n=1)
            raise SettingsError(
                f"refresh: there is no {name!r}",
                hint=f"did you mean {near[0]!r}?" if near else f"of {', '.join(get_args(Refresh))}",
            )
    if names and not running:
        raise SettingsError(
            f"refresh: {', '.join(names)} in a guest that is not started",
            hint="start it, and vm.refresh(...)",
        )


def refresh_all(vms: Sequence[VM], names: Sequence[Refresh], *, timeout: Timeout) -> None:
    """
    Renew what is asked for in several machines at once; if one cannot, all are destroyed.

    Args:
        vms: The machines, which are just started.
        names: Of `Refresh`.
        timeout: Seconds, `timedelta` or `Deadline` until SSH lets us in.
    """
    if not names:
        return
    deadline = Deadline(timeout)

    def one(vm: VM) -> None:
        vm.wait_ready(timeout=deadline).refresh(*names)

    done = False
    try:
        with ThreadPoolExecutor(len(vms), thread_name_prefix="refresh") as pool:
            list(pool.map(one, vms))
        done = True
    finally:
        if not done:
            for vm in vms:
                with suppress(VBoxKitError):  # its lease stays, for the reaper
                    vm.destroy()


def clock_line(*, ahead: float = 0.0) -> str:
    """
    Return shell lines that set the clock, to go before a command in the same call.

    Args:
        ahead: Seconds by which it is to be ahead of this host's.

    By itself this would cost a guest's round trip; before a command it costs one process. A user
    who may not set the clock keeps the one of the snapshot, without a word: see `refresh`.
    """
    return _CLOCK.format(now=time.time() + _WAY + ahead) + " 2>&1; "


def refresh(ssh: SSH, names: Sequence[str], *, hostname: str, macs: Sequence[str]) -> str | None:
    """
    Renew what is asked for, in the guest.

    Args:
        ssh: The guest; its user must be root (or may do all this).
        names: Of `Refresh`.
        hostname: The new host name.
        macs: The addresses of the adapters that are there, by slot.

    Returns:
        The guest's new host key, if that was asked for.

    Raises:
        CommandFailedError: The guest could not do it.
    """
    check(names)
    key = None
    for name in get_args(Refresh):
        if name not in names:
            continue
        with step(f"refresh {name}"):
            if name == "clock":
                ssh.succeed(_CLOCK.format(now=time.time() + _WAY))
            elif name == "entropy":
                ssh.succeed(_ENTROPY, input=secrets.token_bytes(64))
            elif name == "hostname":
                ssh.succeed(_HOSTNAME, input=hostname)
            elif name == "machine-id":
                ssh.succeed(_MACHINE_ID, input=secrets.token_hex(16))
            elif name == "mac-address":
                ssh.succeed(_MAC_ADDRESS, input="".join(f"{mac.lower()}\n" for mac in macs))
            else:
                key = " ".join(ssh.succeed(_HOST_KEY).split()[:2])
    return key

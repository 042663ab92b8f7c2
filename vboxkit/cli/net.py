"""``vboxkit net``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from vboxkit.cli import completing, output

if TYPE_CHECKING:
    from vboxkit.cli.state import State
    from vboxkit.machines.forwards import Forward

_EPILOG = """\b
Examples:
  vboxkit net show web
  vboxkit net forward web 80
  vboxkit net forward web 8080:80
  vboxkit net policy web isolated
"""


_POLICIES = ["isolated", "nat", "internal", "open"]


@click.group(epilog=_EPILOG)
def net() -> None:
    """Show and change what a machine's network adapters lead to."""


@net.command(epilog="Example: vboxkit net show web --json")
@click.argument("name", shell_complete=completing.machines)
@output.user_option
@output.json_option
@click.pass_obj
def show(state: State, *, name: str, of_user: bool, as_json: bool) -> None:
    """Show the adapters, the forwards, and what the guest can reach."""
    machine = state.machine(name, of_user=of_user)
    policy = machine.network.policy()
    forwards = machine.network.forwards()
    adapters = [adapter for adapter in machine.network if adapter.enabled]
    if as_json:
        output.print_json(
            {
                "policy": policy.name,
                "adapters": machine.describe().to_dict()["network"],
                "forwards": [_plain(rule) for rule in forwards],
            }
        )
        return
    output.table(
        "",
        ["slot>", "attachment", "to", "kind", "MAC address", "cable"],
        [
            (
                each.slot,
                each.attachment,
                each.network or each.interface or "",
                each.kind,
                each.mac,
                "" if each.cable_connected else "unplugged",
            )
            for each in adapters
        ],
    )
    if forwards:
        output.table(
            "",
            ["forward", "protocol", "host", "guest"],
            [
                (
                    rule.name,
                    rule.protocol,
                    f"{rule.host_ip}:{rule.host_port}",
                    f"{rule.guest_ip}:{rule.guest_port}",
                )
                for rule in forwards
            ],
        )
    output.out().print(f"policy: {policy}", soft_wrap=True)


def _plain(rule: Forward) -> dict[str, Any]:
    return {name: value for name, value in vars(rule).items() if not name.startswith("_")}


@net.command(epilog="Example: vboxkit net forward web 8080:80")
@click.argument("name", shell_complete=completing.machines)
@click.argument("ports", metavar="[HOST:]GUEST")
@click.option("--udp", is_flag=True, help="UDP instead of TCP.")
@click.option("--host-ip", default="127.0.0.1", show_default=True, help="Where it listens.")
@click.option("--slot", type=click.IntRange(0), default=0, show_default=True, help="The adapter.")
@output.user_option
@output.json_option
@click.pass_obj
def forward(
    state: State,
    *,
    name: str,
    ports: str,
    udp: bool,
    host_ip: str,
    slot: int,
    of_user: bool,
    as_json: bool,
) -> None:
    """Lead a port of this host to the guest; one that is free if HOST is left out."""
    match = re.fullmatch(r"(?:(\d+):)?(\d+)", ports)
    if match is None:
        raise click.BadParameter(f"{ports!r} is not GUEST or HOST:GUEST", param_hint="PORTS")
    machine = state.machine(name, of_user=of_user)
    rule = machine.network[slot].forward(
        guest=int(match[2]),
        host=int(match[1]) if match[1] else None,
        host_ip=host_ip,
        protocol="udp" if udp else "tcp",
    )
    if as_json:
        output.print_json(_plain(rule))
    else:
        output.out().print(
            f"{rule.host_ip}:{rule.host_port} leads to {machine.name}:{rule.guest_port}"
            f" ({rule.name})",
            soft_wrap=True,
        )


@net.command(epilog="Example: vboxkit net unforward web tcp-80")
@click.argument("name", shell_complete=completing.machines)
@click.argument("rule")
@click.option("--slot", type=click.IntRange(0), default=0, show_default=True, help="The adapter.")
@output.user_option
@click.pass_obj
def unforward(state: State, *, name: str, rule: str, slot: int, of_user: bool) -> None:
    """Take a forward away; RULE is its name in "vboxkit net show"."""
    machine = state.machine(name, of_user=of_user)
    machine.network[slot].remove(rule)
    output.out().print(f"removed {rule} of {machine.name}", soft_wrap=True)


@net.command(epilog="Example: vboxkit net policy web internal --network lab")
@click.argument("name", shell_complete=completing.machines)
@click.argument("policy_name", metavar="POLICY", type=click.Choice(_POLICIES))
@click.option("--network", help="The internal network, for internal.")
@click.option("--interface", help="The host's interface, for open.")
@output.user_option
@click.pass_obj
def policy(
    state: State,
    *,
    name: str,
    policy_name: str,
    network: str | None,
    interface: str | None,
    of_user: bool,
) -> None:
    """Let the guest reach nothing, NAT's networks, an internal one, or all."""
    machine = state.machine(name, of_user=of_user)
    change: Any = machine.network.policy
    more = {"network": network, "interface": interface}
    now = change(policy_name, **{key: value for key, value in more.items() if value})
    output.out().print(f"{machine.name}: {now}", soft_wrap=True)

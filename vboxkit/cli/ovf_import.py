"""``vboxkit ovf plan``, and ``vboxkit import`` alias ``vboxkit ovf import``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

from vboxkit.cli import output

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vboxkit.cli.state import State
    from vboxkit.machines.appliance import Appliance
    from vboxkit.machines.appliance_plan import Plan
    from vboxkit.machines.importing import Disks
    from vboxkit.machines.machine import Machine

__all__ = ["import_", "plan"]

_EPILOG = """\b
Examples:
  vboxkit import box.ova --name web --memory 2048
  vboxkit import shop.ova --network backend=internal:lab --network 0=nat
  vboxkit import vmware.ova --repair --disks vdi --accept-eula
  vboxkit ovf import box.ova      # the same command
"""
_COLUMNS = ["", "#>", "item", "in the package", "would be made", "more"]

_repair = click.option(
    "--repair", is_flag=True, help="Mend what VirtualBox refuses, on a private copy."
)


@click.command(epilog="Example: vboxkit ovf plan box.ova --json | jq '.machines[].items'")
@click.argument("file", type=click.Path())
@_repair
@output.json_option
@click.pass_obj
def plan(state: State, *, file: str, repair: bool, as_json: bool) -> None:
    """
    Show what an import would make, item by item, and the licence; nothing is made.

    Asks VirtualBox, unlike inspect.
    """
    with state.lab().vbox.appliances.open(file, repair=repair) as appliance:
        found = appliance.plan()
        if as_json:
            output.print_json({**found.to_dict(), **_notes(appliance, found)})
        else:
            _print(appliance, found)


@click.command("import", epilog=_EPILOG)
@click.argument("file", type=click.Path())
@click.option("--name", help="The machine's name (default: the appliance's).")
@click.option("--memory", type=int, metavar="MB")
@click.option("--cpus", type=int)
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="ADAPTER=KIND[:TARGET]",
    help="What an adapter is attached to: its number, or the appliance's name of its network.",
)
@click.option("--disks", type=click.Choice(["vdi", "as-is"]), default="as-is", show_default=True)
@click.option("--keep-macs", is_flag=True, help="Keep the MAC addresses.")
@click.option("--folder", type=click.Path(file_okay=False), help="Where its folder is made.")
@click.option("--accept-eula", is_flag=True, help="Agree to the licence; plan shows it.")
@_repair
@output.json_option
@click.pass_obj
def import_(
    state: State,
    *,
    file: str,
    name: str | None,
    memory: int | None,
    cpus: int | None,
    networks: tuple[str, ...],
    disks: str,
    keep_macs: bool,
    folder: str | None,
    accept_eula: bool,
    repair: bool,
    as_json: bool,
) -> None:
    """
    Make the machines of an appliance: all, or none if one fails.

    --name, --memory and --cpus are for appliances of one machine.
    """
    from vboxkit.cli import live

    told: list[str] = []
    words: dict[str, Any] = {
        "networks": dict(_network(word) for word in networks),
        "disks": cast("Disks", disks),
        "keep_macs": keep_macs,
        "folder": folder,
        "eula": "accept" if accept_eula else None,
        "on_warning": told.append,
    }
    with (
        live.showing(keep=False, plain=False),
        state.lab().vbox.appliances.open(file, repair=repair) as appliance,
    ):
        found = appliance.plan()
        if len(found.machines) == 1 or name or memory or cpus:
            one = appliance.import_(found, name=name, memory_mb=memory, cpus=cpus, **words)
            made: Sequence[Machine] = [one]
        else:
            made = appliance.import_all(found, **words)
        rows = [
            {
                "name": machine.name,
                "id": machine.id,
                "memory_mb": machine.memory_mb,
                "cpus": machine.cpus,
                "folder": str(machine.folder),
            }
            for machine in made
        ]
        notes = {**_notes(appliance, found), "warnings": told}
    if as_json:
        output.print_json({"machines": rows, **notes})
        return
    for row in rows:
        output.out().print(
            f"{row['name']}: {row['cpus']} CPU, {row['memory_mb']} MiB, {row['folder']}",
            soft_wrap=True,
        )
    _print_notes(appliance.repairs, told)


def _network(word: str) -> tuple[int | str, Any]:
    adapter, equals, kind = word.rpartition("=")
    if not (adapter and equals and kind):
        raise click.UsageError(f"--network is ADAPTER=KIND or ADAPTER=KIND:TARGET, not {word!r}")
    kind, colon, target = kind.partition(":")
    return int(adapter) if adapter.isdigit() else adapter, (kind, target) if colon else kind


def _notes(appliance: Appliance, found: Plan) -> dict[str, Any]:
    licences = [item.ovf for machine in found.machines for item in machine.all("License")]
    return {
        "warnings": [*appliance.warnings, *found.warnings],
        "licences": licences,
        "repairs": [
            {
                "code": one.code,
                "place": str(one.place),
                "sentence": one.sentence,
                "before": one.before,
                "after": one.after,
            }
            for one in appliance.repairs
        ],
    }


def _print(appliance: Appliance, found: Plan) -> None:
    for machine in found.machines:
        output.table(f"machine {machine.original_name}", _COLUMNS, found.rows(machine))
        for item in machine.all("License"):
            output.out().print(f"licence to agree to:\n{item.ovf}", soft_wrap=True)
    _print_notes(appliance.repairs, [*appliance.warnings, *found.warnings])


def _print_notes(repairs: Sequence[object], warnings: Sequence[str]) -> None:
    show: Callable[..., None] = output.out().print
    for one in repairs:
        show(f"mended: {one}", style="cyan", soft_wrap=True)
    for text in warnings:
        show(text if text.startswith("warning") else f"warning: {text}", style="yellow",
             soft_wrap=True)  # fmt: skip

"""``vboxkit top``."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from vboxkit.cli import output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from vboxkit.host.running import RunningMachine

_EPILOG = """\b
Examples:
  vboxkit top
  vboxkit top --once --json | jq '.[] | select(.cpu_percent > 50)'
"""


@click.command(epilog=_EPILOG)
@click.option("--once", is_flag=True, help="Show one look, and end; so does --json.")
@click.option(
    "--every",
    type=click.FloatRange(0.2),
    default=2.0,
    show_default=True,
    metavar="S",
    help="Seconds between two looks.",
)
@output.json_option
def top(*, once: bool, every: float, as_json: bool) -> None:
    """
    Watch the machines that run here: of all homes, with CPU, RAM and disk.

    VirtualBox itself is not asked. CPU is in percent of one CPU. Ctrl-C ends it.
    """
    from vboxkit.core import waiting
    from vboxkit.host.running import running_machines

    if once or as_json or not output.out().is_terminal:
        # CPU is what was taken between two looks.
        looks = (running_machines() for _ in waiting.every(min(every, 1.0)))
        before, now = islice(looks, 2)
        _show([_row(one, before) for one in now], as_json=as_json)
        return
    from rich.live import Live

    with Live(console=output.out(), screen=True, auto_refresh=False) as live:
        before = []
        try:
            for _ in waiting.every(every):
                now = running_machines()
                live.update(_table([_row(one, before) for one in now]), refresh=True)
                before = now
        except KeyboardInterrupt:
            return


def _show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        output.print_json(rows)
    elif rows:
        output.out().print(_table(rows))
    else:
        output.out().print("no machine runs")


def _row(one: RunningMachine, before: Sequence[RunningMachine]) -> dict[str, Any]:
    from vboxkit.host.running import cpu_percent
    from vboxkit.lab import leases
    from vboxkit.lab.places import Places

    percent = cpu_percent(one, before)
    lease = leases.find(Places(one.home).leases, one.name) if one.home else None
    return {
        "name": one.name,
        "id": one.id,
        "state": one.state,
        "home": None if one.home is None else str(one.home),
        "pid": one.pid,
        "user": one.user,
        "owner": lease.pid if lease else None,
        "test": lease.test if lease else "",
        "cpu_percent": None if percent is None else round(percent, 1),
        "memory_bytes": one.memory_bytes,
        "disk_bytes": output.disk_use(one.folder) if one.folder else None,
        "uptime_s": round(time.time() - one.started, 1),
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    memory = sum(row["memory_bytes"] for row in rows)
    cpu = sum(row["cpu_percent"] or 0 for row in rows)
    title = f"{len(rows)} machines, CPU {cpu:.0f} %, RAM {output.size(memory)}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("name", "state", "CPU %>", "RAM>", "disk>", "up>", "owner", "home"):
        table.add_column(name.rstrip(">"), justify="right" if name.endswith(">") else "left")
    for row in sorted(rows, key=lambda row: -(row["cpu_percent"] or 0)):
        owner = f"{row['owner']} {row['test']}".rstrip() if row["owner"] else row["user"]
        cells = (
            row["name"],
            row["state"],
            "" if row["cpu_percent"] is None else f"{row['cpu_percent']:.0f}",
            output.size(row["memory_bytes"]),
            "" if row["disk_bytes"] is None else output.size(row["disk_bytes"]),
            output.duration(row["uptime_s"]),
            owner,
            row["home"] or "your own",
        )
        table.add_row(*(Text(cell) for cell in cells))
    return table
